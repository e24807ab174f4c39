//! Values as Python prints them: `str` and `repr`.

use super::markup::Markup;
use super::meter;
use super::sequences::{Sequence, is_list};
use minijinja::value::{Value, ValueKind};
use std::fmt::Write;

/// Python's `str(value)`: what `{{ value }}` prints. An undefined value prints nothing.
pub(super) fn text(value: &Value) -> String {
    if let Some(Markup(text)) = value.downcast_object_ref() {
        return meter::paid(text.clone());
    }
    match (value.kind(), value.as_str()) {
        (_, Some(text)) => meter::paid(text.to_owned()),
        (ValueKind::Undefined, _) => String::new(),
        _ => repr(value),
    }
}

/// Python's `repr(value)`: what a value looks like within a list or a dictionary.
pub(super) fn repr(value: &Value) -> String {
    meter::within(|| meter::paid(spelled_out(value))).unwrap_or_default()
}

/// Each of several; none more once nothing is left of the meter.
pub(super) fn repr_each(values: impl Iterator<Item = Value>) -> Vec<String> {
    values.take_while(|_| !meter::is_empty()).map(|value| repr(&value)).collect()
}

fn spelled_out(value: &Value) -> String {
    if let Some(Markup(text)) = value.downcast_object_ref() {
        return format!("Markup({})", quoted(text));
    }
    if let Some(sequence) = value.downcast_object_ref::<Sequence>() {
        return sequence.repr();
    }
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::Undefined => "Undefined".to_owned(),
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number => number(value),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Map => {
            let pair = |key: Value| {
                let item = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", repr(&key), repr(&item))
            };
            format!(
                "{{{}}}",
                items().take_while(|_| !meter::is_empty()).map(pair).collect::<Vec<_>>().join(", ")
            )
        }
        _ if is_list(value) => {
            format!("[{}]", repr_each(items()).join(", "))
        }
        _ => value.to_string(),
    }
}

/// A number as Python prints it, in `json.dumps` too.
pub(super) fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(number) if !value.is_integer() => float(number),
        _ => value.to_string(),
    }
}

/// The shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
fn float(number: f64) -> String {
    if !number.is_finite() {
        return number.to_string().to_lowercase();
    }
    let digits = format!("{number:e}");
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..16 => {
            let plain = number.to_string();
            if plain.contains('.') { plain } else { plain + ".0" }
        }
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

/// A text in Python's quotes: double ones where it holds single ones alone.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for character in text.chars() {
        match character {
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            '\\' => out += "\\\\",
            _ if character == quote => out.extend(['\\', quote]),
            _ if is_printable(character) => out.push(character),
            _ => {
                let code = u32::from(character);
                // Writing to a text cannot fail.
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
    out
}

/// Whether Python prints a character as it is: no control, nothing unassigned, and no blank but the space. Rust
/// escapes the same ones, and combining marks where they begin a text.
fn is_printable(character: char) -> bool {
    let is_kept = format!("a{character}").escape_debug().last() == Some(character);
    character == ' ' || (is_kept && !character.is_whitespace())
}

/// What Python calls white space: Rust's, and four separators of information.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}
