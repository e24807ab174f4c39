//! dictionary_learning (Marks, Karvonen, Mueller): `config.json` and `ae.pt`. The pickle is read as data.

use super::super::dictionary::Dictionary;
use super::super::reading::FileReading;
use super::super::spec::{Activation, Kind, Spec};
use super::super::weights::Weights;
use super::tensors::Tensors;
use super::{agree, count, decoder_norms, left_out, nested, single, subtract_from_input, tell, transpose};
use crate::error::{At, Error, Result};
use crate::foreign::Object;
use std::path::Path;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "ae.pt";

/// How it was trained: nothing that a trained dictionary computes depends on these.
const TRAINING: &[&str] = &[
    "auxk_alpha",
    "bandwidth",
    "decay_start",
    "device",
    "group_fractions",
    "group_weights",
    "initial_sparsity_penalty",
    "k_anneal_steps",
    "l1_penalty",
    "layer",
    "lp_norm",
    "lr",
    "norm_factor",
    "p",
    "pre_decoder_bias",
    "resample_steps",
    "seed",
    "sparsity_penalty",
    "sparsity_warmup_steps",
    "steps",
    "target_l0",
    "threshold_beta",
    "threshold_start_step",
    "top_k_aux",
    "trainer_class",
    "wandb_name",
    "warmup_steps",
];

pub(super) fn read(dir: &Path) -> Result<Dictionary> {
    let mut reading = FileReading::of("dictionary_learning");
    let config = Config::read(&Object::load(&dir.join(CONFIG))?, &mut reading).at(CONFIG)?;
    let mut tensors = Tensors::pickle(&dir.join(WEIGHTS))?;
    let class = config.class.as_str();
    let mut spec = config.spec;
    let (d, features) = (spec.d_in, spec.features);
    let (kind, activation, weights) = parse(class, &config.request, &mut tensors, (d, features))
        .at(format!("class `{class}`"))
        .at(WEIGHTS)?;
    tensors.finish().at(WEIGHTS)?;
    (spec.activation, spec.kind) = (activation, if config.transcoder { Kind::Transcoder } else { kind });
    if class != "AutoEncoderNew" && (class != "JumpReluAutoEncoder" || config.request.subtract) {
        reading.fold("the decoder's bias, which is subtracted from the input before it is encoded");
    }
    if class == "AutoEncoder"
        && decoder_norms(&weights.decoder, features, d).iter().any(|norm| (norm - 1.0).abs() > 1e-3)
    {
        spec.notes.push(
            "activations are those of the saved weights; the package's own loader makes each decoder vector 1 long, unless \
             told otherwise, which multiplies each activation by the length it had and changes no reconstruction"
                .to_owned(),
        );
    }
    Ok(Dictionary::new(spec, weights)?.read_as(reading))
}

/// What a class is asked for beside its weights.
struct Request {
    subtract: bool,
    k: Option<usize>,
}

struct Config {
    class: String,
    spec: Spec,
    request: Request,
    transcoder: bool,
}

