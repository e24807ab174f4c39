//! Prompts that are messages, as data for chat models is written, and what a model's chat template makes of them.

use super::problem::Document;
use crate::error::{At, Error, Result};
use crate::model::Tokenizer;
use serde_json::{Value, json};

/// What a model is asked: a text that it is given as it stands, or messages for its chat template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    Text(String),
    Messages(Vec<Value>),
}

impl Asked {
    /// Reads a text, or a list of objects with `role` and `content`. A message that only calls tools may have no content.
    pub(super) fn read(value: &Value) -> Result<Self> {
        match value {
            Value::String(text) => Ok(Self::Text(text.clone())),
            Value::Array(messages) if !messages.is_empty() => {
                messages.iter().map(message).collect::<Result<_>>().map(Self::Messages)
            }
            _ => Err(Error::request("expected a text or a list of messages, found neither")),
        }
    }

    /// The text, the only message, or a line a message: for people and for names.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Messages(messages) => match messages.as_slice() {
                [only] => field(only, "content").to_owned(),
                several => {
                    let line = |one| format!("{}: {}", field(one, "role"), field(one, "content"));
                    several.iter().map(line).collect::<Vec<_>>().join("\n")
                }
            },
        }
    }

    /// What the model is given: a text as it stands, messages by its chat template up to where it answers.
    pub(super) fn render(&self, tokenizer: &Tokenizer) -> Result<String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Messages(messages) => tokenizer.render_chat(&json!(messages), true),
        }
    }
}

/// The document that teaches `answer`, the message of an assistant, after the messages before it.
///
/// The response is what the chat template adds to the prompt, without the end token, which the trainer appends.
///
/// # Errors
/// If the template refuses the messages, or writes the prompt in another way once it is answered.
pub(super) fn answered(before: &[Value], answer: &Value, tokenizer: &Tokenizer) -> Result<Document> {
    let prompt = tokenizer.render_chat(&json!(before), true)?;
    let whole = tokenizer.render_chat(&json!([before, std::slice::from_ref(answer)].concat()), false)?;
    let response = whole.strip_prefix(&prompt).ok_or_else(|| {
        Error::request("the chat template writes the prompt in another way once it is answered")
            .hint("render the conversation yourself, and give `prompt` and `completion` as texts")
    })?;
    let end = tokenizer.eos().and_then(|end| tokenizer.token(end));
    let closed = end.and_then(|end| response.rsplit_once(&end)).map_or(response, |(before, _)| before);
    Ok(Document { prompt, response: closed.to_owned() })
}

/// The message that an assistant says.
pub(super) fn assistant(content: &str) -> Value {
    json!({ "role": "assistant", "content": content })
}

pub(super) fn is_assistant(message: &Value) -> bool {
    field(message, "role") == "assistant"
}

/// A message without the fields that a table of many messages fills with nulls.
fn message(value: &Value) -> Result<Value> {
    let wrong = || Error::request(format!("expected a message with `role` and `content`, found {value}"));
    let object = value.as_object().ok_or_else(wrong)?;
    let kept: serde_json::Map<String, Value> = object
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut kept = kept;
    if kept.contains_key("tool_calls") {
        kept.entry("content").or_insert_with(|| "".into());
    }
    let text = |name: &str| kept.get(name).is_some_and(Value::is_string);
    if text("role") && text("content") { Ok(kept.into()) } else { Err(wrong()).at("messages") }
}

fn field<'a>(message: &'a Value, name: &str) -> &'a str {
    message.get(name).and_then(Value::as_str).unwrap_or_default()
}
