//! The nonlinearity of the MLP.

use crate::error::Result;
use crate::ops::Nonlinearity;
use candle_core::Tensor;

pub(super) fn forward(activation: Nonlinearity, x: &Tensor) -> Result<Tensor> {
    Ok(match activation {
        Nonlinearity::Silu => x.silu()?,
        Nonlinearity::Gelu => x.gelu_erf()?,
        Nonlinearity::GeluTanh => x.gelu()?,
        Nonlinearity::QuickGelu => ((x * 1.702)?.silu()? / 1.702)?,
        Nonlinearity::Relu => rectified(x)?,
        Nonlinearity::ReluSquared => rectified(x)?.sqr()?,
    })
}

/// `max(x, 0)` with gradient 0 at 0, as PyTorch and the fused kernel have it; candle's own `relu` has 1.
fn rectified(x: &Tensor) -> Result<Tensor> {
    let kept = x.detach().gt(0f64)?.to_dtype(x.dtype())?;
    Ok((x * kept)?)
}
