//! From a `config.json`, in the old spelling (`rope_scaling`, `rope_theta`) or the new (`rope_parameters`),
//! to a checked [`Config`].
//!
//! Missing keys mean what transformers takes them to mean. A key that transformers reads and that would
//! change the numbers is either followed or refused by name.

mod dropout;
mod fields;
mod rotary;
#[cfg(test)]
mod tests;
mod unread;
mod windows;

use super::config::{BlockConfig, Config, QueryKeyNorm, Residual};
use super::family::Family;
use crate::error::{Error, Result, nearest};
use crate::ops::{Nonlinearity, NormKind};
pub(super) use dropout::dropout;
use fields::{Fields, Seen, refused};
use serde_json::{Map, Value};
use unread::unread;

/// Reads and checks a whole document.
pub(super) fn read(document: Map<String, Value>) -> Result<Config> {
    let seen = Seen::default();
    let fields = Fields::of_document(&document, &seen);
    let family = family(fields)?;
    fields.refuse_unless_empty("quantization_config", "quantised weights")?;
    fields.refuse_unless_empty("per_layer_config", "settings per layer")?;
    fields.refuse_unless_empty("pruned_heads", "pruned heads")?;
    // transformers asks for its truth, so that `null` is false.
    if let Some(found) = fields.stated("is_causal").filter(|found| **found != Value::Bool(true)) {
        return Err(refused("is_causal", found, "attention is causal"));
    }
    let config = match family {
        Family::Gpt2 => gpt2(fields)?,
        _ => modern(family, fields)?,
    };
    let unread = unread(&document, &seen.into_inner());
    let config = Config { document, unread, ..config };
    check(&config)?;
    Ok(config)
}

fn family(fields: Fields<'_>) -> Result<Family> {
    let found = fields.text("model_type", "")?;
    Family::ALL.into_iter().find(|family| family.model_type() == found).ok_or_else(|| {
        let names: Vec<&str> = Family::ALL.iter().map(|family| family.model_type()).collect();
        let error = Error::request(format!(
            "field `model_type`: expected one of {}, found `{found}`",
            names.join(", ")
        ));
        match nearest(&found, names) {
            Some(near) => error.hint(format!("the nearest supported family is `{near}`")),
            None => error,
        }
    })
}

