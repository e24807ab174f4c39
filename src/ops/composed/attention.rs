//! The three steps of attention over padded rows. The queries of all heads that share a key head stand in
//! one matrix, so that keys and values are not repeated.

use super::places::Places;
use crate::error::{Error, Result};
use crate::ops::attention::{DeviceMemory, Shape};
use candle_core::{D, DType, Tensor};

/// Step 1: `scale · q k`, capped, and −∞ where a query does not see; [rows, heads, width, keys] in f32.
pub(super) fn scores(
    places: &Places,
    shape: Shape,
    queries: &Tensor,
    memory: &DeviceMemory,
) -> Result<Tensor> {
    let (rows, width) = (places.layout().rows(), places.layout().width());
    let [keys, _] = held(memory)?;
    let keys = by_key_head(shape, keys)?;
    let queries = places
        .pad(queries)?
        .reshape((rows, width, shape.heads, shape.head_dim))?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((rows, shape.key_heads, shape.group() * width, shape.head_dim))?;
    let total = keys.dim(2)?;
    let products = queries.matmul(&keys.transpose(2, 3)?)?.to_dtype(DType::F32)?;
    let mut scores = (products.reshape((rows, shape.heads, width, total))? * f64::from(shape.scale))?;
    if let Some(cap) = shape.soft_cap.map(f64::from) {
        scores = ((scores / cap)?.tanh()? * cap)?;
    }
    Ok(match places.mask(shape)? {
        Some(mask) => scores.broadcast_add(&mask)?,
        None => scores,
    })
}

/// Step 2: softmax over keys; a row that sees nothing gets zeros.
pub(super) fn softmax(scores: &Tensor) -> Result<Tensor> {
    // Constants for the gradient: the softmax does not depend on what is subtracted.
    let most = scores.detach().max_keepdim(D::Minus1)?;
    let blind = most.lt(f64::from(f32::MIN))?.to_dtype(scores.dtype())?;
    let most = most.maximum(f64::from(f32::MIN))?;
    let weights = scores.broadcast_sub(&most)?.exp()?;
    // Divides the zeros of a blind row by one.
    let total = (weights.sum_keepdim(D::Minus1)? + blind)?;
    Ok(weights.broadcast_div(&total)?)
}

/// Step 3: values mixed by the pattern, packed [tokens, heads · head_dim].
pub(super) fn mix(places: &Places, shape: Shape, pattern: &Tensor, memory: &DeviceMemory) -> Result<Tensor> {
    let (rows, width) = (places.layout().rows(), places.layout().width());
    let [_, values] = held(memory)?;
    let values = by_key_head(shape, values)?;
    let total = values.dim(2)?;
    let pattern = pattern.to_dtype(values.dtype())?.contiguous()?.reshape((
        rows,
        shape.key_heads,
        shape.group() * width,
        total,
    ))?;
    let mixed = pattern
        .matmul(&values)?
        .reshape((rows, shape.heads, width, shape.head_dim))?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((rows, width, shape.heads * shape.head_dim))?;
    places.pack(&mixed)
}

fn held(memory: &DeviceMemory) -> Result<&[Tensor; 2]> {
    memory.0.as_ref().ok_or_else(|| Error::work("attention was asked for before its keys were remembered"))
}

/// [rows, keys, width] to [rows, key heads, keys, head_dim].
fn by_key_head(shape: Shape, remembered: &Tensor) -> Result<Tensor> {
    let (rows, keys, _) = remembered.dims3()?;
    Ok(remembered.reshape((rows, keys, shape.key_heads, shape.head_dim))?.transpose(1, 2)?.contiguous()?)
}
