//! Chat templates, rendered as transformers renders them: Jinja with trimmed blocks, the methods of Python's
//! strings, `tojson` without HTML escapes, and `raise_exception`.
//!
//! `strftime_now` is left undefined: what a model is asked must not depend on the day. Templates that know it
//! test for it, and fall back to a fixed date.

use crate::error::{Error, Result};
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, ErrorKind, State, context};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};
use std::io::{self, Write};

/// Where Python's `splitlines` ends a line; `\r\n` is one end, too.
const LINE_ENDS: [char; 10] =
    ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];

/// Renders `messages` (role and content) with `template`.
///
/// # Errors
/// If the template is malformed, uses what is not known, or raises an exception.
pub fn render_chat(
    template: &str,
    messages: &serde_json::Value,
    add_generation_prompt: bool,
    bos_token: Option<&str>,
    eos_token: Option<&str>,
) -> Result<String> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.set_unknown_method_callback(method);
    // As Python prints them.
    environment.set_formatter(|out, state, value| match (value.kind(), value.is_true()) {
        (ValueKind::None, _) => out.write_str("None").map_err(minijinja::Error::from),
        (ValueKind::Bool, true) => out.write_str("True").map_err(minijinja::Error::from),
        (ValueKind::Bool, false) => out.write_str("False").map_err(minijinja::Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    });
    let failed = |error: minijinja::Error| {
        let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
        Error::request(format!("chat template: {detail}"))
    };
    let template = without_generation_marks(template);
    environment.add_template("chat", &template).map_err(failed)?;
    let chat = environment.get_template("chat").map_err(failed)?;
    chat.render(context! {
        messages => Value::from_serialize(messages),
        add_generation_prompt,
        // Known to every template in transformers, and none unless they are given.
        tools => (),
        documents => (),
        bos_token => bos_token.unwrap_or_default(),
        eos_token => eos_token.unwrap_or_default(),
    })
    .map_err(failed)
}

/// `{% generation %}` marks what an assistant wrote, for masks; the text is the same without. A condition
/// that always holds takes its place, so that blanks around it are trimmed alike.
fn without_generation_marks(template: &str) -> String {
    let mut pieces = template.split("{%");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let word = piece.trim_start_matches(['-', '+']).trim_start();
        let replaced =
            [("endgeneration", "endif"), ("generation", "if true")].iter().find_map(|(mark, instead)| {
                let rest = word.strip_prefix(mark)?;
                rest.trim_start().starts_with(['-', '+', '%']).then(|| piece.replacen(mark, instead, 1))
            });
        text += "{%";
        text += replaced.as_deref().unwrap_or(piece);
    }
    text
}

