//! The keys of a `config.json` that nobody here reads.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Keys that change no number of a pass: what a model is called and made with, tokens and dropout (which are read
/// elsewhere), training, how transformers is to return what it computes, and where it is to compute in f32, as is done here
/// anyway.
const HARMLESS: [&str; 65] = [
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_name_or_path",
    "_sliding_window_pattern",
    "architectures",
    "attention_dropout",
    "attn_implementation",
    "attn_pdrop",
    "auto_map",
    "begin_suppress_tokens",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "decoder_start_token_id",
    "do_sample",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "eos_token_id",
    "finetuning_task",
    "gradient_checkpointing",
    "hidden_dropout",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "label2id",
    "length_penalty",
    "max_length",
    "max_window_layers",
    "min_length",
    "model_type",
    "n_ctx",
    "name_or_path",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "reorder_and_upcast_attn",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "suppress_tokens",
    "task_specific_params",
    "tokenizer_class",
    "torch_dtype",
    "transformers_version",
    "unsloth_version",
    "use_cache",
];

/// The keys that were not asked for: whatever they hold, for to be off may matter as much as to be on. `null` is how
/// transformers writes that nothing was said.
pub(super) fn unread(document: &Map<String, Value>, seen: &BTreeSet<String>) -> Vec<String> {
    let is_left = |(key, value): &(&String, &Value)| {
        !value.is_null() && !seen.contains(*key) && !HARMLESS.contains(&key.as_str())
    };
    document.iter().filter(is_left).map(|(key, _)| key.clone()).collect()
}
