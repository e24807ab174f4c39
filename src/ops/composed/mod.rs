//! The set of kernels for any device: each op's formula in tensor operations that candle differentiates.
//!
//! Values are packed as the fused ones are, [tokens, width], in the format of [`Compute`]; norms, rotations,
//! softmax and the loss are f32. Only primitive operations are used: candle-nn's `softmax_last_dim`, norms
//! and `rope` drop the gradient without a word.
//!
//! Rows agree with what they are alone to rounding, not bit for bit: matrix products here choose their order
//! of addition by the whole shape. A frozen weight costs backward work, unlike in the fused kernels, as
//! candle differentiates both sides of every product; it still gets no gradient.
//!
//! [`Compute`]: crate::compute::Compute

mod activation;
mod attention;
mod likelihood;
mod linear;
mod norm;
mod places;
mod record;
mod rope;
#[cfg(test)]
mod tests;

pub(crate) use likelihood::{logits, token_log_probabilities};
pub(crate) use record::attached;

use super::attention::{DeviceMemory, LayerMemory, Shape};
use super::kernels::{Attended, Kernels};
use super::layout::{Frame, Layout};
use super::linear::Linear;
use super::norm::Norm;
use super::parameter::Parameter;
use super::rope::Rotation;
use super::tape::Gradients;
use crate::error::Result;
use crate::ops::Nonlinearity;
use candle_core::{DType, Device, Tensor};
use places::Places;
use record::{Lender, watched};

/// The kernels of one pass over the tokens of a layout.
pub(crate) struct Composed {
    device: Device,
    format: DType,
    places: Places,
    weights: Lender,
}

impl Composed {
    /// Kernels for a fresh pass.
    pub(crate) fn new(layout: Layout, device: &Device, format: DType, gradients: Gradients) -> Result<Self> {
        Ok(Self {
            device: device.clone(),
            format,
            places: Places::new(layout, device)?,
            weights: Lender::new(device, gradients)?,
        })
    }

    /// An empty memory of the keys and values of one layer.
    pub(crate) fn empty_memory() -> LayerMemory {
        LayerMemory::Device(DeviceMemory::default())
    }
}

impl Kernels for Composed {
    type Value = Tensor;

    fn lookup(&self, table: &Parameter, ids: Vec<usize>) -> Result<Tensor> {
        let count = ids.len();
        let ids = ids.into_iter().map(|id| id as u32).collect();
        let ids = Tensor::from_vec(ids, count, &self.device)?;
        Ok(self.weights.lend(table, self.format)?.index_select(&ids, 0)?)
    }

    fn scale(&self, value: Tensor, factor: f32) -> Result<Tensor> {
        Ok((value * f64::from(factor))?)
    }

    fn add(&self, left: Tensor, right: &Tensor) -> Result<Tensor> {
        Ok((left + right)?)
    }

    fn linear(&self, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        linear::forward(&self.weights, linear, x)
    }

    fn head_results(&self, linear: &Linear, x: &Tensor, heads: usize) -> Result<Tensor> {
        let (tokens, inputs) = x.dims2()?;
        // Each head in a row of its own, with zeros for the others.
        let own = Tensor::eye(heads, x.dtype(), &self.device)?.reshape((1, heads, heads, 1))?;
        let apart = x.reshape((tokens, 1, heads, inputs / heads))?.broadcast_mul(&own)?;
        let apart = apart.reshape((tokens * heads, inputs))?;
        let results = linear::forward(&self.weights, &linear.without_bias(), &apart)?;
        Ok(results.reshape((tokens, heads * linear.outputs))?)
    }

    fn sum_heads(&self, results: &Tensor, heads: usize) -> Result<Tensor> {
        let (tokens, width) = results.dims2()?;
        Ok(results.reshape((tokens, heads, width / heads))?.sum(1)?)
    }

    fn repeat_heads(&self, x: &Tensor, heads: usize) -> Result<Tensor> {
        Ok(Tensor::cat(&vec![x; heads], 1)?)
    }

    fn project_heads(&self, linear: &Linear, x: &Tensor, heads: usize) -> Result<Tensor> {
        let (tokens, _) = x.dims2()?;
        let each = x.reshape((tokens * heads, linear.inputs))?;
        let each = linear::forward(&self.weights, &linear.without_bias(), &each)?;
        // Of each row its own head: the others times zero.
        let own = Tensor::eye(heads, x.dtype(), &self.device)?.reshape((1, heads, heads, 1))?;
        let each = each.reshape((tokens, heads, heads, linear.outputs / heads))?.broadcast_mul(&own)?;
        Ok(each.sum(1)?.reshape((tokens, linear.outputs))?)
    }

