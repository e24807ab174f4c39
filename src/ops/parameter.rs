//! A trainable tensor under its checkpoint name, and the gradient that backward passes add into.
//!
//! Two backward passes may run at the same time, each on a lane of its own ([`super::lanes`]). Each lane adds up
//! its gradient by itself; whoever reads the gradient first adds the lanes together, in their order. So the sum
//! has the same bits whatever the threads did.

use super::lanes::{self, LANES};
use crate::error::{Error, Result};
use candle_core::{DType, InplaceOp1, Layout, Tensor};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// One weight of a model: f32, contiguous, named as in the checkpoint. Clones share it.
#[derive(Clone)]
pub struct Parameter(Arc<Inner>);

struct Inner {
    name: String,
    value: RwLock<Tensor>,
    version: AtomicU64,
    trainable: AtomicBool,
    lanes: [Mutex<Gradient>; LANES],
    shorter: Mutex<Option<(u64, Tensor)>>,
}

/// What backward passes have added up: numbers from the fused kernels, a tensor from the composed ones. The
/// gradient is the sum of what is there.
#[derive(Default)]
struct Gradient {
    buffer: Vec<f32>,
    filled: bool,
    tensor: Option<Tensor>,
}

impl Gradient {
    fn is_there(&self) -> bool {
        self.filled || self.tensor.is_some()
    }

    /// Takes over what another has added up.
    fn absorb(&mut self, other: &mut Self) -> Result<()> {
        if std::mem::take(&mut other.filled) {
            match self.filled {
                true => super::parallel::add(&mut self.buffer, &other.buffer),
                false => std::mem::swap(&mut self.buffer, &mut other.buffer),
            }
            self.filled = true;
        }
        if let Some(tensor) = other.tensor.take() {
            self.add_tensor(tensor)?;
        }
        Ok(())
    }

    fn add_tensor(&mut self, part: Tensor) -> Result<()> {
        self.tensor = Some(match self.tensor.take() {
            Some(total) => (total + part)?,
            None => part,
        });
        Ok(())
    }

    /// Brings all of it into the buffer.
    fn bring(&mut self) -> Result<()> {
        if let Some(tensor) = self.tensor.take() {
            let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
            match self.filled {
                true => super::parallel::add(&mut self.buffer, &numbers),
                false => self.buffer = numbers,
            }
            self.filled = true;
        }
        Ok(())
    }

    /// All of it as a tensor where the weights are.
    fn sum(&self, weights: &Tensor) -> Result<Option<Tensor>> {
        let numbers = match self.filled {
            true => Some(Tensor::from_slice(&self.buffer, weights.dims(), weights.device())?),
            false => None,
        };
        Ok(match (numbers, &self.tensor) {
            (Some(numbers), Some(tensor)) => Some((numbers + tensor)?),
            (numbers, tensor) => numbers.or_else(|| tensor.clone()),
        })
    }
}

