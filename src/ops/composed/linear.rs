//! `y = x Wᵀ + b`, where W may be a part of a larger checkpoint tensor, and a low-rank addition beside it.

use super::record::Lender;
use crate::error::Result;
use crate::ops::linear::{Linear, Stored};
use candle_core::Tensor;

pub(super) fn forward(weights: &Lender, linear: &Linear, x: &Tensor) -> Result<Tensor> {
    let format = x.dtype();
    let stored = weights.lend(&linear.weight, format)?;
    let mut y = match linear.stored {
        // A part of a row is not what cuBLAS reads: copy it.
        Stored::Columns { start } => x.matmul(&stored.narrow(1, start, linear.outputs)?.contiguous()?)?,
        Stored::Rows { .. } | Stored::Heads { .. } => x.matmul(&outputs(linear, &stored)?.t()?)?,
    };
    if let Some(adapter) = &linear.adapter {
        let low = x.matmul(&weights.lend(&adapter.down, format)?.t()?)?;
        let up = outputs(linear, &weights.lend(&adapter.up, format)?)?;
        y = (y + (low * f64::from(adapter.scale))?.matmul(&up.t()?)?)?;
    }
    if let Some(bias) = &linear.bias {
        let bias = weights.lend(bias, format)?.unsqueeze(1)?;
        y = y.broadcast_add(&outputs(linear, &bias)?.squeeze(1)?)?;
    }
    Ok(y)
}

/// The rows of this projection out of a tensor [total outputs, columns].
fn outputs(linear: &Linear, stored: &Tensor) -> Result<Tensor> {
    Ok(match linear.stored {
        Stored::Rows { start } | Stored::Columns { start } => stored.narrow(0, start, linear.outputs)?,
        Stored::Heads { start, stride, size } => {
            let (total, columns) = stored.dims2()?;
            let heads = stored.reshape((total / stride, stride, columns))?;
            heads.narrow(1, start, size)?.contiguous()?.reshape((linear.outputs, columns))?
        }
    })
}
