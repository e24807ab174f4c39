//! The rows that experiments hand to claims: effects, control draws, and paired differences by problem.
//!
//! A **condition** is one edit of one set in one receiver at one dose; its name joins the three tables.
//! A hypothesis has its rows on every suite: the one that it was declared on (`declared`), the other
//! axis, collateral, and the same edit in base when the contrast with base is wanted.

use super::controls::Cloud;
use crate::stats::Likeness;
use serde::{Deserialize, Serialize};

/// One row of the table `effects`: what one condition does to one endpoint of one suite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EffectRow {
    /// The hypothesis that declared the condition, or `exploratory`.
    pub hypothesis: String,
    /// The name that joins `effects`, `differences`, `controls` and `outcomes`.
    pub condition: String,
    /// The feature set, direction or head that is edited.
    pub set: String,
    /// How many features the set holds. `None` for a direction or head.
    pub set_size: Option<u64>,
    /// The variant whose forward pass is edited.
    pub receiver: String,
    /// The variant that a transplant takes from.
    pub donor: Option<String>,
    /// The kind of edit, by its name in the study.
    pub edit: String,
    /// The dose, in units of the edit (`None` where the edit has none).
    pub dose: Option<f64>,
    /// Whose activations made the code: `joint`, `own` or `swap`.
    pub readout: String,
    /// The least F1 of the readout's firing against the joint code, over the set's features on held-out
    /// tokens. `None` for the joint code itself.
    pub readout_f1: Option<f64>,
    /// The least share of the joint code's variance that the readout explains, over the set's features.
    pub readout_r2: Option<f64>,
    /// Where it may act: `all`, `prompt` or `response`.
    pub positions: String,
    /// The hook at which a direction is edited. `None` for features, which have their dictionary's, and heads.
    pub hook: Option<String>,
    /// The suite.
    pub suite: String,
    /// What the suite stands for: `in_domain`, `transfer`, `safety` or `collateral`.
    pub axis: String,
    /// The endpoint.
    pub endpoint: String,
    /// `necessary` (removed from a post-trained model), `sufficient` (added to base), `other` (a declared edit that
    /// is neither), `ceiling` (whole difference, error only) or `exploratory`.
    pub kind: String,
    /// Whether the hypothesis was declared on this receiver, suite and endpoint.
    pub declared: bool,
    /// The declared sign of the effect: `decrease`, `increase` or `either`.
    pub direction: String,
    /// Mean of the endpoint without the edit, on the measuring half.
    pub baseline: f64,
    /// Mean of the endpoint with the edit, on the same problems with the same random numbers.
    pub edited: f64,
    /// How far the endpoint can move from the baseline in the declared direction.
    pub headroom: Option<f64>,
    /// The same endpoint when the whole difference between donor and receiver is transplanted.
    pub ceiling: Option<f64>,
    /// `edited - baseline`, the mean over problems of paired differences.
    pub effect: f64,
    /// Lower end of the pointwise 95 % interval, clustered by problem.
    pub ci_low: f64,
    /// Upper end of the pointwise 95 % interval, clustered by problem.
    pub ci_high: f64,
    /// Two-sided sign-flip p-value over problems, against no effect.
    pub p_zero: f64,
    /// Share of matched controls, widened by how alike they are, (with one added above and below) that move it as much. `None` without controls. Random
    /// directions do not count beside a set of features.
    pub p_controls: Option<f64>,
    /// How many matched control draws stand beside it.
    pub controls: u64,
    /// The smallest effect that would be found with power .8 at level .05 (two-sided, by the paired standard error).
    pub mde: Option<f64>,
    /// How many problems were measured.
    pub problems: u64,
    /// Samples a problem.
    pub samples: u64,
    /// Share of prompt positions at which any feature of the set was active. `None` for directions and heads.
    pub fired_prompt: Option<f64>,
    /// Share of response positions at which any feature of the set was active. `None` for directions and heads.
    pub fired_response: Option<f64>,
    /// Mean norm of the edit's delta where it acts, over the mean norm of the receiver's activation.
    pub delta_norm: Option<f64>,
    /// Share of completions that are those of the full patch, for the same prompts and random numbers. `None` where
    /// there is no full patch or nothing is sampled.
    pub as_patched: Option<f64>,
    /// Different completions of a prompt, over its completions.
    pub distinct: Option<f64>,
    /// The same without the edit.
    pub distinct_before: Option<f64>,
    /// Mean log-probability of a response token, in nats, under the unedited receiver.
    pub likelihood: Option<f64>,
    /// The same of the completions without the edit.
    pub likelihood_before: Option<f64>,
    /// Mean log-probability of a response token, in nats, under base.
    pub base_likelihood: Option<f64>,
    /// The same of the completions without the edit.
    pub base_likelihood_before: Option<f64>,
    /// Nothing of the set fired, or the delta was next to nothing: no effect could have been seen.
    pub untestable: bool,
}

