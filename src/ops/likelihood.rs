//! Log-probabilities of given next tokens, without ever holding the logits of all positions.
//!
//! For each chosen position: `logits = h Wᵀ` (soft-capped where the model says so),
//! `log p = logit_target − log Σ exp logits`, and the entropy `log Σ exp logits − Σ p · logit`. Backward
//! computes the logits of a chunk again: `dlogits = g (1_target − p) − e p (log p + entropy)` for gradients `g` of the
//! log-probability and `e` of the entropy, `dh = dlogits W`, `dW += dlogitsᵀ h`.

use super::matmul::{Matrix, Panels, Threads, WeightPanels, fresh_product, product, times_panels};
use super::parameter::{Parameter, with_slice};
use super::simd::{exp, max, sum, tanh, vectorised};
use crate::error::Result;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;

/// Positions per chunk: bounds the logits in memory, and keeps the products large.
const CHUNK: usize = 512;

/// The unembedding: logits of every token of the vocabulary from a hidden state.
#[derive(Clone, Debug)]
pub(crate) struct Unembedding {
    /// [vocabulary, d_model]
    pub(crate) weight: Parameter,
    /// Logits are squashed into ± this.
    pub(crate) soft_cap: Option<f32>,
    panels: WeightPanels,
}

/// Log-probabilities and entropies of one call.
pub struct TokenLogProbabilities {
    /// `[N]`, nats; tracked when the hidden states are.
    pub log_probabilities: Tensor,
    /// `[N]`, nats: the entropy of each whole distribution; tracked when the hidden states are.
    pub entropies: Tensor,
}

impl Unembedding {
    /// An unembedding by `weight`, with logits squashed into ± `soft_cap`.
    pub(crate) fn new(weight: Parameter, soft_cap: Option<f32>) -> Self {
        Self { weight, soft_cap, panels: WeightPanels::default() }
    }

    /// Logits [tokens, vocabulary] of packed hidden states.
    pub(crate) fn logits(&self, hidden: &[f32]) -> Result<Vec<f32>> {
        let (_, width) = self.size();
        let panels = self.panels.of(&self.weight, |weight, threads| {
            Panels::pack(Matrix::dense(weight, width).transposed(), threads)
        })?;
        let mut logits = times_panels(Matrix::dense(hidden, width), &panels);
        if let Some(cap) = self.soft_cap {
            super::parallel::rows(&mut logits, 1, |_, chunk| {
                vectorised(
                    #[inline(always)]
                    || chunk.iter_mut().for_each(|logit| *logit = cap * tanh(*logit / cap)),
                );
            });
        }
        Ok(logits)
    }

    fn size(&self) -> (usize, usize) {
        match self.weight.dims()[..] {
            [vocabulary, width] => (vocabulary, width),
            _ => (0, 0),
        }
    }
}

/// Log-softmax statistics of one row of logits: (log of the sum of exponentials, entropy).
pub(crate) fn statistics(logits: &[f32]) -> (f32, f32) {
    vectorised(
        #[inline(always)]
        || {
            let most = max(logits);
            let total = sum(logits.len(), |index| exp(logits[index] - most));
            let along = sum(logits.len(), |index| {
                let shifted = logits[index] - most;
                let weight = exp(shifted);
                if weight > 0.0 { weight * shifted } else { 0.0 }
            });
            (most + total.ln(), total.ln() - along / total)
        },
    )
}

/// Log-probabilities of `targets` at the rows `at` of `hidden`, seen as [all positions, d_model]. Indices
/// and targets must be in range.
pub(crate) fn token_log_probabilities(
    unembedding: &Unembedding,
    hidden: &Tensor,
    at: Vec<usize>,
    targets: Vec<u32>,
) -> Result<TokenLogProbabilities> {
    let (vocabulary, width) = unembedding.size();
    let contiguous = hidden.contiguous()?;
    let rows = with_slice(&contiguous, |hidden| gather(hidden, &at, width))?;
    let mut both = Vec::with_capacity(at.len());
    for (index, chunk) in rows.chunks(CHUNK * width.max(1)).enumerate() {
        let logits = unembedding.logits(chunk)?;
        let targets = &targets[index * CHUNK..];
        let mut part = Vec::new();
        logits
            .par_chunks(vocabulary.max(1))
            .zip(targets)
            .map(|(logits, target)| {
                let (log_sum, entropy) = statistics(logits);
                (logits[*target as usize] - log_sum, entropy)
            })
            .collect_into_vec(&mut part);
        both.extend(part);
    }
    let (mut values, entropies): (Vec<f32>, Vec<f32>) = both.into_iter().unzip();
    values.extend(entropies);
    let op = Likelihood { unembedding: unembedding.clone(), at, targets, values };
    TokenLogProbabilities::of(&contiguous.apply_op1(op)?)
}

