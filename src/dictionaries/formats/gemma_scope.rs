//! Gemma Scope: `params.npz`, JumpReLU.

use super::super::dictionary::Dictionary;
use super::super::spec::{Activation, Kind};
use super::super::weights::Weights;
use super::tensors::Tensors;
use super::{single, transpose};
use crate::error::{At, Error, Result};
use std::path::Path;

pub(super) fn read(dir: &Path) -> Result<Dictionary> {
    let mut tensors = Tensors::npz(&dir.join("params.npz"))?;
    let upper = tensors.has("W_enc");
    let (encoder, decoder) = if upper { ("W_enc", "W_dec") } else { ("w_enc", "w_dec") };
    let &[d_in, features] = tensors.shape(encoder).at("params.npz")? else {
        return Err(Error::work(format!("tensor `{encoder}`: expected two axes")).at("params.npz"));
    };
    let d_out = tensors.shape("b_dec").at("params.npz")?.first().copied().unwrap_or(0);
    let weights = Weights {
        encoder: transpose(&tensors.take(encoder, &[d_in, features])?, features),
        encoder_bias: tensors.take("b_enc", &[features])?,
        decoder: tensors.take(decoder, &[features, d_out])?,
        decoder_bias: tensors.take("b_dec", &[d_out])?,
        threshold: tensors.take("threshold", &[features])?,
        ..Weights::default()
    };
    tensors.finish().at("params.npz")?;
    let kind = if d_in == d_out { Kind::Jumprelu } else { Kind::Transcoder };
    Dictionary::new(single(kind, Activation::Threshold, "gemma", (d_in, d_out), features), weights)
}
