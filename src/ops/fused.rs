//! The set of kernels for the CPU: each op's own forward and backward, recorded on a tape.

use super::attention::{self, LayerMemory, Memory, Shape};
use super::embedding::lookup;
use super::heads;
use super::kernels::{Attended, Kernels};
use super::layout::{Frame, Layout};
use super::linear::Linear;
use super::norm::Norm;
use super::norm_scale;
use super::parameter::Parameter;
use super::rope::Rotation;
use super::tape::{Gradients, Tape, Value};
use crate::error::Result;
use crate::ops::Nonlinearity;
use candle_core::Tensor;
use std::sync::Arc;

/// The kernels of one pass over the tokens of `layout`.
pub(crate) struct Fused {
    tape: Tape,
    layout: Layout,
    positions: Arc<Vec<usize>>,
}

impl Fused {
    /// Kernels for a fresh pass.
    pub(crate) fn new(layout: Layout, gradients: Gradients) -> Result<Self> {
        Ok(Self { tape: Tape::new(gradients)?, positions: Arc::new(layout.positions()), layout })
    }
}

impl Kernels for Fused {
    type Value = Value;

    fn lookup(&self, table: &Parameter, ids: Vec<usize>) -> Result<Value> {
        lookup(&self.tape, table, ids)
    }

    fn scale(&self, value: Value, factor: f32) -> Result<Value> {
        Ok(self.tape.scale(value, factor))
    }

    fn add(&self, left: Value, right: &Value) -> Result<Value> {
        Ok(self.tape.add(left, right))
    }

    fn linear(&self, linear: &Linear, x: &Value) -> Result<Value> {
        linear.forward(&self.tape, x)
    }

    fn head_results(&self, linear: &Linear, x: &Value, heads: usize) -> Result<Value> {
        let results = linear.without_bias().forward(&self.tape, &heads::apart(&self.tape, x, heads))?;
        Ok(results.regrouped(heads * linear.outputs))
    }

    fn sum_heads(&self, results: &Value, heads: usize) -> Result<Value> {
        Ok(heads::sum(&self.tape, results, heads))
    }

    fn repeat_heads(&self, x: &Value, heads: usize) -> Result<Value> {
        Ok(heads::repeated(&self.tape, x, heads))
    }

    fn project_heads(&self, linear: &Linear, x: &Value, heads: usize) -> Result<Value> {
        let each = linear.without_bias().forward(&self.tape, &x.clone().regrouped(linear.inputs))?;
        Ok(heads::own(&self.tape, &each, heads))
    }

    fn norm(&self, norm: &Norm, x: &Value) -> Result<Value> {
        norm.forward(&self.tape, x)
    }

    fn normalise(&self, norm: &Norm, x: &Value) -> Result<Value> {
        Ok(norm.normalise(&self.tape, x))
    }

    fn rescale(&self, norm: &Norm, normalised: &Value) -> Result<Value> {
        norm.rescale(&self.tape, normalised)
    }

    fn norm_scales(&self, norm: &Norm, x: &Value) -> Result<Value> {
        Ok(norm.scales(&self.tape, x))
    }

    fn divide_instead(&self, normalised: &Value, scales: &Value, others: &Value) -> Result<Value> {
        Ok(norm_scale::divide_instead(&self.tape, normalised, scales, others))
    }

    fn rotate(&self, rotation: &Rotation, value: Value, head_dim: usize) -> Result<Value> {
        Ok(rotation.forward(&self.tape, value, head_dim, &self.positions))
    }

    fn activate(&self, activation: Nonlinearity, pre: &Value, linear: Option<&Value>) -> Result<Value> {
        Ok(activation.forward(&self.tape, pre, linear))
    }

    fn memory(&self, width: usize) -> LayerMemory {
        LayerMemory::Host(vec![Memory::new(width); self.layout.rows()])
    }

    fn remember(&self, memory: &mut LayerMemory, keys: &Value, values: &Value) -> Result<()> {
        attention::remember(&self.layout, memory.host_mut()?, keys, values);
        Ok(())
    }

    fn attend(&self, shape: Shape, now: Attended<'_, Value>) -> Result<Value> {
        let memory = now.memory.host()?;
        let Attended { queries, keys, values, .. } = now;
        Ok(attention::forward(&self.tape, shape, &self.layout, queries, keys, values, memory))
    }

    fn scores(&self, shape: Shape, now: Attended<'_, Value>) -> Result<Value> {
        let memory = now.memory.host()?;
        Ok(attention::scores(&self.tape, shape, &self.layout, now.queries, now.keys, memory))
    }

    fn softmax(&self, scores: &Value) -> Result<Value> {
        Ok(attention::softmax(&self.tape, scores))
    }

    fn mix(&self, shape: Shape, pattern: &Value, now: Attended<'_, Value>) -> Result<Value> {
        let memory = now.memory.host()?;
        Ok(attention::mix(&self.tape, shape, &self.layout, pattern, now.values, memory))
    }

    fn export(&self, value: &Value, frame: &Frame) -> Result<Tensor> {
        self.tape.export(value, frame)
    }

    fn import(&mut self, tensor: &Tensor, frame: &Frame) -> Result<Value> {
        self.tape.import(tensor, frame, frame.width())
    }

    fn watch(
        &self,
        value: Value,
        frame: &Frame,
        keep: impl Fn(Tensor) + Send + Sync + 'static,
    ) -> Result<Value> {
        if let Some(from) = value.slot() {
            let frame = frame.clone();
            self.tape.push(move |slots| {
                if let Some(gradient) = slots.get(from) {
                    keep(frame.tensor(gradient)?);
                }
                Ok(())
            });
        }
        Ok(value)
    }
}
