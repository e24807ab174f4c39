//! Bringing activations to a common scale, and folding that into the weights.

use super::super::spec::Spec;
use super::super::weights::Weights;
use super::settings::Normalise;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// `normalised = (raw - mean) * scale`, per dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Scaling {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Scaling {
    /// Measures `sample`, rows of `sites` vectors of width `d`.
    pub(super) fn measure(sample: &[f32], sites: usize, d: usize, how: Normalise) -> Result<Self> {
        let width = sites * d;
        let rows = (sample.len() / width).max(1) as f64;
        let mut mean = vec![0.0f64; width];
        for row in sample.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value) / rows);
        }
        let mut variance = vec![0.0f64; width];
        for row in sample.chunks_exact(width) {
            for ((variance, mean), value) in variance.iter_mut().zip(&mean).zip(row) {
                *variance += (f64::from(*value) - mean).powi(2) / rows;
            }
        }
        let mut scale = vec![1.0f32; width];
        for (variance, scale) in variance.chunks_exact(d).zip(scale.chunks_exact_mut(d)) {
            let whole = variance.iter().sum::<f64>() / d as f64;
            if whole <= 0.0 {
                return Err(Error::request(
                    "expected activations that vary, found the same vector at every token",
                )
                .hint("two equal variants have no difference to fit"));
            }
            for (scale, variance) in scale.iter_mut().zip(variance) {
                *scale = match how {
                    Normalise::Rms => 1.0 / whole.sqrt(),
                    // A dimension that hardly varies must not be blown up.
                    Normalise::Standard => 1.0 / variance.max(whole * 1e-6).sqrt(),
                    Normalise::Centre => 1.0,
                } as f32;
            }
        }
        Ok(Self { mean: mean.into_iter().map(|mean| mean as f32).collect(), scale })
    }

    /// Normalises rows in place.
    pub(super) fn apply(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(self.mean.len()) {
            for ((value, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *value = (*value - mean) * scale;
            }
        }
    }
}

/// Rewrites weights fitted on normalised activations so that they read and write raw ones.
pub(super) fn fold(spec: &Spec, weights: &mut Weights, input: &Scaling, output: &Scaling) {
    let (width_in, width_out) = (spec.input_width(), spec.output_width());
    for (row, bias) in weights.encoder.chunks_exact_mut(width_in).zip(&mut weights.encoder_bias) {
        let mut shift = 0.0;
        for ((value, mean), scale) in row.iter_mut().zip(&input.mean).zip(&input.scale) {
            *value *= scale;
            shift += *value * mean;
        }
        *bias -= shift;
    }
    // The gated kind's magnitude path multiplies the raw product, so the shift enters its bias as well.
    if !weights.magnitude_bias.is_empty() {
        let rows = weights.encoder.chunks_exact(width_in).zip(&weights.magnitude_scale);
        for ((row, scale), bias) in rows.zip(&mut weights.magnitude_bias) {
            *bias -= scale * row.iter().zip(&input.mean).map(|(value, mean)| value * mean).sum::<f32>();
        }
    }
    for row in weights.decoder.chunks_exact_mut(width_out) {
        row.iter_mut().zip(&output.scale).for_each(|(value, scale)| *value /= scale);
    }
    for ((bias, mean), scale) in weights.decoder_bias.iter_mut().zip(&output.mean).zip(&output.scale) {
        *bias = *bias / scale + mean;
    }
    for (out, row) in weights.skip.chunks_exact_mut(width_in).enumerate() {
        let mut shift = 0.0;
        for ((value, mean), scale) in row.iter_mut().zip(&input.mean).zip(&input.scale) {
            *value *= scale / output.scale[out];
            shift += *value * mean;
        }
        weights.decoder_bias[out] -= shift;
    }
}
