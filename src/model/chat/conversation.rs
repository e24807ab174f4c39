//! What a template is asked to write: messages, and what transformers hands over beside them.

use super::messages;
use crate::error::{Error, Result};
use serde_json::{Map, Value};

/// Messages with what else the template may read, as the arguments of transformers' `apply_chat_template`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    /// Objects with a `role`, and mostly a `content`.
    pub messages: Vec<Value>,
    /// The tools that may be called, each a JSON schema. None, and an empty list, are told apart by some templates.
    pub tools: Option<Vec<Value>>,
    /// Texts to answer from.
    pub documents: Option<Vec<Value>>,
    /// Any other name that the template knows, as `enable_thinking`. They stand over the special tokens.
    pub variables: Map<String, Value>,
}

/// Where a rendered conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After the last message, which is closed.
    Closed,
    /// Where the assistant begins to answer (`add_generation_prompt`).
    Answer,
    /// Within the last message, which is to be gone on with (`continue_final_message`).
    Continued,
}

impl Conversation {
    /// Messages with nothing beside them.
    pub fn of(messages: Vec<Value>) -> Self {
        Self { messages, ..Self::default() }
    }

    /// The same with other messages.
    #[must_use]
    pub fn with_messages(&self, messages: Vec<Value>) -> Self {
        Self { messages, ..self.clone() }
    }

    /// Where it ends for a model that is asked: a last message by the assistant is gone on with, as in TRL; after any
    /// other the assistant answers.
    pub fn asking(&self) -> Ending {
        let last = self.messages.last().and_then(|message| message.get("role"));
        if last.and_then(Value::as_str) == Some("assistant") { Ending::Continued } else { Ending::Answer }
    }

    /// What it hands over that `template` does not name, and so cannot read: `tools`, a variable, or a key of a
    /// message. A template that prints whole messages reads all of their keys.
    pub fn unnamed_by(&self, template: &str) -> Vec<String> {
        let named = |name: &str| is_named(template, name);
        let given = [("tools", self.tools.is_some()), ("documents", self.documents.is_some())];
        let beside = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
        let mut unnamed: Vec<String> = beside
            .chain(self.variables.keys().map(String::as_str))
            .filter(|name| !named(name))
            .map(|name| format!("`{name}`"))
            .collect();
        let prints_messages = ["tojson", "items", "values", "keys"].iter().any(|name| named(name));
        let keys = self.messages.iter().filter_map(Value::as_object);
        let said = keys.flat_map(|message| message.iter().filter(|(_, value)| !value.is_null()));
        for (key, _) in said.filter(|_| !prints_messages) {
            // Reasoning is handed over under each of its names.
            let known = if messages::REASONING.contains(&key.as_str()) {
                messages::REASONING.iter().any(|name| named(name))
            } else {
                named(key)
            };
            let shown = format!("`{key}` of a message");
            if !known && !unnamed.contains(&shown) {
                unnamed.push(shown);
            }
        }
        unnamed
    }
}

/// Whether a name stands in a template as a word of its own.
fn is_named(template: &str, name: &str) -> bool {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    template.match_indices(name).any(|(at, _)| {
        let before = template.get(..at).and_then(|text| text.chars().next_back());
        let after = template.get(at + name.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Stands where a message that is gone on with ends, until the text is cut there. The space tells whether the template
/// trims what it writes.
const MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// The messages as they are handed over, the last with a mark at its end; and its text without it.
///
/// # Errors
/// If there is no message, or the last says nothing.
pub(super) fn marked(given: &[Value]) -> Result<(Vec<Map<String, Value>>, String)> {
    let mut messages = messages::known(given)?;
    let nothing = || Error::request("the last message is to be continued, and has no text to continue");
    let content = messages.last_mut().and_then(|last| last.get_mut("content")).ok_or_else(nothing)?;
    let text = match content {
        Value::Array(parts) => {
            let texts = parts.iter_mut().rev().filter_map(|part| part.get_mut("text"));
            texts.into_iter().next().ok_or_else(nothing)?
        }
        text => text,
    };
    let said = text.as_str().ok_or_else(nothing)?.to_owned();
    *text = Value::String(format!("{said}{MARK}"));
    Ok((messages, said))
}

/// A rendered text up to the mark.
///
/// # Errors
/// If the template does not write what the last message says.
pub(super) fn cut_at_mark(rendered: &str, said: &str) -> Result<String> {
    let found = rendered.rfind(MARK.trim_end()).filter(|_| rendered.contains(said.trim()));
    let at = found.ok_or_else(|| {
        Error::request(
            "the chat template does not write the last message as it stands, so it cannot be continued",
        )
    })?;
    let (before, rest) = rendered.split_at(at);
    Ok(if rest.starts_with(MARK) { before } else { before.trim_end() }.to_owned())
}