impl Config {
    fn read(config: &Object, reading: &mut FileReading) -> Result<Self> {
        let own;
        let trainer = match config.get("trainer") {
            Some(_) => {
                own = nested(config, "trainer")?;
                &own
            }
            None => config,
        };
        let class = trainer.text("dict_class")?.unwrap_or("AutoEncoder").to_owned();
        let (d, features) = (count(trainer, "activation_dim")?, count(trainer, "dict_size")?);
        let name = trainer.text("lm_name")?.unwrap_or("model");
        let mut spec = single(Kind::Standard, Activation::Relu, name, (d, d), features)?;
        spec.hook = trainer.text("submodule_name")?.unwrap_or("").to_owned();
        spec.output_hook.clone_from(&spec.hook);
        let k = trainer.get("k").map(|_| count(trainer, "k")).transpose()?;
        let subtract = trainer.flag("apply_b_dec_to_input")?;
        if let Some(subtract) = subtract.filter(|_| class != "JumpReluAutoEncoder") {
            spec.notes.push(format!(
                "`apply_b_dec_to_input` is {subtract}, which a dictionary of the class {class} does not use"
            ));
        }
        let subtract = subtract.unwrap_or(false);
        // Widths of groups, which Matryoshka classes train one after the other.
        trainer.harmless(&["group_sizes"]);
        tell(trainer, TRAINING, reading);
        trainer.finish()?;
        let buffer = nested(config, "buffer")?;
        let io = buffer.text("io")?.unwrap_or("out");
        let transcoder = match io {
            "in" | "out" => false,
            "in_and_out" => true,
            other => {
                return Err(Error::request(format!("`{other}` is not supported"))
                    .hint("known are in, out and in_and_out")
                    .at("field `io`"));
            }
        };
        if config.get("buffer").is_some() {
            reading.about.push(format!("io: {io} of the submodule"));
        }
        tell(
            &buffer,
            &[
                "ctx_len",
                "d_submodule",
                "device",
                "n_ctxs",
                "out_batch_size",
                "refresh_batch_size",
                "remove_bos",
            ],
            reading,
        );
        spec.notes.extend(left_out(&buffer, "`buffer`"));
        config.harmless(&["buffer"]);
        if config.get("trainer").is_some() {
            config.finish()?;
        }
        let keeps_k = ["AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE"];
        if let Some(k) = k.filter(|_| !keeps_k.contains(&class.as_str())) {
            spec.notes.push(format!("`k` is {k}, which a dictionary of the class {class} does not use"));
        }
        Ok(Self { class, spec, request: Request { subtract, k }, transcoder })
    }
}

fn parse(
    class: &str,
    request: &Request,
    tensors: &mut Tensors,
    (d, features): (usize, usize),
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
                subtract_from_input(&mut weights, &bias)?;
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
            subtract_from_input(&mut weights, &bias)?;
            Ok((Kind::Gated, Activation::Gated, weights))
        }
        "JumpReluAutoEncoder" => {
            matrices(&mut weights, tensors, features, d)?;
            weights.threshold = tensors.take("threshold", &[features])?;
            if request.subtract {
                let bias = weights.decoder_bias.clone();
                subtract_from_input(&mut weights, &bias)?;
            }
            Ok((Kind::Jumprelu, Activation::Threshold, weights))
        }
        "AutoEncoderTopK" | "BatchTopKSAE" => {
            weights.encoder = tensors.take("encoder.weight", &[features, d])?;
            weights.encoder_bias = tensors.take("encoder.bias", &[features])?;
            weights.decoder = transpose(&tensors.take("decoder.weight", &[d, features])?, features);
            weights.decoder_bias = tensors.take("b_dec", &[d])?;
            let bias = weights.decoder_bias.clone();
            subtract_from_input(&mut weights, &bias)?;
            let kind = if class == "BatchTopKSAE" { Kind::BatchTopk } else { Kind::Topk };
            let activation = cut(kind, &mut weights, tensors, request.k)?;
            Ok((kind, activation, weights))
        }
        "MatryoshkaBatchTopKSAE" => {
            matrices(&mut weights, tensors, features, d)?;
            let bias = weights.decoder_bias.clone();
            subtract_from_input(&mut weights, &bias)?;
            for name in ["group_sizes", "group_indices"] {
                tensors.leave(name);
            }
            let activation = cut(Kind::Matryoshka, &mut weights, tensors, request.k)?;
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
fn cut(
    kind: Kind,
    weights: &mut Weights,
    tensors: &mut Tensors,
    stated: Option<usize>,
) -> Result<Activation> {
    let (threshold, k) = (tensors.scalar("threshold")?, tensors.scalar("k")?);
    if let Some((stated, k)) = stated.zip(k) {
        agree("k", stated, k as usize)?;
    }
    match (threshold.filter(|_| kind != Kind::Topk), k.map(|k| k as usize).or(stated)) {
        (Some(threshold), _) => {
            weights.threshold = vec![threshold; weights.encoder_bias.len()];
            Ok(Activation::Threshold)
        }
        (None, Some(k)) => Ok(Activation::Topk { k }),
        (None, None) => Err(Error::work("expected a tensor `k` or a learned `threshold`, found neither")),
    }
}