/// The methods of Python's strings and dictionaries that templates call.
fn method(
    _: &State<'_, '_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, minijinja::Error> {
    let unknown = || minijinja::Error::new(ErrorKind::UnknownMethod, format!("no method `{name}`"));
    if value.kind() == ValueKind::Map {
        let key = arguments.first();
        return match (name, key) {
            ("get", Some(key)) => {
                let found = value.get_item(key)?;
                let default = arguments.get(1).cloned().unwrap_or_default();
                Ok(if found.is_undefined() { default } else { found })
            }
            ("keys", None) => Ok(value.try_iter()?.collect()),
            ("values", None) => value.try_iter()?.map(|key| value.get_item(&key)).collect(),
            ("items", None) => value
                .try_iter()?
                .map(|key| Ok(Value::from(vec![key.clone(), value.get_item(&key)?])))
                .collect(),
            _ => Err(unknown()),
        };
    }
    let text = value.as_str().ok_or_else(unknown)?;
    match (name, arguments) {
        ("split" | "rsplit", [separator, limit]) => return split(name, text, separator, limit),
        ("join", [parts]) => {
            let parts = parts.try_iter()?.map(|part| part.as_str().map(str::to_owned).ok_or_else(unknown));
            return Ok(Value::from(parts.collect::<Result<Vec<_>, _>>()?.join(text)));
        }
        _ => {}
    }
    let words = arguments
        .iter()
        .map(|argument| argument.as_str().ok_or_else(unknown))
        .collect::<Result<Vec<&str>, _>>()?;
    let trimmed = |start: bool, end: bool| {
        let is_cut = |character: char| match words.first() {
            Some(set) => set.contains(character),
            None => character.is_whitespace(),
        };
        let text = if start { text.trim_start_matches(is_cut) } else { text };
        Value::from(if end { text.trim_end_matches(is_cut) } else { text })
    };
    Ok(match (name, &words[..]) {
        ("strip", _) => trimmed(true, true),
        ("lstrip", _) => trimmed(true, false),
        ("rstrip", _) => trimmed(false, true),
        ("split", []) => text.split_whitespace().map(Value::from).collect(),
        ("split", [separator]) if !separator.is_empty() => text.split(separator).map(Value::from).collect(),
        ("splitlines", []) => {
            text.replace("\r\n", "\n").split_terminator(LINE_ENDS).map(Value::from).collect()
        }
        ("removeprefix", [prefix]) => Value::from(text.strip_prefix(prefix).unwrap_or(text)),
        ("removesuffix", [suffix]) => Value::from(text.strip_suffix(suffix).unwrap_or(text)),
        ("startswith", [prefix]) => Value::from(text.starts_with(prefix)),
        ("endswith", [suffix]) => Value::from(text.ends_with(suffix)),
        ("replace", [from, to]) => Value::from(text.replace(from, to)),
        ("upper", []) => Value::from(text.to_uppercase()),
        ("lower", []) => Value::from(text.to_lowercase()),
        ("title", []) => Value::from(title(text)),
        ("capitalize", []) => {
            let mut rest = text.chars();
            let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
            Value::from(first + &rest.as_str().to_lowercase())
        }
        ("count", [part]) => Value::from(text.matches(part).count()),
        ("find", [part]) => {
            let at = text.find(part).map(|at| text[..at].chars().count() as i64);
            Value::from(at.unwrap_or(-1))
        }
        _ => return Err(unknown()),
    })
}

/// Python's `text.split(separator, limit)`, from either end.
fn split(name: &str, text: &str, separator: &Value, limit: &Value) -> Result<Value, minijinja::Error> {
    let wrong =
        || minijinja::Error::new(ErrorKind::InvalidOperation, format!("{name}: expected a text and a count"));
    let separator = separator.as_str().filter(|separator| !separator.is_empty()).ok_or_else(wrong)?;
    let pieces = match limit.as_i64().ok_or_else(wrong)? {
        ..0 => usize::MAX,
        limit => limit as usize + 1,
    };
    Ok(match name {
        "split" => text.splitn(pieces, separator).map(Value::from).collect(),
        _ => text.rsplitn(pieces, separator).collect::<Vec<_>>().into_iter().rev().map(Value::from).collect(),
    })
}

fn title(text: &str) -> String {
    let mut after_letter = false;
    text.chars()
        .flat_map(|character| {
            let cased: Vec<char> = if after_letter {
                character.to_lowercase().collect()
            } else {
                character.to_uppercase().collect()
            };
            after_letter = character.is_alphabetic();
            cased
        })
        .collect()
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`.
fn to_json(value: &Value, options: Kwargs) -> Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let escapes = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sorts = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    // Whatever else is given would change the text.
    options.assert_all_used()?;
    if escapes || sorts {
        let message = "tojson: ensure_ascii and sort_keys are not supported";
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
    }
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let spaces = " ".repeat(width);
            let formatter = PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Spaced)),
    };
    written
        .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, format!("tojson: {error}")))?;
    Ok(Value::from_safe_string(String::from_utf8_lossy(&out).into_owned()))
}

/// Python's separators: `, ` and `: `.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
