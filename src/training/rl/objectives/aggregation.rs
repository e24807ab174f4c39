//! How token losses become one number: a coefficient per token.

use super::{Responses, Totals};
use serde::{Deserialize, Serialize};

/// The averages in use, by verl's names (with L the padded width or token budget, n the responses).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aggregation {
    /// `1 / tokens`: every token counts the same (DAPO).
    #[serde(rename = "token-mean")]
    TokenMean,
    /// `1 / (n * length of the response)`: every response counts the same (GRPO, GSPO).
    #[serde(rename = "seq-mean-token-mean")]
    SequenceMeanTokenMean,
    /// `1 / n`: long responses count more.
    #[serde(rename = "seq-mean-token-sum")]
    SequenceMeanTokenSum,
    /// `1 / L`, as verl 0.5 computes it: the sum over responses is not divided by n.
    #[serde(rename = "seq-mean-token-sum-norm")]
    SequenceMeanTokenSumNorm,
    /// `1 / (n * L)`: Dr. GRPO as published (arXiv 2503.20783) and as TRL computes it.
    #[serde(rename = "seq-mean-token-sum-budget")]
    SequenceMeanTokenSumBudget,
}

/// What verl adds to the number of tokens.
pub(super) const EPSILON: f64 = 1e-8;

impl Aggregation {
    /// The coefficient of each token's loss, `[rows * width]`.
    pub(super) fn coefficients(self, batch: &Responses, totals: &Totals) -> Vec<f64> {
        let (rows, width) = (totals.rows as f64, totals.width as f64);
        let mut coefficients = Vec::with_capacity(batch.mask.len());
        for row in 0..batch.rows {
            let coefficient = match self {
                Self::TokenMean => 1.0 / (totals.tokens as f64 + EPSILON),
                Self::SequenceMeanTokenMean => 1.0 / (rows * batch.length(row).max(1) as f64),
                Self::SequenceMeanTokenSum => 1.0 / rows,
                Self::SequenceMeanTokenSumNorm => 1.0 / width,
                Self::SequenceMeanTokenSumBudget => 1.0 / (rows * width),
            };
            coefficients.extend(std::iter::repeat_n(coefficient, batch.width));
        }
        coefficients
    }
}
