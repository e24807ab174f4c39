//! dictionary_learning (Marks, Karvonen, Mueller): `config.json` and `ae.pt`. The pickle is read as data.

use super::super::dictionary::Dictionary;
use super::super::spec::{Activation, Kind};
use super::super::weights::Weights;
use super::tensors::Tensors;
use super::{count, flag, read_json, single, subtract_from_input, text, transpose};
use crate::error::{At, Error, Result};
use std::path::Path;

pub(super) fn read(dir: &Path) -> Result<Dictionary> {
    let config = read_json(&dir.join("config.json"))?;
    let trainer = config.get("trainer").unwrap_or(&config);
    let class = text(trainer, "dict_class").unwrap_or("AutoEncoder").to_owned();
    let (d, features) = (count(trainer, "activation_dim")?, count(trainer, "dict_size")?);
    let mut tensors = Tensors::pickle(&dir.join("ae.pt"))?;
    let (kind, activation, weights) =
        parse(&class, flag(trainer, "apply_b_dec_to_input", false), &mut tensors, d, features)
            .at(format!("class `{class}`"))?;
    tensors.finish().at("ae.pt")?;
    let mut spec = single(kind, activation, text(trainer, "lm_name").unwrap_or("model"), (d, d), features);
    spec.hook = text(trainer, "submodule_name").unwrap_or("").to_owned();
    spec.output_hook.clone_from(&spec.hook);
    Dictionary::new(spec, weights)
}

fn parse(
    class: &str,
    subtract: bool,
    tensors: &mut Tensors,
    d: usize,
    features: usize,
) -> Result<(Kind, Activation, Weights)> {
    let mut weights = Weights::default();
    match class {
        "AutoEncoder" | "AutoEncoderNew" => {
            weights.encoder = tensors.take("encoder.weight", &[features, d])?;
            weights.encoder_bias = tensors.take("encoder.bias", &[features])?;
            weights.decoder = transpose(&tensors.take("decoder.weight", &[d, features])?, features);
            let (bias, subtract) = if class == "AutoEncoder" { ("bias", true) } else { ("decoder.bias", false) };
            weights.decoder_bias = tensors.take(bias, &[d])?;
            if subtract {
                let bias = weights.decoder_bias.clone();
                subtract_from_input(&mut weights, &bias);
            }
            Ok((Kind::Standard, Activation::Relu, weights))
        }
        "GatedAutoEncoder" => {
            weights.encoder = tensors.take("encoder.weight", &[features, d])?;
            weights.encoder_bias = tensors.take("gate_bias", &[features])?;
            weights.magnitude_scale = tensors.take("r_mag", &[features])?.into_iter().map(f32::exp).collect();
            weights.magnitude_bias = tensors.take("mag_bias", &[features])?;
            weights.decoder = transpose(&tensors.take("decoder.weight", &[d, features])?, features);
            weights.decoder_bias = tensors.take("decoder_bias", &[d])?;
            let bias = weights.decoder_bias.clone();
            subtract_from_input(&mut weights, &bias);
            Ok((Kind::Gated, Activation::Gated, weights))
        }
        "JumpReluAutoEncoder" => {
            matrices(&mut weights, tensors, features, d)?;
            weights.threshold = tensors.take("threshold", &[features])?;
            if subtract {
                let bias = weights.decoder_bias.clone();
                subtract_from_input(&mut weights, &bias);
            }
            Ok((Kind::Jumprelu, Activation::Threshold, weights))
        }
        "AutoEncoderTopK" | "BatchTopKSAE" => {
            weights.encoder = tensors.take("encoder.weight", &[features, d])?;
            weights.encoder_bias = tensors.take("encoder.bias", &[features])?;
            weights.decoder = transpose(&tensors.take("decoder.weight", &[d, features])?, features);
            weights.decoder_bias = tensors.take("b_dec", &[d])?;
            let bias = weights.decoder_bias.clone();
            subtract_from_input(&mut weights, &bias);
            let kind = if class == "BatchTopKSAE" { Kind::BatchTopk } else { Kind::Topk };
            let activation = cut(kind, &mut weights, tensors, features)?;
            Ok((kind, activation, weights))
        }
        "MatryoshkaBatchTopKSAE" => {
            matrices(&mut weights, tensors, features, d)?;
            let bias = weights.decoder_bias.clone();
            subtract_from_input(&mut weights, &bias);
            for name in ["group_sizes", "group_indices"] {
                tensors.scalar(name);
            }
            let activation = cut(Kind::Matryoshka, &mut weights, tensors, features)?;
            Ok((Kind::Matryoshka, activation, weights))
        }
        _ => Err(Error::request("this class of dictionary_learning is not supported").hint(
            "supported are AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder, AutoEncoderTopK, BatchTopKSAE and MatryoshkaBatchTopKSAE",
        )),
    }
}

/// The matrices of the classes that name them as SAELens does.
fn matrices(weights: &mut Weights, tensors: &mut Tensors, features: usize, d: usize) -> Result<()> {
    weights.encoder = transpose(&tensors.take("W_enc", &[d, features])?, features);
    weights.encoder_bias = tensors.take("b_enc", &[features])?;
    weights.decoder = tensors.take("W_dec", &[features, d])?;
    weights.decoder_bias = tensors.take("b_dec", &[d])?;
    Ok(())
}

/// BatchTopK classes compare with one threshold for all features whatever its sign: -1, before one was learned, lets
/// all that is positive through, as it does in the package. TopK keeps the k largest.
fn cut(kind: Kind, weights: &mut Weights, tensors: &mut Tensors, features: usize) -> Result<Activation> {
    let (threshold, k) = (tensors.scalar("threshold"), tensors.scalar("k"));
    match (threshold.filter(|_| kind != Kind::Topk), k) {
        (Some(threshold), _) => {
            weights.threshold = vec![threshold; features];
            Ok(Activation::Threshold)
        }
        (None, Some(k)) => Ok(Activation::Topk { k: k as usize }),
        (None, None) => Err(Error::work("expected a tensor `k` or a learned `threshold`, found neither")),
    }
}
