//! One row of a file that somebody else made: its columns, and which of them were read.
//!
//! A conversation takes `tools` (a list, or JSON text of one) and `chat_template_kwargs` (an object, as
//! `{"enable_thinking": false}`) with it, as TRL hands them to the chat template. What those arguments would change
//! beside the template is refused by name.

use super::conversation::Asked;
use crate::error::{At, Error, Result};
use crate::foreign::Object;
use crate::model::chat::Conversation;
use serde_json::{Map, Value};

/// Columns that say where a row comes from, and nothing about what is asked or learned.
const HARMLESS: [&str; 24] = [
    "id",
    "idx",
    "index",
    "row_id",
    "uuid",
    "prompt_id",
    "question_id",
    "problem_id",
    "conversation_id",
    "source",
    "dataset",
    "data_source",
    "origin",
    "url",
    "license",
    "split",
    "ability",
    "language",
    "lang",
    "model",
    "date",
    "created",
    "timestamp",
    "version",
];

/// Arguments of `apply_chat_template` that decide what it does with the text, and not what the template writes. Who
/// reads the row decides these.
const REFUSED: [&str; 13] = [
    "conversation",
    "messages",
    "chat_template",
    "add_generation_prompt",
    "continue_final_message",
    "tokenize",
    "sanitize_control_tokens",
    "padding",
    "truncation",
    "max_length",
    "return_tensors",
    "return_dict",
    "return_assistant_tokens_mask",
];

/// A row and what of it was read.
pub(crate) struct Row(Object);

impl Row {
    /// The columns of a row, none of them read yet.
    ///
    /// # Errors
    /// If it is no object.
    pub(crate) fn new(row: &Value) -> Result<Self> {
        let columns = row.as_object().ok_or_else(|| {
            let shown: String = row.to_string().chars().take(60).collect();
            Error::request(format!("expected an object with named columns, found {shown}"))
        })?;
        let object = Object::new(columns.clone());
        object.harmless(&HARMLESS);
        Ok(Self(object))
    }

    /// The value of a column, which counts as read; none if it is missing or `null`.
    pub(crate) fn get(&self, column: &str) -> Option<&Value> {
        self.0.get(column)
    }

    /// Says of these columns that they were read elsewhere.
    pub(crate) fn read_elsewhere(&self, columns: &[&str]) {
        self.0.harmless(columns);
    }

    /// The columns that hold something and were not read.
    pub(crate) fn left_out(&self) -> Vec<String> {
        self.0.unread().into_iter().map(str::to_owned).collect()
    }

    /// The names of all columns that hold something.
    pub(crate) fn columns(&self) -> Vec<String> {
        self.0.names().into_iter().map(str::to_owned).collect()
    }

    /// The first of these columns that holds something, as a text or a conversation.
    ///
    /// # Errors
    /// If it is neither, or what stands beside the conversation is malformed.
    pub(crate) fn asked(&self, columns: &[&str]) -> Result<Option<Asked>> {
        let Some((name, value)) = columns.iter().find_map(|name| Some((name, self.0.get(name)?))) else {
            return Ok(None);
        };
        let asked = Asked::read(value).at(format!("field `{name}`"))?;
        Ok(Some(match asked {
            text @ (Asked::Words(_) | Asked::Text(_)) => text,
            Asked::Messages(conversation) => Asked::Messages(self.beside(conversation.messages)?),
        }))
    }

    /// The messages with the tools and variables of the row.
    fn beside(&self, messages: Vec<Value>) -> Result<Conversation> {
        let mut tools = self.0.get("tools").map(tools).transpose().at("field `tools`")?;
        let mut conversation = Conversation::of(messages);
        if let Some(given) = self.0.get("chat_template_kwargs") {
            let wrong = || self.0.wrong("chat_template_kwargs", "an object");
            let given = given.as_object().ok_or_else(wrong)?;
            let mut variables: Map<String, Value> = given.clone();
            if let Some(name) = REFUSED.iter().find(|name| variables.contains_key(**name)) {
                return Err(Error::request(format!(
                    "field `chat_template_kwargs`: `{name}` is decided by what the row is read for, not by the row"
                )));
            }
            // As arguments they stand over the column.
            if let Some(value) = variables.shift_remove("tools").filter(|value| !value.is_null()) {
                tools = Some(self::tools(&value).at("field `chat_template_kwargs.tools`")?);
            }
            if let Some(value) = variables.shift_remove("documents").filter(|value| !value.is_null()) {
                conversation.documents = Some(objects(&value).at("field `chat_template_kwargs.documents`")?);
            }
            conversation.variables = variables;
        }
        conversation.tools = tools;
        Ok(conversation)
    }
}

/// Tools as a list of JSON schemas, or as the text of one.
fn tools(value: &Value) -> Result<Vec<Value>> {
    match value {
        Value::String(text) => {
            let value: Value = serde_json::from_str(text).map_err(|error| {
                Error::request(format!("expected JSON, found a text that is none: {error}"))
            })?;
            match value {
                Value::Null => Ok(Vec::new()),
                value => objects(&value),
            }
        }
        value => objects(value),
    }
}

fn objects(value: &Value) -> Result<Vec<Value>> {
    let all = value.as_array().filter(|all| all.iter().all(Value::is_object));
    all.cloned().ok_or_else(|| {
        let shown: String = value.to_string().chars().take(60).collect();
        Error::request(format!("expected a list of objects, found {shown}"))
    })
}
