//! TOML values into checked settings, with errors that name the field and offer the nearest name.

use crate::error::{Error, Result, nearest};
use serde::de::DeserializeOwned;
use toml::Value;

/// Reads one section of a study; errors name `section` and the field.
pub(super) fn section<T: DeserializeOwned>(value: Value, section: &str) -> Result<T> {
    value.try_into().map_err(|error: toml::de::Error| explain(&error).at(section))
}

/// What a value is, with its article, for messages.
pub(super) fn describe(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// The deserialiser's error in our words.
fn explain(error: &toml::de::Error) -> Error {
    let message = error.message();
    let field = field_path(&error.to_string());
    let quoted =
        |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let names = quoted(message);
    let (found, known) = match names.split_first() {
        Some((found, known)) if message.starts_with("unknown ") => (found, known),
        _ => return placed(Error::request(message.trim_end()), field.as_deref()),
    };
    let what = if message.starts_with("unknown variant") { "value" } else { "field" };
    let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let error = Error::request(if known.is_empty() {
        format!("unknown {what} `{found}`; none is expected here")
    } else {
        format!("unknown {what} `{found}`; known are {list}")
    });
    let error = match nearest(found, known.iter().map(String::as_str)) {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error.hint("names and their meaning are in the README"),
    };
    // For an unknown field the path ends in the field itself, which the message already names.
    let field = field.filter(|path| path.rsplit('.').next() != Some(found));
    placed(error, field.as_deref())
}

fn placed(error: Error, field: Option<&str>) -> Error {
    match field {
        Some(field) => error.at(format!("field `{field}`")),
        None => error,
    }
}

/// toml shows the path of keys only in its text, as a last line: "in `a.b`".
fn field_path(text: &str) -> Option<String> {
    let path = text.trim_end().lines().last()?.strip_prefix("in `")?.strip_suffix('`')?;
    Some(path.to_owned())
}
