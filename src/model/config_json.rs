//! From a `config.json`, in the old spelling (`rope_scaling`, `rope_theta`) or the new (`rope_parameters`),
//! to a checked [`Config`].
//!
//! Missing keys mean what transformers takes them to mean. A key that transformers reads and that would
//! change the numbers is either followed or refused by name.

use super::config::{BlockConfig, Config, QueryKeyNorm, Residual};
use super::family::Family;
use super::rope_scaling::{Rope, Scaling};
use crate::error::{Error, Result, nearest};
use crate::ops::{Activation, NormKind};
use serde_json::{Map, Value};

/// Reads and checks a whole document.
pub(super) fn read(document: Map<String, Value>) -> Result<Config> {
    let fields = Fields(&document);
    let family = family(&fields)?;
    fields.refuse_unless_null("quantization_config", "quantised weights")?;
    fields.refuse_unless_null("sub_configs", "nested configurations")?;
    let config = match family {
        Family::Gpt2 => gpt2(&fields)?,
        _ => modern(family, &fields)?,
    };
    let config = Config { document, ..config };
    check(&config)?;
    Ok(config)
}

fn family(fields: &Fields<'_>) -> Result<Family> {
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

fn modern(family: Family, fields: &Fields<'_>) -> Result<Config> {
    let d_model = fields.size("hidden_size", None)?;
    let heads = fields.size("num_attention_heads", None)?;
    let layers = fields.size("num_hidden_layers", None)?;
    let key_heads = match family {
        Family::GptNeoX => heads,
        Family::Gemma2 | Family::Gemma3 => fields.size("num_key_value_heads", Some(4))?,
        Family::Mistral => fields.size("num_key_value_heads", Some(8))?,
        Family::Qwen2 | Family::Qwen3 => fields.size("num_key_value_heads", Some(32))?,
        _ => fields.size("num_key_value_heads", Some(heads))?,
    };
    let head_dim = match family {
        Family::Qwen3 => fields.size("head_dim", Some(128))?,
        Family::Gemma2 | Family::Gemma3 => fields.size("head_dim", Some(256))?,
        Family::GptNeoX | Family::Olmo2 | Family::Phi3 => d_model / heads,
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
        1.0 / fields.number("query_pre_attn_scalar", Some(256.0))?.sqrt()
    } else {
        1.0 / (head_dim as f32).sqrt()
    };
    let soft_cap = |key, default| if is_gemma { fields.optional(key, default) } else { Ok(None) };
    let gemma2 = |cap| (family == Family::Gemma2).then_some(cap);
    let attention_soft_cap = soft_cap("attn_logit_softcapping", gemma2(50.0))?;
    if let (Family::Gemma3, Some(cap)) = (family, attention_soft_cap) {
        return Err(refused("attn_logit_softcapping", cap, "Gemma 3 has no cap on attention scores"));
    }
    let default_epsilon = match family {
        Family::Olmo2 | Family::Phi3 | Family::GptNeoX => 1e-5,
        _ => 1e-6,
    };
    let max_positions = fields.size("max_position_embeddings", Some(2048))?;
    let windows = windows(family, fields, layers)?;
    let ropes = ropes(family, fields, head_dim, max_positions)?;
    let blocks = windows
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
            .number(if is_neox { "layer_norm_eps" } else { "rms_norm_eps" }, Some(default_epsilon))?,
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
        final_soft_cap: soft_cap("final_logit_softcapping", gemma2(30.0))?,
        embedding_scale: if is_gemma { (d_model as f32).sqrt() } else { 1.0 },
        tied: fields.flag("tie_word_embeddings", is_gemma)?,
        blocks,
        document: Map::new(),
    })
}

fn gpt2(fields: &Fields<'_>) -> Result<Config> {
    let d_model = fields.size("n_embd", Some(768))?;
    let heads = fields.size("n_head", Some(12))?;
    let layers = fields.size("n_layer", Some(12))?;
    if fields.flag("add_cross_attention", false)? {
        return Err(refused("add_cross_attention", "true", "the decoder has no encoder to attend to"));
    }
    let scale =
        if fields.flag("scale_attn_weights", true)? { 1.0 / ((d_model / heads) as f32).sqrt() } else { 1.0 };
    let by_layer = fields.flag("scale_attn_by_inverse_layer_idx", false)?;
    let blocks = (1..=layers)
        .map(|layer| BlockConfig {
            window: None,
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
        head_dim: d_model / heads,
        max_positions: fields.size("n_positions", Some(1024))?,
        norm: NormKind::Layer,
        norm_epsilon: fields.number("layer_norm_epsilon", Some(1e-5))?,
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
    })
}

