//! The crosscoder of science-of-finetuning's dictionary_learning: `config.json` and `model.safetensors`.
//!
//! f = ReLU(sum_l W_l n(h_l) + b), where n centres each model's activation and scales it; BatchTopK keeps those whose
//! f times code norm (by default sum_l ||d^l||, norms taken after n) is above one threshold for all. n is folded into
//! the weights, and the threshold becomes one per feature.
//!
//! Back again, one threshold for all has to be found: scales s_l of the models with t_j sum_l s_l ||d_j^l|| = 1 for
//! every feature j. They exist for what this package or our own fits made, but for those with `shared_features` or
//! `normalise = "standard"`. These are written with `code_normalization` NONE, activations in units of their thresholds:
//! f_j / t_j is compared with 1, and t_j d_j is the decoder. `k` matters while training alone, and a fitted dictionary
//! does not hold it: 1 is written.

use super::super::dictionary::Dictionary;
use super::super::reading::FileReading;
use super::super::spec::{Activation, Kind, Site, Spec, TokenScale};
use super::super::vectors::{dot, norm};
use super::super::weights::Weights;
use super::tensors::{Block, Tensors, serialize};
use super::{agree, count, decoder_norms, tell, write_files};
use crate::error::{At, Error, Result};
use crate::foreign::Object;
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
    let mut reading = FileReading::of("crosscoder");
    let config = Config::read(&Object::load(&dir.join(CONFIG))?, &mut reading).at(CONFIG)?;
    let mut tensors = Tensors::safetensors(&dir.join(WEIGHTS))?;
    let dictionary = parse(&config, &mut tensors, &mut reading).at(WEIGHTS)?;
    tensors.finish().at(WEIGHTS)?;
    Ok(dictionary.read_as(reading))
}

/// What the configuration says.
#[derive(Default)]
struct Config {
    /// Models, width and features, where they are stated.
    layers: Option<usize>,
    d: Option<usize>,
    features: Option<usize>,
    /// The number of the code normalisation, where its name is stated.
    normalization: Option<i64>,
    /// Weights of the two norms in a mixture.
    sae: Option<f32>,
    crosscoder: Option<f32>,
    relative: Option<bool>,
}

/// How it was trained or first drawn: nothing that a trained one computes depends on these.
const TRAINING: [&str; 4] = ["init_with_transpose", "k", "norm_init_scale", "same_init_for_all_layers"];

impl Config {
    fn read(config: &Object, reading: &mut FileReading) -> Result<Self> {
        let size = |key: &str| config.get(key).map(|_| count(config, key)).transpose();
        let layers = size("num_layers")?;
        // A part of the models that is read or written would change what the weights mean.
        let all = |read: &Value| {
            let read = read.as_array().map(|read| read.iter().map(Value::as_u64));
            layers.zip(read).is_some_and(|(layers, read)| read.eq((0..layers as u64).map(Some)))
        };
        if config.get("encoder_layers").is_some_and(|read| !all(read)) {
            return Err(config.wrong("encoder_layers", "all models, as a code is of all of them"));
        }
        if let Some(written) = size("num_decoder_layers")?
            && layers != Some(written)
        {
            return Err(config.wrong("num_decoder_layers", "as many models as are read"));
        }
        if config.get("latent_processor").is_some() {
            return Err(config.wrong("latent_processor", "none, as it is a function of Python"));
        }
        let normalization = match config.text("code_normalization")? {
            None => None,
            Some("CROSSCODER") => Some(BY_CROSSCODER),
            Some("SAE") => Some(BY_SAE),
            Some("MIXED") => Some(BY_MIXTURE),
            Some("NONE") => Some(BY_NOTHING),
            Some(other) => {
                return Err(Error::request(format!("code_normalization {other} is not supported"))
                    .hint("decoupled crosscoders have a code per model, which a joint code cannot hold"));
            }
        };
        let found = Self {
            layers,
            d: size("activation_dim")?,
            features: size("dict_size")?,
            normalization,
            sae: config.number("code_normalization_alpha_sae")?.map(|weight| weight as f32),
            crosscoder: config.number("code_normalization_alpha_cc")?.map(|weight| weight as f32),
            relative: config.flag("keep_relative_variance")?,
        };
        tell(config, &TRAINING, reading);
        // The weights hold what is applied; the configuration may repeat it.
        tell(config, &["activation_mean", "activation_std", "target_rms"], reading);
        config.finish()?;
        Ok(found)
    }
}

