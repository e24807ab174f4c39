//! A hypothesis with all that was chosen for it on the selection half.

use super::conditions::Condition;
use super::controls::{Cloud, ControlSet, Stock, Wanted, draw};
use super::heads;
use super::hypothesis::{Axis, Hypothesis};
use super::inputs::Selection;
use super::readout::Readout;
use super::rows::SetRow;
use super::texts::stock;
use crate::error::{Error, Result};
use crate::interventions::{
    CodeBank, Edit, FeatureDelta, Head, HeadWriter, Intervention, Operation, Positions, Reading, Reference,
    Write, Writer,
};
use crate::model::HookPoint;
use crate::rng::stable_hash;
use crate::stats::Likeness;
use crate::tasks::Suite;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is edited, now that it is chosen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// Features.
    Features(Vec<u32>),
    /// A direction, at its own length.
    Direction(Arc<[f32]>),
    /// Heads.
    Heads(Vec<Head>),
    /// The whole activation.
    Whole,
}

impl Target {
    /// The features, where it is features.
    pub(super) fn features(&self) -> &[u32] {
        match self {
            Self::Features(features) => features,
            _ => &[],
        }
    }

    /// Whether there is nothing to edit.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Features(features) if features.is_empty())
    }
}

/// A control: what is edited in the target's place.
#[derive(Clone, Debug)]
pub(super) struct Control {
    pub(super) cloud: Cloud,
    pub(super) draw: u64,
    /// Another target, or the direction that borrows the target's gate and norm.
    pub(super) instead: Instead,
    /// The worst relative gap to the target, on the declared suite.
    pub(super) gap: f64,
    pub(super) matched: bool,
    /// How much it writes what the other controls write, where it counts.
    pub(super) likeness: Option<Likeness>,
}

#[derive(Clone, Debug)]
pub(super) enum Instead {
    Target(Target),
    Borrows(Vec<f32>),
}

impl Control {
    /// Whether it is another set of features that matches.
    pub(super) fn is_matched_set(&self) -> bool {
        self.matched && Cloud::OF_FEATURES.contains(&self.cloud)
    }

    /// The heads, where it is heads.
    pub(super) fn heads(&self) -> Option<&[Head]> {
        match &self.instead {
            Instead::Target(Target::Heads(heads)) => Some(heads),
            _ => None,
        }
    }
}

impl From<ControlSet> for Control {
    fn from(set: ControlSet) -> Self {
        Self {
            cloud: set.cloud,
            draw: set.draw,
            gap: set.balance.worst,
            matched: set.matched,
            likeness: set.likeness,
            instead: match set.direction {
                Some(direction) => Instead::Borrows(direction),
                None => Instead::Target(Target::Features(set.features)),
            },
        }
    }
}

/// A hypothesis with its target, its controls, and what their writers need.
pub(super) struct Prepared {
    pub(super) hypothesis: Hypothesis,
    pub(super) axis: Axis,
    pub(super) suite: Suite,
    pub(super) receiver: usize,
    /// The variant that a post-trained receiver is compared with: the donor, else base.
    pub(super) other: usize,
    pub(super) tools: Tools,
    /// The least F1 and R² of the reading over the set's features; `None` for the joint code.
    pub(super) fidelity: Option<(f64, f64)>,
    /// The same of base's own reading, where the edit is measured there too.
    pub(super) fidelity_in_base: Option<(f64, f64)>,
    pub(super) target: Target,
    pub(super) rows: Vec<SetRow>,
    pub(super) controls: Vec<Control>,
    pub(super) deltas: Vec<FeatureDelta>,
}

/// What writers are made with, beside the edit and its target.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    /// The receiver that the reading was made for.
    pub(super) receiver: usize,
    /// Where a direction is edited.
    pub(super) hook: HookPoint,
    pub(super) reading: Reading,
    /// Base, with the reading made for it, where it has one of its own.
    pub(super) in_base: Option<(usize, Reading)>,
    pub(super) reference: Reference,
    pub(super) bank: CodeBank,
    pub(super) head_means: BTreeMap<Head, Vec<f32>>,
}

impl Tools {
    /// For a receiver, with nothing known of its codes yet.
    pub(super) fn new(receiver: usize, hook: HookPoint) -> Self {
        Self {
            receiver,
            hook,
            reading: Reading::Joint,
            in_base: None,
            reference: Reference::default(),
            bank: CodeBank::default(),
            head_means: BTreeMap::new(),
        }
    }

    /// How codes are made in a receiver: jointly where no reading was made for it.
    pub(super) fn reading_in(&self, receiver: usize) -> &Reading {
        match &self.in_base {
            _ if receiver == self.receiver => &self.reading,
            Some((base, reading)) if receiver == *base => reading,
            _ => &Reading::Joint,
        }
    }

