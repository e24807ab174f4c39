//! Rotary position embedding, half-split, in f32.

use crate::error::Result;
use crate::ops::rope::Rotation;
use candle_core::{D, DType, Tensor};

/// Rotates every head of every token [tokens, heads · head_dim] at its absolute position.
pub(super) fn rotate(
    rotation: &Rotation,
    value: &Tensor,
    head_dim: usize,
    positions: &Tensor,
) -> Result<Tensor> {
    let (tokens, width) = value.dims2()?;
    let x = value.to_dtype(DType::F32)?.reshape((tokens, width / head_dim.max(1), head_dim))?;
    let (cosines, sines) = rotation.tables(value.device())?;
    let at = |table: &Tensor| table.index_select(positions, 0)?.unsqueeze(1);
    let (cosines, sines) = (at(&cosines)?, at(&sines)?);
    let pairs = cosines.dim(D::Minus1)?;
    let (low, high) = (x.narrow(2, 0, pairs)?, x.narrow(2, pairs, pairs)?);
    let mut parts = vec![
        (low.broadcast_mul(&cosines)? - high.broadcast_mul(&sines)?)?,
        (high.broadcast_mul(&cosines)? + low.broadcast_mul(&sines)?)?,
    ];
    if 2 * pairs < head_dim {
        parts.push(x.narrow(2, 2 * pairs, head_dim - 2 * pairs)?);
    }
    Ok(Tensor::cat(&parts, 2)?.reshape((tokens, width))?.to_dtype(value.dtype())?)
}