fn activation(fields: &Fields<'_>, key: &str, default: &str) -> Result<Activation> {
    Ok(match fields.text(key, default)?.as_str() {
        "silu" | "swish" => Activation::Silu,
        "gelu" | "gelu_python" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" | "gelu_python_tanh" => Activation::GeluTanh,
        "quick_gelu" => Activation::QuickGelu,
        "relu" => Activation::Relu,
        "relu2" => Activation::ReluSquared,
        other => {
            return Err(refused(
                key,
                other,
                "known are silu, gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu and relu2",
            ));
        }
    })
}

/// Per layer: the window, and whether the layer counts as sliding (Gemma 3 has another rotary base there).
fn windows(family: Family, fields: &Fields<'_>, layers: usize) -> Result<Vec<(Option<usize>, bool)>> {
    let window = match family {
        Family::Mistral | Family::Gemma2 | Family::Gemma3 => {
            fields.optional("sliding_window", Some(4096.0))?
        }
        Family::Qwen2 | Family::Qwen3 if fields.flag("use_sliding_window", false)? => {
            fields.optional("sliding_window", Some(4096.0))?
        }
        Family::Phi3 => fields.optional("sliding_window", None)?,
        _ => None,
    }
    .map(|window| window as usize);
    if window == Some(0) {
        return Err(refused("sliding_window", 0, "a token must see itself"));
    }
    let named = match family {
        Family::Qwen2 | Family::Qwen3 | Family::Gemma2 | Family::Gemma3 => fields.0.get("layer_types"),
        _ => None,
    };
    let is_sliding: Vec<bool> = match named {
        Some(Value::Array(types)) => types
            .iter()
            .map(|kind| match kind.as_str() {
                Some("sliding_attention") => Ok(true),
                Some("full_attention") => Ok(false),
                _ => Err(refused("layer_types", kind, "known are full_attention and sliding_attention")),
            })
            .collect::<Result<_>>()?,
        _ => {
            let pattern = match family {
                Family::Gemma2 => 2,
                Family::Gemma3 => fields
                    .size("sliding_window_pattern", None)
                    .or_else(|_| fields.size("_sliding_window_pattern", Some(6)))?,
                _ => 0,
            };
            let from = match family {
                Family::Qwen2 | Family::Qwen3 => fields.size("max_window_layers", Some(28))?,
                _ => 0,
            };
            (0..layers)
                .map(|layer| if pattern > 0 { (layer + 1) % pattern != 0 } else { layer >= from })
                .collect()
        }
    };
    if is_sliding.len() != layers {
        return Err(Error::request(format!(
            "field `layer_types`: expected {layers} entries (num_hidden_layers), found {}",
            is_sliding.len()
        )));
    }
    Ok(is_sliding.into_iter().map(|is_sliding| (window.filter(|_| is_sliding), is_sliding)).collect())
}

/// The rotary embeddings of full and of sliding layers.
fn ropes(family: Family, fields: &Fields<'_>, head_dim: usize, max_positions: usize) -> Result<(Rope, Rope)> {
    let empty = Map::new();
    let new = fields.object("rope_parameters")?;
    let old = fields.object("rope_scaling")?;
    let base = |key, default| fields.number(key, Some(default));
    let default_theta = match family {
        Family::GptNeoX => base("rotary_emb_base", 10_000.0)?,
        Family::Gemma3 => 1_000_000.0,
        _ => 10_000.0,
    };
    let theta = base("rope_theta", default_theta)?;
    let one = |parameters: &Map<String, Value>, theta: f32| {
        rope(family, fields, &Fields(parameters), theta, head_dim, max_positions)
    };
    if let Some(parameters) = new {
        let nested = |key: &str| match parameters.get(key) {
            Some(Value::Object(inner)) => Some(inner),
            _ => None,
        };
        if let (Some(full), Some(sliding)) = (nested("full_attention"), nested("sliding_attention")) {
            return Ok((one(full, theta)?, one(sliding, 10_000.0)?));
        }
        let both = one(parameters, theta)?;
        if family == Family::Gemma3 {
            let local = base("rope_local_base_freq", 10_000.0)?;
            return Ok((both, one(&empty, local)?));
        }
        return Ok((both.clone(), both));
    }
    let full = one(old.unwrap_or(&empty), theta)?;
    if family == Family::Gemma3 {
        return Ok((full, one(&empty, base("rope_local_base_freq", 10_000.0)?)?));
    }
    Ok((full.clone(), full))
}

