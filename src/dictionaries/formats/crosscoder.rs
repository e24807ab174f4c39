//! The crosscoder of science-of-finetuning's dictionary_learning: `config.json` and `model.safetensors`.
//!
//! f = ReLU(sum_l W_l n(h_l) + b), where n centres each model's activation and scales it; features are reported
//! times their code norm (by default sum_l ||d^l||, norms taken after n), and BatchTopK keeps those above one
//! threshold for all. n, the code norm and the threshold are folded into the weights.

use super::super::dictionary::Dictionary;
use super::super::spec::{Activation, Kind, Site, Spec};
use super::super::vectors::{dot, norm};
use super::super::weights::Weights;
use super::tensors::{Block, Tensors, serialize};
use super::{decoder_norms, flag, read_json, rescale, write_files};
use crate::error::{At, Error, Result};
use serde_json::{Value, json};
use std::path::Path;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const EPSILON: f32 = 1e-8;

/// How features are scaled when reported and compared with the threshold: the file's `code_normalization_id`.
const BY_CROSSCODER: i64 = 1;
const BY_SAE: i64 = 2;
const BY_MIXTURE: i64 = 3;
const BY_NOTHING: i64 = 4;

pub(super) fn read(dir: &Path) -> Result<Dictionary> {
    let config = read_json(&dir.join(CONFIG))?;
    let mut tensors = Tensors::safetensors(&dir.join(WEIGHTS))?;
    parse(&config, &mut tensors).at(WEIGHTS)
}

fn parse(config: &Value, tensors: &mut Tensors) -> Result<Dictionary> {
    let &[layers, d, features] = tensors.shape("encoder.weight")? else {
        return Err(Error::work("tensor `encoder.weight`: expected [models, width, features]"));
    };
    let by = tensors.scalar("code_normalization_id").map_or(BY_CROSSCODER, |id| id as i64);
    let mut weights = Weights {
        encoder: swap(&tensors.take("encoder.weight", &[layers, d, features])?, features),
        encoder_bias: tensors.take("encoder.bias", &[features])?,
        decoder: by_feature(&tensors.take("decoder.weight", &[layers, features, d])?, layers, features, d),
        decoder_bias: tensors.take("decoder.bias", &[layers, d])?,
        ..Weights::default()
    };
    let norms = code_norms(config, &weights.decoder, by, features, d)?;
    let threshold = if tensors.has("threshold") { tensors.scalar("threshold") } else { None };
    tensors.scalar("k");
    if let Some(threshold) = threshold {
        weights.threshold =
            norms.iter().map(|norm| if *norm > 0.0 { threshold / norm } else { f32::MAX }).collect();
    }
    rescale(&mut weights, &norms);
    unnormalise(config, tensors, &mut weights, layers, d)?;
    for name in
        ["code_normalization_alpha_sae", "code_normalization_alpha_cc", "estimated_norm_scaling_factor"]
    {
        tensors.scalar(name);
    }
    let (kind, activation) = match threshold {
        Some(_) => (Kind::BatchTopkCrosscoder, Activation::Threshold),
        None => (Kind::Crosscoder, Activation::Relu),
    };
    let names: Vec<String> = match layers {
        2 => ["base", "finetuned"].map(str::to_owned).into(),
        _ => (0..layers).map(|layer| format!("model_{layer}")).collect(),
    };
    let sites: Vec<Site> = names.into_iter().map(Site::of).collect();
    let spec = Spec {
        kind,
        activation,
        inputs: sites.clone(),
        outputs: sites,
        d_in: d,
        d_out: d,
        features,
        hook: String::new(),
        output_hook: String::new(),
        layer_norm: false,
    };
    Dictionary::new(spec, weights)
}

/// `[layers, d, features]` to `[features, layers * d]`.
fn swap(values: &[f32], features: usize) -> Vec<f32> {
    super::transpose(values, features)
}

/// `[layers, features, d]` to `[features, layers * d]`.
fn by_feature(values: &[f32], layers: usize, features: usize, d: usize) -> Vec<f32> {
    let row = |feature: usize, layer: usize| &values[(layer * features + feature) * d..][..d];
    (0..features)
        .flat_map(|feature| (0..layers).flat_map(move |layer| row(feature, layer)))
        .copied()
        .collect()
}

fn code_norms(config: &Value, decoder: &[f32], by: i64, features: usize, d: usize) -> Result<Vec<f32>> {
    let joint = || decoder.chunks_exact(decoder.len() / features).map(norm).collect::<Vec<f32>>();
    let sums = decoder_norms(decoder, features, d);
    let weight = |key: &str, default: f64| config.get(key).and_then(Value::as_f64).unwrap_or(default) as f32;
    Ok(match by {
        BY_CROSSCODER => sums,
        BY_SAE => joint(),
        BY_MIXTURE => {
            let (sae, cc) =
                (weight("code_normalization_alpha_sae", 1.0), weight("code_normalization_alpha_cc", 0.1));
            joint().iter().zip(&sums).map(|(joint, sum)| sae * joint + cc * sum).collect()
        }
        BY_NOTHING => vec![1.0; features],
        other => {
            return Err(Error::request(format!("code_normalization_id {other} is not supported"))
                .hint("decoupled crosscoders have a code per model, which a joint code cannot hold"));
        }
    })
}

