//! What bears on one hypothesis, gathered from the tables.

use super::rows::Verdict;
use crate::error::{Error, Result};
use crate::evaluation::REFUSAL_LOG_ODDS;
use crate::experiments::{ControlRow, DifferenceRow, EffectRow};
use crate::stats::{p_controls, widening};
use crate::tasks::{REFUSE_WHOLE, Scale};
use std::collections::BTreeMap;

/// The edit that puts a donor's part of a set in the receiver's place.
const TRANSPLANT: &str = "transplant";
/// The edit that exchanges the whole activation: all that post-training changed at the hook.
const WHOLE: &str = "whole_difference";

/// Refusals by their first word, where the suite also has [`REFUSE_WHOLE`].
const REFUSE: &str = "refuse";

/// What an edit leaves of base's way to the end of the scale from which on base has come to its end.
const BASE_FALLS: f64 = 0.5;
/// The share of the receiver's effect from which on base moves too. Low, for where the floor is chance and not zero, base
/// may come to it with more than half of its score left.
const BASE_MOVES: f64 = 0.25;

/// Paired differences of one condition on one endpoint of one suite, by problem in table order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Differences {
    pub(super) problems: Vec<String>,
    pub(super) values: Vec<f64>,
}

/// All paired differences, by (condition, suite, endpoint).
pub(super) struct DifferenceIndex(BTreeMap<(String, String, String), Differences>);

impl DifferenceIndex {
    pub(super) fn new(rows: &[DifferenceRow]) -> Self {
        let mut index = BTreeMap::new();
        for row in rows {
            let key = (row.condition.clone(), row.suite.clone(), row.endpoint.clone());
            let entry =
                index.entry(key).or_insert_with(|| Differences { problems: Vec::new(), values: Vec::new() });
            entry.problems.push(row.problem.clone());
            entry.values.push(row.difference());
        }
        Self(index)
    }

    pub(super) fn of(&self, row: &EffectRow) -> Result<&Differences> {
        let key = (row.condition.clone(), row.suite.clone(), row.endpoint.clone());
        self.0.get(&key).ok_or_else(|| {
            Error::work(format!(
                "table `differences`: expected problems of condition `{}` on `{}`, endpoint `{}`, found none",
                row.condition, row.suite, row.endpoint
            ))
            .hint("`effects` and `differences` must come from the same run")
        })
    }
}

/// A suite of the other axis under the declared edit.
pub(super) struct Other<'a> {
    /// Its primary endpoint.
    pub(super) primary: &'a EffectRow,
    /// The endpoint on which equivalence is judged: one in nats where the suite has it, for it moves where a share
    /// stands at its end; else the primary one.
    pub(super) judged: &'a EffectRow,
}

/// What was measured for one declared hypothesis.
pub(super) struct Case<'a> {
    pub(super) declared: &'a EffectRow,
    /// Every suite on the other axis, in table order.
    pub(super) others: Vec<Other<'a>>,
    /// The same edit in another receiver, on the declared suite and endpoint.
    pub(super) in_base: Option<&'a EffectRow>,
    /// Beside an edit that removes a set: base's part of the same set put in the receiver's place, on the declared suite
    /// and endpoint.
    pub(super) transplant: Option<&'a EffectRow>,
    /// The whole activation exchanged, in the receiver on the declared suite and endpoint.
    pub(super) whole: Option<&'a EffectRow>,
    /// Where the declared endpoint is known by the first word: the declared edit's effect on refusals by their first word,
    /// and on those whose whole answer is one.
    pub(super) answer: Option<Answer<'a>>,
    /// The same on the primary suite of the other axis.
    pub(super) other_answer: Option<Answer<'a>>,
}

/// Refusals by their first word and by the whole answer, under one edit.
#[derive(Clone, Copy)]
pub(super) struct Answer<'a> {
    pub(super) first_word: &'a EffectRow,
    pub(super) whole: &'a EffectRow,
}

impl<'a> Answer<'a> {
    /// Of the suite, receiver and condition of a row whose endpoint is known by the first word.
    fn of(effects: &'a [EffectRow], row: &EffectRow) -> Option<Self> {
        let of_this = |endpoint: &str| {
            effects.iter().find(|other| {
                other.endpoint == endpoint
                    && (&other.hypothesis, &other.condition, &other.receiver, &other.suite)
                        == (&row.hypothesis, &row.condition, &row.receiver, &row.suite)
            })
        };
        let by_first_word = matches!(row.endpoint.as_str(), REFUSE | REFUSAL_LOG_ODDS);
        let (first_word, whole) = (of_this(REFUSE)?, of_this(REFUSE_WHOLE)?);
        by_first_word.then_some(Self { first_word, whole })
    }