fn rope(
    family: Family,
    fields: &Fields<'_>,
    parameters: &Fields<'_>,
    theta: f32,
    head_dim: usize,
    max_positions: usize,
) -> Result<Rope> {
    let theta = parameters.number("rope_theta", Some(theta))?;
    let kind = parameters.text("rope_type", &parameters.text("type", "default")?)?;
    let partial = match family {
        Family::GptNeoX => fields.number("partial_rotary_factor", None).or_else(|_| {
            let has_new = fields.0.contains_key("rope_parameters");
            fields.number("rotary_pct", Some(if has_new { 1.0 } else { 0.25 }))
        })?,
        Family::Phi3 => fields.number("partial_rotary_factor", Some(1.0))?,
        _ => 1.0,
    };
    let partial = parameters.number("partial_rotary_factor", Some(partial))?;
    if partial != 1.0 && !matches!(family, Family::GptNeoX | Family::Phi3) {
        return Err(refused("partial_rotary_factor", partial, "this family rotates whole heads"));
    }
    let dim = (head_dim as f32 * partial) as usize;
    if dim == 0 || !dim.is_multiple_of(2) || dim > head_dim {
        return Err(refused("partial_rotary_factor", partial, "an even part of each head is rotated"));
    }
    let original = || parameters.number("original_max_position_embeddings", Some(max_positions as f32));
    let scaling = match kind.as_str() {
        "default" => Scaling::Default,
        "linear" => Scaling::Linear { factor: parameters.number("factor", None)? },
        "llama3" => Scaling::Llama3 {
            factor: parameters.number("factor", None)?,
            low: parameters.number("low_freq_factor", None)?,
            high: parameters.number("high_freq_factor", None)?,
            original: original()?,
        },
        "yarn" => {
            let factor = parameters.number("factor", None)?;
            Scaling::Yarn {
                factor,
                attention_factor: yarn_attention_factor(parameters, factor)?,
                beta_fast: parameters.number("beta_fast", Some(32.0))?,
                beta_slow: parameters.number("beta_slow", Some(1.0))?,
                original: original()?,
                truncate: parameters.flag("truncate", true)?,
            }
        }
        other => return Err(refused("rope_type", other, "known are default, linear, llama3 and yarn")),
    };
    Ok(Rope::new(theta, dim, &scaling))
}

fn yarn_attention_factor(parameters: &Fields<'_>, factor: f32) -> Result<f32> {
    if let Some(given) = parameters.optional("attention_factor", None)? {
        return Ok(given);
    }
    let scale = |weight: f32| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
    let weights = (parameters.optional("mscale", None)?, parameters.optional("mscale_all_dim", None)?);
    Ok(match weights {
        (Some(one), Some(all)) if one != 0.0 && all != 0.0 => scale(one) / scale(all),
        _ => scale(1.0),
    })
}

fn check(config: &Config) -> Result<()> {
    if !config.heads.is_multiple_of(config.key_heads) {
        return Err(Error::request(format!(
            "field `num_key_value_heads`: expected a divisor of num_attention_heads ({}), found {}",
            config.heads, config.key_heads
        )));
    }
    let is_divided =
        !config.document.contains_key("head_dim") && config.head_dim == config.d_model / config.heads;
    if config.head_dim == 0 || (is_divided && !config.d_model.is_multiple_of(config.heads)) {
        return Err(Error::request(format!(
            "field `num_attention_heads`: expected a divisor of the width {}, found {}",
            config.d_model, config.heads
        )));
    }
    Ok(())
}

fn refused(key: &str, found: impl std::fmt::Display, why: &str) -> Error {
    Error::request(format!("field `{key}`: `{found}` is not supported: {why}"))
}

/// Typed access to the fields of a JSON object. `null` counts as missing.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: &str) -> Error {
        match self.0.get(key) {
            Some(found) => Error::request(format!("field `{key}`: expected {expected}, found {found}")),
            None => Error::request(format!("field `{key}`: expected {expected}, found nothing")),
        }
    }

    fn size(&self, key: &str, default: Option<usize>) -> Result<usize> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (found, _) => found
                .and_then(Value::as_u64)
                .filter(|size| (1..=1 << 32).contains(size))
                .map(|size| size as usize)
                .ok_or_else(|| self.wrong(key, "a positive whole number")),
        }
    }

    fn number(&self, key: &str, default: Option<f32>) -> Result<f32> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (found, _) => found
                .and_then(Value::as_f64)
                .filter(|number| number.is_finite() && *number > 0.0)
                .map(|number| number as f32)
                .ok_or_else(|| self.wrong(key, "a positive number")),
        }
    }

    /// A missing key is `default`; an explicit `null` is `None`.
    fn optional(&self, key: &str, default: Option<f32>) -> Result<Option<f32>> {
        match self.0.get(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(_) => self.number(key, None).map(Some),
        }
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(found) => found.as_bool().ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    fn text(&self, key: &str, default: &str) -> Result<String> {
        match self.get(key) {
            None => Ok(default.to_owned()),
            Some(found) => found.as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "a text")),
        }
    }

    fn object(&self, key: &str) -> Result<Option<&'a Map<String, Value>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(inner)) => Ok(Some(inner)),
            Some(_) => Err(self.wrong(key, "an object")),
        }
    }

    fn refuse_unless_null(&self, key: &str, what: &str) -> Result<()> {
        match self.get(key) {
            Some(Value::Object(inner)) if !inner.is_empty() => {
                Err(Error::request(format!("field `{key}`: {what} are not supported")))
            }
            _ => Ok(()),
        }
    }
}
