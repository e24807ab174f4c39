//! The nonlinearity of the MLP.

use crate::error::Result;
use crate::ops::Activation;
use candle_core::Tensor;

pub(super) fn forward(activation: Activation, x: &Tensor) -> Result<Tensor> {
    Ok(match activation {
        Activation::Silu => x.silu()?,
        Activation::Gelu => x.gelu_erf()?,
        Activation::GeluTanh => x.gelu()?,
        Activation::QuickGelu => ((x * 1.702)?.silu()? / 1.702)?,
        Activation::Relu => rectified(x)?,
        Activation::ReluSquared => rectified(x)?.sqr()?,
    })
}

/// `max(x, 0)` with gradient 0 at 0, as PyTorch and the fused kernel have it; candle's own `relu` has 1.
fn rectified(x: &Tensor) -> Result<Tensor> {
    let kept = x.detach().gt(0f64)?.to_dtype(x.dtype())?;
    Ok((x * kept)?)
}
