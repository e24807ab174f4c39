//! Log-probabilities of given responses: what the trainer, a reference policy and a test agree on.

use super::examples::{Example, Prompts, each_part, parts};
use crate::error::Result;
use crate::model::{Gradients, Hooks, Model, TokenBatch};
use candle_core::Tensor;

/// The hidden states after the final norm, [rows, width, d_model], of an unedited forward pass.
pub(super) fn hidden(model: &Model, tokens: &TokenBatch, gradients: Gradients) -> Result<Tensor> {
    model.hidden(tokens, None, &mut Hooks::none(), gradients)
}

/// The log-probability of every response token, per example. At most `limit` places go through at once.
pub(super) fn log_probabilities(model: &Model, examples: &[Example], limit: usize) -> Result<Vec<Vec<f64>>> {
    let mut all: Vec<Vec<f64>> = vec![Vec::new(); examples.len()];
    let parts = parts(examples, Prompts::Shared, limit)?;
    let found = each_part(&parts, |part| {
        let hidden = hidden(model, &part.tokens, Gradients::Off)?;
        let output = model.token_log_probabilities(&hidden, &part.at, &part.targets)?;
        Ok(output.log_probabilities.to_vec1::<f32>()?)
    })?;
    for (part, values) in parts.iter().zip(found) {
        for (row, values) in part.by_example(&values) {
            all[row] = values.iter().map(|value| f64::from(*value)).collect();
        }
    }
    Ok(all)
}

/// The sum of `[N]` numbers, in f64 and in their order.
pub(super) fn total(values: &Tensor) -> Result<f64> {
    Ok(values.to_vec1::<f32>()?.into_iter().map(f64::from).sum())
}