impl TokenLogProbabilities {
    /// Of what an operation returned, `[2, N]`: log-probabilities, then entropies.
    pub(crate) fn of(both: &Tensor) -> Result<Self> {
        Ok(Self { log_probabilities: both.get(0)?, entropies: both.get(1)? })
    }
}

fn gather(hidden: &[f32], at: &[usize], width: usize) -> Vec<f32> {
    let mut rows = Vec::with_capacity(at.len() * width);
    at.iter().for_each(|row| rows.extend_from_slice(&hidden[row * width..(row + 1) * width]));
    rows
}

struct Likelihood {
    unembedding: Unembedding,
    at: Vec<usize>,
    targets: Vec<u32>,
    /// [2, N]: log-probabilities, then entropies.
    values: Vec<f32>,
}

impl Likelihood {
    /// The gradient of the logits, in place of the logits, from those of the log-probabilities and of the entropies.
    fn logit_gradients(&self, logits: &mut [f32], targets: &[u32], gradients: &[f32], of_entropies: &[f32]) {
        let (vocabulary, _) = self.unembedding.size();
        let cap = self.unembedding.soft_cap;
        logits.par_chunks_mut(vocabulary).zip(targets).zip(gradients).zip(of_entropies).for_each(
            |(((logits, target), gradient), of_entropy)| {
                let (log_sum, entropy) = statistics(logits);
                let target = *target as usize;
                vectorised(
                    #[inline(always)]
                    || {
                        for (index, logit) in logits.iter_mut().enumerate() {
                            let slope = cap.map_or(1.0, |cap| 1.0 - (*logit / cap) * (*logit / cap));
                            let hit = if index == target { 1.0 } else { 0.0 };
                            let log = *logit - log_sum;
                            let share = exp(log);
                            // An impossible token has the logarithm -inf and no part in the entropy.
                            let spread = match *of_entropy != 0.0 && share > 0.0 {
                                true => of_entropy * share * (log + entropy),
                                false => 0.0,
                            };
                            *logit = (gradient * (hit - share) - spread) * slope;
                        }
                    },
                );
            },
        );
    }

    fn backward(&self, hidden: &[f32], gradients: &[f32]) -> Result<Vec<f32>> {
        let (vocabulary, width) = self.unembedding.size();
        let weight = &self.unembedding.weight;
        let rows = gather(hidden, &self.at, width);
        let (gradients, of_entropies) = gradients.split_at(self.at.len());
        let mut out = vec![0f32; hidden.len()];
        for (index, rows) in rows.chunks(CHUNK * width).enumerate() {
            let first = index * CHUNK;
            let mut logits = self.unembedding.logits(rows)?;
            self.logit_gradients(
                &mut logits,
                &self.targets[first..],
                &gradients[first..],
                &of_entropies[first..],
            );
            let dense = Matrix::dense(&logits, vocabulary);
            if weight.trainable() {
                weight.accumulate(|buffer, fresh| {
                    let rows = Matrix::dense(rows, width);
                    product(buffer, width, dense.transposed(), rows, !fresh, Threads::All);
                });
            }
            let part =
                with_slice(&weight.value(), |weight| fresh_product(dense, Matrix::dense(weight, width)))?;
            for (at, part) in self.at[first..].iter().zip(part.chunks_exact(width)) {
                let out = &mut out[at * width..(at + 1) * width];
                out.iter_mut().zip(part).for_each(|(total, part)| *total += part);
            }
        }
        Ok(out)
    }
}

impl CustomOp1 for Likelihood {
    fn name(&self) -> &'static str {
        "token-log-probabilities"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let shape = Shape::from((2, self.at.len()));
        Ok((CpuStorage::F32(self.values.clone()), shape))
    }

    fn bwd(&self, hidden: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let gradients = gradient.flatten_all()?.to_vec1::<f32>()?;
        let out = with_slice(hidden, |hidden| self.backward(hidden, &gradients))?
            .map_err(|error| candle_core::Error::Msg(error.to_string()))?;
        Ok(Some(Tensor::from_vec(out, hidden.shape(), hidden.device())?))
    }
}
