//! RMSNorm and LayerNorm over groups of numbers, forward and backward.
//!
//! A token's numbers are normalised in groups as long as the weight: the whole token for a block's norm,
//! one head for a query or key norm.
//!
//! * RMSNorm: `n = x / √(mean x² + ε)`, `y = n (offset + w)`; offset is 1 for Gemma, else 0.
//! * LayerNorm: `n = (x − mean) / √(variance + ε)`, `y = n w + b`.
//!
//! Backward, with `g = dy (offset + w)` and `s` the divisor:
//! `dx = (g − n · mean(g n)) / s`, and for LayerNorm also `− mean(g) / s`; `dw = Σ dy n`, `db = Σ dy`.

use super::parallel::{self, reduce_rows};
use super::parameter::{Parameter, with_slice};
use super::simd::{dot, sum, vectorised};
use super::tape::{Tape, Value};
use crate::error::Result;
use std::sync::Arc;

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Divides by the root mean square.
    Rms,
    /// Subtracts the mean, then divides by the standard deviation.
    Layer,
}

/// The weights of one norm.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    /// Which norm.
    pub(crate) kind: NormKind,
    /// One factor per number of a group.
    pub(crate) weight: Parameter,
    /// What is added after it (LayerNorm).
    pub(crate) bias: Option<Parameter>,
    /// Added to every weight: 1 for Gemma.
    pub(crate) offset: f32,
    /// Added under the root.
    pub(crate) epsilon: f32,
}

/// The two steps of a norm: TransformerLens has hooks between them.
pub(super) struct Statistics {
    /// Per group: the mean that is subtracted (0 for RMSNorm).
    pub(super) mean: Vec<f32>,
    /// Per group: one over the divisor.
    pub(super) inverse: Vec<f32>,
}

impl Norm {
    /// The norm of every group of `x`, whose length is that of the weight.
    pub(crate) fn forward(&self, tape: &Tape, x: &Value) -> Result<Value> {
        let group = self.weight.elements();
        let (factors, bias) = self.factors()?;
        let statistics = Arc::new(self.statistics(x.data(), group));
        let mut y = vec![0f32; x.data().len()];
        parallel::rows(&mut y, group, |first, chunk| {
            vectorised(
                #[inline(always)]
                || {
                    for (row, y) in chunk.chunks_exact_mut(group).enumerate() {
                        let row = first + row;
                        let (mean, inverse) = (statistics.mean[row], statistics.inverse[row]);
                        let x = &x.data()[row * group..][..group];
                        for (index, y) in y.iter_mut().enumerate() {
                            *y = (x[index] - mean) * inverse * factors[index];
                        }
                        if let Some(bias) = &bias {
                            y.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
                        }
                    }
                },
            );
        });
        let y = tape.value(y, x.width());
        if let (Some(from), Some(to)) = (x.slot(), y.slot()) {
            let (this, x) = (self.clone(), x.share());
            tape.push(move |slots| {
                let Some(gradient) = slots.take(to) else { return Ok(()) };
                slots.add(from, this.backward(&x, &gradient, &factors, &statistics));
                Ok(())
            });
        }
        Ok(y)
    }

    /// The norm before its weight and bias: TransformerLens's RMSNorm `hook_normalized`.
    pub(crate) fn normalise(&self, tape: &Tape, x: &Value) -> Value {
        let group = self.weight.elements();
        let statistics = Arc::new(self.statistics(x.data(), group));
        let mut n = x.data().to_vec();
        for (row, n) in n.chunks_exact_mut(group).enumerate() {
            let (mean, inverse) = (statistics.mean[row], statistics.inverse[row]);
            n.iter_mut().for_each(|x| *x = (*x - mean) * inverse);
        }
        let n = tape.value(n, x.width());
        if let (Some(from), Some(to)) = (x.slot(), n.slot()) {
            let (kind, x) = (self.kind, x.share());
            tape.push(move |slots| {
                let Some(gradient) = slots.take(to) else { return Ok(()) };
                let ones = vec![1f32; group];
                slots.add(from, input_gradient(kind, &x, &gradient, &ones, &statistics));
                Ok(())
            });
        }
        n
    }

    /// Applies weight and bias to what [`Self::normalise`] returned.
    pub(crate) fn rescale(&self, tape: &Tape, n: &Value) -> Result<Value> {
        let group = self.weight.elements();
        let (factors, bias) = self.factors()?;
        let mut y = n.data().to_vec();
        for y in y.chunks_exact_mut(group) {
            y.iter_mut().zip(&factors).for_each(|(y, factor)| *y *= factor);
            if let Some(bias) = &bias {
                y.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
            }
        }
        let y = tape.value(y, n.width());
        if let (Some(from), Some(to)) = (n.slot(), y.slot()) {
            let (this, n) = (self.clone(), n.share());
            tape.push(move |slots| {
                let Some(mut gradient) = slots.take(to) else { return Ok(()) };
                this.add_gradients(&gradient, group, |row, index| n[row * group + index]);
                for gradient in gradient.chunks_exact_mut(group) {
                    gradient.iter_mut().zip(&factors).for_each(|(gradient, factor)| *gradient *= factor);
                }
                slots.add(from, gradient);
                Ok(())
            });
        }
        Ok(y)
    }