fn modern(family: Family, fields: Fields<'_>) -> Result<Config> {
    let d_model = fields.size("hidden_size", None)?;
    let heads = fields.size("num_attention_heads", None)?;
    let layers = few(fields.size("num_hidden_layers", None)?)?;
    let key_heads = match family {
        Family::GptNeoX => heads,
        Family::Gemma2 | Family::Gemma3 => fields.size("num_key_value_heads", Some(4))?,
        Family::Mistral => fields.size_or("num_key_value_heads", 8, heads)?,
        Family::Qwen2 | Family::Qwen3 => fields.size_or("num_key_value_heads", 32, heads)?,
        _ => fields.size("num_key_value_heads", Some(heads))?,
    };
    let head_dim = match family {
        Family::Qwen3 => fields.size("head_dim", Some(128))?,
        Family::Gemma2 | Family::Gemma3 => fields.size("head_dim", Some(256))?,
        Family::GptNeoX => whole_heads(fields, d_model, heads)?,
        _ => fields.size("head_dim", Some(d_model / heads))?,
    };
    let is_gemma = matches!(family, Family::Gemma2 | Family::Gemma3);
    let is_neox = family == Family::GptNeoX;
    if is_gemma && fields.flag("use_bidirectional_attention", false)? {
        return Err(refused("use_bidirectional_attention", "true", "attention is causal"));
    }
    let activation = activation(
        fields,
        if is_gemma { "hidden_activation" } else { "hidden_act" },
        match family {
            Family::Gemma2 | Family::Gemma3 => "gelu_pytorch_tanh",
            Family::GptNeoX => "gelu",
            _ => "silu",
        },
    )?;
    let bias = match family {
        Family::Qwen2 => true,
        Family::GptNeoX => fields.flag("attention_bias", true)?,
        Family::Mistral | Family::Phi3 => false,
        _ => fields.flag("attention_bias", false)?,
    };
    let attention_scale = if is_gemma {
        1.0 / (fields.number("query_pre_attn_scalar", Some(256.0))? as f32).sqrt()
    } else {
        1.0 / (head_dim as f32).sqrt()
    };
    let soft_cap = |key, of_gemma2: f64| -> Result<Option<f32>> {
        let default = (family == Family::Gemma2).then_some(of_gemma2);
        let found = if is_gemma { fields.optional(key, default)? } else { None };
        Ok(found.map(|cap| cap as f32))
    };
    let attention_soft_cap = soft_cap("attn_logit_softcapping", 50.0)?;
    if let (Family::Gemma3, Some(cap)) = (family, attention_soft_cap) {
        return Err(refused("attn_logit_softcapping", cap, "Gemma 3 has no cap on attention scores"));
    }
    let default_epsilon = match family {
        Family::Olmo2 | Family::Phi3 | Family::GptNeoX => 1e-5,
        _ => 1e-6,
    };
    let max_positions = fields.size("max_position_embeddings", Some(default_positions(family)))?;
    let ropes = rotary::ropes(family, fields, head_dim, max_positions)?;
    let blocks = windows::windows(family, fields, layers)?
        .into_iter()
        .map(|(window, is_sliding)| BlockConfig {
            window,
            rope: Some(if is_sliding { ropes.1.clone() } else { ropes.0.clone() }),
            attention_scale,
        })
        .collect();
    Ok(Config {
        family,
        vocabulary: fields.size("vocab_size", None)?,
        d_model,
        d_mlp: fields.size("intermediate_size", None)?,
        heads,
        key_heads,
        head_dim,
        max_positions,
        norm: if is_neox { NormKind::Layer } else { NormKind::Rms },
        norm_epsilon: fields
            .number(if is_neox { "layer_norm_eps" } else { "rms_norm_eps" }, Some(default_epsilon))?
            as f32,
        norm_offset: if is_gemma { 1.0 } else { 0.0 },
        query_key_norm: match family {
            Family::Qwen3 | Family::Gemma3 => QueryKeyNorm::Head,
            Family::Olmo2 => QueryKeyNorm::Whole,
            _ => QueryKeyNorm::None,
        },
        residual: if is_neox && fields.flag("use_parallel_residual", true)? {
            Residual::Parallel
        } else {
            Residual::Sequential
        },
        activation,
        query_key_value_bias: bias,
        output_bias: bias && family != Family::Qwen2,
        mlp_bias: is_neox || (family == Family::Llama && fields.flag("mlp_bias", false)?),
        attention_soft_cap,
        final_soft_cap: soft_cap("final_logit_softcapping", 30.0)?,
        embedding_scale: if is_gemma { (d_model as f32).sqrt() } else { 1.0 },
        tied: fields.flag("tie_word_embeddings", is_gemma)?,
        blocks,
        document: Map::new(),
        unread: Vec::new(),
    })
}

fn gpt2(fields: Fields<'_>) -> Result<Config> {
    let d_model = fields.aliased_size("n_embd", "hidden_size", 768)?;
    let heads = fields.aliased_size("n_head", "num_attention_heads", 12)?;
    let layers = few(fields.aliased_size("n_layer", "num_hidden_layers", 12)?)?;
    let head_dim = whole_heads(fields, d_model, heads)?;
    if fields.flag("add_cross_attention", false)? {
        return Err(refused("add_cross_attention", "true", "the decoder has no encoder to attend to"));
    }
    let scale = if fields.flag("scale_attn_weights", true)? { 1.0 / (head_dim as f32).sqrt() } else { 1.0 };
    let by_layer = fields.flag("scale_attn_by_inverse_layer_idx", false)?;
    let blocks = windows::windows(Family::Gpt2, fields, layers)?
        .into_iter()
        .zip(1..)
        .map(|((window, _), layer)| BlockConfig {
            window,
            rope: None,
            attention_scale: if by_layer { scale / layer as f32 } else { scale },
        })
        .collect();
    Ok(Config {
        family: Family::Gpt2,
        vocabulary: fields.size("vocab_size", Some(50257))?,
        d_model,
        d_mlp: fields.size("n_inner", Some(4 * d_model))?,
        heads,
        key_heads: heads,
        head_dim,
        max_positions: fields.aliased_size("n_positions", "max_position_embeddings", 1024)?,
        norm: NormKind::Layer,
        norm_epsilon: fields.number("layer_norm_epsilon", Some(1e-5))? as f32,
        norm_offset: 0.0,
        query_key_norm: QueryKeyNorm::None,
        residual: Residual::Sequential,
        activation: activation(fields, "activation_function", "gelu_new")?,
        query_key_value_bias: true,
        output_bias: true,
        mlp_bias: true,
        attention_soft_cap: None,
        final_soft_cap: None,
        embedding_scale: 1.0,
        tied: fields.flag("tie_word_embeddings", true)?,
        blocks,
        document: Map::new(),
        unread: Vec::new(),
    })
}

