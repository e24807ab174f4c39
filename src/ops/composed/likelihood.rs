//! Log-probabilities of given next tokens, without ever holding the logits of all positions: backward
//! composes those of a chunk again, and differentiates them.

use super::record::{Lender, attached};
use crate::error::{Error, Result};
use crate::ops::likelihood::{TokenLogProbabilities, Unembedding};
use crate::ops::tape::Gradients;
use candle_core::{D, DType, Tensor, Var};

/// Positions per chunk: bounds the logits in memory.
const CHUNK: usize = 512;

/// Logits [tokens, vocabulary] in f32 of hidden states [tokens, d_model], with products in `format`.
pub(crate) fn logits(unembedding: &Unembedding, hidden: &Tensor, format: DType) -> Result<Tensor> {
    recorded_logits(unembedding, &Lender::new(hidden.device(), Gradients::Off)?, &hidden.detach(), format)
}

fn recorded_logits(
    unembedding: &Unembedding,
    weights: &Lender,
    hidden: &Tensor,
    format: DType,
) -> Result<Tensor> {
    let weight = weights.lend(&unembedding.weight, format)?;
    let logits = hidden.to_dtype(format)?.contiguous()?.matmul(&weight.t()?)?.to_dtype(DType::F32)?;
    Ok(match unembedding.soft_cap.map(f64::from) {
        Some(cap) => ((logits / cap)?.tanh()? * cap)?,
        None => logits,
    })
}

/// Log-probabilities of `targets` at the rows `at` of `hidden`, seen as [all positions, d_model]. Indices
/// and targets are in range.
pub(crate) fn token_log_probabilities(
    unembedding: &Unembedding,
    hidden: &Tensor,
    at: Vec<usize>,
    targets: Vec<u32>,
    format: DType,
) -> Result<TokenLogProbabilities> {
    let device = hidden.device();
    let count = at.len();
    let at: Vec<u32> = at.into_iter().map(|row| row as u32).collect();
    let rows = hidden.flatten(0, 1)?.contiguous()?.index_select(&Tensor::from_vec(at, count, device)?, 0)?;
    let targets = Tensor::from_vec(targets, count, device)?;
    let off = Lender::new(device, Gradients::Off)?;
    let (mut log_probabilities, mut entropies) = (Vec::new(), Vec::new());
    for (first, length) in chunks(count) {
        let rows = rows.narrow(0, first, length)?.detach();
        let logs = log_softmax(&recorded_logits(unembedding, &off, &rows, format)?)?;
        log_probabilities.push(chosen(&logs, &targets.narrow(0, first, length)?)?);
        entropies.push(entropy(&logs)?);
    }
    let values = match log_probabilities.is_empty() {
        true => Tensor::zeros((2, 0), DType::F32, device)?,
        false => Tensor::stack(&[Tensor::cat(&log_probabilities, 0)?, Tensor::cat(&entropies, 0)?], 0)?,
    };
    let unembedding = unembedding.clone();
    let both =
        attached(&rows, values, move |rows, gradient| {
            let mut parts = Vec::new();
            for (first, length) in chunks(rows.dim(0)?) {
                let leaf = Var::from_tensor(&rows.narrow(0, first, length)?.contiguous()?)?;
                let weights = Lender::new(rows.device(), Gradients::On)?;
                let logs = log_softmax(&recorded_logits(&unembedding, &weights, leaf.as_tensor(), format)?)?;
                let found = chosen(&logs, &targets.narrow(0, first, length)?)?;
                let along = gradient.narrow(1, first, length)?;
                let mut total = (found * along.get(0)?)?.sum_all()?;
                // Entropies mostly are only watched; their graph would double the memory of a chunk.
                let of_entropies = along.get(1)?;
                if of_entropies.abs()?.max_all()?.to_scalar::<f32>()? != 0.0 {
                    total = (total + (entropy(&logs)? * of_entropies)?.sum_all()?)?;
                }
                let gradients = total.backward()?;
                parts.push(gradients.get(leaf.as_tensor()).cloned().ok_or_else(|| {
                    Error::work("the hidden states of the log-probabilities got no gradient")
                })?);
            }
            match parts.is_empty() {
                true => Ok(rows.zeros_like()?),
                false => Ok(Tensor::cat(&parts, 0)?),
            }
        })?;
    TokenLogProbabilities::of(&both)
}

/// The entropy of each row of logarithms, [rows].
fn entropy(logs: &Tensor) -> Result<Tensor> {
    Ok((logs.exp()? * logs)?.sum(D::Minus1)?.neg()?)
}

/// (first, length) of consecutive chunks.
fn chunks(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).step_by(CHUNK).map(move |first| (first, CHUNK.min(count - first)))
}

fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    Ok(shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?)
}

/// The entry of each row that its target names, [rows].
fn chosen(logs: &Tensor, targets: &Tensor) -> Result<Tensor> {
    Ok(logs.gather(&targets.contiguous()?.unsqueeze(1)?, 1)?.squeeze(1)?)
}
