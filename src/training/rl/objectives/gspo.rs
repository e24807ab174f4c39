//! GSPO (arXiv 2507.18071): the ratio of a whole response, clipped.
//!
//! `s = exp(mean over tokens of (new - old))`. As in verl, each token carries `s` with the gradient of
//! its own log-probability (`sg(s) * p / sg(p)`), so the slope of a token is `-A s`.

use super::clip::{Clip, token};
use super::{Responses, TokenLosses};

/// Mean log-ratios above this are cut, as in verl.
const LIMIT: f64 = 10.0;

pub(super) fn token_losses(batch: &Responses, advantages: &[f64], clip: &Clip) -> TokenLosses {
    let size = batch.mask.len();
    let mut output =
        TokenLosses { losses: vec![0.0; size], slopes: vec![0.0; size], watched: batch.watched() };
    for row in 0..batch.rows {
        let tokens = batch.range(row).filter(|index| batch.mask[*index]);
        let moved: f64 = tokens.clone().map(|index| batch.new[index] - batch.old[index]).sum();
        let mean = moved / batch.length(row).max(1) as f64;
        for index in tokens {
            let mut result = token(advantages[index], mean.min(LIMIT).exp(), clip);
            if mean > LIMIT {
                result.1 = 0.0;
            }
            output.set(index, result, 0.0);
        }
    }
    output
}