    fn norm(&self, norm: &Norm, x: &Tensor) -> Result<Tensor> {
        norm::rescale(&self.weights, norm, &norm::normalise(norm, x)?)
    }

    fn normalise(&self, norm: &Norm, x: &Tensor) -> Result<Tensor> {
        norm::normalise(norm, x)
    }

    fn rescale(&self, norm: &Norm, normalised: &Tensor) -> Result<Tensor> {
        norm::rescale(&self.weights, norm, normalised)
    }

    fn norm_scales(&self, norm: &Norm, x: &Tensor) -> Result<Tensor> {
        norm::scales(norm, x)
    }

    fn divide_instead(&self, normalised: &Tensor, scales: &Tensor, others: &Tensor) -> Result<Tensor> {
        norm::divide_instead(normalised, scales, others)
    }

    fn rotate(&self, rotation: &Rotation, value: Tensor, head_dim: usize) -> Result<Tensor> {
        rope::rotate(rotation, &value, head_dim, self.places.positions())
    }

    fn activate(&self, activation: Nonlinearity, pre: &Tensor, linear: Option<&Tensor>) -> Result<Tensor> {
        let post = activation::forward(activation, pre)?;
        Ok(match linear {
            Some(linear) => (post * linear)?,
            None => post,
        })
    }

    fn memory(&self, _: usize) -> LayerMemory {
        Self::empty_memory()
    }

    fn remember(&self, memory: &mut LayerMemory, keys: &Tensor, values: &Tensor) -> Result<()> {
        let DeviceMemory(held) = memory.device_mut()?;
        let add = |old: Option<&Tensor>, new: &Tensor| self.places.append(old, new);
        *held = Some(match held {
            Some([old_keys, old_values]) => [add(Some(old_keys), keys)?, add(Some(old_values), values)?],
            None => [add(None, keys)?, add(None, values)?],
        });
        Ok(())
    }

    fn attend(&self, shape: Shape, now: Attended<'_, Tensor>) -> Result<Tensor> {
        let scores = self.scores(shape, now)?;
        self.mix(shape, &self.softmax(&scores)?, now)
    }

    fn scores(&self, shape: Shape, now: Attended<'_, Tensor>) -> Result<Tensor> {
        attention::scores(&self.places, shape, now.queries, now.memory.device()?)
    }

    fn softmax(&self, scores: &Tensor) -> Result<Tensor> {
        attention::softmax(scores)
    }

    fn mix(&self, shape: Shape, pattern: &Tensor, now: Attended<'_, Tensor>) -> Result<Tensor> {
        attention::mix(&self.places, shape, pattern, now.memory.device()?)
    }

    fn export(&self, value: &Tensor, frame: &Frame) -> Result<Tensor> {
        let padded = match frame {
            Frame::Tokens { .. } => self.places.pad(value)?,
            Frame::Dense(_) => value.clone(),
        };
        Ok(padded.reshape(frame.dims())?.to_dtype(DType::F32)?)
    }

    fn import(&mut self, tensor: &Tensor, frame: &Frame) -> Result<Tensor> {
        let tensor = tensor.to_device(&self.device)?;
        match frame {
            Frame::Tokens { .. } => {
                let dims = [frame.dims()[0], frame.dims()[1], frame.width()];
                self.places.pack(&tensor.to_dtype(self.format)?.reshape(&dims[..])?.contiguous()?)
            }
            Frame::Dense(_) => Ok(tensor.to_dtype(DType::F32)?),
        }
    }

    fn watch(
        &self,
        value: Tensor,
        frame: &Frame,
        keep: impl Fn(Tensor) + Send + Sync + 'static,
    ) -> Result<Tensor> {
        if !value.track_op() {
            return Ok(value);
        }
        let (places, frame) = (self.places.clone(), frame.clone());
        watched(&value, move |gradient| {
            let padded = match frame {
                Frame::Tokens { .. } => places.pad(gradient)?,
                Frame::Dense(_) => gradient.clone(),
            };
            keep(padded.reshape(frame.dims())?.to_dtype(DType::F32)?);
            Ok(())
        })
    }
}
