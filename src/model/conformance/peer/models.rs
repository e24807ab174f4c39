//! The models of candle-transformers, made from a checked configuration and the weights of a model.

use super::settings;
use crate::error::{Error, Result};
use crate::model::{Config, Family, Model};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{gemma2, gemma3, llama, mistral, olmo2, phi3, qwen2, qwen3};
use serde::de::DeserializeOwned;

/// Runs candle's model on the token ids [1, length], from scratch.
type Run = Box<dyn FnMut(&Tensor) -> candle_core::Result<Tensor>>;

/// A model of candle-transformers.
pub(super) struct Peer {
    /// The logits of the last position.
    pub(super) logits: Run,
    /// The hidden states [1, length, d_model] after the final norm, where its interface gives them.
    pub(super) hidden: Option<Run>,
}

/// The same model for rows of at most `longest` tokens.
pub(super) fn peer(model: &Model, longest: usize) -> Result<Peer> {
    let config = model.config();
    let family = config.family;
    if matches!(family, Family::Gpt2 | Family::GptNeoX) {
        return Err(Error::request(format!(
            "--peer candle: candle-transformers has no {}",
            family.model_type()
        ))
        .hint("leave --peer out; --golden compares with tensors of any other program"));
    }
    settings::check(config)?;
    let document = settings::document(config, longest)?;
    let w = weights(model)?;
    let mut hidden = None;
    let logits = match family {
        Family::Mistral => {
            let model = mistral::Model::new(&read(document)?, w)?;
            afresh(model, mistral::Model::clear_kv_cache, mistral::Model::forward)
        }
        Family::Qwen2 => {
            let config = read(document)?;
            let mut base = qwen2::Model::new(&config, w.clone())?;
            hidden = Some(Box::new(move |ids: &Tensor| {
                base.clear_kv_cache();
                base.forward(ids, 0, None)
            }) as Run);
            let model = qwen2::ModelForCausalLM::new(&config, w)?;
            afresh(model, qwen2::ModelForCausalLM::clear_kv_cache, qwen2::ModelForCausalLM::forward)
        }
        Family::Qwen3 => {
            let model = qwen3::ModelForCausalLM::new(&read(document)?, w)?;
            afresh(model, qwen3::ModelForCausalLM::clear_kv_cache, qwen3::ModelForCausalLM::forward)
        }
        Family::Gemma2 => {
            let model = gemma2::Model::new(false, &read(document)?, w)?;
            afresh(model, gemma2::Model::clear_kv_cache, gemma2::Model::forward)
        }
        Family::Gemma3 => {
            let mut model = gemma3::Model::new(false, &read(document)?, w)?;
            Box::new(move |ids: &Tensor| {
                model.clear_kv_cache();
                let mut logits = model.forward(&ids.narrow(1, 0, 1)?, 0)?;
                // Its cache takes one token at a time: those of several lie otherwise than it accepts.
                for position in 1..ids.dim(1)? {
                    logits = model.forward(&ids.narrow(1, position, 1)?, position)?;
                }
                Ok(logits)
            })
        }
        Family::Olmo2 => {
            let model = olmo2::Model::new(&read(document)?, w)?;
            afresh(model, olmo2::Model::clear_kv_cache, olmo2::Model::forward)
        }
        Family::Phi3 => {
            let model = phi3::Model::new(&read(document)?, w)?;
            afresh(model, phi3::Model::clear_kv_cache, phi3::Model::forward)
        }
        _ => {
            let config = read::<llama::LlamaConfig>(document)?.into_config(false);
            let model = llama::Llama::load(w, &config)?;
            Box::new(move |ids: &Tensor| {
                let mut cache = llama::Cache::new(false, DType::F32, &config, &Device::Cpu)?;
                model.forward(ids, 0, &mut cache)
            })
        }
    };
    Ok(Peer { logits, hidden })
}

/// What Gemma's queries are multiplied by so that candle's scale becomes the model's.
pub(super) fn query_scale(config: &Config) -> f64 {
    let scale = config.blocks.first().map_or(1.0, |block| f64::from(block.attention_scale));
    let ratio = scale * (config.head_dim as f64).sqrt();
    if (ratio - 1.0).abs() < 1e-6 { 1.0 } else { ratio }
}

/// A model that keeps what it has seen, cleared before each run.
fn afresh<M: 'static>(
    mut model: M,
    clear: fn(&mut M),
    forward: fn(&mut M, &Tensor, usize) -> candle_core::Result<Tensor>,
) -> Run {
    Box::new(move |ids| {
        clear(&mut model);
        forward(&mut model, ids, 0)
    })
}

fn read<C: DeserializeOwned>(document: serde_json::Value) -> Result<C> {
    serde_json::from_value(document)
        .map_err(|error| Error::work(format!("candle-transformers cannot read the configuration: {error}")))
}

/// The weights under the names that candle-transformers looks for.
fn weights(model: &Model) -> Result<VarBuilder<'static>> {
    let config = model.config();
    let (names, scale) = (config.family.names(), query_scale(config));
    let mut tensors = Vec::new();
    for parameter in model.parameters().iter() {
        let name = parameter.name().to_owned();
        let value = parameter.value().to_device(&Device::Cpu)?;
        let value = match config.family {
            Family::Gemma2 if name.contains(".q_proj.") => (value * scale)?,
            // This weight is an offset from one.
            Family::Gemma3 if name.contains(".q_norm.") => value.affine(scale, scale - 1.0)?,
            _ => value,
        };
        if config.tied && name == format!("{}.weight", names.embedding) {
            tensors.push((format!("{}.weight", names.unembedding), value.clone()));
        }
        tensors.push((name, value));
    }
    Ok(VarBuilder::from_tensors(tensors.into_iter().collect(), DType::F32, &Device::Cpu))
}