impl Parameter {
    /// A trainable parameter that holds `value` (converted to contiguous f32).
    ///
    /// # Errors
    /// If the conversion fails.
    pub fn new(name: impl Into<String>, value: &Tensor) -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            name: name.into(),
            value: RwLock::new(value.to_dtype(DType::F32)?.contiguous()?.detach()),
            version: AtomicU64::new(0),
            trainable: AtomicBool::new(true),
            lanes: Default::default(),
            shorter: Mutex::default(),
        })))
    }

    /// The name in the checkpoint.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The weights. The tensor shares storage with the parameter: an optimiser step changes it. Use
    /// `Tensor::copy` to keep a snapshot.
    pub fn value(&self) -> Tensor {
        self.0.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The shape.
    pub fn dims(&self) -> Vec<usize> {
        self.value().dims().to_vec()
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.value().elem_count()
    }

    /// Replaces the weights.
    ///
    /// # Errors
    /// If the shape differs.
    pub fn set_value(&self, value: &Tensor) -> Result<()> {
        let mut held = self.0.value.write().unwrap_or_else(PoisonError::into_inner);
        if held.dims() != value.dims() {
            return Err(Error::work(format!(
                "parameter `{}`: expected shape {:?}, found {:?}",
                self.0.name,
                held.dims(),
                value.dims()
            )));
        }
        *held = value.to_device(held.device())?.to_dtype(DType::F32)?.contiguous()?.detach().copy()?;
        self.0.version.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Whether backward passes compute this parameter's gradient.
    pub fn trainable(&self) -> bool {
        self.0.trainable.load(Ordering::Relaxed)
    }

    /// Freezes or thaws the parameter. A frozen one gets no gradient and costs no backward work.
    pub fn set_trainable(&self, trainable: bool) {
        self.0.trainable.store(trainable, Ordering::Relaxed);
    }

    /// A copy of the gradient that backward passes have added up; `None` if none has reached the parameter.
    ///
    /// # Errors
    /// If the tensor cannot be made.
    pub fn gradient(&self) -> Result<Option<Tensor>> {
        self.lanes()?.sum(&self.value())
    }

    /// Whether a gradient has reached the parameter.
    pub fn has_gradient(&self) -> bool {
        self.0.lanes.iter().any(|lane| lock(lane).is_there())
    }

    /// The gradient where it must not be brought to the CPU: when composed kernels made it, or the weights
    /// are on another device. `None` also where there is none.
    ///
    /// # Errors
    /// If the tensor cannot be made.
    pub(crate) fn device_gradient(&self) -> Result<Option<Tensor>> {
        let (gradient, value) = (self.lanes()?, self.value());
        match gradient.tensor.is_some() || !value.device().is_cpu() {
            true => gradient.sum(&value),
            false => Ok(None),
        }
    }

    /// Forgets the gradient; its memory is kept for the next one.
    pub fn zero_gradient(&self) {
        for lane in &self.0.lanes {
            let mut gradient = lock(lane);
            (gradient.filled, gradient.tensor) = (false, None);
        }
    }

    /// Calls `work` with the gradient, where there is one. This is how a clip scales it in place. A gradient
    /// on another device is brought to the CPU.
    ///
    /// # Errors
    /// If it cannot be brought.
    pub fn with_gradient<R>(&self, work: impl FnOnce(&mut [f32]) -> R) -> Result<Option<R>> {
        let mut gradient = self.lanes()?;
        gradient.bring()?;
        Ok(gradient.filled.then(|| work(&mut gradient.buffer)))
    }

    /// Calls `work(weights, gradient)` to change the weights in place. Does nothing, and returns `None`,
    /// where no gradient has reached the parameter.
    ///
    /// # Errors
    /// If the weights are not on the CPU.
    pub fn update<R: Send>(
        &self,
        work: impl FnOnce(&mut [f32], &mut [f32]) -> R + Send,
    ) -> Result<Option<R>> {
        let mut gradient = self.lanes()?;
        gradient.bring()?;
        if !gradient.filled {
            return Ok(None);
        }
        let step = Step { work: Mutex::new(Some((work, &mut gradient.buffer))), result: Mutex::new(None) };
        self.value().inplace_op1(&step)?;
        self.0.version.fetch_add(1, Ordering::AcqRel);
        Ok(step.result.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a gradient into the buffer. `fresh` tells `work` that the buffer holds garbage to overwrite.
    pub(crate) fn accumulate(&self, work: impl FnOnce(&mut [f32], bool)) {
        let elements = self.elements();
        let mut gradient = self.lane();
        let fresh = !gradient.filled;
        gradient.buffer.resize(elements, 0.0);
        work(&mut gradient.buffer, fresh);
        gradient.filled = true;
    }

    /// As [`Self::accumulate`], with zeros in place of garbage: for ops that write a part of the buffer.
    pub(crate) fn accumulate_part(&self, work: impl FnOnce(&mut [f32])) {
        self.accumulate(|buffer, fresh| {
            if fresh {
                buffer.fill(0.0);
            }
            work(buffer);
        });
    }

    /// Adds a gradient that is a tensor.
    pub(crate) fn accumulate_tensor(&self, part: &Tensor) -> Result<()> {
        let part = part.to_dtype(DType::F32)?.contiguous()?.detach();
        self.lane().add_tensor(part)
    }

    /// The weights in `format`; a copy in a shorter one is made anew only when they have changed.
    pub(crate) fn value_as(&self, format: DType) -> Result<Tensor> {
        if format == DType::F32 {
            return Ok(self.value());
        }
        let version = self.version();
        let mut held = self.0.shorter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, copy)) =
            held.as_ref().filter(|(made, copy)| *made == version && copy.dtype() == format)
        {
            return Ok(copy.clone());
        }
        let copy = self.value().to_dtype(format)?;
        *held = Some((version, copy.clone()));
        Ok(copy)
    }

    /// Counts the changes of the weights: a copy of them is good as long as this stays the same.
    pub(crate) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// The gradient of the lane that this work is on.
    fn lane(&self) -> MutexGuard<'_, Gradient> {
        lock(&self.0.lanes[lanes::current()])
    }

    /// The gradient, all lanes added into the first.
    fn lanes(&self) -> Result<MutexGuard<'_, Gradient>> {
        let [first, others @ ..] = &self.0.lanes;
        let mut sum = lock(first);
        for other in others {
            sum.absorb(&mut lock(other))?;
        }
        Ok(sum)
    }
}

