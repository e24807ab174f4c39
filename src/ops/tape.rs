//! The record of a forward pass on the CPU, and its way back.
//!
//! candle's own backward allocates zeros and adds for every node and computes gradients of both operands
//! of every product. So kernels work on [`Value`]s and record their backward here, and candle sees a
//! chain of few nodes:
//!
//! 1. A *token*, one number, stands for "everything recorded so far". It starts from a root `Var`.
//! 2. [`Tape::export`] makes a candle tensor of a value: its backward deposits the gradient in the
//!    value's slot.
//! 3. [`Tape::import`] takes a candle tensor (a hook's answer) back in and yields a new token: its
//!    backward runs everything recorded after it, and returns the gradient of the tensor.
//! 4. The root's backward runs what is left.
//!
//! candle orders these nodes, so edits may be any differentiable tensor code, with `Var`s of their own.

use super::layout::Frame;
use super::parallel::on_pool;
use super::parameter::with_slice;
use crate::error::{Error, Result};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Device, Shape, Tensor, Var};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether a forward pass records what its backward needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gradients {
    /// Record nothing: sampling, evaluation, capture.
    Off,
    /// Record: training and attribution.
    On,
    /// Keep only the residual stream between blocks and compute each block again in the backward: training on long
    /// sequences. For passes without cache and hooks.
    Recomputed,
}

/// Packed numbers [tokens, width] inside a forward pass. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    data: Arc<Vec<f32>>,
    width: usize,
    slot: Option<usize>,
}

impl Value {
    /// The numbers, row-major.
    pub(crate) fn data(&self) -> &[f32] {
        &self.data
    }

    /// A shared handle to the numbers, for a backward that needs them.
    pub(crate) fn share(&self) -> Arc<Vec<f32>> {
        self.data.clone()
    }

    /// Numbers per token.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The same numbers in groups of another width.
    pub(crate) fn regrouped(self, width: usize) -> Self {
        Self { width, ..self }
    }

    /// The numbers for changing: without a copy if nothing else holds them.
    pub(crate) fn into_data(self) -> Vec<f32> {
        Arc::try_unwrap(self.data).unwrap_or_else(|shared| shared.as_ref().clone())
    }

    /// Where this value's gradient is collected; `None` when nothing is recorded.
    pub(crate) fn slot(&self) -> Option<usize> {
        self.slot
    }
}

/// The gradients of the values of one pass while its backward runs.
#[derive(Default)]
pub(crate) struct Slots(Vec<Option<Vec<f32>>>);

impl Slots {
    /// The gradient of a value, complete when its producer's backward asks for it.
    pub(crate) fn take(&mut self, slot: usize) -> Option<Vec<f32>> {
        self.0.get_mut(slot).and_then(Option::take)
    }

    /// The gradient of a value so far, left in place.
    pub(crate) fn get(&self, slot: usize) -> Option<&Vec<f32>> {
        self.0.get(slot).and_then(Option::as_ref)
    }

    /// Adds to the gradient of a value.
    pub(crate) fn add(&mut self, slot: usize, gradient: Vec<f32>) {
        match self.0.get_mut(slot) {
            Some(Some(held)) => super::parallel::add(held, &gradient),
            Some(empty) => *empty = Some(gradient),
            None => {}
        }
    }
}

type Backward = Box<dyn FnOnce(&mut Slots) -> Result<()> + Send>;

#[derive(Default)]
struct Record {
    steps: Vec<Backward>,
    slots: Slots,
    used: bool,
}

impl Record {
    fn run_back_to(&mut self, position: usize) -> Result<()> {
        if self.used {
            return Err(Error::work("this forward pass has already been run backward")
                .hint("run the forward pass again, or add the losses up before the one backward"));
        }
        while self.steps.len() > position
            && let Some(step) = self.steps.pop()
        {
            step(&mut self.slots)?;
        }
        Ok(())
    }
}

type Shared = Arc<Mutex<Record>>;

fn lock(record: &Shared) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records a forward pass, or nothing when gradients are off.
pub(crate) struct Tape {
    recording: Option<(Shared, Tensor)>,
}

impl Tape {
    /// A fresh tape.
    pub(crate) fn new(gradients: Gradients) -> Result<Self> {
        let recording = match gradients {
            Gradients::Off => None,
            Gradients::On | Gradients::Recomputed => {
                let record = Shared::default();
                let root = Var::zeros(1, DType::F32, &Device::Cpu)?;
                let token = root.as_tensor().apply_op1(Root { record: record.clone() })?;
                Some((record, token))
            }
        };
        Ok(Self { recording })
    }

    /// A value with a slot for its gradient.
    pub(crate) fn value(&self, data: Vec<f32>, width: usize) -> Value {
        let slot = self.recording.as_ref().map(|(record, _)| {
            let slots = &mut lock(record).slots.0;
            slots.push(None);
            slots.len() - 1
        });
        Value { data: Arc::new(data), width, slot }
    }