fn parse(config: &Config, tensors: &mut Tensors, reading: &mut FileReading) -> Result<Dictionary> {
    let &[layers, d, features] = tensors.shape("encoder.weight")? else {
        return Err(Error::work("tensor `encoder.weight`: expected [models, width, features]"));
    };
    for (what, stated, found) in [
        ("num_layers", config.layers, layers),
        ("activation_dim", config.d, d),
        ("dict_size", config.features, features),
    ] {
        stated.map_or(Ok(()), |stated| agree(what, stated, found)).at(CONFIG)?;
    }
    let names: Vec<String> = match layers {
        2 => ["base", "finetuned"].map(str::to_owned).into(),
        // Sizes are checked before anything is made of them.
        _ => (0..layers.min(1 << 16)).map(|layer| format!("model_{layer}")).collect(),
    };
    agree("models", names.len(), layers)?;
    let sites: Vec<Site> = names.into_iter().map(Site::of).collect();
    let mut spec = Spec::reconstructing(Kind::Crosscoder, Activation::Relu, sites, d, features);
    spec.check()?;
    let by = tensors.scalar("code_normalization_id")?.map(|id| id as i64);
    if let Some((stated, by)) = config.normalization.zip(by).filter(|(stated, by)| stated != by) {
        return Err(Error::request(format!(
            "`code_normalization` is number {stated} by the configuration, and {by} by the weights"
        )));
    }
    let by = by.or(config.normalization).unwrap_or(BY_CROSSCODER);
    let mut weights = Weights {
        encoder: swap(&tensors.take("encoder.weight", &[layers, d, features])?, features),
        encoder_bias: tensors.take("encoder.bias", &[features])?,
        decoder: by_feature(&tensors.take("decoder.weight", &[layers, features, d])?, layers, features, d),
        decoder_bias: tensors.take("decoder.bias", &[layers, d])?,
        ..Weights::default()
    };
    let (sae, crosscoder) =
        (tensors.scalar("code_normalization_alpha_sae")?, tensors.scalar("code_normalization_alpha_cc")?);
    let mixture = (config.sae.or(sae).unwrap_or(1.0), config.crosscoder.or(crosscoder).unwrap_or(0.1));
    let norms = code_norms(mixture, &weights.decoder, by, features, d)?;
    let threshold = tensors.scalar("threshold")?;
    tensors.leave("k");
    if let Some(threshold) = threshold {
        weights.threshold =
            norms.iter().map(|norm| if *norm > 0.0 { threshold / norm } else { f32::MAX }).collect();
    }
    if unnormalise(config.relative, tensors, &mut weights, layers, d)? {
        reading.fold(
            "each model's activations, which are centred and scaled before they are encoded, and back after",
        );
    }
    if let Some(factor) = tensors.scalar("estimated_norm_scaling_factor")?.filter(|factor| *factor != 1.0) {
        spec.notes.push(format!(
            "tensor `estimated_norm_scaling_factor` is {factor}: it was left out, as no release of the package applies it"
        ));
    }
    if threshold.is_some() {
        (spec.kind, spec.activation) = (Kind::BatchTopkCrosscoder, Activation::Threshold);
        reading.fold("one threshold for activation times code norm, which becomes one per feature");
    }
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

fn code_norms(
    (sae, cc): (f32, f32),
    decoder: &[f32],
    by: i64,
    features: usize,
    d: usize,
) -> Result<Vec<f32>> {
    let joint = || decoder.chunks_exact(decoder.len() / features).map(norm).collect::<Vec<f32>>();
    let sums = decoder_norms(decoder, features, d);
    Ok(match by {
        BY_CROSSCODER => sums,
        BY_SAE => joint(),
        BY_MIXTURE => joint().iter().zip(&sums).map(|(joint, sum)| sae * joint + cc * sum).collect(),
        BY_NOTHING => vec![1.0; features],
        other => {
            return Err(Error::request(format!("code_normalization_id {other} is not supported"))
                .hint("decoupled crosscoders have a code per model, which a joint code cannot hold"));
        }
    })
}

/// Folds the centring and scaling of activations into the weights; false if there is none.
fn unnormalise(
    relative: Option<bool>,
    tensors: &mut Tensors,
    weights: &mut Weights,
    layers: usize,
    d: usize,
) -> Result<bool> {
    let target = tensors.scalar("target_rms")?.unwrap_or(1.0);
    if !tensors.has("activation_mean") || !tensors.has("activation_std") {
        return Ok(false);
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
        return Ok(false);
    }
    // Neuron-wise normalisation leaves the global scale at exactly 1.
    let relative = relative.unwrap_or_else(|| global.iter().any(|scale| *scale != 1.0));
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
    Ok(true)
}

pub(super) fn write(dictionary: &Dictionary, dir: &Path) -> Result<()> {
    let spec = dictionary.spec();
    if !spec.kind.is_crosscoder()
        || !dictionary.weights().skip.is_empty()
        || spec.inputs != spec.outputs
        || spec.token_scale != TokenScale::None
        || !matches!(spec.activation, Activation::Relu | Activation::Threshold)
    {
        return Err(Error::request(format!("a `{}` dictionary is no crosscoder", spec.kind))
            .hint("write it with --to saelens or --to deltascope"));
    }
    let (layers, d, features) = (spec.outputs.len(), spec.d_out, spec.features);
    let mut weights = dictionary.weights().clone();
    let (scales, by) = match spec.activation {
        Activation::Threshold => match common_threshold(spec, &weights) {
            Some(scales) => (scales, BY_CROSSCODER),
            None => {
                in_units_of_thresholds(&mut weights)?;
                (vec![1.0; layers], BY_NOTHING)
            }
        },
        _ => (vec![1.0; layers], BY_CROSSCODER),
    };
    for (index, scale) in (0..layers * d).map(|index| (index, scales[index / d])) {
        weights.encoder.iter_mut().skip(index).step_by(layers * d).for_each(|value| *value /= scale);
        weights.decoder.iter_mut().skip(index).step_by(layers * d).for_each(|value| *value *= scale);
        weights.decoder_bias[index] *= scale;
    }
    // NaN says that activations are not normalised.
    let (mean, deviation): (Vec<f32>, Vec<f32>) = match scales.iter().any(|scale| *scale != 1.0) {
        true => (
            vec![0.0; layers * d],
            (0..layers * d).map(|index| 1.0 / (scales[index / d] * (d as f32).sqrt())).collect(),
        ),
        false => (vec![f32::NAN; layers * d], vec![f32::NAN; layers * d]),
    };
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
        Block::floats("activation_mean", &[layers, d], &mean),
        Block::floats("activation_std", &[layers, d], &deviation),
        Block::floats("activation_global_scale", &[layers], &scales),
    ];
    let mut config = json!({
        "activation_dim": d,
        "activation_mean": null,
        "activation_std": null,
        "code_normalization": if by == BY_NOTHING { "NONE" } else { "CROSSCODER" },
        "dict_size": features,
        "num_layers": layers,
        "target_rms": 1.0,
    });
    if spec.activation == Activation::Threshold {
        blocks.push(Block::floats("threshold", &[], &[1.0]));
        blocks.push(Block::int32("k", 1));
        config["k"] = json!(1);
        config["norm_init_scale"] = json!(1.0);
    }
    write_files(dir, &[(WEIGHTS, &serialize(&blocks)?), (CONFIG, format!("{config:#}").as_bytes())])
}

