//! Our own format: `dictionary.json` ([`Spec`]) and `dictionary.safetensors`.

use super::super::dictionary::Dictionary;
use super::super::reading::FileReading;
use super::super::spec::{Activation, Spec};
use super::super::weights::Weights;
use super::tensors::{Block, Tensors, serialize};
use super::write_files;
use crate::error::{At, Error, Result};
use crate::foreign;
use std::path::Path;

const SPEC: &str = "dictionary.json";
const WEIGHTS: &str = "dictionary.safetensors";

pub(super) fn write(dictionary: &Dictionary, dir: &Path) -> Result<()> {
    let (spec, weights) = (dictionary.spec(), dictionary.weights());
    let features = spec.features;
    let blocks: Vec<Block> = [
        ("encoder.weight", &weights.encoder, vec![features, spec.inputs.len(), spec.d_in]),
        ("encoder.bias", &weights.encoder_bias, vec![features]),
        ("decoder.weight", &weights.decoder, vec![features, spec.outputs.len(), spec.d_out]),
        ("decoder.bias", &weights.decoder_bias, vec![spec.outputs.len(), spec.d_out]),
        ("threshold", &weights.threshold, vec![features]),
        ("magnitude.scale", &weights.magnitude_scale, vec![features]),
        ("magnitude.bias", &weights.magnitude_bias, vec![features]),
        ("skip.weight", &weights.skip, vec![spec.output_width(), spec.input_width()]),
    ]
    .into_iter()
    .filter(|(_, values, _)| !values.is_empty())
    .map(|(name, values, shape)| Block::floats(name, &shape, values))
    .collect();
    let text = serde_json::to_string_pretty(spec)
        .map_err(|error| Error::work(format!("dictionary cannot be written: {error}")))?;
    write_files(dir, &[(WEIGHTS, &serialize(&blocks)?), (SPEC, text.as_bytes())])
}

pub(super) fn read(dir: &Path) -> Result<Dictionary> {
    let path = dir.join(SPEC);
    let text = foreign::text(&path, 1 << 26)?;
    let spec: Spec = serde_json::from_str(&text)
        .map_err(|error| Error::work(format!("not a dictionary: {error}")).at(SPEC))?;
    spec.check().at(SPEC)?;
    let mut tensors = Tensors::safetensors(&dir.join(WEIGHTS))?;
    let features = spec.features;
    let mut take = |name, shape: &[usize]| tensors.take(name, shape).at(WEIGHTS);
    let mut weights = Weights {
        encoder: take("encoder.weight", &[features, spec.inputs.len(), spec.d_in])?,
        encoder_bias: take("encoder.bias", &[features])?,
        decoder: take("decoder.weight", &[features, spec.outputs.len(), spec.d_out])?,
        decoder_bias: take("decoder.bias", &[spec.outputs.len(), spec.d_out])?,
        ..Weights::default()
    };
    match spec.activation {
        Activation::Threshold => weights.threshold = take("threshold", &[features])?,
        Activation::Gated => {
            weights.magnitude_scale = take("magnitude.scale", &[features])?;
            weights.magnitude_bias = take("magnitude.bias", &[features])?;
        }
        Activation::Relu | Activation::Topk { .. } | Activation::SignedTopk { .. } | Activation::TanhRelu => {
        }
    }
    if tensors.has("skip.weight") {
        weights.skip = tensors.take("skip.weight", &[spec.output_width(), spec.input_width()]).at(WEIGHTS)?;
    }
    tensors.finish().at(WEIGHTS)?;
    Ok(Dictionary::new(spec, weights)?.read_as(FileReading::of("deltascope")))
}