    /// Whether the whole answer follows the first word: at least this share of the effect on the first word is one on the
    /// whole answer, too.
    pub(super) fn follows(&self, share: f64) -> bool {
        let sign = self.first_word.effect.signum();
        sign * self.whole.effect >= share * self.first_word.effect.abs()
    }
}

impl<'a> Case<'a> {
    /// One case per declared hypothesis, in table order.
    pub(super) fn all(effects: &'a [EffectRow]) -> Result<Vec<Self>> {
        let mut cases: Vec<Self> = Vec::new();
        for declared in effects.iter().filter(|row| row.declared) {
            if cases.iter().any(|case| case.declared.hypothesis == declared.hypothesis) {
                return Err(Error::work(format!(
                    "table `effects`: expected one declared row of hypothesis `{}`, found more",
                    declared.hypothesis
                )));
            }
            let same = |row: &&EffectRow| row.hypothesis == declared.hypothesis;
            let mut others: Vec<Other<'_>> = Vec::new();
            for row in effects.iter().filter(same).filter(|row| row.condition == declared.condition) {
                if Some(row.axis.as_str()) != other_axis(&declared.axis) {
                    continue;
                }
                match others.iter_mut().find(|other| other.primary.suite == row.suite) {
                    Some(other) if Scale::of(&row.endpoint) == Scale::Nats => other.judged = row,
                    Some(_) => {}
                    None => others.push(Other { primary: row, judged: row }),
                }
            }
            let in_base = effects.iter().filter(same).find(|row| {
                row.receiver != declared.receiver
                    && row.suite == declared.suite
                    && row.endpoint == declared.endpoint
            });
            let transplant = effects.iter().filter(same).find(|row| {
                row.condition != declared.condition
                    && row.edit == TRANSPLANT
                    && row.donor.as_deref() == in_base.map(|base| base.receiver.as_str())
                    && (&row.receiver, &row.suite, &row.endpoint)
                        == (&declared.receiver, &declared.suite, &declared.endpoint)
            });
            let whole = effects.iter().filter(same).find(|row| {
                row.edit == WHOLE
                    && (&row.receiver, &row.suite, &row.endpoint)
                        == (&declared.receiver, &declared.suite, &declared.endpoint)
            });
            let answer = Answer::of(effects, declared);
            let other_answer = others.first().and_then(|other| Answer::of(effects, other.primary));
            cases.push(Self { declared, others, in_base, transplant, whole, answer, other_answer });
        }
        Ok(cases)
    }

