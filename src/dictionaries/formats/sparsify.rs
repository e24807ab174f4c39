//! EleutherAI's sparsify: `cfg.json` and `sae.safetensors`; TopK SAEs and (skip-)transcoders.
//!
//! Early releases have `signed`: of all pre-activations the k of largest magnitude are kept with their sign, without
//! ReLU. Releases from 1.0 on know no such key and drop it.

use super::super::dictionary::Dictionary;
use super::super::reading::FileReading;
use super::super::spec::{Activation, Kind};
use super::super::weights::Weights;
use super::tensors::Tensors;
use super::{agree, count, single, subtract_from_input};
use crate::error::{At, Error, Result};
use crate::foreign::Object;
use std::path::Path;

const CONFIG: &str = "cfg.json";
const WEIGHTS: &str = "sae.safetensors";

/// How it was trained: nothing that a trained one computes depends on these.
const TRAINING: [&str; 2] = ["multi_topk", "normalize_decoder"];

/// What the configuration says.
struct Config {
    kind: Kind,
    activation: Activation,
    transcode: bool,
    d_in: Option<usize>,
    latents: Option<usize>,
}

pub(super) fn read(dir: &Path) -> Result<Dictionary> {
    let mut reading = FileReading::of("sparsify");
    let config = Config::read(&Object::load(&dir.join(CONFIG))?, &mut reading).at(CONFIG)?;
    let mut tensors = Tensors::safetensors(&dir.join(WEIGHTS))?;
    let (features, d_in) = tensors.matrix("encoder.weight").at(WEIGHTS)?;
    let d_out = tensors.length("b_dec").at(WEIGHTS)?;
    if let Some(stated) = config.d_in {
        agree("d_in", stated, d_in).at(CONFIG)?;
    }
    if let Some(stated) = config.latents {
        agree("num_latents", stated, features).at(CONFIG)?;
    }
    let mut spec = single(config.kind, config.activation, "model", (d_in, d_out), features).at(CONFIG)?;
    let mut weights = Weights {
        encoder: tensors.take("encoder.weight", &[features, d_in])?,
        encoder_bias: tensors.take("encoder.bias", &[features])?,
        decoder: tensors.take("W_dec", &[features, d_out])?,
        decoder_bias: tensors.take("b_dec", &[d_out])?,
        ..Weights::default()
    };
    if config.kind == Kind::SkipTranscoder {
        weights.skip = tensors.take("W_skip", &[d_out, d_in])?;
    }
    tensors.finish().at(WEIGHTS)?;
    if !config.transcode {
        let bias = weights.decoder_bias.clone();
        subtract_from_input(&mut weights, &bias).at(WEIGHTS)?;
        reading.fold("the decoder's bias, which is subtracted from the input before it is encoded");
    }
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    spec.hook.clone_from(&name);
    spec.output_hook = name;
    Ok(Dictionary::new(spec, weights)?.read_as(reading))
}

impl Config {
    fn read(config: &Object, reading: &mut FileReading) -> Result<Self> {
        if let Some(other) = config.text("activation")?.filter(|activation| *activation != "topk") {
            return Err(Error::request(format!("sparsify activation `{other}` is not supported"))
                .hint("supported is topk"));
        }
        let flag = |key: &str| config.flag(key).map(|flag| flag.unwrap_or(false));
        let (transcode, skip, signed) = (flag("transcode")?, flag("skip_connection")?, flag("signed")?);
        let k = count(config, "k")?;
        let size = |key: &str| config.get(key).map(|_| count(config, key)).transpose();
        let (d_in, latents, expansion) = (size("d_in")?, size("num_latents")?, size("expansion_factor")?);
        // 0 stands for the width times the expansion.
        let latents = match latents.filter(|latents| *latents > 0) {
            Some(latents) => Some(latents),
            None => d_in.zip(expansion).map(|(d_in, expansion)| d_in.saturating_mul(expansion)),
        };
        if let (Some(d_in), Some(expansion), Some(latents)) = (d_in, expansion, latents)
            && d_in.saturating_mul(expansion) != latents
        {
            reading
                .about
                .push(format!("expansion_factor: {expansion}, which is not used, as num_latents is stated"));
        }
        super::tell(config, &TRAINING, reading);
        config.finish()?;
        let kind = match (transcode, skip) {
            (false, false) => Kind::Topk,
            (_, false) => Kind::Transcoder,
            (_, true) => Kind::SkipTranscoder,
        };
        let activation = if signed { Activation::SignedTopk { k } } else { Activation::Topk { k } };
        Ok(Self { kind, activation, transcode, d_in, latents })
    }
}