/// A number of layers that is no slip of the pen: each is allocated before its tensors are looked for.
fn few(layers: usize) -> Result<usize> {
    match layers {
        0..=4096 => Ok(layers),
        _ => Err(refused("num_hidden_layers", layers, "at most 4096")),
    }
}

/// Heads that divide the width; a `head_dim` that says otherwise is refused.
fn whole_heads(fields: Fields<'_>, d_model: usize, heads: usize) -> Result<usize> {
    let head_dim = d_model / heads;
    fields.fixed("head_dim", head_dim as f64, "this family divides its width among the heads")?;
    Ok(head_dim)
}

/// What `max_position_embeddings` is when it is missing; yarn and llama3 scale by it.
fn default_positions(family: Family) -> usize {
    match family {
        Family::Mistral | Family::Gemma3 => 131_072,
        Family::Qwen2 | Family::Qwen3 => 32_768,
        Family::Gemma2 => 8192,
        Family::Phi3 => 4096,
        _ => 2048,
    }
}

fn activation(fields: Fields<'_>, key: &str, default: &str) -> Result<Nonlinearity> {
    Ok(match fields.text(key, default)?.as_str() {
        "silu" | "swish" => Nonlinearity::Silu,
        "gelu" | "gelu_python" => Nonlinearity::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_fast" | "gelu_accurate" => {
            Nonlinearity::GeluTanh
        }
        "quick_gelu" => Nonlinearity::QuickGelu,
        "relu" => Nonlinearity::Relu,
        "relu2" => Nonlinearity::ReluSquared,
        other => {
            return Err(refused(
                key,
                other,
                "known are silu, gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu and relu2",
            ));
        }
    })
}

/// The widest head: frequencies are made for each number of it before any tensor is looked for.
const WIDEST_HEAD: usize = 1 << 13;

/// A size that is no slip of the pen.
fn bounded(key: &str, size: usize, most: usize) -> Result<usize> {
    if size <= most { Ok(size) } else { Err(refused(key, size, &format!("at most {most}"))) }
}

fn check(config: &Config) -> Result<()> {
    // Products of any two of these fit into a number.
    for (key, size, most) in [
        ("hidden_size", config.d_model, 1 << 24),
        ("intermediate_size", config.d_mlp, 1 << 26),
        ("num_attention_heads", config.heads, 1 << 16),
        ("num_key_value_heads", config.key_heads, 1 << 16),
        ("head_dim", config.head_dim, WIDEST_HEAD),
        ("vocab_size", config.vocabulary, 1 << 28),
    ] {
        bounded(key, size, most)?;
    }
    if !config.heads.is_multiple_of(config.key_heads) {
        return Err(Error::request(format!(
            "field `num_key_value_heads`: expected a divisor of num_attention_heads ({}), found {}",
            config.heads, config.key_heads
        )));
    }
    let is_divided = Fields::of(&config.document).get("head_dim").is_none()
        && config.head_dim == config.d_model / config.heads;
    if config.head_dim == 0 || (is_divided && !config.d_model.is_multiple_of(config.heads)) {
        return Err(Error::request(format!(
            "field `num_attention_heads`: expected a divisor of the width {}, found {}",
            config.d_model, config.heads
        )));
    }
    Ok(())
}