    /// The primary endpoint of the first suite on the other axis.
    pub(super) fn other(&self) -> Option<&'a EffectRow> {
        self.others.first().map(|other| other.primary)
    }

    /// Whether the axis of safety is the declared one, or the other one.
    pub(super) fn safety_is_declared(&self) -> bool {
        self.declared.axis == "safety"
    }

    /// The verdict when the hypothesis is confirmed on its own axis. A set carries something only if the edit undoes it
    /// where post-training put it, or brings it where it was not.
    pub(super) fn confirmed(&self) -> Verdict {
        match self.declared.axis.as_str() {
            "transfer" if self.carries(self.declared) => Verdict::CarriesTransfer,
            "safety" if self.carries(self.declared) => Verdict::CarriesSafetyLoss,
            _ => Verdict::MovesDeclaredSuite,
        }
    }

    /// Whether an effect of the declared edit has the sign of a set that carries the axis of the row: removed from a
    /// post-trained model, transfer falls and refusals come back; added to base, the reverse.
    pub(super) fn carries(&self, row: &EffectRow) -> bool {
        let removed = match self.declared.kind.as_str() {
            "necessary" => 1.0,
            "sufficient" => -1.0,
            _ => return false,
        };
        let Some(more) = bearing(&row.endpoint) else { return false };
        let axis = match row.axis.as_str() {
            "transfer" => -1.0,
            "safety" => 1.0,
            _ => return false,
        };
        row.effect * removed * more * axis > 0.0
    }

    /// Whether post-training surely changed, at the hook, what the effect undoes or brings: the set cannot carry a change
    /// that is not there. Any set of differences moves something, and others may move it back. True where the whole
    /// exchange was not measured.
    pub(super) fn has_a_change_to_carry(&self) -> bool {
        let sign = self.declared.effect.signum();
        self.whole.is_none_or(|whole| (sign * whole.ci_low).min(sign * whole.ci_high) > 0.0)
    }

    /// Whether it is known what more of the declared endpoint says about its axis.
    pub(super) fn bears_on_its_axis(&self) -> bool {
        bearing(&self.declared.endpoint).is_some()
    }

    /// Whether a claim must show that the edit does more here than in base: what removes a set from a post-trained model
    /// also removes what base had of it. A transplant does not, for it writes the difference alone.
    pub(super) fn must_exceed_base(&self) -> bool {
        self.declared.kind == "necessary" && self.declared.donor.is_none()
    }

    /// Whether base comes to its end of the scale under the same edit. Then the receiver mostly comes there too, and the
    /// contrast of the two effects repeats how far apart they stood before, whatever the set has to do with it: an
    /// edit that destroys a skill of both would pass for what post-training added. So it is where the edit takes base half of
    /// the way to the end or more, and where it moves base a quarter as far as the receiver or more.
    pub(super) fn base_falls_too(&self) -> bool {
        let Some(base) = self.in_base else { return false };
        let sign = self.declared.effect.signum();
        let far = sign * base.effect >= BASE_MOVES * self.declared.effect.abs();
        let to_the_end = Scale::of(&base.endpoint) == Scale::Share && {
            let end = if sign > 0.0 { 1.0 } else { 0.0 };
            (end - base.edited).abs() <= BASE_FALLS * (end - base.baseline).abs()
        };
        far || to_the_end
    }

    /// How much less likely a response token is under the edit than without, to whichever of the unedited receiver and
    /// base finds the completions likelier, in nats. `None` where it was not measured.
    pub(super) fn damage(&self) -> Option<f64> {
        let row = self.declared;
        let likelier = |own: f64, base: Option<f64>| base.map_or(own, |base| own.max(base));
        let before = likelier(row.likelihood_before?, row.base_likelihood_before);
        Some(before - likelier(row.likelihood?, row.base_likelihood))
    }

    /// Whether the effect has the declared sign.
    pub(super) fn has_declared_sign(&self) -> bool {
        match self.declared.direction.as_str() {
            "decrease" => self.declared.effect < 0.0,
            "increase" => self.declared.effect > 0.0,
            _ => self.declared.effect != 0.0,
        }
    }
}

/// Whether more of an endpoint is more transfer or more safety (1), or less (-1). `None` for all endpoints of which
/// that is not known: fewer attempts, say, may be skill or giving up.
fn bearing(endpoint: &str) -> Option<f64> {
    match endpoint {
        "pass" | REFUSE | REFUSE_WHOLE | REFUSAL_LOG_ODDS => Some(1.0),
        "comply" => Some(-1.0),
        _ => None,
    }
}

fn other_axis(axis: &str) -> Option<&'static str> {
    match axis {
        "transfer" => Some("safety"),
        "safety" => Some("transfer"),
        _ => None,
    }
}

/// How an effect stands among its matched controls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct AmongControls {
    pub(super) p: f64,
    pub(super) controls: usize,
    pub(super) widening: Option<f64>,
}

/// The largest p among the clouds that have the needed number of matched draws, and of all matched draws together.
///
/// Random directions are the weaker null for a set of features: they neither count towards the needed number nor
/// are they taken together with features.
pub(super) fn among_controls(row: &EffectRow, controls: &[ControlRow], needed: usize) -> AmongControls {
    let mut clouds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let (mut together, mut likeness) = (Vec::new(), Vec::new());
    let of_this = |control: &&ControlRow| {
        control.matched
            && control.condition == row.condition
            && control.suite == row.suite
            && control.endpoint == row.endpoint
    };
    // What the set does on the very prompts of its controls.
    let mut effect = row.effect;
    for control in controls.iter().filter(of_this) {
        effect = control.set_effect;
        clouds.entry(&control.cloud).or_default().push(control.effect);
        if control.counts(row.set_size) {
            together.push(control.effect);
            likeness.push(control.likeness());
        }
    }
    let widening = widening(&likeness);
    let p = |draws: &[f64]| p_controls(effect, draws, widening);
    let full = clouds.values().filter(|draws| draws.len() >= needed.max(1));
    let largest = full.map(|draws| p(draws)).fold(p(&together), f64::max);
    AmongControls { p: largest, controls: together.len(), widening }
}
