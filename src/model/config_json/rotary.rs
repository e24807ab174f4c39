//! Rotary embeddings out of a `config.json`: `rope_parameters`, or `rope_scaling` beside `rope_theta`.
//!
//! As in transformers, a `rope_scaling` that is there comes before `rope_parameters`, and what it leaves
//! out is looked up beside it.

use super::fields::{Fields, refused};
use super::{WIDEST_HEAD, bounded};
use crate::error::Result;
use crate::model::family::Family;
use crate::model::rope_scaling::{Rope, RopeScaling};
use serde_json::Map;

const THETA: f64 = 10_000.0;

/// The rotary embeddings of full and of sliding layers.
pub(super) fn ropes(
    family: Family,
    fields: Fields<'_>,
    head_dim: usize,
    max_positions: usize,
) -> Result<(Rope, Rope)> {
    bounded("head_dim", head_dim, WIDEST_HEAD)?;
    let empty = Map::new();
    let new = fields.object("rope_parameters")?;
    let old = fields.object("rope_scaling")?;
    let reader = Reader { family, fields, head_dim, max_positions };
    if family == Family::Gemma3 {
        return reader.gemma3(new, old, Fields::of(&empty));
    }
    let parameters = old.or(new).unwrap_or(Fields::of(&empty));
    let theta = match family {
        Family::GptNeoX => fields.number("rotary_emb_base", Some(THETA))?,
        _ => fields.number("rope_theta", Some(THETA))?,
    };
    let rope = reader.rope(parameters, parameters, theta)?;
    if family == Family::GptNeoX {
        let why = "GPT-NeoX reads `rotary_emb_base` and `rotary_pct`, which say otherwise";
        fields.fixed("rope_theta", rope.theta, why)?;
        fields.fixed("partial_rotary_factor", reader.partial(parameters)?, why)?;
    }
    Ok((rope.clone(), rope))
}

struct Reader<'a> {
    family: Family,
    fields: Fields<'a>,
    head_dim: usize,
    max_positions: usize,
}

impl Reader<'_> {
    /// Gemma 3 has one embedding per kind of layer; `rope_scaling` is added to that of full layers.
    fn gemma3(
        &self,
        new: Option<Fields<'_>>,
        old: Option<Fields<'_>>,
        empty: Fields<'_>,
    ) -> Result<(Rope, Rope)> {
        let outer = new.unwrap_or(empty);
        for key in outer.0.keys() {
            if !matches!(key.as_str(), "full_attention" | "sliding_attention" | "truncate") {
                let why = "Gemma 3 has parameters per kind of layer, full_attention and sliding_attention";
                return Err(refused(&format!("rope_parameters.{key}"), &outer.0[key], why));
            }
        }
        let mut full = outer.object("full_attention")?.unwrap_or(empty).0.clone();
        full.extend(old.unwrap_or(empty).0.clone());
        let sliding = outer.object("sliding_attention")?.unwrap_or(empty);
        let theta = self.fields.number("rope_theta", Some(1_000_000.0))?;
        let local = self.fields.number("rope_local_base_freq", Some(THETA))?;
        Ok((self.rope(Fields::of(&full), outer, theta)?, self.rope(sliding, outer, local)?))
    }

    /// One embedding. `outer` holds what transformers looks up there even where parameters are nested.
    fn rope(&self, parameters: Fields<'_>, outer: Fields<'_>, theta: f64) -> Result<Rope> {
        let theta = parameters.number("rope_theta", Some(theta))?;
        let scaling = self.scaling(parameters, outer)?;
        // An odd part is rounded up to whole pairs, as `arange(0, dim, 2)` does.
        let rotated = (self.head_dim as f64 * self.partial(parameters)?) as usize;
        if rotated == 0 || rotated > self.head_dim || rotated.next_multiple_of(2) > self.head_dim {
            let why = "an even part of each head is rotated";
            return Err(refused("partial_rotary_factor", self.partial(parameters)?, why));
        }
        Ok(Rope::new(theta, rotated, scaling))
    }

    /// The part of each head that is rotated.
    fn partial(&self, parameters: Fields<'_>) -> Result<f64> {
        let beside = match self.family {
            Family::GptNeoX => self.fields.number("rotary_pct", Some(0.25))?,
            _ => self.fields.number("partial_rotary_factor", Some(1.0))?,
        };
        let partial = parameters.number("partial_rotary_factor", Some(beside))?;
        if partial != 1.0 && !matches!(self.family, Family::GptNeoX | Family::Phi3) {
            return Err(refused("partial_rotary_factor", partial, "this family rotates whole heads"));
        }
        Ok(partial)
    }

    fn scaling(&self, parameters: Fields<'_>, outer: Fields<'_>) -> Result<RopeScaling> {
        let kind = parameters.text("rope_type", &parameters.text("type", "default")?)?;
        if self.family == Family::Phi3 && kind != "default" {
            return Err(refused("rope_type", kind, "for Phi-3, default is the only one known here"));
        }
        let factor = || parameters.number("factor", None);
        let original = self.original(parameters);
        Ok(match kind.as_str() {
            "default" => RopeScaling::Default,
            "linear" => RopeScaling::Linear { factor: factor()? as f32 },
            "llama3" => RopeScaling::Llama3 {
                factor: factor()? as f32,
                low: parameters.number("low_freq_factor", None)? as f32,
                high: parameters.number("high_freq_factor", None)? as f32,
                original: original?,
            },
            "yarn" => {
                let original = original?;
                let factor = match parameters.0.get("factor") {
                    Some(serde_json::Value::Null) => self.max_positions as f64 / original as f64,
                    _ => factor()?,
                };
                RopeScaling::Yarn {
                    factor: factor as f32,
                    attention_factor: yarn_attention_factor(parameters, factor)? as f32,
                    beta_fast: parameters.unless_zero("beta_fast")?.unwrap_or(32.0),
                    beta_slow: parameters.unless_zero("beta_slow")?.unwrap_or(1.0),
                    original,
                    truncate: outer.flag("truncate", true)?,
                }
            }
            other => return Err(refused("rope_type", other, "known are default, linear, llama3 and yarn")),
        })
    }

    /// The positions of pre-training: a field beside the parameters comes before one among them.
    fn original(&self, parameters: Fields<'_>) -> Result<usize> {
        const KEY: &str = "original_max_position_embeddings";
        let among = parameters.size(KEY, Some(self.max_positions))?;
        match self.family {
            Family::Gemma3 => Ok(among),
            _ => self.fields.size(KEY, Some(among)),
        }
    }
}

fn yarn_attention_factor(parameters: Fields<'_>, factor: f64) -> Result<f64> {
    if let Some(given) = parameters.optional("attention_factor", None)? {
        return Ok(given);
    }
    let scale = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
    let weights = (parameters.unless_zero("mscale")?, parameters.unless_zero("mscale_all_dim")?);
    Ok(match weights {
        (Some(one), Some(all)) => scale(one) / scale(all),
        _ => scale(1.0),
    })
}
