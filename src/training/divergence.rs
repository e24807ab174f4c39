//! How far a variant has moved from its base: KL over the whole vocabulary.

use super::examples::{Example, Prompts, parts};
use super::scoring;
use crate::error::Result;
use crate::model::{Gradients, Model};
use candle_core::{D, Tensor};

/// How many sequences are enough to follow the KL of a run.
pub(super) const DOCUMENTS: usize = 8;

/// Mean over the response positions of `examples` of KL(model || base), in nats per token.
///
/// On a model's own samples this is the KL of the policies with the sum over the next token done exactly;
/// on given documents it is the KL on their prefixes. `None` without examples.
pub(super) fn to_base(
    model: &Model,
    base: &Model,
    examples: &[Example],
    limit: usize,
) -> Result<Option<f64>> {
    let (mut total, mut count) = (0.0, 0usize);
    for part in parts(examples, Prompts::Own, limit)? {
        let log_probabilities = |model: &Model| -> Result<Tensor> {
            let hidden = scoring::hidden(model, &part.tokens, Gradients::Off)?;
            let width = part.tokens.width();
            let flat: Vec<u32> =
                part.at.iter().map(|(row, position)| (row * width + position) as u32).collect();
            let index = Tensor::from_vec(flat, part.at.len(), hidden.device())?;
            let chosen = hidden.flatten(0, 1)?.index_select(&index, 0)?;
            Ok(candle_nn::ops::log_softmax(&model.logits(&chosen)?, D::Minus1)?)
        };
        let (policy, base) = (log_probabilities(model)?, log_probabilities(base)?);
        let divergence = policy.exp()?.mul(&(policy - base)?)?.sum_all()?.to_scalar::<f32>()?;
        total += f64::from(divergence);
        count += part.at.len();
    }
    Ok((count > 0).then(|| total / count as f64))
}