/// Measures each activation in units of the feature's threshold, which becomes 1. Features that can never fire, with a
/// threshold that nothing exceeds, are emptied.
fn in_units_of_thresholds(weights: &mut Weights) -> Result<()> {
    if let Some(feature) = weights.threshold.iter().position(|threshold| *threshold <= 0.0) {
        return Err(Error::request(format!(
            "feature {feature}: expected a threshold above 0, found {}",
            weights.threshold[feature]
        ))
        .hint("the crosscoder format has one threshold for all; write it with --to deltascope"));
    }
    let features = weights.threshold.len();
    let reach = |threshold: &f32| if threshold.recip().is_normal() { threshold.recip() } else { 0.0 };
    let factors: Vec<f32> = weights.threshold.iter().map(reach).collect();
    let (width_in, width_out) = (weights.encoder.len() / features, weights.decoder.len() / features);
    for feature in
        factors.iter().enumerate().filter(|(_, factor)| **factor == 0.0).map(|(feature, _)| feature)
    {
        weights.encoder[feature * width_in..(feature + 1) * width_in].fill(0.0);
        weights.decoder[feature * width_out..(feature + 1) * width_out].fill(0.0);
        weights.encoder_bias[feature] = 0.0;
    }
    super::rescale(weights, &factors);
    Ok(())
}

