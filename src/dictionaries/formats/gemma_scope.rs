//! Gemma Scope: `params.npz`, JumpReLU.
//!
//! Nothing in the file names a model or a hook, and nothing tells its transcoders, which read a block's normalised input
//! and write what its MLP adds, from its SAEs: all have one width. Whoever reads one says which it is.

use super::super::dictionary::Dictionary;
use super::super::reading::{Declared, FileReading};
use super::super::spec::{Activation, Kind};
use super::super::weights::Weights;
use super::tensors::Tensors;
use super::{single, transpose};
use crate::error::{At, Result};
use std::path::Path;

const FILE: &str = "params.npz";

pub(super) fn read(dir: &Path, declared: &Declared) -> Result<Dictionary> {
    parse(&mut Tensors::npz(&dir.join(FILE))?, declared).at(FILE)
}

fn parse(tensors: &mut Tensors, declared: &Declared) -> Result<Dictionary> {
    let upper = tensors.has("W_enc");
    let (encoder, decoder) = if upper { ("W_enc", "W_dec") } else { ("w_enc", "w_dec") };
    let (d_in, features) = tensors.matrix(encoder)?;
    let d_out = tensors.length("b_dec")?;
    let transcoder = declared.transcoder || d_in != d_out;
    let kind = if transcoder { Kind::Transcoder } else { Kind::Jumprelu };
    let mut spec = single(kind, Activation::Threshold, "gemma", (d_in, d_out), features)?;
    let weights = Weights {
        encoder: transpose(&tensors.take(encoder, &[d_in, features])?, features),
        encoder_bias: tensors.take("b_enc", &[features])?,
        decoder: tensors.take(decoder, &[features, d_out])?,
        decoder_bias: tensors.take("b_dec", &[d_out])?,
        threshold: tensors.take("threshold", &[features])?,
        ..Weights::default()
    };
    std::mem::take(tensors).finish()?;
    if !transcoder {
        spec.notes.push(
            "nothing in the file tells an SAE of Gemma Scope from a transcoder: it is read as an SAE, which \
             reconstructs what it reads; if it is a transcoder, give --transcoder"
                .to_owned(),
        );
    }
    Ok(Dictionary::new(spec, weights)?.read_as(FileReading::of("Gemma Scope")))
}
