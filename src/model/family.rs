//! What differs between the model families: tensor names, and how projections are stored.
//!
//! Everything else that differs is a field of [`super::Config`], filled by `config_json`.

/// The families that the decoder runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama 2 and 3, SmolLM2.
    Llama,
    /// Mistral.
    Mistral,
    /// Qwen2 and Qwen2.5.
    Qwen2,
    /// Qwen3.
    Qwen3,
    /// Gemma 2.
    Gemma2,
    /// Gemma 3, text.
    Gemma3,
    /// OLMo 2.
    Olmo2,
    /// Phi-3.
    Phi3,
    /// GPT-2.
    Gpt2,
    /// GPT-NeoX and Pythia.
    GptNeoX,
}

/// How queries, keys and values are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AttentionNames {
    /// Three tensors.
    Separate([&'static str; 3]),
    /// One tensor, rows of q, then k, then v.
    Rows(&'static str),
    /// One Conv1D tensor, columns of q, then k, then v.
    Columns(&'static str),
    /// One tensor, q, k and v of each head together.
    Heads(&'static str),
}

/// How the inputs of the MLP are stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MlpNames {
    /// Gate and up, two tensors.
    Gated([&'static str; 2]),
    /// Gate and up, rows of one tensor.
    GatedRows(&'static str),
    /// No gate.
    Plain(&'static str),
    /// No gate, Conv1D.
    PlainColumns(&'static str),
}

/// Tensor names of a family. Names of a block's tensors follow `block` and the block's number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// The prefix that some checkpoints of the bare decoder leave out.
    pub(crate) base: &'static str,
    pub(crate) embedding: &'static str,
    pub(crate) positions: Option<&'static str>,
    pub(crate) block: &'static str,
    pub(crate) attention_norm: Option<&'static str>,
    pub(crate) attention_post_norm: Option<&'static str>,
    pub(crate) mlp_norm: Option<&'static str>,
    pub(crate) mlp_post_norm: Option<&'static str>,
    pub(crate) query_norm: &'static str,
    pub(crate) key_norm: &'static str,
    pub(crate) attention: AttentionNames,
    pub(crate) output: &'static str,
    pub(crate) mlp: MlpNames,
    pub(crate) down: &'static str,
    pub(crate) final_norm: &'static str,
    pub(crate) unembedding: &'static str,
}

const LLAMA: Names = Names {
    base: "model.",
    embedding: "model.embed_tokens",
    positions: None,
    block: "model.layers.",
    attention_norm: Some("input_layernorm"),
    attention_post_norm: None,
    mlp_norm: Some("post_attention_layernorm"),
    mlp_post_norm: None,
    query_norm: "self_attn.q_norm",
    key_norm: "self_attn.k_norm",
    attention: AttentionNames::Separate(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    output: "self_attn.o_proj",
    mlp: MlpNames::Gated(["mlp.gate_proj", "mlp.up_proj"]),
    down: "mlp.down_proj",
    final_norm: "model.norm",
    unembedding: "lm_head",
};

impl Family {
    /// All families.
    pub const ALL: [Self; 10] = [
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::Gemma2,
        Self::Gemma3,
        Self::Olmo2,
        Self::Phi3,
        Self::Gpt2,
        Self::GptNeoX,
    ];

    /// `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3_text",
            Self::Olmo2 => "olmo2",
            Self::Phi3 => "phi3",
            Self::Gpt2 => "gpt2",
            Self::GptNeoX => "gpt_neox",
        }
    }

    /// The family's tensor names.
    pub(crate) fn names(self) -> Names {
        match self {
            Self::Llama | Self::Mistral | Self::Qwen2 | Self::Qwen3 => LLAMA,
            Self::Gemma2 | Self::Gemma3 => Names {
                attention_post_norm: Some("post_attention_layernorm"),
                mlp_norm: Some("pre_feedforward_layernorm"),
                mlp_post_norm: Some("post_feedforward_layernorm"),
                ..LLAMA
            },
            Self::Olmo2 => Names {
                attention_norm: None,
                attention_post_norm: Some("post_attention_layernorm"),
                mlp_norm: None,
                mlp_post_norm: Some("post_feedforward_layernorm"),
                ..LLAMA
            },
            Self::Phi3 => Names {
                attention: AttentionNames::Rows("self_attn.qkv_proj"),
                mlp: MlpNames::GatedRows("mlp.gate_up_proj"),
                ..LLAMA
            },
            Self::Gpt2 => Names {
                base: "transformer.",
                embedding: "transformer.wte",
                positions: Some("transformer.wpe"),
                block: "transformer.h.",
                attention_norm: Some("ln_1"),
                mlp_norm: Some("ln_2"),
                attention: AttentionNames::Columns("attn.c_attn"),
                output: "attn.c_proj",
                mlp: MlpNames::PlainColumns("mlp.c_fc"),
                down: "mlp.c_proj",
                final_norm: "transformer.ln_f",
                ..LLAMA
            },
            Self::GptNeoX => Names {
                base: "gpt_neox.",
                embedding: "gpt_neox.embed_in",
                block: "gpt_neox.layers.",
                attention: AttentionNames::Heads("attention.query_key_value"),
                output: "attention.dense",
                mlp: MlpNames::Plain("mlp.dense_h_to_4h"),
                down: "mlp.dense_4h_to_h",
                final_norm: "gpt_neox.final_layer_norm",
                unembedding: "embed_out",
                ..LLAMA
            },
        }
    }
}