/// The scale of each model under which every feature's threshold, times its code norm, is 1: least squares. `None` if
/// there are no such scales.
fn common_threshold(spec: &Spec, weights: &Weights) -> Option<Vec<f32>> {
    let (layers, d) = (spec.outputs.len(), spec.d_out);
    let rows: Vec<Vec<f64>> = weights
        .decoder
        .chunks_exact(layers * d)
        .zip(&weights.threshold)
        .map(|(row, threshold)| row.chunks_exact(d).map(|part| f64::from(threshold * norm(part))).collect())
        .collect();
    let live = |row: &&Vec<f64>| row.iter().sum::<f64>().is_finite() && row.iter().sum::<f64>() > 0.0;
    let (mut system, mut right) = (vec![vec![0.0f64; layers]; layers], vec![0.0f64; layers]);
    for row in rows.iter().filter(live) {
        for (line, a) in row.iter().enumerate() {
            right[line] += a;
            system[line].iter_mut().zip(row).for_each(|(cell, b)| *cell += a * b);
        }
    }
    // Where decoder norms are alike in all models, many scales do: a whisper of ridge takes the smallest.
    let ridge = 1e-9 * (0..layers).map(|line| system[line][line]).sum::<f64>();
    (0..layers).for_each(|line| system[line][line] += ridge);
    let scales = solve(system, right);
    let off = |row: &Vec<f64>| (row.iter().zip(&scales).map(|(a, scale)| a * scale).sum::<f64>() - 1.0).abs();
    let worst = rows.iter().filter(live).map(off).fold(0.0, f64::max);
    (worst < 1e-4 && scales.iter().all(|scale| *scale > 0.0))
        .then(|| scales.into_iter().map(|scale| scale as f32).collect())
}

/// Gaussian elimination of a positive definite system.
fn solve(mut system: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for pivot in 0..size {
        for line in 0..size {
            if line != pivot {
                let factor = system[line][pivot] / system[pivot][pivot];
                let above = system[pivot].clone();
                system[line].iter_mut().zip(&above).for_each(|(cell, above)| *cell -= factor * above);
                right[line] -= factor * right[pivot];
            }
        }
    }
    (0..size).map(|line| right[line] / system[line][line]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// Thresholds that no common scale explains, and a feature that never fires.
    #[test]
    fn thresholds_of_their_own_are_written_as_units() {
        let (d, features, layers, tokens) = (6, 10, 3, 20);
        let mut stream = Stream::new(4, "test.crosscoder", &[]);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| stream.normal()).collect() };
        let sites: Vec<Site> = (0..layers).map(|layer| Site::of(format!("model_{layer}"))).collect();
        let spec = Spec::reconstructing(Kind::BatchTopkCrosscoder, Activation::Threshold, sites, d, features);
        let mut weights = Weights {
            encoder: draw(features * layers * d),
            encoder_bias: draw(features),
            decoder: draw(features * layers * d),
            decoder_bias: draw(layers * d),
            threshold: draw(features).into_iter().map(|value| 0.1 + value.abs()).collect(),
            ..Weights::default()
        };
        weights.threshold[7] = f32::MAX;
        let dictionary = Dictionary::new(spec.clone(), weights.clone()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(&dictionary, folder.path()).unwrap();
        let config = Object::load(&folder.path().join(CONFIG)).unwrap();
        assert_eq!(config.text("code_normalization").unwrap(), Some("NONE"));
        let again = read(folder.path()).unwrap();
        let x = draw(tokens * layers * d);
        let (codes, others) = (dictionary.codes(&x).unwrap(), again.codes(&x).unwrap());
        assert_eq!(codes.features, others.features);
        assert!(codes.features.len() > tokens, "{}", codes.features.len());
        for ((feature, ours), theirs) in codes.features.iter().zip(&codes.values).zip(&others.values) {
            let units = ours / weights.threshold[*feature as usize];
            assert!((units - theirs).abs() < 1e-4 * units.max(1.0), "feature {feature}: {units} {theirs}");
        }
        let (ours, theirs) =
            (dictionary.reconstruct(&codes, &x).unwrap(), again.reconstruct(&others, &x).unwrap());
        assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-4 * a.abs().max(1.0)));
        weights.threshold[2] = 0.0;
        let refused = write(&Dictionary::new(spec, weights).unwrap(), folder.path()).unwrap_err();
        assert!(refused.to_string().contains("feature 2"), "{refused}");
    }
}
