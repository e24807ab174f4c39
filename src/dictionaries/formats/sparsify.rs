//! EleutherAI's sparsify: `cfg.json` and `sae.safetensors`; TopK SAEs and (skip-)transcoders.

use super::super::dictionary::Dictionary;
use super::super::spec::{Activation, Kind};
use super::super::weights::Weights;
use super::tensors::Tensors;
use super::{count, flag, read_json, single, subtract_from_input, text};
use crate::error::{At, Error, Result};
use std::path::Path;

pub(super) fn read(dir: &Path) -> Result<Dictionary> {
    let config = read_json(&dir.join("cfg.json"))?;
    if !matches!(text(&config, "activation"), None | Some("topk")) {
        return Err(Error::request(format!("sparsify activation {} is not supported", config["activation"]))
            .hint("supported is topk")
            .at("cfg.json"));
    }
    let (transcode, skip) = (flag(&config, "transcode", false), flag(&config, "skip_connection", false));
    let k = count(&config, "k").at("cfg.json")?;
    let mut tensors = Tensors::safetensors(&dir.join("sae.safetensors"))?;
    let &[features, d_in] = tensors.shape("encoder.weight")? else {
        return Err(Error::work("tensor `encoder.weight`: expected two axes"));
    };
    let d_out = tensors.shape("b_dec")?.first().copied().unwrap_or(0);
    let kind = match (transcode, skip) {
        (false, false) => Kind::Topk,
        (_, false) => Kind::Transcoder,
        (_, true) => Kind::SkipTranscoder,
    };
    let mut weights = Weights {
        encoder: tensors.take("encoder.weight", &[features, d_in])?,
        encoder_bias: tensors.take("encoder.bias", &[features])?,
        decoder: tensors.take("W_dec", &[features, d_out])?,
        decoder_bias: tensors.take("b_dec", &[d_out])?,
        ..Weights::default()
    };
    if skip {
        weights.skip = tensors.take("W_skip", &[d_out, d_in])?;
    }
    tensors.finish()?;
    if !transcode {
        let bias = weights.decoder_bias.clone();
        subtract_from_input(&mut weights, &bias);
    }
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut spec = single(kind, Activation::Topk { k }, "model", (d_in, d_out), features);
    spec.hook.clone_from(&name);
    spec.output_hook = name;
    Dictionary::new(spec, weights)
}