fn lock(gradient: &Mutex<Gradient>) -> MutexGuard<'_, Gradient> {
    gradient.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Parameter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Parameter({} {:?})", self.0.name, self.dims())
    }
}

/// Calls `work` with the numbers of a contiguous f32 tensor on the CPU.
///
/// # Errors
/// If the tensor is elsewhere, or is not contiguous f32.
pub(crate) fn with_slice<R>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> R) -> candle_core::Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let candle_core::Storage::Cpu(storage) = &*storage else {
        candle_core::bail!("a CPU kernel was given a tensor on another device");
    };
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a CPU kernel was given a tensor that is not contiguous");
    };
    Ok(work(&storage.as_slice::<f32>()?[start..end]))
}

/// The one in-place change of the weights: candle hands out their storage to an `InplaceOp1` only.
struct Step<'a, W, R> {
    work: Mutex<Option<(W, &'a mut Vec<f32>)>>,
    result: Mutex<Option<R>>,
}

impl<W: FnOnce(&mut [f32], &mut [f32]) -> R, R> InplaceOp1 for Step<'_, W, R> {
    fn name(&self) -> &'static str {
        "parameter-update"
    }

    fn cpu_fwd(&self, storage: &mut candle_core::CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let candle_core::CpuStorage::F32(values) = storage else {
            candle_core::bail!("a parameter is not f32");
        };
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("a parameter is not contiguous");
        };
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((work, gradient)) = work {
            let result = work(&mut values[start..end], gradient);
            *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::lanes::lane;
    use candle_core::Device;

    #[test]
    fn lanes_add_up_in_their_order_whoever_comes_first() -> Result<()> {
        let parameter = Parameter::new("w", &Tensor::zeros(1, DType::F32, &Device::Cpu)?)?;
        let add = |at: usize, number: f32| {
            lane(at, || parameter.accumulate_part(|buffer| buffer[0] += number));
        };
        // In one lane the small number would be lost between the large ones.
        add(1, 1.0);
        add(0, 1e8);
        add(0, -1e8);
        assert_eq!(parameter.gradient()?.unwrap().to_vec1::<f32>()?, [1.0]);
        assert_eq!(parameter.gradient()?.unwrap().to_vec1::<f32>()?, [1.0], "read twice");
        parameter.zero_gradient();
        assert!(!parameter.has_gradient());
        add(1, 2.0);
        assert!(parameter.has_gradient());
        assert_eq!(parameter.gradient()?.unwrap().to_vec1::<f32>()?, [2.0], "only in the second lane");
        Ok(())
    }

    #[test]
    fn gradients_add_up_and_updates_change_the_weights_in_place() -> Result<()> {
        let parameter = Parameter::new("w", &Tensor::new(&[1f32, 2.0], &Device::Cpu)?)?;
        assert!(parameter.update(|_, _| ())?.is_none(), "no gradient yet");
        for _ in 0..2 {
            parameter.accumulate_part(|buffer| buffer.iter_mut().for_each(|value| *value += 1.5));
        }
        let held = parameter.value();
        parameter.update(|weights, gradient| {
            weights.iter_mut().zip(gradient).for_each(|(weight, gradient)| *weight -= *gradient);
        })?;
        assert_eq!(held.to_vec1::<f32>()?, [-2.0, -1.0]);
        parameter.zero_gradient();
        assert!(parameter.gradient()?.is_none());
        Ok(())
    }
}
