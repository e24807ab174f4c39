//! A configuration as candle-transformers reads it, or the setting that it does not have.

use crate::error::{Error, Result};
use crate::model::{Config, Family, Nonlinearity, RopeScaling};
use serde_json::{Value, json};

/// A `config.json` in the old spelling with the keys of all families; each takes its own. Windows are left
/// out: rows of at most `longest` tokens do not reach them.
pub(super) fn document(config: &Config, longest: usize) -> Result<Value> {
    let activation = activation(config)?;
    let full = config.blocks.iter().find(|block| block.window.is_none()).or(config.blocks.first());
    let sliding = config.blocks.iter().find(|block| block.window.is_some());
    let theta = |block: Option<&crate::model::BlockConfig>| Some(block?.rope.as_ref()?.theta);
    let pairs =
        config.blocks.first().and_then(|block| block.rope.as_ref()).map(|rope| rope.frequencies.len());
    let rotated = pairs.map_or(1.0, |pairs| (2 * pairs) as f64 / config.head_dim as f64);
    Ok(json!({
        "vocab_size": config.vocabulary,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_mlp,
        "num_hidden_layers": config.layers(),
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_heads,
        "head_dim": config.head_dim,
        "hidden_act": activation,
        "hidden_activation": activation,
        "max_position_embeddings": longest,
        "rms_norm_eps": config.norm_epsilon,
        "attention_bias": config.query_key_value_bias,
        "tie_word_embeddings": config.tied,
        "rope_theta": theta(full).unwrap_or(10_000.0),
        "rope_local_base_freq": theta(sliding).unwrap_or(10_000.0),
        "rope_scaling": rope_scaling(config)?,
        "partial_rotary_factor": (rotated < 1.0).then_some(rotated),
        "use_sliding_window": false,
        "max_window_layers": config.layers(),
        "sliding_window": if needs_a_window(config.family) { Some(longest) } else { None },
        "sliding_window_pattern": sliding_pattern(config)?,
        "query_pre_attn_scalar": config.head_dim,
        "attn_logit_softcapping": config.attention_soft_cap,
        "final_logit_softcapping": config.final_soft_cap,
    }))
}

/// Refuses what candle-transformers would ignore without a word.
pub(super) fn check(config: &Config) -> Result<()> {
    let family = config.family;
    let divides = matches!(family, Family::Llama | Family::Qwen2 | Family::Olmo2 | Family::Phi3);
    let is_gemma = matches!(family, Family::Gemma2 | Family::Gemma3);
    let is_llama = family == Family::Llama;
    let odd = config.blocks.iter().filter_map(|block| block.rope.as_ref()).any(|rope| rope.factor != 1.0);
    let known = [
        ("head_dim", !divides || config.head_dim * config.heads == config.d_model),
        ("attention_bias", !(is_llama && config.query_key_value_bias)),
        ("mlp_bias", !config.mlp_bias),
        ("hidden_act", !is_llama || config.activation == Nonlinearity::Silu),
        ("tie_word_embeddings", !is_gemma || config.tied),
        ("attention_factor", !odd),
    ];
    match known.iter().find(|(_, is_known)| !is_known) {
        Some((key, _)) => Err(unknown(config, key)),
        None => Ok(()),
    }
}

fn unknown(config: &Config, key: &str) -> Error {
    Error::request(format!(
        "--peer candle: candle-transformers does not follow this model's `{key}` in its {}",
        config.family.model_type()
    ))
    .hint("leave --peer out; --golden compares with tensors of any other program")
}

/// The name under which candle-nn knows the nonlinearity.
fn activation(config: &Config) -> Result<&'static str> {
    Ok(match config.activation {
        Nonlinearity::Silu => "silu",
        Nonlinearity::Gelu => "gelu",
        Nonlinearity::GeluTanh => "gelu_pytorch_tanh",
        Nonlinearity::Relu => "relu",
        Nonlinearity::ReluSquared => "relu2",
        Nonlinearity::QuickGelu => return Err(unknown(config, "hidden_act")),
    })
}

fn rope_scaling(config: &Config) -> Result<Option<Value>> {
    let mut ropes = config.blocks.iter().filter_map(|block| block.rope.as_ref());
    match ropes.next().map(|rope| &rope.scaling) {
        Some(RopeScaling::Llama3 { factor, low, high, original }) if config.family == Family::Llama => {
            Ok(Some(json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low,
                "high_freq_factor": high,
                "original_max_position_embeddings": original,
            })))
        }
        Some(RopeScaling::Default) | None if ropes.all(|rope| rope.scaling == RopeScaling::Default) => {
            Ok(None)
        }
        _ => Err(unknown(config, "rope_type")),
    }
}

/// Families whose window is a plain number there.
fn needs_a_window(family: Family) -> bool {
    matches!(family, Family::Qwen2 | Family::Gemma3)
}

/// Every how many layers one does not slide.
fn sliding_pattern(config: &Config) -> Result<usize> {
    let slides = |layer: usize| config.blocks.get(layer).is_some_and(|block| block.window.is_some());
    let fits = |every: &usize| (0..config.layers()).all(|layer| slides(layer) == ((layer + 1) % every > 0));
    match (1..=config.layers() + 1).find(fits) {
        Some(every) => Ok(every),
        None if config.family == Family::Gemma3 => Err(unknown(config, "layer_types")),
        None => Ok(1),
    }
}
