//! `y = x Wᵀ + b`, where W may be a part of a larger checkpoint tensor.
//!
//! Families store the same projection in different ways; [`Stored`] says how, and the products read it in
//! place.

use super::matmul::{Matrix, product, rows_times};
use super::parallel::{self, reduce_rows};
use super::parameter::{Parameter, with_slice};
use super::simd::vectorised;
use super::tape::{Tape, Value};
use crate::error::Result;
use gemm::Parallelism;

/// How a projection lies in its checkpoint tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Rows `start..start + outputs` of a [total, inputs] tensor.
    Rows {
        /// The first row.
        start: usize,
    },
    /// Columns `start..start + outputs` of an [inputs, total] tensor (GPT-2's Conv1D).
    Columns {
        /// The first column.
        start: usize,
    },
    /// Row `head * stride + start + i` of a [heads * stride, inputs] tensor, for `i` in `0..size`:
    /// GPT-NeoX keeps query, key and value of one head together.
    Heads {
        /// The first row within a head.
        start: usize,
        /// Rows of a head in the tensor.
        stride: usize,
        /// Rows of a head in this projection.
        size: usize,
    },
}

/// The weights of one projection.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    /// The checkpoint tensor.
    pub(crate) weight: Parameter,
    /// The bias tensor, stored in the same order as the outputs of `weight`.
    pub(crate) bias: Option<Parameter>,
    /// Where the projection lies in both.
    pub(crate) stored: Stored,
    /// Inputs per token.
    pub(crate) inputs: usize,
    /// Outputs per token.
    pub(crate) outputs: usize,
}

impl Linear {
    /// Applies the projection to every token.
    pub(crate) fn forward(&self, tape: &Tape, x: &Value) -> Result<Value> {
        let weight = self.weight.value();
        let mut y = with_slice(&weight, |weight| self.with_matrix(weight, |w| rows_times(x.data(), w)))?;
        if let Some(bias) = &self.bias {
            let bias = with_slice(&bias.value(), |bias| self.gather(bias, 1))?;
            parallel::rows(&mut y, self.outputs, |_, chunk| {
                vectorised(
                    #[inline(always)]
                    || {
                        for row in chunk.chunks_exact_mut(bias.len()) {
                            row.iter_mut().zip(&bias).for_each(|(y, bias)| *y += bias);
                        }
                    },
                );
            });
        }
        let y = tape.value(y, self.outputs);
        if let (Some(from), Some(to)) = (x.slot(), y.slot()) {
            let (this, x) = (self.clone(), x.share());
            tape.push(move |slots| {
                let Some(gradient) = slots.take(to) else { return Ok(()) };
                this.add_gradients(&x, &gradient)?;
                slots.add(from, this.input_gradient(&gradient)?);
                Ok(())
            });
        }
        Ok(y)
    }

    /// `dx = dy W`.
    fn input_gradient(&self, gradient: &[f32]) -> Result<Vec<f32>> {
        let tokens = gradient.len() / self.outputs.max(1);
        let mut out = vec![0f32; tokens * self.inputs];
        with_slice(&self.weight.value(), |weight| {
            self.with_matrix(weight, |w| {
                let dy = Matrix::dense(gradient, self.outputs);
                product(&mut out, self.inputs, dy, w.transposed(), false, Parallelism::Rayon(0));
            });
        })?;
        Ok(out)
    }

    /// `dW += dyᵀ x`, `db += Σ dy`.
    fn add_gradients(&self, x: &[f32], gradient: &[f32]) -> Result<()> {
        let tokens = gradient.len() / self.outputs.max(1);
        if self.weight.trainable() {
            let dy = Matrix::dense(gradient, self.outputs);
            let x = Matrix::dense(x, self.inputs);
            let all = Parallelism::Rayon(0);
            match self.stored {
                Stored::Rows { start } => {
                    let whole = self.weight.elements() == self.inputs * self.outputs;
                    let work = |buffer: &mut [f32], keep| {
                        let part = &mut buffer[start * self.inputs..];
                        product(part, self.inputs, dy.transposed(), x, keep, all);
                    };
                    if whole {
                        self.weight.accumulate(|buffer, fresh| work(buffer, !fresh));
                    } else {
                        self.weight.accumulate_part(|buffer| work(buffer, true));
                    }
                }
                Stored::Columns { start } => self.weight.accumulate_part(|buffer| {
                    let total = buffer.len() / self.inputs;
                    product(&mut buffer[start..], total, x.transposed(), dy, true, all);
                }),
                Stored::Heads { .. } => {
                    let mut part = vec![0f32; self.inputs * self.outputs];
                    product(&mut part, self.inputs, dy.transposed(), x, false, all);
                    self.weight.accumulate_part(|buffer| self.scatter(&part, buffer, self.inputs));
                }
            }
        }
        if let Some(bias) = self.bias.as_ref().filter(|bias| bias.trainable()) {
            let sums = reduce_rows(tokens, self.outputs, self.outputs, |first, last, partial| {
                for row in gradient[first * self.outputs..last * self.outputs].chunks_exact(self.outputs) {
                    partial.iter_mut().zip(row).for_each(|(total, gradient)| *total += gradient);
                }
            });
            bias.accumulate_part(|buffer| self.scatter(&sums, buffer, 1));
        }
        Ok(())
    }

    /// The weight as an [inputs, outputs] matrix.
    fn with_matrix<R>(&self, weight: &[f32], work: impl FnOnce(Matrix<'_>) -> R) -> R {
        match self.stored {
            Stored::Rows { start } => {
                let part = &weight[start * self.inputs..(start + self.outputs) * self.inputs];
                work(Matrix::dense(part, self.inputs).transposed())
            }
            Stored::Columns { start } => {
                let total = weight.len() / self.inputs.max(1);
                work(Matrix {
                    data: &weight[start..],
                    rows: self.inputs,
                    columns: self.outputs,
                    row_stride: total,
                    column_stride: 1,
                })
            }
            Stored::Heads { .. } => {
                let part = self.gather(weight, self.inputs);
                work(Matrix::dense(&part, self.inputs).transposed())
            }
        }
    }

    /// The rows (of `width` numbers) of this projection out of a stored tensor.
    fn gather(&self, stored: &[f32], width: usize) -> Vec<f32> {
        let mut part = Vec::with_capacity(self.outputs * width);
        self.runs().for_each(|(at, length)| {
            part.extend_from_slice(&stored[at * width..(at + length) * width]);
        });
        part
    }

    /// Adds the rows of this projection into a stored tensor.
    fn scatter(&self, part: &[f32], stored: &mut [f32], width: usize) {
        let mut from = 0;
        self.runs().for_each(|(at, length)| {
            let target = &mut stored[at * width..(at + length) * width];
            target.iter_mut().zip(&part[from..]).for_each(|(total, value)| *total += value);
            from += length * width;
        });
    }

    /// Runs of consecutive outputs in the stored tensor: (first, length).
    fn runs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (start, stride, size) = match self.stored {
            Stored::Rows { start } | Stored::Columns { start } => (start, 0, self.outputs),
            Stored::Heads { start, stride, size } => (start, stride, size),
        };
        (0..self.outputs / size.max(1)).map(move |head| (head * stride + start, size))
    }
}
