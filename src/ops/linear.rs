//! `y = x Wᵀ + b`, where W may be a part of a larger checkpoint tensor.
//!
//! Families store the same projection in different ways; [`Stored`] says how, and the products read it in
//! place.

use super::matmul::{
    Matrix, Panels, Threads, WeightPanels, added_product, fresh_product, product, times_panels,
};
use super::parallel::{self, reduce_rows};
use super::parameter::{Parameter, with_slice};
use super::simd::vectorised;
use super::tape::{Tape, Value};
use crate::error::Result;
use candle_core::Tensor;

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

/// A low-rank addition to a stored tensor: `scale · (x Aᵀ) Bᵀ`.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    /// A [rank, inputs]
    pub(crate) down: Parameter,
    /// B [total outputs of the tensor, rank]
    pub(crate) up: Parameter,
    /// The factor on the addition.
    pub(crate) scale: f32,
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
    /// What is added to the projection.
    pub(crate) adapter: Option<Adapter>,
    /// The weight as the products of the forward pass read it.
    pub(crate) panels: WeightPanels,
}

impl Linear {
    /// Applies the projection to every token.
    pub(crate) fn forward(&self, tape: &Tape, x: &Value) -> Result<Value> {
        let mut y = self.product(x.data())?;
        if let Some(adapter) = &self.adapter {
            let added = self.adapted(adapter, &self.lowered(adapter, x.data())?)?;
            parallel::add(&mut y, &added);
        }
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
                // What other readers of `x` have sent back is added to in place: it is a whole pass over memory less.
                let mut to_x = this.input_gradient(slots.take(from), &gradient)?;
                if let Some(adapter) = &this.adapter {
                    parallel::add(&mut to_x, &this.adapter_gradients(adapter, &x, &gradient)?);
                }
                slots.add(from, to_x);
                Ok(())
            });
        }
        Ok(y)
    }

    /// The same projection without its bias.
    pub(crate) fn without_bias(&self) -> Self {
        Self { bias: None, ..self.clone() }
    }

    /// `x Wᵀ`.
    fn product(&self, x: &[f32]) -> Result<Vec<f32>> {
        let panels = self
            .panels
            .of(&self.weight, |weight, threads| self.with_matrix(weight, |w| Panels::pack(w, threads)))?;
        Ok(times_panels(Matrix::dense(x, self.inputs), &panels))
    }

    /// `scale · x Aᵀ` [tokens, rank].
    fn lowered(&self, adapter: &Adapter, x: &[f32]) -> Result<Vec<f32>> {
        let mut low = with_slice(&adapter.down.value(), |down| {
            fresh_product(Matrix::dense(x, self.inputs), Matrix::dense(down, self.inputs).transposed())
        })?;
        low.iter_mut().for_each(|number| *number *= adapter.scale);
        Ok(low)
    }

    /// This projection's rows of B, times a lowered input.
    fn adapted(&self, adapter: &Adapter, low: &[f32]) -> Result<Vec<f32>> {
        let rank = adapter.down.elements() / self.inputs.max(1);
        let up = with_slice(&adapter.up.value(), |up| self.gather(up, rank))?;
        Ok(fresh_product(Matrix::dense(low, rank), Matrix::dense(&up, rank).transposed()))
    }

    /// Adds to the gradients of A and B; returns what the adapter adds to the gradient of the input.
    fn adapter_gradients(&self, adapter: &Adapter, x: &[f32], gradient: &[f32]) -> Result<Vec<f32>> {
        let rank = adapter.down.elements() / self.inputs.max(1);
        let dy = Matrix::dense(gradient, self.outputs);
        let low = self.lowered(adapter, x)?;
        if adapter.up.trainable() {
            let part = fresh_product(dy.transposed(), Matrix::dense(&low, rank));
            adapter.up.accumulate_part(|buffer| self.scatter(&part, buffer, rank));
        }
        let up = with_slice(&adapter.up.value(), |up| self.gather(up, rank))?;
        let mut to_low = fresh_product(dy, Matrix::dense(&up, rank));
        to_low.iter_mut().for_each(|number| *number *= adapter.scale);
        let to_low = Matrix::dense(&to_low, rank);
        if adapter.down.trainable() {
            let part = fresh_product(to_low.transposed(), Matrix::dense(x, self.inputs));
            adapter.down.accumulate_part(|buffer| parallel::add(buffer, &part));
        }
        Ok(with_slice(&adapter.down.value(), |down| fresh_product(to_low, Matrix::dense(down, self.inputs)))?)
    }

    /// What merging an adapter adds to the stored tensor, in its shape.
    pub(crate) fn delta(&self, adapter: &Adapter) -> Result<Tensor> {
        let product = (adapter.up.value().matmul(&adapter.down.value())? * f64::from(adapter.scale))?;
        Ok(match self.stored {
            Stored::Columns { .. } => product.t()?.contiguous()?,
            Stored::Rows { .. } | Stored::Heads { .. } => product,
        })
    }

    /// `dx (+)= dy W`.
    fn input_gradient(&self, so_far: Option<Vec<f32>>, gradient: &[f32]) -> Result<Vec<f32>> {
        let dy = Matrix::dense(gradient, self.outputs);
        Ok(with_slice(&self.weight.value(), |weight| {
            self.with_matrix(weight, |w| added_product(so_far, dy, w.transposed()))
        })?)
    }

    /// `dW += dyᵀ x`, `db += Σ dy`.
    fn add_gradients(&self, x: &[f32], gradient: &[f32]) -> Result<()> {
        let tokens = gradient.len() / self.outputs.max(1);
        if self.weight.trainable() {
            let dy = Matrix::dense(gradient, self.outputs);
            let x = Matrix::dense(x, self.inputs);
            let all = Threads::All;
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
                    let part = fresh_product(dy.transposed(), x);
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