    /// What an edit of a target does in a receiver.
    ///
    /// # Errors
    /// If a feature, head or variant is not there, or the edit is none of such a target.
    pub(super) fn intervention(
        &self,
        readout: &Readout,
        edit: &Edit,
        target: &Target,
        dose: f32,
        receiver: &str,
        positions: Positions,
    ) -> Result<Intervention> {
        let index = readout.variant(receiver)?;
        let of_features = |features: &[u32]| {
            let dictionary = readout.dictionary()?;
            Writer::new(edit, dose, features, receiver, dictionary, &self.reference, &self.bank)
        };
        let at = |hook, reading, writer| {
            let dictionary = readout.dictionary().ok().cloned();
            Intervention::written(hook, reading, writer, dictionary)
        };
        let own = self.reading_in(index).clone();
        let intervention = match target {
            Target::Features(features) => at(readout.hook(), own, of_features(features)?),
            Target::Whole => at(readout.hook(), Reading::Joint, of_features(&[])?),
            Target::Direction(direction) => {
                at(self.hook, Reading::Joint, Writer::along(edit, dose, direction, index)?)
            }
            Target::Heads(heads) => {
                let donor = edit.donor().map(|donor| readout.variant(donor)).transpose()?;
                Intervention::of_heads(HeadWriter::new(edit, dose, heads, (index, donor), &self.head_means)?)
            }
        };
        Ok(intervention.on(positions))
    }
}

impl Prepared {
    /// The declared edit of another target at a dose, as a condition.
    ///
    /// # Errors
    /// As [`Tools::intervention`].
    pub(super) fn condition(
        &self,
        selection: &Selection<'_>,
        name: impl Into<String>,
        target: &Target,
        dose: f32,
    ) -> Result<Condition> {
        let Hypothesis { edit, receiver, positions, .. } = &self.hypothesis;
        let intervention =
            self.tools.intervention(selection.readout, edit, target, dose, receiver, *positions)?;
        Ok(Condition::edited(name, intervention))
    }

    /// The condition of one control.
    ///
    /// # Errors
    /// As [`Tools::intervention`].
    pub(super) fn control(&self, selection: &Selection<'_>, control: &Control) -> Result<Condition> {
        let name = format!("{}:{}:{}", self.hypothesis.name, control.cloud.name(), control.draw);
        let dose = self.hypothesis.dose;
        match &control.instead {
            Instead::Target(target) => self.condition(selection, name, target, dose),
            Instead::Borrows(direction) => {
                let condition = self.condition(selection, name, &self.target, dose)?;
                let lends = || Error::work("only what is written at a hook can lend its norm");
                let write = condition.write().cloned().ok_or_else(lends)?;
                let writer = write.writer.borrowed_by(direction);
                let borrowed = Operation::Write(Write { writer, ..write });
                let intervention = condition.intervention.map(|lender| lender.with_operation(borrowed));
                Ok(Condition { intervention, name: condition.name })
            }
        }
    }

    /// Controls that match the target on another suite than the declared one.
    ///
    /// # Errors
    /// If a forward pass fails.
    pub(super) fn controls_on(&self, selection: &mut Selection<'_>, suite: &Suite) -> Result<Vec<Control>> {
        let set = match &self.target {
            Target::Features(set) => set,
            Target::Heads(heads) => return heads::controls(self, selection, heads, suite),
            // What borrows the target's norm at every token matches everywhere.
            Target::Direction(_) | Target::Whole => return Ok(self.controls.clone()),
        };
        let stock = self.stock(selection, suite)?;
        let name = format!("{} on {}", self.hypothesis.name, suite.name());
        self.drawn(selection, &stock, set, &name)
    }

    /// Controls of a set of features that match it on a stock, drawn by `name`.
    ///
    /// # Errors
    /// If the set is empty.
    pub(super) fn drawn(
        &self,
        selection: &Selection<'_>,
        stock: &Stock,
        set: &[u32],
        name: &str,
    ) -> Result<Vec<Control>> {
        let wanted = Wanted {
            count: selection.settings.controls,
            tolerance: selection.settings.balance_tolerance,
            positions: self.hypothesis.positions,
            seed: selection.seed,
            key: stable_hash(name),
        };
        Ok(draw(stock, &self.deltas, set, wanted)?.into_iter().map(Control::from).collect())
    }

    /// The receiver's firing on the selection half of a suite, to judge balance there.
    fn stock(&self, selection: &mut Selection<'_>, suite: &Suite) -> Result<Stock> {
        let traits = selection.traits(self.receiver, self.other, suite)?;
        let texts = selection.texts(self.receiver, suite)?;
        Ok(match self.tools.reading {
            Reading::Joint => stock(&[(suite.name(), &texts)], traits),
            _ => stock(&[(suite.name(), &texts.reread(selection.readout, &self.tools.reading)?)], traits),
        })
    }
}
