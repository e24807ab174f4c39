//! Feature sets, chosen on the selection half.
//!
//! For `transfer` and `safety`:
//!
//! 1. The suite is the hypothesis's own if it is on the set's axis, else the axis's primary suite.
//! 2. Each feature's share in the endpoint is its attribution ([`super::attribution`]) under the very edit
//!    that will be made, on the receiver's own completions.
//! 3. Candidates are features that the edit moves in the wanted direction and whose decoders differ
//!    between the receiver and the reference (the donor, else base), ranked by attribution.
//! 4. Attribution only proposes: the first 1, 2, 4, ... candidates are really edited on selection problems, and the
//!    smallest set with `effect_share` of the best effect is taken, if matched controls exist for it.
//!
//! Nothing here looks at a problem of the measuring half.

use super::attribution::{Endpoint, attribute};
use super::controls::{ControlSet, Stock, draw};
use super::hypothesis::{Axis, Hypothesis, SetRule};
use super::inputs::Selection;
use super::lockstep::Condition;
use super::rows::SetRow;
use super::texts::{Texts, bank, reference, stock};
use crate::error::{Error, Result};
use crate::evaluation::REFUSAL_LOG_ODDS;
use crate::interventions::{CodeBank, Decoders, Edit, FeatureDelta, Reference, Writer};
use crate::rng::stable_hash;
use crate::tasks::{Half, Suite};
use std::sync::Arc;

/// A hypothesis with its set, its controls, and what their writers need.
pub(super) struct Prepared {
    pub(super) hypothesis: Hypothesis,
    pub(super) axis: Axis,
    pub(super) suite: Suite,
    pub(super) receiver: usize,
    /// The variant that a post-trained receiver is compared with: the donor, else base.
    pub(super) other: usize,
    pub(super) features: Vec<u32>,
    pub(super) rows: Vec<SetRow>,
    pub(super) controls: Vec<ControlSet>,
    pub(super) deltas: Vec<FeatureDelta>,
    pub(super) reference: Reference,
    pub(super) bank: CodeBank,
}

impl Prepared {
    /// The writer of the hypothesis's edit on some features at a dose.
    ///
    /// # Errors
    /// If a feature is not in the dictionary.
    pub(super) fn writer(&self, selection: &Selection<'_>, features: &[u32], dose: f32) -> Result<Writer> {
        self.edit_writer(selection, &self.hypothesis.edit, features, dose)
    }

    /// The writer of another edit in the same receiver.
    ///
    /// # Errors
    /// If a feature or donor is not in the dictionary.
    pub(super) fn edit_writer(
        &self,
        selection: &Selection<'_>,
        edit: &Edit,
        features: &[u32],
        dose: f32,
    ) -> Result<Writer> {
        let dictionary = selection.readout.dictionary();
        Writer::new(edit, dose, features, &self.hypothesis.receiver, dictionary, &self.reference, &self.bank)
    }

    /// The condition of one control.
    ///
    /// # Errors
    /// As [`Prepared::writer`].
    pub(super) fn control(&self, selection: &Selection<'_>, control: &ControlSet) -> Result<Condition> {
        let writer = self.writer(selection, &control.features, self.hypothesis.dose)?;
        let name = format!("{}:{}:{}", self.hypothesis.name, control.cloud.name(), control.draw);
        Ok(Condition::edited(
            name,
            match &control.direction {
                Some(direction) => writer.borrowed_by(direction),
                None => writer,
            },
        ))
    }

    /// The receiver's firing on the selection half of a suite, to judge balance there.
    ///
    /// # Errors
    /// If a forward pass fails.
    pub(super) fn stock(&self, selection: &mut Selection<'_>, suite: &Suite) -> Result<Stock> {
        let traits = selection.traits(self.receiver, self.other, suite)?;
        let texts = selection.texts(self.receiver, suite)?;
        Ok(stock(&[(suite.name(), &texts)], traits))
    }
}

