//! `cfg.json` of SAELens: version 6, which keeps what does not concern the computation under `metadata`, and the flat
//! configurations before it. Every key is used, refused, on one of the closed lists below, or told in a note.

use super::super::reading::{Declared, FileReading};
use super::super::spec::{Activation, Kind, Site, Spec, TokenScale};
use super::{count, left_out, nested, short, single};
use crate::error::{At, Error, Result};
use crate::foreign::Object;
use serde_json::Value;

/// What is said of how an SAE was made, and shown; nothing that is computed depends on these.
const ABOUT: [&str; 22] = [
    "context_size",
    "dataset_path",
    "dataset_trust_remote_code",
    "deltascope_kind",
    "device",
    "dtype",
    "hf_hook_name",
    "hf_hook_name_out",
    "hook_layer",
    "hook_layer_out",
    "hook_point_layer",
    "l0",
    "model_class_name",
    "neuronpedia_id",
    "prepend_bos",
    "release",
    "sae_id",
    "sae_lens_training_version",
    "sae_lens_version",
    "training_architecture",
    "training_architecture_details",
    "variance_explained",
];

/// Settings of the training run, which early versions kept beside the others.
const TRAINING: &[&str] = &[
    "act_store_device",
    "adam_beta1",
    "adam_beta2",
    "autocast",
    "autocast_lm",
    "b_dec_init_method",
    "cached_activations_path",
    "checkpoint_path",
    "compile_llm",
    "compile_sae",
    "dead_feature_estimation_method",
    "dead_feature_threshold",
    "dead_feature_window",
    "decoder_heuristic_init",
    "decoder_heuristic_init_norm",
    "decoder_init_norm",
    "decoder_orthogonal_init",
    "eval_batch_size_prompts",
    "eval_every_n_wandb_logs",
    "expansion_factor",
    "feature_reinit_scale",
    "feature_sampling_method",
    "feature_sampling_window",
    "finetuning_method",
    "finetuning_tokens",
    "from_pretrained_path",
    "init_encoder_as_decoder_transpose",
    "is_dataset_tokenized",
    "jumprelu_bandwidth",
    "jumprelu_init_threshold",
    "l1_coefficient",
    "l1_warm_up_steps",
    "llm_compilation_mode",
    "log_activations_store_to_wandb",
    "log_optimizer_state_to_wandb",
    "log_to_wandb",
    "lp_norm",
    "lr",
    "lr_decay_steps",
    "lr_end",
    "lr_scheduler_name",
    "lr_warm_up_steps",
    "mse_loss_normalization",
    "n_batches_in_buffer",
    "n_checkpoints",
    "n_eval_batches",
    "n_restart_cycles",
    "noise",
    "noise_scale",
    "normalize_sae_decoder",
    "resample_batches",
    "resume",
    "run_name",
    "sae_compilation_mode",
    "scale_sparsity_penalty_by_decoder_norm",
    "seed",
    "sparsity_loss",
    "store_batch_size",
    "store_batch_size_prompts",
    "streaming",
    "tokens_per_buffer",
    "total_training_steps",
    "total_training_tokens",
    "train_batch_size",
    "train_batch_size_tokens",
    "training_tokens",
    "use_cached_activations",
    "use_ghost_grads",
    "use_sparse_activations",
    "verbose",
    "wandb_entity",
    "wandb_id",
    "wandb_log_frequency",
    "wandb_project",
];

/// Options of how the model was loaded that change no activation.
const LOADING: [&str; 16] = [
    "cache_dir",
    "default_padding_side",
    "default_prepend_bos",
    "device",
    "device_map",
    "dtype",
    "force_download",
    "hf_config",
    "local_files_only",
    "low_cpu_mem_usage",
    "move_to_device",
    "n_ctx",
    "n_devices",
    "token",
    "torch_dtype",
    "trust_remote_code",
];

/// What the configuration says.
pub(super) struct Config {
    pub(super) spec: Spec,
    /// Whether the decoder's bias is subtracted from the input.
    pub(super) subtracts: bool,
    /// Whether activations are compared, and told, in units of the norms of what they write.
    pub(super) by_decoder_norm: bool,
    /// Whether activations were scaled by factors of their own after training.
    pub(super) finetuned: bool,
    /// What inputs are multiplied by, to be made part of the weights.
    pub(super) input_factor: Option<f32>,
}

