//! Edits by name: replace, add, scale, project out, at all positions and heads or at some.

use super::hooks::{Edit, Site};
use crate::error::{Error, Result};
use candle_core::{DType, Tensor};
use std::collections::BTreeSet;

/// What becomes of the numbers at a hook point. `hooks.edit(point, Change::scale(0.0).at_heads([3]).edit())` takes
/// head 3 out.
///
/// What a change does not name keeps every bit. Gradients flow through it, to the value before and to the tensor that
/// it writes.
#[derive(Clone, Debug)]
pub struct Change {
    what: What,
    positions: Option<BTreeSet<usize>>,
    heads: Option<BTreeSet<usize>>,
}

#[derive(Clone, Debug)]
enum What {
    Replace(Tensor),
    Add(Tensor),
    Scale(f64),
    ProjectOut(Tensor),
}

impl Change {
    /// Writes `value` in the place of what is there. It has the shape of the hook point's value, or one that
    /// broadcasts to it: a vector as long as the last axis, one number.
    pub fn replace(value: Tensor) -> Self {
        Self::new(What::Replace(value))
    }

    /// Adds `value`, shaped as in [`Change::replace`].
    pub fn add(value: Tensor) -> Self {
        Self::new(What::Add(value))
    }

    /// Multiplies by `factor`.
    pub fn scale(factor: f64) -> Self {
        Self::new(What::Scale(factor))
    }

    /// Takes out what lies along `direction`, a vector as long as the last axis, of any length but 0:
    /// `x − (x · u) u` with the unit vector `u`.
    pub fn project_out(direction: Tensor) -> Self {
        Self::new(What::ProjectOut(direction))
    }

    fn new(what: What) -> Self {
        Self { what, positions: None, heads: None }
    }

    /// At these positions alone, counted from the start of a row (of attention scores and patterns: those of the
    /// query). A pass in which no row has one of them is an error: give such a change to the pass that it is for.
    #[must_use]
    pub fn at_positions(mut self, positions: impl IntoIterator<Item = usize>) -> Self {
        self.positions = Some(positions.into_iter().collect());
        self
    }

    /// At these heads alone: query heads, or key heads where the point has those.
    #[must_use]
    pub fn at_heads(mut self, heads: impl IntoIterator<Item = usize>) -> Self {
        self.heads = Some(heads.into_iter().collect());
        self
    }

    /// The change as an edit, for [`Hooks::edit`](super::Hooks::edit). It fails where it would change nothing for want
    /// of a position or a head, or where a shape does not fit.
    pub fn edit(self) -> Edit {
        Box::new(move |site, value| self.apply(site, value))
    }

    fn apply(&self, site: &Site, value: &Tensor) -> Result<Tensor> {
        let changed = self.what.of(value)?;
        let masks = [
            self.positions.as_ref().map(|positions| at_positions(positions, site, value)).transpose()?,
            self.heads.as_ref().map(|heads| at_heads(heads, site, value)).transpose()?,
        ];
        masks.into_iter().flatten().try_fold(changed, |changed, mask| {
            Ok(mask.to_device(value.device())?.broadcast_as(value.shape())?.where_cond(&changed, value)?)
        })
    }
}

impl What {
    fn of(&self, value: &Tensor) -> Result<Tensor> {
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

/// 1 where a row's token stands at one of `positions`, [rows, positions] with axes of 1 around them.
fn at_positions(positions: &BTreeSet<usize>, site: &Site, value: &Tensor) -> Result<Tensor> {
    let axis = site.point.position_axis();
    let mut dims = vec![1; value.rank()];
    (dims[0], dims[axis]) = (value.dim(0)?, value.dim(axis)?);
    let mut mask = Vec::with_capacity(dims[0] * dims[axis]);
    for (start, length) in site.starts.iter().zip(&site.lengths) {
        let chosen = |column| column < *length && positions.contains(&(start + column));
        mask.extend((0..dims[axis]).map(|column| u8::from(chosen(column))));
    }
    if !mask.contains(&1) {
        let ends = site.starts.iter().zip(&site.lengths).map(|(start, length)| start + length);
        let (first, end) = (site.starts.iter().min().copied().unwrap_or(0), ends.max().unwrap_or(0));
        return Err(Error::request(format!(
            "expected one of the positions {positions:?} in the pass, found {first} up to {end}, which is not in it"
        )));
    }
    Ok(Tensor::from_vec(mask, dims, &candle_core::Device::Cpu)?)
}

/// 1 at the heads, with axes of 1 around them.
fn at_heads(heads: &BTreeSet<usize>, site: &Site, value: &Tensor) -> Result<Tensor> {
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
    Ok(Tensor::from_vec::<_, u8>(mask, dims, &candle_core::Device::Cpu)?)
}