    fn factors(&self) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
        let offset = self.offset;
        let factors =
            with_slice(&self.weight.value(), |weight| weight.iter().map(|weight| weight + offset).collect())?;
        let bias = match &self.bias {
            Some(bias) => Some(with_slice(&bias.value(), <[f32]>::to_vec)?),
            None => None,
        };
        Ok((factors, bias))
    }

    pub(super) fn statistics(&self, x: &[f32], group: usize) -> Statistics {
        let groups = x.len() / group.max(1);
        let length = group as f32;
        let mut both = vec![0f32; groups * 2];
        let (kind, epsilon) = (self.kind, self.epsilon);
        // Two numbers a group, but the work is the group's: share it out by that.
        let chunk = parallel::rows_per_chunk(group);
        let work = |first: usize, both: &mut [f32]| {
            vectorised(
                #[inline(always)]
                || {
                    for (row, both) in both.chunks_exact_mut(2).enumerate() {
                        let x = &x[(first + row) * group..][..group];
                        let mean = match kind {
                            NormKind::Rms => 0.0,
                            NormKind::Layer => sum(group, |index| x[index]) / length,
                        };
                        let squares = sum(group, |index| (x[index] - mean) * (x[index] - mean));
                        both[0] = mean;
                        both[1] = 1.0 / (squares / length + epsilon).sqrt();
                    }
                },
            );
        };
        use rayon::prelude::*;
        both.par_chunks_mut(chunk * 2).enumerate().for_each(|(index, both)| work(index * chunk, both));
        Statistics {
            mean: both.iter().step_by(2).copied().collect(),
            inverse: both.iter().skip(1).step_by(2).copied().collect(),
        }
    }

    fn backward(&self, x: &[f32], gradient: &[f32], factors: &[f32], statistics: &Statistics) -> Vec<f32> {
        let group = factors.len();
        self.add_gradients(gradient, group, |row, index| {
            (x[row * group + index] - statistics.mean[row]) * statistics.inverse[row]
        });
        input_gradient(self.kind, x, gradient, factors, statistics)
    }

    fn add_gradients(
        &self,
        gradient: &[f32],
        group: usize,
        normalised: impl Fn(usize, usize) -> f32 + Send + Sync,
    ) {
        let groups = gradient.len() / group.max(1);
        if self.weight.trainable() {
            let sums = reduce_rows(groups, group, group, |first, last, partial| {
                vectorised(
                    #[inline(always)]
                    || {
                        for row in first..last {
                            let gradient = &gradient[row * group..][..group];
                            for (index, total) in partial.iter_mut().enumerate() {
                                *total += gradient[index] * normalised(row, index);
                            }
                        }
                    },
                );
            });
            self.weight.accumulate_part(|buffer| parallel::add(buffer, &sums));
        }
        if let Some(bias) = self.bias.as_ref().filter(|bias| bias.trainable()) {
            let sums = reduce_rows(groups, group, group, |first, last, partial| {
                for row in gradient[first * group..last * group].chunks_exact(group) {
                    partial.iter_mut().zip(row).for_each(|(total, gradient)| *total += gradient);
                }
            });
            bias.accumulate_part(|buffer| parallel::add(buffer, &sums));
        }
    }
}

fn input_gradient(
    kind: NormKind,
    x: &[f32],
    gradient: &[f32],
    factors: &[f32],
    statistics: &Statistics,
) -> Vec<f32> {
    let group = factors.len();
    let length = group as f32;
    let mut dx = vec![0f32; x.len()];
    parallel::rows(&mut dx, group, |first, chunk| {
        vectorised(
            #[inline(always)]
            || {
                for (row, dx) in chunk.chunks_exact_mut(group).enumerate() {
                    let row = first + row;
                    let (mean, inverse) = (statistics.mean[row], statistics.inverse[row]);
                    let x = &x[row * group..][..group];
                    let gradient = &gradient[row * group..][..group];
                    for (index, dx) in dx.iter_mut().enumerate() {
                        *dx = gradient[index] * factors[index];
                    }
                    let along = sum(group, |index| dx[index] * (x[index] - mean)) * inverse / length;
                    let shift = match kind {
                        NormKind::Rms => 0.0,
                        NormKind::Layer => dot(gradient, factors) / length,
                    };
                    for (index, dx) in dx.iter_mut().enumerate() {
                        *dx = (*dx - shift - (x[index] - mean) * inverse * along) * inverse;
                    }
                }
            },
        );
    });
    dx
}