/// The configuration, and its metadata, which versions before 6 keep beside the others.
struct Fields {
    own: Object,
    metadata: Object,
}

impl Fields {
    fn get(&self, key: &str) -> Option<&Value> {
        let own = self.own.get(key);
        self.metadata.get(key).or(own)
    }

    fn text(&self, key: &str) -> Result<Option<&str>> {
        let own = self.own.text(key)?;
        Ok(self.metadata.text(key)?.or(own).filter(|text| !text.is_empty()))
    }

    /// A text under one of several names.
    fn any_text(&self, keys: &[&str]) -> Result<Option<&str>> {
        let found = keys.iter().map(|key| self.text(key)).collect::<Result<Vec<_>>>()?;
        Ok(found.into_iter().flatten().next())
    }
}

/// Reads the configuration.
///
/// # Errors
/// If it asks for what is not supported, or holds a key that nobody knows.
pub(super) fn read(own: Object, declared: &Declared, reading: &mut FileReading) -> Result<Config> {
    let metadata = nested(&own, "metadata")?;
    let fields = Fields { own, metadata };
    let mut config = parse(&fields, declared)?;
    notes(&fields, &mut config.spec, reading)?;
    for key in ABOUT {
        if let Some(value) = fields.get(key) {
            reading.about.push(format!("{key}: {}", short(value)));
        }
    }
    fields.own.harmless(TRAINING);
    fields.metadata.harmless(TRAINING);
    fields.own.finish()?;
    config.spec.notes.extend(left_out(&fields.metadata, "`metadata`"));
    Ok(config)
}

fn parse(fields: &Fields, declared: &Declared) -> Result<Config> {
    let own = &fields.own;
    let (d_in, features) = (count(own, "d_in")?, count(own, "d_sae")?);
    let arguments = nested(own, "activation_fn_kwargs")?;
    let function = fields.any_text(&["activation_fn", "activation_fn_str"])?;
    let stated = fields.text("architecture")?;
    let architecture = match (stated, function) {
        (None | Some("standard"), Some("topk")) => "topk",
        (other, _) => other.unwrap_or("standard"),
    };
    let k = || count(own, "k").or_else(|error| count(&arguments, "k").map_err(|_| error));
    let transcoder = architecture.contains("transcoder");
    let (kind, activation) = match architecture {
        "standard" => (Kind::Standard, Activation::Relu),
        "gated" => (Kind::Gated, Activation::Gated),
        "jumprelu" => (trained(fields)?, Activation::Threshold),
        "topk" => match arguments.flag("signed")?.unwrap_or(false) {
            true => (Kind::Topk, Activation::SignedTopk { k: k()? }),
            false => (Kind::Topk, Activation::Topk { k: k()? }),
        },
        "abstopk" => (Kind::Topk, Activation::SignedTopk { k: k()? }),
        "transcoder" => (Kind::Transcoder, Activation::Relu),
        "skip_transcoder" => (Kind::SkipTranscoder, Activation::Relu),
        "jumprelu_transcoder" => (Kind::Transcoder, Activation::Threshold),
        "jumprelu_skip_transcoder" => (Kind::SkipTranscoder, Activation::Threshold),
        other => {
            return Err(Error::request(format!("SAELens architecture `{other}` is not supported")).hint(
                "supported are standard, topk, abstopk, jumprelu (which batchtopk and matryoshka are saved as), gated, and transcoders",
            ));
        }
    };
    let activation = match (function, activation) {
        (None | Some("relu"), activation) => activation,
        (Some("topk"), activation @ (Activation::Topk { .. } | Activation::SignedTopk { .. })) => activation,
        (Some("tanh-relu"), Activation::Relu) if !transcoder => Activation::TanhRelu,
        (Some(other), _) => {
            return Err(Error::request(format!(
                "activation function `{other}` is not supported in architecture `{architecture}`"
            ))
            .hint("supported are relu, and of the architecture standard tanh-relu and topk"));
        }
    };
    arguments.finish().at("field `activation_fn_kwargs`")?;
    let d_out = if transcoder { count(own, "d_out")? } else { d_in };
    let subtracts = own.flag("apply_b_dec_to_input")?.unwrap_or(!transcoder);
    if subtracts && transcoder {
        return Err(Error::request(
            "field `apply_b_dec_to_input`: a transcoder's bias is of what it writes, and cannot be subtracted from what it reads",
        )
        .hint("SAELens refuses it, too; set it to false"));
    }
    let mut spec =
        single(kind, activation, fields.text("model_name")?.unwrap_or("model"), (d_in, d_out), features)?;
    if let Some((kind, site)) = ours(fields, spec.kind)? {
        (spec.kind, spec.inputs, spec.outputs) = (kind, vec![site.clone()], vec![site]);
    }
    spec.hook = fields.any_text(&["hook_name", "hook_point"])?.unwrap_or("").to_owned();
    spec.output_hook = fields.text("hook_name_out")?.unwrap_or(&spec.hook).to_owned();
    let mut input_factor = None;
    spec.token_scale = match (own.get("normalize_activations"), declared.norm_scaling_factor) {
        (Some(value), Some(factor)) if is_average(value) => {
            if !(factor > 0.0 && factor.is_finite()) {
                return Err(Error::request(format!(
                    "expected a norm_scaling_factor above 0, found {factor}"
                )));
            }
            input_factor = Some(factor as f32);
            TokenScale::None
        }
        _ => token_scale(own, &mut spec.notes)?,
    };
    let topk = matches!(activation, Activation::Topk { .. } | Activation::SignedTopk { .. });
    let by_decoder_norm = topk && own.flag("rescale_acts_by_decoder_norm")?.unwrap_or(false);
    let finetuned = own.flag("finetuning_scaling_factor")?.unwrap_or(false);
    Ok(Config { spec, subtracts, by_decoder_norm, finetuned, input_factor })
}

