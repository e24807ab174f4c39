//! The numbers of a file, whatever their type, as f32.

use crate::error::{Error, Result};
use half::{bf16, f16};
use safetensors::Dtype;

/// Numbers of a file, little-endian.
pub(crate) fn decode(dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>> {
    let halves = || bytes.as_chunks::<2>().0.iter();
    let words = || bytes.as_chunks::<4>().0.iter();
    let doubles = || bytes.as_chunks::<8>().0.iter();
    Ok(match dtype {
        Dtype::F32 => words().map(|word| f32::from_le_bytes(*word)).collect(),
        Dtype::F64 => doubles().map(|word| f64::from_le_bytes(*word) as f32).collect(),
        Dtype::F16 => halves().map(|word| f16::from_le_bytes(*word).to_f32()).collect(),
        Dtype::BF16 => halves().map(|word| bf16::from_le_bytes(*word).to_f32()).collect(),
        Dtype::I32 => words().map(|word| i32::from_le_bytes(*word) as f32).collect(),
        Dtype::I64 => doubles().map(|word| i64::from_le_bytes(*word) as f32).collect(),
        other => return Err(Error::work(format!("expected numbers, found type {other:?}"))),
    })
}