/// Folds the centring and scaling of activations into the weights.
fn unnormalise(
    config: &Value,
    tensors: &mut Tensors,
    weights: &mut Weights,
    layers: usize,
    d: usize,
) -> Result<()> {
    let target = tensors.scalar("target_rms").unwrap_or(1.0);
    if !tensors.has("activation_mean") || !tensors.has("activation_std") {
        return Ok(());
    }
    let mean = tensors.take("activation_mean", &[layers, d])?;
    let deviation = tensors.take("activation_std", &[layers, d])?;
    let global = if tensors.has("activation_global_scale") {
        tensors.take("activation_global_scale", &[layers])?
    } else {
        let total = |part: &[f32]| target / (dot(part, part) + EPSILON).sqrt();
        deviation.chunks_exact(d).map(total).collect()
    };
    if mean.iter().chain(&deviation).any(|value| value.is_nan()) {
        return Ok(());
    }
    // Neuron-wise normalisation leaves the global scale at exactly 1.
    let relative = flag(config, "keep_relative_variance", global.iter().any(|scale| *scale != 1.0));
    let scales: Vec<[f32; 2]> = (0..layers * d)
        .map(|index| match relative {
            true => [global[index / d], 1.0 / (global[index / d] + EPSILON)],
            false => [1.0 / (deviation[index] + EPSILON), deviation[index] + EPSILON],
        })
        .collect();
    for (row, bias) in weights.encoder.chunks_exact_mut(layers * d).zip(&mut weights.encoder_bias) {
        row.iter_mut().zip(&scales).for_each(|(value, [scale, _])| *value *= scale);
        *bias -= dot(row, &mean);
    }
    for row in weights.decoder.chunks_exact_mut(layers * d) {
        row.iter_mut().zip(&scales).for_each(|(value, [_, back])| *value *= back);
    }
    for ((bias, [_, back]), mean) in weights.decoder_bias.iter_mut().zip(&scales).zip(&mean) {
        *bias = *bias * back + mean;
    }
    Ok(())
}

pub(super) fn write(dictionary: &Dictionary, dir: &Path) -> Result<()> {
    let spec = dictionary.spec();
    if spec.inputs != spec.outputs
        || spec.layer_norm
        || !matches!(spec.activation, Activation::Relu | Activation::Threshold)
    {
        return Err(Error::request(format!("a `{}` dictionary is no crosscoder", spec.kind))
            .hint("write it with --to saelens or --to deltascope"));
    }
    let (layers, d, features) = (spec.outputs.len(), spec.d_out, spec.features);
    let mut weights = dictionary.weights().clone();
    let norms = decoder_norms(&weights.decoder, features, d);
    let cuts: Vec<f32> =
        weights.threshold.iter().zip(&norms).map(|(threshold, norm)| threshold * norm).collect();
    let (mut by, mut threshold) = (BY_CROSSCODER, cuts.first().copied());
    if let Some(first) = threshold
        && cuts.iter().any(|cut| (cut - first).abs() > 1e-6 * first.abs())
    {
        // The file has one threshold for all: scale each feature so that its own becomes 1, unscaled.
        if let Some(bad) = weights.threshold.iter().find(|threshold| !(**threshold > 0.0)) {
            return Err(Error::request(format!("expected thresholds above 0, found {bad}"))
                .hint("write it with --to deltascope"));
        }
        let factors: Vec<f32> = weights.threshold.iter().map(|threshold| 1.0 / threshold).collect();
        rescale(&mut weights, &factors);
        (by, threshold) = (BY_NOTHING, Some(1.0));
    }
    let nothing = vec![f32::NAN; layers * d];
    let encoder = super::transpose(&weights.encoder, layers * d);
    let decoder: Vec<f32> = (0..layers)
        .flat_map(|layer| {
            weights.decoder.chunks_exact(layers * d).flat_map(move |row| &row[layer * d..(layer + 1) * d])
        })
        .copied()
        .collect();
    let mut blocks = vec![
        Block::floats("encoder.weight", &[layers, d, features], &encoder),
        Block::floats("encoder.bias", &[features], &weights.encoder_bias),
        Block::floats("decoder.weight", &[layers, features, d], &decoder),
        Block::floats("decoder.bias", &[layers, d], &weights.decoder_bias),
        Block::int64("code_normalization_id", by),
        Block::floats("target_rms", &[], &[1.0]),
        Block::floats("activation_mean", &[layers, d], &nothing),
        Block::floats("activation_std", &[layers, d], &nothing),
        Block::floats("activation_global_scale", &[layers], &vec![1.0; layers]),
    ];
    let mut config = json!({
        "activation_dim": d,
        "activation_mean": null,
        "activation_std": null,
        "code_normalization": if by == BY_CROSSCODER { "CROSSCODER" } else { "NONE" },
        "dict_size": features,
        "num_layers": layers,
        "target_rms": 1.0,
    });
    if let Some(threshold) = threshold {
        blocks.push(Block::floats("threshold", &[], &[threshold]));
        blocks.push(Block::int32("k", 1));
        config["k"] = json!(1);
        config["norm_init_scale"] = json!(1.0);
    }
    write_files(dir, &[(WEIGHTS, &serialize(&blocks)?), (CONFIG, format!("{config:#}").as_bytes())])
}
