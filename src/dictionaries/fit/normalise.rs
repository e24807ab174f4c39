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

/// Mean and variance of every column of the rows seen so far (Welford 1962): the rows themselves are not kept.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    rows: f64,
    mean: Vec<f64>,
    /// Summed squared deviations from the mean.
    spread: Vec<f64>,
}

impl Moments {
    /// Of rows of `width` values.
    pub(super) fn new(width: usize) -> Self {
        Self { rows: 0.0, mean: vec![0.0; width], spread: vec![0.0; width] }
    }

    pub(super) fn add(&mut self, values: &[f32]) {
        for row in values.chunks_exact(self.mean.len()) {
            self.rows += 1.0;
            for ((mean, spread), value) in self.mean.iter_mut().zip(&mut self.spread).zip(row) {
                let value = f64::from(*value);
                let before = value - *mean;
                *mean += before / self.rows;
                *spread += before * (value - *mean);
            }
        }
    }

    /// The scaling that these moments ask for, of vectors of width `d`.
    pub(super) fn scaling(&self, d: usize, how: Normalise) -> Result<Scaling> {
        let variance: Vec<f64> = self.spread.iter().map(|spread| spread / self.rows.max(1.0)).collect();
        let mut scale = vec![1.0f32; variance.len()];
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
        Ok(Scaling { mean: self.mean.iter().map(|mean| *mean as f32).collect(), scale })
    }
}

impl Scaling {
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
