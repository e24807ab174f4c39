//! Messages as transformers hands them to a template.

use crate::error::{Error, Result};
use serde_json::{Map, Value};

/// The names of a message's reasoning. Templates read the first, or the second.
pub(super) const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Without what is null, and with reasoning under the names that templates read.
///
/// # Errors
/// If one is no object.
pub(super) fn known(messages: &[Value]) -> Result<Vec<Map<String, Value>>> {
    messages.iter().map(|one| one.as_object().map(message).ok_or_else(|| wrong(one))).collect()
}

/// The error of a value that is none.
pub(super) fn wrong(found: &Value) -> Error {
    Error::request(format!("expected messages, found {found}"))
}

fn message(given: &Map<String, Value>) -> Map<String, Value> {
    let reasoning = REASONING.iter().find_map(|name| given.get(*name).filter(|value| !value.is_null()));
    let named = |name: &str| Some((name.to_owned(), reasoning?.clone()));
    let kept = given.iter().filter(|(_, value)| !value.is_null());
    // What comes later replaces what is there, in its place.
    named("thinking")
        .into_iter()
        .chain(kept.map(|(name, value)| (name.clone(), value.clone())))
        .chain(named("reasoning_content"))
        .collect()
}
