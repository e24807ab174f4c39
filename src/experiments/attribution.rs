//! Attribution: the effect that each feature's edit should have, to first order.
//!
//! For every text of the selection half, let `g_t` be the gradient of the endpoint with respect to the
//! receiver's activation at token `t` of the hook. An edit that writes `c_j + f_j(t) w_j` for feature `j`
//! should then move the endpoint by `a_j = mean over texts of sum_t g_t . (c_j + f_j(t) w_j)`.
//!
//! Two endpoints have a gradient:
//! * the log-odds of the first refusal token, directly;
//! * the expected score of sampled completions, by the score-function identity
//!   `d E[R] = E[(R - mean of R on the problem) d log p(completion)]` (Williams 1992), with the
//!   leave-one-out correction `n / (n - 1)`.

use super::readout::{Readout, packed};
use super::texts::Texts;
use crate::error::{Error, Result};
use crate::interventions::FeatureDelta;
use crate::model::{Gradients, Hooks, TokenBatch};
use candle_core::Tensor;

/// What is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The expected primary score.
    Score,
    /// The log-odds of this token as the first of the response.
    FirstToken(u32),
}

/// Rows of a gradient pass.
const ROWS: usize = 64;

/// Per feature, the expected effect of its edit on the endpoint.
///
/// # Errors
/// If a forward pass fails or gives no gradient at the hook.
pub(super) fn attribute(
    readout: &Readout,
    receiver: usize,
    texts: &Texts,
    deltas: &[FeatureDelta],
    endpoint: Endpoint,
) -> Result<Vec<f64>> {
    let d_model = readout.d_model();
    let mut products = vec![0.0f64; deltas.len() * d_model];
    let mut everywhere = vec![0.0f64; d_model];
    let mut place = 0;
    for first in (0..texts.tokens.len()).step_by(ROWS) {
        let rows = first..(first + ROWS).min(texts.tokens.len());
        let batch = TokenBatch::new(texts.tokens.get(rows.clone()).unwrap_or(&[]))?;
        let gradient = gradient(readout, receiver, texts, rows, &batch, endpoint)?;
        for at in packed(&batch) {
            let gradient = gradient.get(at * d_model..(at + 1) * d_model).unwrap_or(&[]);
            everywhere.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += f64::from(*g));
            for (feature, code) in texts.codes.token(place) {
                if let Some(row) = products.get_mut(feature * d_model..(feature + 1) * d_model) {
                    row.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += f64::from(code * g));
                }
            }
            place += 1;
        }
    }
    let dot = |a: &[f64], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * f64::from(*b)).sum::<f64>();
    let count = texts.tokens.len().max(1) as f64;
    Ok(deltas
        .iter()
        .zip(products.chunks_exact(d_model))
        .map(|(delta, product)| (dot(product, &delta.slope) + dot(&everywhere, &delta.constant)) / count)
        .collect())
}

/// The gradient of the sum over rows of the endpoint, at the hook: `[rows, width, d_model]`, flat.
fn gradient(
    readout: &Readout,
    receiver: usize,
    texts: &Texts,
    rows: std::ops::Range<usize>,
    batch: &TokenBatch,
    endpoint: Endpoint,
) -> Result<Vec<f32>> {
    let model = readout.model(receiver)?;
    let mut hooks = Hooks::none().gradient(readout.hook());
    let hidden = model.hidden(batch, None, &mut hooks, Gradients::On)?;
    let objective = match endpoint {
        Endpoint::Score => {
            let (mut at, mut targets, mut weights) = (Vec::new(), Vec::new(), Vec::new());
            let advantages = advantages(&texts.units, &texts.scores);
            for (row, text) in rows.enumerate() {
                let (Some(tokens), Some(prompt), Some(weight)) =
                    (texts.tokens.get(text), texts.prompts.get(text), advantages.get(text))
                else {
                    continue;
                };
                for (position, token) in tokens.iter().enumerate().skip(*prompt) {
                    at.push((row, position - 1));
                    targets.push(*token);
                    weights.push(*weight as f32);
                }
            }
            let found = model.token_log_probabilities(&hidden, &at, &targets)?;
            let count = weights.len();
            (found.log_probabilities * Tensor::from_vec(weights, count, model.device())?)?.sum_all()?
        }
        Endpoint::FirstToken(token) => {
            let at: Vec<(usize, usize)> = rows
                .enumerate()
                .map(|(row, text)| (row, texts.prompts.get(text).map_or(0, |length| length - 1)))
                .collect();
            let found = model.token_log_probabilities(&hidden, &at, &vec![token; at.len()])?;
            // d log-odds = d log p / (1 - p); the floor bounds what rounding makes of a ceiling.
            let values = found.log_probabilities.detach().to_vec1::<f32>()?;
            let weights: Vec<f32> = values.iter().map(|value| 1.0 / (-value.exp_m1()).max(1e-5)).collect();
            (found.log_probabilities * Tensor::from_vec(weights, at.len(), model.device())?)?.sum_all()?
        }
    };
    objective.backward()?;
    let gradient = hooks
        .take_gradient(readout.hook())
        .ok_or_else(|| Error::work(format!("no gradient reached the hook `{}`", readout.hook())))?;
    let flat = gradient.flatten_all()?.to_vec1::<f32>()?;
    model.parameters().zero_gradients();
    Ok(flat)
}

/// Score less the mean score of the unit's other texts; zero for a unit with one text.
fn advantages(units: &[usize], scores: &[f64]) -> Vec<f64> {
    let count = units.iter().max().map_or(0, |last| last + 1);
    let mut sums = vec![(0.0, 0.0); count];
    for (unit, score) in units.iter().zip(scores) {
        if let Some((sum, number)) = sums.get_mut(*unit) {
            *sum += score;
            *number += 1.0;
        }
    }
    units
        .iter()
        .zip(scores)
        .map(|(unit, score)| match sums.get(*unit) {
            Some((sum, number)) if *number > 1.0 => score - (sum - score) / (number - 1.0),
            _ => 0.0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advantages_leave_the_text_itself_out_and_sum_to_zero_within_a_unit() {
        let found = advantages(&[0, 0, 0, 1], &[1.0, 0.0, 0.0, 1.0]);
        assert_eq!(found, [1.0, -0.5, -0.5, 0.0]);
    }
}
