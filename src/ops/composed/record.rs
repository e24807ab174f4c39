//! How gradients leave candle's backward pass: into [`Parameter`]s, and to those who watch a value.
//!
//! candle hands gradients of leaves to whoever calls `backward`, and forgets those of values in between. Two
//! nodes that copy what they are given, and read the gradient that comes back, let callers of a forward pass
//! run `loss.backward()` and find every gradient where the fused kernels put it too.

use crate::error::{Error, Result};
use crate::ops::parameter::Parameter;
use crate::ops::tape::Gradients;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, DType, Device, Layout, Shape, Storage, Tensor, Var};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Hands out weights as tensors, tracked where their gradient is wanted; each is made once per pass.
pub(super) struct Lender {
    /// The leaf that makes lent weights tracked; `None` when nothing is recorded.
    root: Option<Var>,
    lent: RefCell<BTreeMap<(String, &'static str), Tensor>>,
}

impl Lender {
    pub(super) fn new(device: &Device, gradients: Gradients) -> Result<Self> {
        let root = match gradients {
            Gradients::Off => None,
            Gradients::On | Gradients::Recomputed => Some(Var::zeros(1, DType::F32, device)?),
        };
        Ok(Self { root, lent: RefCell::default() })
    }

    /// The weights in `format`. A gradient that reaches them is added to the parameter's, in f32.
    pub(super) fn lend(&self, parameter: &Parameter, format: DType) -> Result<Tensor> {
        let Some(root) = self.root.as_ref().filter(|_| parameter.trainable()) else {
            return parameter.value_as(format);
        };
        let key = (parameter.name().to_owned(), format.as_str());
        if let Some(tensor) = self.lent.borrow().get(&key) {
            return Ok(tensor.clone());
        }
        let lent = root.as_tensor().apply_op1(Lend { parameter: parameter.clone(), format })?;
        self.lent.borrow_mut().insert(key, lent.clone());
        Ok(lent)
    }
}

/// A copy of `value` that shows its gradient to `see` on the way back.
pub(super) fn watched(
    value: &Tensor,
    see: impl Fn(&Tensor) -> Result<()> + Send + Sync + 'static,
) -> Result<Tensor> {
    Ok(value.apply_op1(Watch(see))?)
}

/// `value`, computed without a record, in the place of what was computed from `from`: `backward` turns its
/// gradient into that of `from`.
pub(crate) fn attached(
    from: &Tensor,
    value: Tensor,
    backward: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    Ok(from.apply_op1(Attach { value, backward })?)
}

fn failed(error: Error) -> candle_core::Error {
    candle_core::Error::Msg(error.to_string())
}

/// A contiguous copy in `format`, on the device where the numbers are.
fn copy<S: BackendStorage>(storage: &S, layout: &Layout, format: DType) -> candle_core::Result<(S, Shape)> {
    Ok((storage.to_dtype(layout, format)?, layout.shape().clone()))
}

fn elsewhere<T>() -> candle_core::Result<T> {
    candle_core::bail!("a value and what it was computed from are on different devices")
}

/// Copies a weight forward and collects its gradient. Its argument is the root of the pass.
struct Lend {
    parameter: Parameter,
    format: DType,
}

impl CustomOp1 for Lend {
    fn name(&self) -> &'static str {
        "parameter"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let value = self.parameter.value();
        let (storage, layout) = value.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => copy(storage, layout, self.format),
            _ => elsewhere(),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        let value = self.parameter.value();
        let (storage, layout) = value.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => copy(storage, layout, self.format),
            _ => elsewhere(),
        }
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        self.parameter.accumulate_tensor(gradient).map_err(failed)?;
        // The root is a leaf that nobody asks for.
        Ok(None)
    }
}

struct Watch<F>(F);

impl<F: Fn(&Tensor) -> Result<()> + Send + Sync> CustomOp1 for Watch<F> {
    fn name(&self) -> &'static str {
        "watched"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        copy(storage, layout, storage.dtype())
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        copy(storage, layout, storage.dtype())
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        self.0(gradient).map_err(failed)?;
        Ok(Some(gradient.clone()))
    }
}

struct Attach<F> {
    value: Tensor,
    backward: F,
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync> CustomOp1 for Attach<F> {
    fn name(&self) -> &'static str {
        "recomputed"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => copy(storage, layout, self.value.dtype()),
            _ => elsewhere(),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => copy(storage, layout, self.value.dtype()),
            _ => elsewhere(),
        }
    }

    fn bwd(&self, from: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        (self.backward)(from, gradient).map(Some).map_err(failed)
    }
}
