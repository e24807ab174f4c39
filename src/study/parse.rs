//! TOML values into checked settings, with errors that name the field and offer the nearest name.

use crate::error::{Error, Result, nearest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Reads one section of a study; errors name `section` and the field.
pub(super) fn section<T: DeserializeOwned>(value: Value, section: &str) -> Result<T> {
    with_siblings(value, &[], section)
}

/// Reads a section whose fields belong to two types: those named `head` to the first, the rest to the
/// second, in which `defaults` stand for what is not given.
pub(super) fn split_section<H: DeserializeOwned, R: Serialize + DeserializeOwned>(
    table: Table,
    head: &[&str],
    defaults: &R,
    section: &str,
) -> Result<(H, R)> {
    let (first, given): (Table, Table) = table.into_iter().partition(|(key, _)| head.contains(&key.as_str()));
    let rest = settings(given, defaults, head, section)?;
    Ok((with_siblings(Value::Table(first), &[], section)?, rest))
}

/// Reads settings in which `defaults` stand for what is not given. `siblings` are other fields of the section,
/// to be offered where a name is unknown.
pub(super) fn settings<R: Serialize + DeserializeOwned>(
    given: Table,
    defaults: &R,
    siblings: &[&str],
    section: &str,
) -> Result<R> {
    let mut table = Table::try_from(defaults)
        .map_err(|error| Error::work(format!("the defaults cannot be read: {error}")).at(section))?;
    merge(&mut table, given);
    with_siblings(Value::Table(table), siblings, section)
}

/// Puts every value of `over` in its place in `under`; tables are merged, everything else is replaced.
fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) if !is_another_choice(under, &over) => {
                merge(under, over);
            }
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Whether two tables name different kinds of a thing (`{ ppo_clip = .. }` and `{ gspo = .. }`), of which only one
/// can be meant. A choice is written as one key that holds its settings.
fn is_another_choice(under: &Table, over: &Table) -> bool {
    let chosen = |table: &Table| match table.iter().collect::<Vec<_>>().as_slice() {
        [(key, Value::Table(_))] => Some((*key).clone()),
        _ => None,
    };
    matches!((chosen(under), chosen(over)), (Some(under), Some(over)) if under != over)
}

fn with_siblings<T: DeserializeOwned>(value: Value, siblings: &[&str], section: &str) -> Result<T> {
    value.try_into().map_err(|error: toml::de::Error| explain(&error, siblings).at(section))
}

/// An error about a name that is not among `known`, with the nearest as hint.
pub(super) fn unknown(what: &str, found: &str, known: &[&str]) -> Error {
    if known.is_empty() {
        return Error::request(format!("unknown {what} `{found}`; none is expected here"));
    }
    let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let error = Error::request(format!("unknown {what} `{found}`; known are {list}"));
    match nearest(found, known.iter().copied()) {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error.hint("use one of those"),
    }
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
fn explain(error: &toml::de::Error, siblings: &[&str]) -> Error {
    let message = error.message().trim_end();
    let field = field_path(&error.to_string());
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match (names.as_slice(), message.starts_with("unknown field"), message.starts_with("unknown variant")) {
        ([found, known @ ..], true, _) => {
            // The path of an unknown field ends in the field itself, which the message names.
            let parent =
                field.as_deref().and_then(|path| path.rsplit_once('.')).map(|(parent, _)| parent.to_owned());
            let siblings = if parent.is_none() { siblings } else { &[] };
            placed(unknown("field", found, &[siblings, known].concat()), parent.as_deref())
        }
        ([found, known @ ..], _, true) => placed(unknown("value", found, known), field.as_deref()),
        _ => {
            // An error of ours that passed through serde carries its hint as a second line.
            let (message, hint) = message.split_once("\nhint: ").unwrap_or((message, ""));
            let error = Error::request(message);
            placed(if hint.is_empty() { error } else { error.hint(hint) }, field.as_deref())
        }
    }
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
