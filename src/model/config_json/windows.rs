//! Sliding windows per layer out of a `config.json`.

use super::fields::{Fields, refused};
use crate::error::{Error, Result};
use crate::model::family::Family;
use serde_json::Value;

/// Per layer: the window, and whether the layer counts as sliding (Gemma 3 has another rotary base there).
pub(super) fn windows(
    family: Family,
    fields: Fields<'_>,
    layers: usize,
) -> Result<Vec<(Option<usize>, bool)>> {
    let window = match family {
        Family::Mistral | Family::Gemma2 | Family::Gemma3 => {
            fields.optional("sliding_window", Some(4096.0))?
        }
        Family::Qwen2 | Family::Qwen3 if fields.flag("use_sliding_window", false)? => {
            fields.optional("sliding_window", Some(4096.0))?
        }
        Family::Phi3 => fields.optional("sliding_window", None)?,
        _ => None,
    };
    if let Some(window) = window.filter(|window| *window < 1.0 || window.fract() != 0.0) {
        return Err(refused("sliding_window", window, "a window is a whole number of tokens"));
    }
    let window = window.map(|window| window as usize);
    let is_sliding = match named(family, fields, layers)? {
        Some(kinds) if window.is_none() && kinds.contains(&true) => {
            let why =
                "these layers need a `sliding_window` (and `use_sliding_window`, where the family has it)";
            return Err(refused("layer_types", "sliding_attention", why));
        }
        Some(kinds) => kinds,
        None => (0..layers).map(by_pattern(family, fields)?).collect(),
    };
    Ok(is_sliding.into_iter().map(|is_sliding| (window.filter(|_| is_sliding), is_sliding)).collect())
}

/// Whether each layer slides, where `layer_types` says so.
///
/// transformers reads a Mistral with `layer_types` as Ministral, which differs in nothing else. Families whose layers
/// are all alike have nothing that a list could choose between.
fn named(family: Family, fields: Fields<'_>, layers: usize) -> Result<Option<Vec<bool>>> {
    let kinds = match fields.get("layer_types") {
        None => return Ok(None),
        Some(Value::Array(kinds)) => kinds,
        Some(_) => return Err(fields.wrong("layer_types", "a list")),
    };
    if kinds.len() != layers {
        return Err(Error::request(format!(
            "field `layer_types`: expected {layers} entries (num_hidden_layers), found {}",
            kinds.len()
        )));
    }
    let chooses =
        matches!(family, Family::Mistral | Family::Qwen2 | Family::Qwen3 | Family::Gemma2 | Family::Gemma3);
    let one = |kind: &Value| match kind.as_str() {
        Some("sliding_attention") if chooses => Ok(true),
        Some("sliding_attention") => {
            Err(refused("layer_types", kind, "the layers of this family are all alike"))
        }
        Some("full_attention") => Ok(false),
        _ => Err(refused("layer_types", kind, "known are full_attention and sliding_attention")),
    };
    let is_sliding = kinds.iter().map(one).collect::<Result<Vec<_>>>()?;
    Ok(Some(is_sliding).filter(|_| chooses))
}

/// Whether a layer slides, where nothing names the layers.
fn by_pattern(family: Family, fields: Fields<'_>) -> Result<impl Fn(usize) -> bool> {
    let pattern = match family {
        Family::Gemma2 => 2,
        Family::Gemma3 => fields.size("sliding_window_pattern", Some(6))?,
        _ => 0,
    };
    if family == Family::Gemma3 {
        let why = "without `layer_types`, `sliding_window_pattern` is what counts";
        fields.fixed("_sliding_window_pattern", pattern as f64, why)?;
    }
    let first = match family {
        Family::Qwen2 | Family::Qwen3 => fields.size_from_zero("max_window_layers", 28)?,
        _ => 0,
    };
    Ok(move |layer: usize| if pattern > 0 { !(layer + 1).is_multiple_of(pattern) } else { layer >= first })
}