/// Chooses a hypothesis's set and draws its controls.
///
/// # Errors
/// If a forward pass fails, or the observer asks to stop.
pub(super) fn prepare(selection: &mut Selection<'_>, hypothesis: &Hypothesis) -> Result<Prepared> {
    let (axis, suite) = selection.inputs.suite(&hypothesis.suite)?;
    let readout = selection.readout;
    let receiver = readout.variant(&hypothesis.receiver)?;
    let other = readout.variant(hypothesis.edit.donor().unwrap_or(&selection.inputs.base))?;
    let scored = match &hypothesis.set {
        SetRule::Carriers(wanted) if *wanted != axis => {
            selection.inputs.primary(*wanted).ok_or_else(|| {
                Error::request(format!(
                    "the set `{}` needs a suite of that kind, and there is none",
                    wanted.name()
                ))
                .at(format!("hypothesis `{}`", hypothesis.name))
            })?
        }
        _ => suite,
    };
    let own = selection.texts(receiver, suite)?;
    let matching = stock(&[(suite.name(), &own)], selection.traits(receiver, other, suite)?);
    let texts = selection.texts(receiver, scored)?;
    let reference = reference(&stock(
        &[(scored.name(), &texts)],
        vec![Default::default(); readout.dictionary().features()],
    ));
    let bank = bank(&[(suite.name(), &own)], selection.seed);
    let donor = hypothesis.edit.donor().map(|_| other);
    let deltas = (0..readout.dictionary().features() as u32)
        .map(|feature| {
            let variants = (receiver, donor);
            FeatureDelta::of(
                &hypothesis.edit,
                hypothesis.dose,
                feature,
                variants,
                readout.dictionary(),
                &reference,
            )
        })
        .collect();
    let mut prepared = Prepared {
        hypothesis: hypothesis.clone(),
        axis,
        suite: suite.clone(),
        receiver,
        other,
        features: Vec::new(),
        rows: Vec::new(),
        controls: Vec::new(),
        deltas,
        reference,
        bank,
    };
    let all = 0..readout.dictionary().features() as u32;
    match &hypothesis.set {
        SetRule::Carriers(wanted) => carriers(&mut prepared, selection, *wanted, scored, &texts, &matching)?,
        SetRule::All => prepared.features = all.collect(),
        SetRule::Class(class) => {
            let classes = selection.inputs.classes.iter();
            let chosen = all.zip(classes).filter(|(_, found)| *found == class);
            prepared.features = chosen.map(|(feature, _)| feature).collect();
        }
        SetRule::Features(features) => prepared.features = features.clone(),
    }
    if prepared.controls.is_empty() {
        prepared.controls = controls(&prepared, selection, &matching, &prepared.features)?;
    }
    if prepared.rows.is_empty() {
        prepared.rows = set_rows(&prepared, selection, &prepared.features, &[]);
    }
    Ok(prepared)
}

fn controls(
    prepared: &Prepared,
    selection: &Selection<'_>,
    stock: &Stock,
    set: &[u32],
) -> Result<Vec<ControlSet>> {
    if set.is_empty() {
        return Ok(Vec::new());
    }
    let settings = selection.settings;
    let key = stable_hash(&prepared.hypothesis.name);
    draw(stock, &prepared.deltas, set, settings.controls, settings.balance_tolerance, selection.seed, key)
}

fn set_rows(prepared: &Prepared, selection: &Selection<'_>, ranked: &[u32], scores: &[f64]) -> Vec<SetRow> {
    let class = |feature: &u32| selection.inputs.classes.get(*feature as usize).cloned();
    let row = |(rank, feature): (usize, &u32)| SetRow {
        hypothesis: prepared.hypothesis.name.clone(),
        set: prepared.hypothesis.set.name(),
        receiver: prepared.hypothesis.receiver.clone(),
        feature: u64::from(*feature),
        rank: rank as u64 + 1,
        score: scores.get(*feature as usize).copied(),
        class: class(feature),
    };
    ranked.iter().enumerate().map(row).collect()
}

