//! Prompts that are messages, as data for chat models is written, and what a model's chat template makes of them.

use super::rendering;
use crate::error::{At, Error, Result};
use crate::model::Tokenizer;
use crate::model::chat::Conversation;
use serde_json::{Value, json};

/// What a model is asked: words of the microcosm, a text that it is given as it stands, or messages for its chat template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Words(String),
    Text(String),
    Messages(Conversation),
}

impl Asked {
    /// Reads a text, or a list of objects with `role` and `content`. A message that only calls tools may have no content.
    pub(super) fn read(value: &Value) -> Result<Self> {
        match value {
            Value::String(text) => Ok(Self::Text(text.clone())),
            Value::Array(messages) if !messages.is_empty() => {
                let messages = messages.iter().map(message).collect::<Result<_>>()?;
                Ok(Self::Messages(Conversation::of(messages)))
            }
            _ => Err(Error::request("expected a text or a list of messages, found neither")),
        }
    }

    /// The text, the only message, or a line a message: for people and for names.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Words(text) | Self::Text(text) => text.clone(),
            Self::Messages(conversation) => match conversation.messages.as_slice() {
                [only] => content(only),
                several => {
                    let line = |one| format!("{}: {}", role(one), content(one));
                    several.iter().map(line).collect::<Vec<_>>().join("\n")
                }
            },
        }
    }

    /// What a model is given: a text as it stands, messages by its chat template up to where it answers, or up to the end
    /// of a last message by the assistant, which it goes on with.
    ///
    /// # Errors
    /// If there is no chat template, or it refuses the messages.
    pub(crate) fn text(&self, tokenizer: &Tokenizer) -> Result<String> {
        match self {
            Self::Words(text) | Self::Text(text) => Ok(text.clone()),
            Self::Messages(conversation) => tokenizer.render(conversation, conversation.asking()),
        }
    }

    /// The tokens of [`Asked::text`]; a text's begin as every text of a model does.
    ///
    /// # Errors
    /// As [`Asked::text`], and if a text cannot be encoded, or words are asked of a tokenizer that lacks them.
    pub(crate) fn tokens(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        match self {
            Self::Words(words) if words.split(' ').any(|word| tokenizer.id(word).is_none()) => {
                Err(rendering::not_its_words())
            }
            Self::Words(words) => tokenizer.encode_begun(words),
            Self::Text(text) => tokenizer.encode_begun(text),
            Self::Messages(_) => tokenizer.encode(&self.text(tokenizer)?),
        }
    }

    /// What the chat template does not read of it.
    pub(crate) fn unread_by_template(&self, tokenizer: &Tokenizer) -> Vec<String> {
        let Self::Messages(conversation) = self else { return Vec::new() };
        match tokenizer.chat_template(conversation.tools.is_some()) {
            Ok(template) => conversation.unnamed_by(&template),
            Err(_) => Vec::new(),
        }
    }
}

/// The message that an assistant says.
pub(super) fn assistant(content: &str) -> Value {
    json!({ "role": "assistant", "content": content })
}

pub(super) fn is_assistant(message: &Value) -> bool {
    role(message) == "assistant"
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

/// The text of a message, that of its parts one after another.
fn content(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
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
    let has_content = match kept.get("content") {
        Some(Value::String(_)) => true,
        Some(Value::Array(parts)) => {
            parts.iter().try_for_each(text_part)?;
            true
        }
        Some(_) => false,
        None => kept.contains_key("tool_calls"),
    };
    let has_role = kept.get("role").is_some_and(Value::is_string);
    if has_role && has_content { Ok(kept.into()) } else { Err(wrong()).at("messages") }
}

/// Part of a message's content must be text: what else there is (an image, a sound) no model here can see.
fn text_part(part: &Value) -> Result<()> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
    match (kind, part.get("text").is_some_and(Value::is_string)) {
        ("text", true) => Ok(()),
        _ => {
            let shown: String = part.to_string().chars().take(60).collect();
            Err(Error::request(format!("expected parts of a message that are text, found {shown}")))
                .at("messages")
        }
    }
}