/// Whether inputs were scaled by one factor for all; early versions said so by a truth value.
fn is_average(value: &Value) -> bool {
    *value == Value::Bool(true) || value == "expected_average_only_in"
}

/// What is done to each input before encoding.
fn token_scale(own: &Object, notes: &mut Vec<String>) -> Result<TokenScale> {
    match own.get("normalize_activations") {
        None | Some(Value::Bool(false)) => Ok(TokenScale::None),
        Some(Value::String(how)) if how == "none" => Ok(TokenScale::None),
        Some(Value::String(how)) if how == "layer_norm" => Ok(TokenScale::LayerNorm),
        Some(Value::String(how)) if how == "constant_norm_rescale" => Ok(TokenScale::ConstantNorm),
        // SAELens scales nothing at inference, either, unless its table of releases knows the factor; once it is part
        // of the weights, the file says `none`.
        Some(value) if is_average(value) => {
            notes.push(format!(
                "`normalize_activations` is {value}: it was trained on activations scaled to an average norm of the square root \
                 of their width, and the file does not say by how much; it is read on activations as they are, as SAELens \
                 does without its table of releases"
            ));
            Ok(TokenScale::None)
        }
        Some(other) => Err(Error::request(format!("normalize_activations {other} is not supported"))
            .hint("supported are none, expected_average_only_in, constant_norm_rescale and layer_norm")),
    }
}

/// What a dictionary was before this program wrote it: its kind, unless it was a crosscoder (of which one variant was
/// written) or the weights are of another family by now, and what it reads.
fn ours(fields: &Fields, found: Kind) -> Result<Option<(Kind, Site)>> {
    let (Some(site), Some(kind)) =
        (fields.metadata.get("deltascope_site"), fields.metadata.text("deltascope_kind")?)
    else {
        return Ok(None);
    };
    let site = serde_json::from_value(site.clone())
        .map_err(|error| Error::request(format!("field `deltascope_site`: {error}")))?;
    let kind: Kind = kind.parse().at("field `deltascope_kind`")?;
    let kept = !kind.is_crosscoder() && kind.is_transcoder() == found.is_transcoder();
    Ok(Some((if kept { kind } else { found }, site)))
}

/// What a JumpReLU SAE was trained as, which SAELens keeps in its metadata.
fn trained(fields: &Fields) -> Result<Kind> {
    Ok(match fields.text("training_architecture")? {
        Some("batchtopk") => Kind::BatchTopk,
        Some("matryoshka_batchtopk") => Kind::Matryoshka,
        _ => Kind::Jumprelu,
    })
}