/// Steps 2 to 4 above.
fn carriers(
    prepared: &mut Prepared,
    selection: &Selection<'_>,
    axis: Axis,
    suite: &Suite,
    texts: &Arc<Texts>,
    matching: &Stock,
) -> Result<()> {
    let trial = selection.trial(suite, Half::Select);
    let tokenizer = selection.readout.model(prepared.receiver)?.tokenizer()?;
    let endpoint = match super::measure::refusal_token(suite, tokenizer) {
        Some(token) => Endpoint::FirstToken(token?),
        None => Endpoint::Score,
    };
    let scores = attribute(selection.readout, prepared.receiver, texts, &prepared.deltas, endpoint)?;
    let declared = Hypothesis {
        direction: prepared.hypothesis.direction.filter(|_| axis == prepared.axis),
        ..prepared.hypothesis.clone()
    };
    let sign = declared.direction(axis, &selection.inputs.base).sign();
    let mut ranked: Vec<u32> = (0..scores.len() as u32)
        .filter(|feature| scores.get(*feature as usize).is_some_and(|score| sign * score > 0.0))
        .filter(|feature| {
            let dictionary = selection.readout.dictionary();
            let same = prepared.receiver == prepared.other;
            same || decoder_difference(dictionary, *feature, prepared.receiver, prepared.other)
                >= selection.settings.decoder_difference
        })
        .collect();
    let score = |feature: u32| scores.get(feature as usize).map_or(0.0, |score| sign * score);
    ranked.sort_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
    let sizes = sizes(&selection.settings.set_sizes, ranked.len());
    if sizes.is_empty() {
        return Ok(());
    }
    let mut conditions = vec![Condition::baseline()];
    for size in &sizes {
        let set = ranked.get(..*size).unwrap_or(&ranked);
        let writer = prepared.writer(selection, set, prepared.hypothesis.dose)?;
        conditions.push(Condition::edited(format!("size {size}"), writer));
    }
    let measured = trial.measure(prepared.receiver, &conditions, "sizes of the set", selection.observer)?;
    let column = measured.endpoint(REFUSAL_LOG_ODDS).unwrap_or(0);
    let effects: Vec<f64> =
        (1..conditions.len()).map(|condition| sign * measured.effect(condition, column)).collect();
    let mut fallback = None;
    for index in preferred(&effects, selection.settings.effect_share).into_iter().take(SIZES_TRIED) {
        let set = ranked.get(..sizes[index]).unwrap_or(&ranked).to_vec();
        let controls = controls(prepared, selection, matching, &set)?;
        if controls.iter().all(|control| control.matched) {
            fallback = Some((set, controls));
            break;
        }
        fallback.get_or_insert((set, controls));
    }
    if let Some((set, controls)) = fallback {
        (prepared.features, prepared.controls) = (set, controls);
    }
    prepared.rows = set_rows(prepared, selection, &prepared.features, &scores);
    Ok(())
}

/// Sizes for which controls are drawn before the first is taken unmatched.
const SIZES_TRIED: usize = 3;

/// The sizes that there are candidates for; all of the candidates if there are fewer than the smallest.
fn sizes(wanted: &[usize], candidates: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> =
        wanted.iter().copied().map(|size| size.min(candidates)).filter(|size| *size > 0).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Indices of sizes: those with enough of the best effect from small to large, then the others by effect.
fn preferred(effects: &[f64], share: f64) -> Vec<usize> {
    let best = effects.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let enough = |index: &usize| best > 0.0 && effects[*index] >= share * best;
    let (good, mut rest): (Vec<usize>, Vec<usize>) = (0..effects.len()).partition(enough);
    rest.sort_by(|a, b| effects[*b].total_cmp(&effects[*a]));
    good.into_iter().chain(rest).collect()
}

/// Norm of the difference between a feature's decoders for two variants, over the larger norm.
fn decoder_difference(dictionary: &dyn Decoders, feature: u32, a: usize, b: usize) -> f64 {
    let norm = |vector: &mut dyn Iterator<Item = f64>| vector.map(|x| x * x).sum::<f64>().sqrt();
    let (first, second) = (dictionary.decoder(feature, a), dictionary.decoder(feature, b));
    let difference = norm(&mut first.iter().zip(second).map(|(x, y)| f64::from(x - y)));
    let larger =
        norm(&mut first.iter().map(|x| f64::from(*x))).max(norm(&mut second.iter().map(|x| f64::from(*x))));
    if larger > 0.0 { difference / larger } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_size_with_enough_of_the_best_effect_comes_first() {
        assert_eq!(preferred(&[0.1, 0.85, 1.0, 0.9], 0.8), [1, 2, 3, 0]);
        assert_eq!(preferred(&[-0.2, -0.1], 0.8), [1, 0]);
        assert_eq!(sizes(&[1, 2, 4, 8], 3), [1, 2, 3]);
        assert_eq!(sizes(&[4, 8], 0), Vec::<usize>::new());
    }
}
