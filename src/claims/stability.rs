//! Agreement of the same claims over repetitions: other dictionary seeds, other training seeds.

use super::rows::{ClaimRow, Verdict};
use serde::{Deserialize, Serialize};

/// What stands for stability where nothing was repeated.
pub const NOT_REPEATED: &str = "not repeated";

/// One row of the tables `repetitions` and `nulls`: what came out where the same was asked again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepetitionRow {
    /// What was different: `dictionary seed 8`, or the null's name.
    pub under: String,
    /// The hypothesis.
    pub hypothesis: String,
    /// The edited variant.
    pub receiver: String,
    /// The suite on which it was declared.
    pub suite: String,
    /// The endpoint on which it was declared.
    pub endpoint: String,
    /// What was decided.
    pub verdict: Verdict,
    /// The effect on the declared endpoint.
    pub effect: f64,
    /// Lower end of its simultaneous interval.
    pub ci_low: Option<f64>,
    /// Upper end of it.
    pub ci_high: Option<f64>,
    /// The corrected p-value.
    pub p_corrected: f64,
}

impl RepetitionRow {
    /// What a claim says of itself where it is told beside others.
    pub fn new(under: &str, claim: &ClaimRow) -> Self {
        Self {
            under: under.to_owned(),
            hypothesis: claim.hypothesis.clone(),
            receiver: claim.receiver.clone(),
            suite: claim.suite.clone(),
            endpoint: claim.endpoint.clone(),
            verdict: claim.verdict,
            effect: claim.effect,
            ci_low: claim.ci_low,
            ci_high: claim.ci_high,
            p_corrected: claim.p_corrected,
        }
    }

    /// Whether it comes to the same: the verdict, and the sign of the effect.
    pub fn agrees(&self, claim: &ClaimRow) -> bool {
        self.verdict == claim.verdict && self.effect.signum() == claim.effect.signum()
    }
}

/// Writes into each claim how many of `repetitions` reach the same verdict, itself counted in.
/// Hypotheses are matched by name; a repetition that lacks one does not count.
pub fn count_agreement(claims: &mut [ClaimRow], repetitions: &[RepetitionRow]) {
    for claim in claims {
        if let Some(counted) = agreement(claim, repetitions) {
            claim.stability = counted;
        }
    }
}

/// How many of `repetitions` agree with a claim, itself counted in, such as `3 of 4`. `None` where there are none of it.
pub fn agreement(claim: &ClaimRow, repetitions: &[RepetitionRow]) -> Option<String> {
    let same: Vec<&RepetitionRow> =
        repetitions.iter().filter(|repetition| repetition.hypothesis == claim.hypothesis).collect();
    let agree = 1 + same.iter().filter(|repetition| repetition.agrees(claim)).count();
    (!same.is_empty()).then(|| format!("{agree} of {}", same.len() + 1))
}