/// What changes how the numbers are to be read.
fn notes(fields: &Fields, spec: &mut Spec, reading: &mut FileReading) -> Result<()> {
    if let Some(value) = fields.get("model_from_pretrained_kwargs") {
        let Value::Object(keys) = value else {
            return Err(fields.own.wrong("model_from_pretrained_kwargs", "an object"));
        };
        spec.notes.extend(processed(keys, reading));
    }
    for (key, what) in
        [("hook_head_index", "reads"), ("hook_point_head_index", "reads"), ("hook_head_index_out", "writes")]
    {
        if let Some(head) = fields.get(key) {
            spec.notes.push(format!(
                "`{key}` is {head}: it {what} that head alone; give it activations of that head"
            ));
        }
    }
    if fields.get("prepend_bos") == Some(&Value::Bool(false)) {
        spec.notes.push(
            "`prepend_bos` is false: it was made on texts without a begin token; where texts begin with one, activations \
             differ"
                .to_owned(),
        );
    }
    if let Some(slice) = fields.get("seqpos_slice").filter(|slice| !is_all(slice)) {
        spec.notes.push(format!("`seqpos_slice` is {slice}: it was made on these positions of a text alone"));
    }
    if let Some(tokens) = fields.get("exclude_special_tokens").filter(|value| **value != Value::Bool(false)) {
        spec.notes.push(format!(
            "`exclude_special_tokens` is {}: it was made without special tokens; what it says at them means little",
            short(tokens)
        ));
    }
    if let Some(dtype) = fields.text("dtype")?
        && !["float32", "torch.float32", "float"].contains(&dtype)
    {
        spec.notes.push(format!(
            "`dtype` is {dtype}: SAELens computes in it, and here float32 is computed in, so that numbers differ by rounding"
        ));
    }
    let name = spec.hook.clone();
    match fields.text("reshape_activations")?.unwrap_or(if name.contains("hook_z") {
        "hook_z"
    } else {
        "none"
    }) {
        "none" => {}
        "hook_z" => reading.fold("the heads' vectors are read one after the other, as one vector"),
        other => {
            return Err(Error::request(format!("reshape_activations `{other}` is not supported"))
                .hint("supported are none and hook_z"));
        }
    }
    if let Some(notes) = fields.metadata.get("deltascope_notes") {
        let notes: Vec<String> = serde_json::from_value(notes.clone())
            .map_err(|_| fields.metadata.wrong("deltascope_notes", "a list of texts"))?;
        spec.notes.extend(notes);
    }
    Ok(())
}

/// Whether a slice leaves nothing out.
fn is_all(slice: &Value) -> bool {
    slice.as_array().is_some_and(|parts| parts.iter().all(Value::is_null))
}

/// The note of a model that was not loaded as it is.
fn processed(keys: &serde_json::Map<String, Value>, reading: &mut FileReading) -> Option<String> {
    let is_set = |value: &Value| !matches!(value, Value::Null | Value::Bool(false));
    let set = keys.iter().filter(|(_, value)| is_set(value));
    let (harmless, changing): (Vec<_>, Vec<_>) = set.partition(|(key, _)| LOADING.contains(&key.as_str()));
    reading
        .about
        .extend(harmless.iter().map(|(key, value)| format!("model loaded with {key}: {}", short(value))));
    if changing.is_empty() {
        return None;
    }
    let named = changing
        .iter()
        .map(|(key, value)| format!("`{key}` = {}", short(value)))
        .collect::<Vec<_>>()
        .join(", ");
    let meanings: Vec<&str> = changing.iter().filter_map(|(key, _)| meaning(key)).collect();
    let meanings = if meanings.is_empty() { String::new() } else { format!(" ({})", meanings.join("; ")) };
    Some(format!(
        "made on a model whose weights were processed when it was loaded, by `model_from_pretrained_kwargs` {named}{meanings}; \
         models here are read unprocessed, so that activations, and whatever is computed from them, may not be what the \
         dictionary was made for"
    ))
}

/// What a processing of weights does to activations.
fn meaning(key: &str) -> Option<&'static str> {
    Some(match key {
        "center_writing_weights" => {
            "whatever is written into the residual stream has mean 0 over its dimensions"
        }
        "center_unembed" => "logits have mean 0 over the vocabulary; activations are as they were",
        "fold_ln" => {
            "the norms' weights are part of the matrices after them; what norms give is not scaled by them"
        }
        "fold_value_biases" => "biases of values are part of the output's",
        "refactor_factored_attn_matrices" => "queries, keys, values and heads' outputs are in another basis",
        "revision" | "checkpoint_index" | "checkpoint_value" => "it is of this version of the model",
        "first_n_layers" => "later layers were not loaded",
        _ => return None,
    })
}
