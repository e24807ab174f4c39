//! RMSNorm and LayerNorm, in f32, in the two steps between which TransformerLens has a hook.

use super::record::Lender;
use crate::error::Result;
use crate::ops::norm::{Norm, NormKind};
use candle_core::{D, DType, Tensor};

/// Numbers in groups as long as the norm's weight, [tokens, groups, group], in f32.
fn groups(norm: &Norm, x: &Tensor) -> Result<Tensor> {
    let (tokens, width) = x.dims2()?;
    let group = norm.weight.elements();
    Ok(x.to_dtype(DType::F32)?.reshape((tokens, width / group.max(1), group))?)
}

/// What each group is divided by, [tokens, groups, 1], of centred numbers.
fn divisor(norm: &Norm, centred: &Tensor) -> Result<Tensor> {
    Ok((centred.sqr()?.mean_keepdim(D::Minus1)? + f64::from(norm.epsilon))?.sqrt()?)
}

fn centred(norm: &Norm, x: &Tensor) -> Result<Tensor> {
    let x = groups(norm, x)?;
    Ok(match norm.kind {
        NormKind::Rms => x,
        NormKind::Layer => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?,
    })
}

/// `(x − mean) / divisor`, with no mean for RMSNorm.
pub(super) fn normalise(norm: &Norm, x: &Tensor) -> Result<Tensor> {
    let centred = centred(norm, x)?;
    let normalised = centred.broadcast_div(&divisor(norm, &centred)?)?;
    Ok(normalised.reshape(x.dims())?.to_dtype(x.dtype())?)
}

/// `n (offset + weight) + bias`.
pub(super) fn rescale(weights: &Lender, norm: &Norm, normalised: &Tensor) -> Result<Tensor> {
    let factors = (weights.lend(&norm.weight, DType::F32)? + f64::from(norm.offset))?;
    let mut y = groups(norm, normalised)?.broadcast_mul(&factors)?;
    if let Some(bias) = &norm.bias {
        y = y.broadcast_add(&weights.lend(bias, DType::F32)?)?;
    }
    Ok(y.reshape(normalised.dims())?.to_dtype(normalised.dtype())?)
}

/// What is divided by, [tokens, groups], in the format of `x`: as it comes back from a hook.
pub(super) fn scales(norm: &Norm, x: &Tensor) -> Result<Tensor> {
    Ok(divisor(norm, &centred(norm, x)?)?.squeeze(D::Minus1)?.to_dtype(x.dtype())?)
}

/// `normalised · scales / others`, each scale for a group of equally many numbers.
pub(super) fn divide_instead(normalised: &Tensor, scales: &Tensor, others: &Tensor) -> Result<Tensor> {
    let (tokens, groups) = scales.dims2()?;
    let factors = (scales.to_dtype(DType::F32)? / others.to_dtype(DType::F32)?)?.unsqueeze(D::Minus1)?;
    let y = normalised.to_dtype(DType::F32)?.reshape((tokens, groups, ()))?.broadcast_mul(&factors)?;
    Ok(y.reshape(normalised.dims())?.to_dtype(normalised.dtype())?)
}
