//! SAELens: `cfg.json` and `sae_weights.safetensors`, version 6 and the flat configurations before it.

use super::super::dictionary::Dictionary;
use super::super::spec::{Activation, Kind, Site, Spec, TokenScale};
use super::super::weights::Weights;
use super::tensors::{Block, Tensors, serialize};
use super::{
    count, decoder_norms, flag, joined_encoder, read_json, rescale, single, subtract_from_input, text,
    transpose, write_files,
};
use crate::error::{At, Error, Result};
use serde_json::{Value, json};
use std::path::Path;

const CONFIG: &str = "cfg.json";
const WEIGHTS: &str = "sae_weights.safetensors";
/// The release whose format is written.
const VERSION: &str = "6.18.0";

pub(super) fn read(dir: &Path) -> Result<Dictionary> {
    let config = read_json(&dir.join(CONFIG))?;
    let (spec, decoder_bias_at_input) = parse(&config).at(CONFIG)?;
    let mut tensors = Tensors::safetensors(&dir.join(WEIGHTS))?;
    let weights = weights(&spec, &mut tensors, &config, decoder_bias_at_input).at(WEIGHTS)?;
    tensors.finish().at(WEIGHTS)?;
    Dictionary::new(spec, weights)
}

/// A field of the metadata, which versions before 6 keep beside the others.
fn metadata<'a>(config: &'a Value, key: &str) -> &'a str {
    config
        .get("metadata")
        .and_then(|metadata| text(metadata, key))
        .or_else(|| text(config, key))
        .unwrap_or("")
}

fn parse(config: &Value) -> Result<(Spec, bool)> {
    let (d_in, features) = (count(config, "d_in")?, count(config, "d_sae")?);
    let legacy_topk =
        ["activation_fn", "activation_fn_str"].iter().any(|key| text(config, key) == Some("topk"));
    let architecture = match text(config, "architecture") {
        None | Some("standard") if legacy_topk => "topk",
        other => other.unwrap_or("standard"),
    };
    let transcoder = architecture.contains("transcoder");
    let (kind, activation) = match architecture {
        "standard" => (Kind::Standard, Activation::Relu),
        "gated" => (Kind::Gated, Activation::Gated),
        "jumprelu" => (trained(config), Activation::Threshold),
        "topk" => {
            let nested = config.get("activation_fn_kwargs").unwrap_or(&Value::Null);
            let k = count(config, "k").or_else(|error| count(nested, "k").map_err(|_| error))?;
            (Kind::Topk, Activation::Topk { k })
        }
        "transcoder" => (Kind::Transcoder, Activation::Relu),
        "skip_transcoder" => (Kind::SkipTranscoder, Activation::Relu),
        "jumprelu_transcoder" => (Kind::Transcoder, Activation::Threshold),
        "jumprelu_skip_transcoder" => (Kind::SkipTranscoder, Activation::Threshold),
        other => {
            return Err(Error::request(format!("SAELens architecture `{other}` is not supported")).hint(
                "supported are standard, topk, jumprelu (which batchtopk and matryoshka are saved as), gated, and transcoders",
            ));
        }
    };
    let d_out = if transcoder { count(config, "d_out")? } else { d_in };
    let name = metadata(config, "model_name");
    let name = if name.is_empty() { "model" } else { name };
    let mut spec = single(kind, activation, name, (d_in, d_out), features);
    if let Some((kind, site)) = ours(config, spec.kind) {
        (spec.kind, spec.inputs, spec.outputs) = (kind, vec![site.clone()], vec![site]);
    }
    let hook = ["hook_name", "hook_point"]
        .map(|key| metadata(config, key))
        .into_iter()
        .find(|hook| !hook.is_empty());
    spec.hook = hook.unwrap_or("").to_owned();
    let output = metadata(config, "hook_name_out");
    spec.output_hook = if output.is_empty() { spec.hook.clone() } else { output.to_owned() };
    match config.get("normalize_activations") {
        Some(Value::String(how)) if how == "layer_norm" => spec.token_scale = TokenScale::LayerNorm,
        Some(Value::String(how)) if how == "constant_norm_rescale" => {
            spec.token_scale = TokenScale::ConstantNorm;
        }
        // The scale is folded into the weights before SAELens saves them.
        Some(Value::String(how)) if how == "none" || how == "expected_average_only_in" => {}
        None | Some(Value::Bool(_) | Value::Null) => {}
        Some(other) => {
            return Err(Error::request(format!("normalize_activations {other} is not supported"))
                .hint("supported are none, expected_average_only_in, constant_norm_rescale and layer_norm"));
        }
    }
    Ok((spec, flag(config, "apply_b_dec_to_input", !transcoder)))
}

/// What a dictionary was before this program wrote it: its kind, unless it was a crosscoder (of which one variant was
/// written) or the weights are of another family by now, and what it reads.
fn ours(config: &Value, found: Kind) -> Option<(Kind, Site)> {
    let site = serde_json::from_value(config.get("metadata")?.get("deltascope_site")?.clone()).ok()?;
    let kind: Kind = metadata(config, "deltascope_kind").parse().ok()?;
    let kept = !kind.is_crosscoder() && kind.is_transcoder() == found.is_transcoder();
    Some((if kept { kind } else { found }, site))
}

/// What a JumpReLU SAE was trained as, which SAELens keeps in its metadata.
fn trained(config: &Value) -> Kind {
    match metadata(config, "training_architecture") {
        "batchtopk" => Kind::BatchTopk,
        "matryoshka_batchtopk" => Kind::Matryoshka,
        _ => Kind::Jumprelu,
    }
}

fn weights(spec: &Spec, tensors: &mut Tensors, config: &Value, subtract: bool) -> Result<Weights> {
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
        if factors.iter().any(|factor| *factor != 1.0) {
            for (row, factor) in weights.decoder.chunks_exact_mut(d_out).zip(&factors) {
                row.iter_mut().for_each(|value| *value *= factor);
            }
        }
    }
    if subtract {
        let bias = weights.decoder_bias.clone();
        subtract_from_input(&mut weights, &bias);
    }
    if matches!(spec.activation, Activation::Topk { .. })
        && flag(config, "rescale_acts_by_decoder_norm", false)
    {
        let norms = decoder_norms(&weights.decoder, features, d_out);
        rescale(&mut weights, &norms);
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
        (true, other) => {
            return Err(Error::request(format!("SAELens has no transcoder with activation {other:?}"))
                .hint("write it with --to deltascope"));
        }
        (false, Activation::Relu) => "standard".to_owned(),
        (false, Activation::Topk { .. }) => "topk".to_owned(),
        (false, Activation::Threshold) => "jumprelu".to_owned(),
        (false, Activation::Gated) => "gated".to_owned(),
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
    if let Activation::Topk { k } = spec.activation {
        config["k"] = json!(k);
        config["rescale_acts_by_decoder_norm"] = json!(false);
    }
    if transcoder {
        config["d_out"] = json!(d_out);
        config["metadata"]["hook_name_out"] = json!(spec.output_hook);
    }
    write_files(dir, &[(WEIGHTS, &serialize(&blocks)?), (CONFIG, format!("{config:#}").as_bytes())])
}