    /// Appends a backward step. It is not called when gradients are off.
    pub(crate) fn push(&self, step: impl FnOnce(&mut Slots) -> Result<()> + Send + 'static) {
        if let Some((record, _)) = &self.recording {
            lock(record).steps.push(Box::new(step));
        }
    }

    /// `left + right`.
    pub(crate) fn add(&self, left: Value, right: &Value) -> Value {
        let (left_slot, right_slot, width) = (left.slot, right.slot, left.width);
        let mut data = left.into_data();
        super::parallel::add(&mut data, right.data());
        let out = self.value(data, width);
        if let (Some(left), Some(right), Some(out)) = (left_slot, right_slot, out.slot) {
            self.push(move |slots| {
                if let Some(gradient) = slots.take(out) {
                    slots.add(left, gradient.clone());
                    slots.add(right, gradient);
                }
                Ok(())
            });
        }
        out
    }

    /// `value * factor`.
    pub(crate) fn scale(&self, value: Value, factor: f32) -> Value {
        let (slot, width) = (value.slot, value.width);
        let mut data = value.into_data();
        data.iter_mut().for_each(|number| *number *= factor);
        let out = self.value(data, width);
        if let (Some(slot), Some(out)) = (slot, out.slot) {
            self.push(move |slots| {
                if let Some(mut gradient) = slots.take(out) {
                    gradient.iter_mut().for_each(|number| *number *= factor);
                    slots.add(slot, gradient);
                }
                Ok(())
            });
        }
        out
    }

    /// The value as a tensor, shaped by `frame`. Tracked when recording.
    pub(crate) fn export(&self, value: &Value, frame: &Frame) -> Result<Tensor> {
        let tensor = frame.tensor(value.data())?;
        match (&self.recording, value.slot) {
            (Some((record, token)), Some(slot)) => Ok(token.apply_op1(Export {
                record: record.clone(),
                slot,
                tensor: tensor.clone(),
                frame: frame.clone(),
            })?),
            _ => Ok(tensor),
        }
    }

    /// A hook's tensor as a value of `width` numbers a token. What stands at padded positions is dropped.
    pub(crate) fn import(&mut self, tensor: &Tensor, frame: &Frame, width: usize) -> Result<Value> {
        let tensor = tensor.to_dtype(DType::F32)?.contiguous()?;
        let value = self.value(with_slice(&tensor, |data| frame.pack(data))?, width);
        if let (Some((record, token)), Some(slot)) = (&mut self.recording, value.slot) {
            let position = lock(record).steps.len();
            let import = Import { record: record.clone(), slot, position, frame: frame.clone() };
            *token = token.apply_op2(&tensor, import)?;
        }
        Ok(value)
    }
}

fn failed(error: Error) -> candle_core::Error {
    candle_core::Error::Msg(error.to_string())
}

fn no_gradient_of_a_token() -> candle_core::Result<Option<Tensor>> {
    Ok(Some(Tensor::zeros(1, DType::F32, &Device::Cpu)?))
}

fn token() -> candle_core::Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(vec![0.0]), Shape::from(1)))
}

struct Root {
    record: Shared,
}

impl CustomOp1 for Root {
    fn name(&self) -> &'static str {
        "forward-pass"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &candle_core::Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        token()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let record = &mut *lock(&self.record);
        on_pool(|| record.run_back_to(0)).map_err(failed)?;
        record.used = true;
        no_gradient_of_a_token()
    }
}

struct Export {
    record: Shared,
    slot: usize,
    tensor: Tensor,
    frame: Frame,
}

impl CustomOp1 for Export {
    fn name(&self) -> &'static str {
        "forward-pass-output"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &candle_core::Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let data = with_slice(&self.tensor, <[f32]>::to_vec)?;
        Ok((CpuStorage::F32(data), self.tensor.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let packed = with_slice(&gradient.contiguous()?, |data| self.frame.pack(data))?;
        lock(&self.record).slots.add(self.slot, packed);
        no_gradient_of_a_token()
    }
}

struct Import {
    record: Shared,
    slot: usize,
    position: usize,
    frame: Frame,
}

impl CustomOp2 for Import {
    fn name(&self) -> &'static str {
        "forward-pass-input"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &candle_core::Layout,
        _: &CpuStorage,
        _: &candle_core::Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        token()
    }

    fn bwd(
        &self,
        _: &Tensor,
        tensor: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let record = &mut *lock(&self.record);
        on_pool(|| record.run_back_to(self.position)).map_err(failed)?;
        let gradient = match record.slots.take(self.slot) {
            Some(packed) => self.frame.tensor(&packed).map_err(failed)?,
            None => tensor.zeros_like()?,
        };
        Ok((no_gradient_of_a_token()?, Some(gradient)))
    }
}
