//! SAELens: `cfg.json` and `sae_weights.safetensors`, version 6 and the flat configurations before it.

use super::super::dictionary::Dictionary;
use super::super::reading::{Declared, FileReading};
use super::super::spec::{Activation, Kind, Spec, TokenScale};
use super::super::weights::Weights;
use super::saelens_config::{self, Config};
use super::tensors::{Block, Tensors, serialize};
use super::{decoder_norms, joined_encoder, rescale, subtract_from_input, transpose, write_files};
use crate::error::{At, Error, Result};
use crate::foreign::Object;
use serde_json::json;
use std::path::Path;

const CONFIG: &str = "cfg.json";
const WEIGHTS: &str = "sae_weights.safetensors";
/// The release whose format is written.
const VERSION: &str = "6.18.0";

pub(super) fn read(dir: &Path, declared: &Declared) -> Result<Dictionary> {
    let mut reading = FileReading::of("SAELens");
    let mut own = Object::load(&dir.join(CONFIG))?;
    declared.overrides.iter().for_each(|(key, value)| own.set(key, value.clone()));
    let config = saelens_config::read(own, declared, &mut reading).at(CONFIG)?;
    let mut tensors = Tensors::safetensors(&dir.join(WEIGHTS))?;
    let weights = weights(&config, &mut tensors, &mut reading).at(WEIGHTS)?;
    tensors.finish().at(WEIGHTS)?;
    Ok(Dictionary::new(config.spec, weights)?.read_as(reading))
}

fn weights(config: &Config, tensors: &mut Tensors, reading: &mut FileReading) -> Result<Weights> {
    let spec = &config.spec;
    let (features, d_in, d_out) = (spec.features, spec.d_in, spec.d_out);
    let mut weights = Weights {
        encoder: transpose(&tensors.take("W_enc", &[d_in, features])?, features),
        decoder: tensors.take("W_dec", &[features, d_out])?,
        decoder_bias: tensors.take("b_dec", &[d_out])?,
        ..Weights::default()
    };
    if spec.activation == Activation::Gated {
        weights.encoder_bias = tensors.take("b_gate", &[features])?;
        let scale = tensors.take("r_mag", &[features])?;
        weights.magnitude_scale = scale.into_iter().map(f32::exp).collect();
        weights.magnitude_bias = tensors.take("b_mag", &[features])?;
    } else {
        weights.encoder_bias = tensors.take("b_enc", &[features])?;
    }
    if spec.activation == Activation::Threshold {
        weights.threshold = tensors.take("threshold", &[features])?;
    }
    if spec.kind == Kind::SkipTranscoder {
        weights.skip = tensors.take("W_skip", &[d_out, d_in])?;
    }
    if tensors.has("scaling_factor") {
        let factors = tensors.take("scaling_factor", &[features])?;
        if factors.iter().any(|factor| (*factor - 1.0).abs() > 1e-5) {
            if !config.finetuned {
                return Err(Error::request(
                    "tensor `scaling_factor`: expected 1s, as `finetuning_scaling_factor` is false, found others",
                )
                .hint("SAELens refuses it, too"));
            }
            for (row, factor) in weights.decoder.chunks_exact_mut(d_out).zip(&factors) {
                row.iter_mut().for_each(|value| *value *= factor);
            }
            reading.fold("factors that scale each activation before it is decoded (`scaling_factor`)");
        }
    } else if config.finetuned {
        reading
            .about
            .push("finetuning_scaling_factor: true, without factors: as if it were false".to_owned());
    }
    if let Some(factor) = config.input_factor {
        weights.encoder.iter_mut().for_each(|value| *value *= factor);
        weights.decoder.iter_mut().for_each(|value| *value /= factor);
        weights.decoder_bias.iter_mut().for_each(|value| *value /= factor);
        reading.fold(format!("the scale of inputs, {factor}, by the table of releases"));
    }
    if config.subtracts {
        let bias = weights.decoder_bias.clone();
        subtract_from_input(&mut weights, &bias)?;
        reading.fold("the decoder's bias, which is subtracted from the input before it is encoded (`apply_b_dec_to_input`)");
    }
    if config.by_decoder_norm {
        let norms = decoder_norms(&weights.decoder, features, d_out);
        rescale(&mut weights, &norms);
        reading.fold("decoder norms, by which activations are multiplied before they are compared");
    }
    Ok(weights)
}

