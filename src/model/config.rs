//! What the decoder needs to know about a model, free of its family's spelling.

use super::config_json;
use super::family::Family;
use super::rope_scaling::Rope;
use crate::error::{Error, Result, io};
use crate::foreign;
use crate::ops::{Nonlinearity, NormKind};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The largest `config.json` that is read.
const LARGEST: u64 = 64 << 20;

/// How the two halves of a block are joined to the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// The MLP reads the stream after attention was added.
    Sequential,
    /// Attention and MLP read the same stream, and are added together.
    Parallel,
}

/// Norms on queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKeyNorm {
    /// None.
    None,
    /// Over each head.
    Head,
    /// Over all heads at once.
    Whole,
}

/// What may differ from block to block.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockConfig {
    /// A query sees this many keys at most; `None`: all before it.
    pub window: Option<usize>,
    /// Rotary frequencies; `None` with learned positions.
    pub rope: Option<Rope>,
    /// The factor on attention scores.
    pub attention_scale: f32,
}

/// A checked model configuration. Every field is what the arithmetic uses, whatever the family calls it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Tensor names and storage.
    pub family: Family,
    /// Number of tokens.
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of the MLP.
    pub d_mlp: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub key_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// The longest input that the model was made for; a hard limit with learned positions.
    pub max_positions: usize,
    /// Which norm.
    pub norm: NormKind,
    /// Added under the root of every norm.
    pub norm_epsilon: f32,
    /// Added to every norm weight (1 for Gemma).
    pub norm_offset: f32,
    /// Norms on queries and keys.
    pub query_key_norm: QueryKeyNorm,
    /// How blocks join the stream.
    pub residual: Residual,
    /// The nonlinearity of the MLP.
    pub activation: Nonlinearity,
    /// Biases of query, key and value projections.
    pub query_key_value_bias: bool,
    /// Bias of the attention output projection.
    pub output_bias: bool,
    /// Biases of the MLP.
    pub mlp_bias: bool,
    /// Attention scores are squashed into ± this.
    pub attention_soft_cap: Option<f32>,
    /// Logits are squashed into ± this.
    pub final_soft_cap: Option<f32>,
    /// The factor on token embeddings.
    pub embedding_scale: f32,
    /// Whether the unembedding is the embedding.
    pub tied: bool,
    /// One entry a block.
    pub blocks: Vec<BlockConfig>,
    /// The `config.json` this came from, written back by [`Config::save`].
    pub(super) document: Map<String, Value>,
    /// Its keys that nothing here reads.
    pub(super) unread: Vec<String>,
}

/// The shape of a fresh Llama-style model: RMSNorm, rotary positions, SwiGLU, tied embedding, no biases.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaShape {
    /// Number of tokens.
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Query, key and value heads.
    pub heads: usize,
    /// Width of the MLP.
    pub d_mlp: usize,
    /// The longest input.
    pub max_positions: usize,
    /// Token ids that the files name: beginning, end, padding.
    pub bos: Option<u32>,
    /// End of sequence.
    pub eos: Option<u32>,
    /// Padding.
    pub pad: Option<u32>,
}

impl Config {
    /// Reads and checks `config.json` of a model repository.
    ///
    /// # Errors
    /// If the file is missing or malformed, or a setting would change the numbers in a way that the
    /// decoder does not do: it is refused by name.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = foreign::text(&path, LARGEST)?;
        Self::parse(&text).map_err(|error| error.at(path.display()))
    }

    /// Checks the text of a `config.json`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str) -> Result<Self> {
        let document: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| Error::request(format!("expected a JSON object: {error}")))?;
        config_json::read(document)
    }

    /// A fresh Llama-style model.
    ///
    /// # Errors
    /// If a size is zero, or heads do not divide the width.
    pub fn llama(shape: &LlamaShape) -> Result<Self> {
        let document = json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.d_model,
            "intermediate_size": shape.d_mlp,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads,
            "max_position_embeddings": shape.max_positions,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "attention_bias": false,
            "mlp_bias": false,
            "tie_word_embeddings": true,
            "bos_token_id": shape.bos,
            "eos_token_id": shape.eos,
            "pad_token_id": shape.pad,
            "torch_dtype": "float32",
        });
        match document {
            Value::Object(document) => config_json::read(document),
            _ => Err(Error::work("a fresh configuration is not an object")),
        }
    }

    /// The same configuration with a head of its own.
    pub(super) fn untied(mut self) -> Self {
        self.tied = false;
        self.document.insert("tie_word_embeddings".to_owned(), json!(false));
        self
    }

    /// The same configuration for so many tokens.
    pub(super) fn with_vocabulary(mut self, vocabulary: usize) -> Self {
        if vocabulary != self.vocabulary {
            self.vocabulary = vocabulary;
            self.document.insert("vocab_size".to_owned(), json!(vocabulary));
        }
        self
    }

    /// The settings of `config.json` by which transformers drops activations in training, with their probabilities,
    /// as far as these are not zero. The decoder drops nothing.
    pub fn dropout(&self) -> Vec<(&'static str, f64)> {
        config_json::dropout(self.family, &self.document)
    }

    /// The number of blocks.
    pub fn layers(&self) -> usize {
        self.blocks.len()
    }

    /// The configuration of the same repository after PyTorch's `model.to(bfloat16).float()` (or `half()`):
    /// not only weights are rounded then, but rotary frequencies and Gemma's embedding factor, too. `None`
    /// if `config.json` does not say that the repository is in half precision.
    ///
    /// `from_pretrained` keeps them exact whatever its dtype, and so do [`Config::load`] and every pass of
    /// this crate. Use this only to compare with tensors of a model that was cast as a whole.
    pub fn cast_as_a_whole(&self) -> Option<Self> {
        let name = ["dtype", "torch_dtype"].iter().find_map(|key| self.document.get(*key)?.as_str())?;
        let round = match name {
            "bfloat16" => |number: f32| half::bf16::from_f32(number).to_f32(),
            "float16" => |number: f32| half::f16::from_f32(number).to_f32(),
            _ => return None,
        };
        let mut cast = self.clone();
        cast.embedding_scale = round(cast.embedding_scale);
        for block in &mut cast.blocks {
            block.rope = block.rope.as_ref().map(|rope| rope.rounded(round));
        }
        Some(cast)
    }

    /// Writes `config.json`, with `dtype` as the weights are written: float32.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join("config.json");
        // Weights are written as f32; a reader that follows a narrower `dtype` would round them.
        let mut document = self.document.clone();
        for key in ["dtype", "torch_dtype"] {
            if let Some(dtype) = document.get_mut(key) {
                *dtype = json!("float32");
            }
        }
        let text = serde_json::to_string_pretty(&document)
            .map_err(|error| Error::work(format!("config.json cannot be written: {error}")))?;
        std::fs::write(&path, text + "\n").map_err(|error| io("write", &path, error))
    }
}
