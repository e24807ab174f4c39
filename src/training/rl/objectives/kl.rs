//! Per-token estimates of KL(policy || reference) from sampled tokens (Schulman 2020), as verl has them.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// `new - reference`: unbiased, noisy, may be negative.
    K1,
    /// `(new - reference)^2 / 2`: biased, its gradient is unbiased.
    K2,
    /// `exp(d) - d - 1` with `d = reference - new`: unbiased and never negative.
    K3,
}

/// The KL term of an objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KlPenalty {
    /// Which estimate.
    pub estimator: KlEstimator,
    /// What it is multiplied by.
    pub coefficient: f64,
    /// Subtract it from the reward (without gradient) instead of adding it to the loss.
    #[serde(default)]
    pub in_reward: bool,
}

impl KlPenalty {
    pub(super) fn check(&self) -> Result<()> {
        match self.coefficient >= 0.0 && self.coefficient.is_finite() {
            true => Ok(()),
            false => Err(Error::request(format!(
                "`objective.kl.coefficient`: expected a number that is not negative, found {}",
                self.coefficient
            ))),
        }
    }
}

/// A value and its derivative by the policy's log-probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) value: f64,
    pub(crate) slope: f64,
}

/// verl cuts the log-ratio of k3 here.
const INPUT_LIMIT: f64 = 20.0;
/// verl cuts the value of k3 here.
const OUTPUT_LIMIT: f64 = 10.0;

impl KlEstimator {
    /// The estimate for one token with log-probability `new` under the policy.
    pub(crate) fn term(self, new: f64, reference: f64) -> Term {
        let difference = new - reference;
        match self {
            Self::K1 => Term { value: difference, slope: 1.0 },
            Self::K2 => Term { value: 0.5 * difference * difference, slope: difference },
            Self::K3 => {
                let back = (-difference).clamp(-INPUT_LIMIT, INPUT_LIMIT);
                let value = back.exp() - back - 1.0;
                let cut = difference.abs() > INPUT_LIMIT || value > OUTPUT_LIMIT;
                Term { value: value.min(OUTPUT_LIMIT), slope: if cut { 0.0 } else { 1.0 - back.exp() } }
            }
        }
    }
}