pub(super) fn write(dictionary: &Dictionary, dir: &Path) -> Result<()> {
    let spec = dictionary.spec();
    if spec.inputs.len() == 1 && spec.outputs.len() == 1 {
        return write_one(spec, dictionary.weights(), 0, dir);
    }
    for (index, variant) in dictionary.variants().iter().enumerate() {
        let plain = Path::new(variant).file_name().is_some_and(|name| name == variant.as_str());
        if !plain || dictionary.variants()[..index].contains(variant) {
            return Err(Error::request(format!(
                "expected variants that name a folder each, found `{variant}`"
            ))
            .hint("rename it: `deltascope convert DIR --to deltascope --rename OLD=NEW --out NEW_DIR`"));
        }
        write_one(spec, dictionary.weights(), index, &dir.join(variant))?;
    }
    Ok(())
}

fn write_one(spec: &Spec, weights: &Weights, output: usize, dir: &Path) -> Result<()> {
    let (features, d_in, d_out) = (spec.features, spec.d_in, spec.d_out);
    let encoder = transpose(&joined_encoder(spec, &weights.encoder), d_in);
    let part = output * d_out..(output + 1) * d_out;
    let decoder: Vec<f32> = weights
        .decoder
        .chunks_exact(spec.output_width())
        .flat_map(|row| &row[part.clone()])
        .copied()
        .collect();
    let mut blocks = vec![
        Block::floats("W_enc", &[d_in, features], &encoder),
        Block::floats("W_dec", &[features, d_out], &decoder),
        Block::floats("b_dec", &[d_out], &weights.decoder_bias[part]),
    ];
    if spec.activation == Activation::Gated {
        let log: Vec<f32> = weights.magnitude_scale.iter().map(|scale| scale.ln()).collect();
        blocks.push(Block::floats("b_gate", &[features], &weights.encoder_bias));
        blocks.push(Block::floats("r_mag", &[features], &log));
        blocks.push(Block::floats("b_mag", &[features], &weights.magnitude_bias));
    } else {
        blocks.push(Block::floats("b_enc", &[features], &weights.encoder_bias));
    }
    if spec.activation == Activation::Threshold {
        blocks.push(Block::floats("threshold", &[features], &weights.threshold));
    }
    if !weights.skip.is_empty() {
        blocks.push(Block::floats("W_skip", &[d_out, d_in], &weights.skip));
    }
    let transcoder = spec.kind.is_transcoder();
    let skip = if weights.skip.is_empty() { "" } else { "skip_" };
    let architecture = match (transcoder, spec.activation) {
        (true, Activation::Relu) => format!("{skip}transcoder"),
        (true, Activation::Threshold) => format!("jumprelu_{skip}transcoder"),
        (_, other @ Activation::TanhRelu) | (true, other) => {
            return Err(Error::request(format!("SAELens has no `{}` with activation: {other}", spec.kind))
                .hint("write it with --to deltascope"));
        }
        (false, Activation::Relu) => "standard".to_owned(),
        (false, Activation::Topk { .. }) => "topk".to_owned(),
        (false, Activation::Threshold) => "jumprelu".to_owned(),
        (false, Activation::Gated) => "gated".to_owned(),
        (false, Activation::SignedTopk { .. }) => "abstopk".to_owned(),
    };
    let variant = spec.outputs.get(output).map(ToString::to_string).unwrap_or_default();
    let mut config = json!({
        "d_in": d_in,
        "d_sae": features,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": false,
        "normalize_activations": match spec.token_scale {
            TokenScale::None => "none",
            TokenScale::LayerNorm => "layer_norm",
            TokenScale::ConstantNorm => "constant_norm_rescale",
        },
        "reshape_activations": "none",
        "architecture": architecture,
        "metadata": {
            "sae_lens_version": VERSION,
            "sae_lens_training_version": null,
            "model_name": variant,
            "hook_name": spec.hook,
            "hook_head_index": null,
            "deltascope_kind": spec.kind.name(),
            "deltascope_site": spec.outputs.get(output),
        },
    });
    if !spec.notes.is_empty() {
        config["metadata"]["deltascope_notes"] = json!(spec.notes);
    }
    if let Activation::Topk { k } | Activation::SignedTopk { k } = spec.activation {
        config["k"] = json!(k);
        config["rescale_acts_by_decoder_norm"] = json!(false);
    }
    if transcoder {
        config["d_out"] = json!(d_out);
        config["metadata"]["hook_name_out"] = json!(spec.output_hook);
    }
    write_files(dir, &[(WEIGHTS, &serialize(&blocks)?), (CONFIG, format!("{config:#}").as_bytes())])
}
