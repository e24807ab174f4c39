//! The numbers of a dictionary, as flat buffers.

use super::spec::{Activation, Spec};
use crate::error::{Error, Result};

/// Parameters of a dictionary. Rows are features, so that sparse work touches whole rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Weights {
    /// `[features, inputs * d_in]`
    pub(crate) encoder: Vec<f32>,
    /// `[features]`
    pub(crate) encoder_bias: Vec<f32>,
    /// `[features, outputs * d_out]`
    pub(crate) decoder: Vec<f32>,
    /// `[outputs * d_out]`
    pub(crate) decoder_bias: Vec<f32>,
    /// `[features]` for [`Activation::Threshold`], else empty.
    pub(crate) threshold: Vec<f32>,
    /// `[features]` for [`Activation::Gated`], else empty: what multiplies the encoder's product.
    pub(crate) magnitude_scale: Vec<f32>,
    /// `[features]` for [`Activation::Gated`], else empty: what is added to it then.
    pub(crate) magnitude_bias: Vec<f32>,
    /// `[outputs * d_out, inputs * d_in]` for a linear path around the features, else empty.
    pub(crate) skip: Vec<f32>,
}

impl Weights {
    /// Checks all sizes against `spec`, and that every number is finite.
    pub(crate) fn check(&self, spec: &Spec) -> Result<()> {
        let (width_in, width_out, features) = (spec.input_width(), spec.output_width(), spec.features);
        let threshold = if spec.activation == Activation::Threshold { features } else { 0 };
        let gated = if spec.activation == Activation::Gated { features } else { 0 };
        let skip = if self.skip.is_empty() { 0 } else { width_in * width_out };
        for (name, values, expected) in [
            ("encoder", &self.encoder, features * width_in),
            ("encoder bias", &self.encoder_bias, features),
            ("decoder", &self.decoder, features * width_out),
            ("decoder bias", &self.decoder_bias, width_out),
            ("threshold", &self.threshold, threshold),
            ("magnitude scale", &self.magnitude_scale, gated),
            ("magnitude bias", &self.magnitude_bias, gated),
            ("skip", &self.skip, skip),
        ] {
            if values.len() != expected {
                return Err(Error::work(format!(
                    "expected {expected} numbers in the {name}, found {}",
                    values.len()
                )));
            }
            if let Some(at) = values.iter().position(|value| value.is_nan()) {
                return Err(Error::work(format!("found NaN at index {at} of the {name}")));
            }
        }
        Ok(())
    }
}
