//! `tojson` as transformers defines it: Python's `json.dumps` without escapes for HTML.

use super::meter;
use super::sequences::{Sequence, is_list};
use super::text::number;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::fmt::Write;

/// How the text is laid out.
struct Layout {
    indent: Option<usize>,
    between_items: String,
    after_key: String,
    ascii: bool,
    sorted: bool,
}

/// `json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
///
/// # Errors
/// If the value has no JSON, or an option is not one of the four.
pub(super) fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let (between_items, after_key) = match separators.as_deref() {
        Some([between, after]) => (between.clone(), after.clone()),
        Some(_) => return Err(wrong("expected two separators")),
        // A line ends with its comma.
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let layout = Layout {
        indent,
        between_items,
        after_key,
        ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    // Whatever else is given would change the text.
    options.assert_all_used()?;
    let mut out = String::new();
    layout.value(value, 0, &mut out)?;
    Ok(Value::from(out))
}

impl Layout {
    fn value(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        meter::pay(value.as_str().map_or(1, str::len) + self.between_items.len() + self.after_key.len())?;
        meter::within(|| self.spelled_out(value, depth, out))?
    }

    fn spelled_out(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&spelled(value)),
            ValueKind::String => self.text(value.as_str().unwrap_or_default(), out),
            ValueKind::Map => {
                let mut keys: Vec<(String, Value)> =
                    value.try_iter()?.map(|key| Ok((name(&key)?, key))).collect::<Result<_, Error>>()?;
                if self.sorted {
                    keys.sort_by(|left, right| left.0.cmp(&right.0));
                }
                self.items(['{', '}'], keys, depth, out, |(name, key), out| {
                    self.text(&name, out);
                    out.push_str(&self.after_key);
                    self.value(&value.get_item(&key)?, depth + 1, out)
                })?;
            }
            ValueKind::Seq | ValueKind::Iterable if is_list(value) || Sequence::is_tuple(value) => {
                let items = value.try_iter()?.collect();
                self.items(['[', ']'], items, depth, out, |item, out| self.value(&item, depth + 1, out))?;
            }
            kind => return Err(wrong(&format!("a value of kind {kind} has no JSON"))),
        }
        Ok(())
    }

    fn items<T>(
        &self,
        [open, close]: [char; 2],
        items: Vec<T>,
        depth: usize,
        out: &mut String,
        write: impl Fn(T, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        out.push(open);
        let is_empty = items.is_empty();
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                out.push_str(&self.between_items);
            }
            self.line(depth + 1, out)?;
            write(item, out)?;
        }
        if !is_empty {
            self.line(depth, out)?;
        }
        out.push(close);
        Ok(())
    }

    fn line(&self, depth: usize, out: &mut String) -> Result<(), Error> {
        if let Some(width) = self.indent {
            out.push('\n');
            *out += &meter::repeated(" ", width.saturating_mul(depth))?;
        }
        Ok(())
    }

    fn text(&self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                ..' ' => escape(character, out),
                _ if self.ascii && !(' '..='~').contains(&character) => escape(character, out),
                _ => out.push(character),
            }
        }
        out.push('"');
    }
}

fn escape(character: char, out: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a text cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// A number in JSON: those that are none have names of their own in Python.
fn spelled(value: &Value) -> String {
    match number(value).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        number => number.to_owned(),
    }
}

/// A key of an object: texts, and what Python makes one of.
fn name(key: &Value) -> Result<String, Error> {
    Ok(match (key.kind(), key.as_str()) {
        (_, Some(text)) => text.to_owned(),
        (ValueKind::None, _) => "null".to_owned(),
        (ValueKind::Bool, _) => if key.is_true() { "true" } else { "false" }.to_owned(),
        (ValueKind::Number, _) => spelled(key),
        (kind, _) => return Err(wrong(&format!("a key of kind {kind} has no JSON"))),
    })
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("tojson: {message}"))
}
