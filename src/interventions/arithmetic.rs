//! Arithmetic of tensors at a hook point: replace, add, scale, project out, patch. Gradients flow through it, to the value
//! before and to the tensor that it writes.

use crate::error::{Error, Result};
use crate::model::HookSite;
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeSet;

/// What becomes of the numbers.
#[derive(Clone, Debug)]
pub(crate) enum Arithmetic {
    Replace(Tensor),
    Add(Tensor),
    Scale(f64),
    ProjectOut(Tensor),
    /// The value `[position, ...]` of another run, position by position. Later positions have none.
    Patch(Tensor),
}

impl Arithmetic {
    /// What it is called, with the numbers that it writes.
    pub(super) fn identity(&self) -> Result<(&'static str, Vec<f32>)> {
        let numbers = |tensor: &Tensor| -> Result<Vec<f32>> {
            Ok(tensor.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
        };
        Ok(match self {
            Self::Replace(tensor) => ("replace", numbers(tensor)?),
            Self::Add(tensor) => ("add", numbers(tensor)?),
            Self::Scale(factor) => ("scale", vec![*factor as f32]),
            Self::ProjectOut(tensor) => ("project_out", numbers(tensor)?),
            Self::Patch(tensor) => ("patch", numbers(tensor)?),
        })
    }

    /// The positions that it has something to write at, from the first; `None`: all.
    pub(super) fn reaches(&self) -> Option<usize> {
        match self {
            Self::Patch(tensor) => tensor.dims().first().copied(),
            _ => None,
        }
    }

    /// The changed value, at all positions and heads.
    pub(super) fn of(&self, site: &HookSite, value: &Tensor) -> Result<Tensor> {
        let fitting = |tensor: &Tensor| -> Result<Tensor> {
            let tensor = tensor.to_device(value.device())?.to_dtype(value.dtype())?;
            tensor.broadcast_as(value.shape()).map_err(|_| {
                Error::request(format!(
                    "expected a tensor that broadcasts to {:?}, found {:?}",
                    value.dims(),
                    tensor.dims()
                ))
            })
        };
        Ok(match self {
            Self::Replace(tensor) => fitting(tensor)?,
            Self::Patch(tensor) => patched(tensor, site, value)?,
            Self::Add(tensor) => (value + fitting(tensor)?)?,
            Self::Scale(factor) => (value * *factor)?,
            Self::ProjectOut(direction) => {
                let last = value.dims().last().copied().unwrap_or(0);
                if direction.dims() != [last] {
                    return Err(Error::request(format!(
                        "expected a direction of {last} numbers, found the shape {:?}",
                        direction.dims()
                    )));
                }
                let direction = direction.to_device(value.device())?.to_dtype(value.dtype())?;
                let length = direction.sqr()?.sum_all()?.sqrt()?;
                let size = length.to_dtype(DType::F64)?.to_scalar::<f64>()?;
                if !(size.is_finite() && size > 0.0) {
                    return Err(Error::request(format!(
                        "expected a direction of positive length, found the length {size}"
                    )));
                }
                let unit = direction.broadcast_div(&length)?;
                let along = value.broadcast_mul(&unit)?.sum_keepdim(value.rank().saturating_sub(1))?;
                (value - along.broadcast_mul(&unit)?)?
            }
        })
    }
}

/// The value of the other run at the positions of this pass.
fn patched(from: &Tensor, site: &HookSite, value: &Tensor) -> Result<Tensor> {
    let (length, dims) = (from.dim(0)?, value.dims());
    if site.point.position_axis() != 1 || from.dims()[1..] != dims[2..] {
        return Err(Error::request(format!(
            "expected `{}` of a run as wide as here, {:?} a position, found {:?}",
            site.point,
            dims.get(2..).unwrap_or_default(),
            from.dims().get(1..).unwrap_or_default()
        ))
        .hint("patch what both models hold alike, such as the residual stream of models of one size"));
    }
    let places = |start: &usize| {
        let start = *start;
        (0..dims[1]).map(move |column| (start + column).min(length.saturating_sub(1)) as u32)
    };
    let index: Vec<u32> = site.starts.iter().flat_map(places).collect();
    let index = Tensor::from_vec(index, dims[0] * dims[1], value.device())?;
    let from = from.to_device(value.device())?.to_dtype(value.dtype())?;
    Ok(from.index_select(&index, 0)?.reshape(dims)?)
}

/// 1 at the heads, with axes of 1 around them.
pub(super) fn at_heads(heads: &BTreeSet<usize>, site: &HookSite, value: &Tensor) -> Result<Tensor> {
    let axis = site.point.head_axis().ok_or_else(|| {
        Error::request("expected a point with an axis of heads, found none")
            .hint("leave the heads out, or take a point such as `attn.hook_z`")
    })?;
    let count = value.dim(axis)?;
    match heads.last() {
        Some(last) if *last < count => {}
        _ => {
            return Err(Error::request(format!("expected heads from 0 to {}, found {heads:?}", count - 1)));
        }
    }
    let mut dims = vec![1; value.rank()];
    dims[axis] = count;
    let mask = (0..count).map(|head| u8::from(heads.contains(&head))).collect();
    Ok(Tensor::from_vec::<_, u8>(mask, dims, &Device::Cpu)?)
}