/// One row of the table `controls`: one matched control draw in the place of a hypothesis's set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlRow {
    /// The hypothesis that it is a control of.
    pub hypothesis: String,
    /// The condition whose set it replaces.
    pub condition: String,
    /// How the draw was made: `any`, `same_class`, `shared_shift`, `borrowed_set`, `random_direction` or `any_head`.
    pub cloud: String,
    /// Which draw of the cloud.
    pub draw: u64,
    /// The suite.
    pub suite: String,
    /// The endpoint.
    pub endpoint: String,
    /// Its effect, measured as the set's.
    pub effect: f64,
    /// The effect of the tested set on the same prompts.
    pub set_effect: f64,
    /// The worst relative gap to the set in firing rate and mean squared delta on this suite, over prompt and response.
    pub balance: f64,
    /// Whether the balance is within the study's tolerance. Draws that are not matched support no claim.
    pub matched: bool,
    /// Mean cosine of what it writes on this suite with what the other controls that count write; of heads, by the heads
    /// in common. `None` where it does not count, and for the random directions beside a direction.
    pub alike: Option<f64>,
    /// The same cosine with what the tested set writes.
    pub like_set: Option<f64>,
}

impl ControlRow {
    /// How much it writes what others write; nothing in common where that is not known.
    pub fn likeness(&self) -> Likeness {
        Likeness { among: self.alike.unwrap_or(0.0), to_set: self.like_set.unwrap_or(0.0) }
    }

    /// Whether the draw counts among the controls of a set of `set_size` features; `None` for a direction, heads or the
    /// whole activation. A set is ranked among sets that match it: random directions stand beside it as a weaker null.
    pub fn counts(&self, set_size: Option<u64>) -> bool {
        self.matched && (set_size.is_none() || !self.is_random_direction())
    }

    /// Whether it is the direction of another set with the tested one's own gate and norm.
    pub fn is_borrowed_set(&self) -> bool {
        self.cloud == Cloud::BorrowedSet.name()
    }

    /// Whether it is a random direction.
    pub fn is_random_direction(&self) -> bool {
        self.cloud == Cloud::RandomDirection.name()
    }
}

/// One row of the table `differences`: a problem's paired difference under one condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DifferenceRow {
    /// The condition.
    pub condition: String,
    /// The suite.
    pub suite: String,
    /// The endpoint.
    pub endpoint: String,
    /// The problem: the unit of every test.
    pub problem: String,
    /// Mean of the endpoint over the problem's samples without the edit.
    pub baseline: f64,
    /// Mean of the endpoint over the problem's samples with the edit, same random numbers.
    pub edited: f64,
}

impl DifferenceRow {
    /// Edited less baseline.
    pub fn difference(&self) -> f64 {
        self.edited - self.baseline
    }
}

/// One row of the table `trends`: a dose series of one hypothesis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrendRow {
    /// The hypothesis.
    pub hypothesis: String,
    /// The suite.
    pub suite: String,
    /// The endpoint.
    pub endpoint: String,
    /// The doses, a JSON list; 0 is the unedited receiver, where that is what the edit does at dose 0.
    pub doses: String,
    /// The endpoint's mean at each, a JSON list.
    pub values: String,
    /// Change of the endpoint per unit of dose: mean over problems of each problem's least-squares slope.
    pub slope: f64,
    /// Lower end of its pointwise 95 % interval, clustered by problem.
    pub ci_low: f64,
    /// Upper end of its pointwise 95 % interval, clustered by problem.
    pub ci_high: f64,
    /// Two-sided sign-flip p-value over problems, against no slope.
    pub p: f64,
    /// Whether the means rise or fall all the way.
    pub monotone: bool,
}

/// One row of the table `sets`: a feature of a set that a hypothesis edits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetRow {
    /// The hypothesis.
    pub hypothesis: String,
    /// The set's name in the study.
    pub set: String,
    /// The variant whose forward pass is edited.
    pub receiver: String,
    /// The feature.
    pub feature: u64,
    /// Its place in the set, from 1.
    pub rank: u64,
    /// Its attribution: the effect that editing it alone should have, to first order, in units of the endpoint.
    pub score: Option<f64>,
    /// Its class, where `diff` was run.
    pub class: Option<String>,
}
