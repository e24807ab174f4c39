//! The dropout that a `config.json` asks for.

use crate::model::family::Family;
use serde_json::{Map, Value};

/// The keys of the families, and what a missing one means in GPT-2 and in all others.
const KEYS: [(&str, f64, f64); 5] = [
    ("attention_dropout", 0.0, 0.0),
    ("attn_pdrop", 0.1, 0.0),
    ("embd_pdrop", 0.1, 0.0),
    ("hidden_dropout", 0.0, 0.0),
    ("resid_pdrop", 0.1, 0.0),
];

/// The settings, and the probabilities, by which transformers drops activations in training: those that are not zero.
pub(in crate::model) fn dropout(family: Family, document: &Map<String, Value>) -> Vec<(&'static str, f64)> {
    let found = |(key, of_gpt2, of_others): (&'static str, f64, f64)| {
        let missing = if family == Family::Gpt2 { of_gpt2 } else { of_others };
        (key, document.get(key).map_or(missing, |value| value.as_f64().unwrap_or(0.0)))
    };
    KEYS.map(found).into_iter().filter(|(_, probability)| *probability != 0.0).collect()
}
