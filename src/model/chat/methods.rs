//! The methods of Python's strings and dictionaries that templates call.

use super::filters::replaced;
use super::justified::{fill, justified, zero_filled};
use super::meter;
use super::sequences::Sequence;
use super::slices::sliced;
use super::text::{is_space, text};
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// Where Python's `splitlines` ends a line; `\r\n` is one end, too.
const LINE_ENDS: [char; 10] =
    ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];

/// Calls the method `name` of `value`.
///
/// # Errors
/// If the value has no such method, or it does not take these arguments.
pub(super) fn call(
    _: &State<'_, '_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    meter::taken(std::slice::from_ref(value))?;
    meter::taken(arguments)?;
    if name == "python_slice" {
        return sliced(value, arguments).and_then(meter::made);
    }
    if let ("python_item", [place]) = (name, arguments) {
        return item(value, place);
    }
    let takes_names = ["format", "split", "rsplit", "splitlines"].contains(&name);
    let is_named = arguments.last().is_some_and(Value::is_kwargs);
    let found = match (value.kind(), value.as_str()) {
        _ if is_named && !takes_names => None,
        (ValueKind::Map, _) => of_map(value, name, arguments)?,
        (_, Some(text)) => of_text(text, name, arguments)?,
        _ => None,
    };
    found.map(meter::made).unwrap_or_else(|| {
        let message = format!("no method `{name}` of a {} with {} arguments", value.kind(), arguments.len());
        Err(Error::new(ErrorKind::UnknownMethod, message))
    })
}

/// `value[place]`. What cannot be looked up in a dictionary is nowhere in it.
fn item(value: &Value, place: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if is_key(place)? { value.get_item(place) } else { Ok(Value::UNDEFINED) }
}

/// Whether Python looks a value up: no list, no dictionary, and no tuple of them.
pub(super) fn is_key(value: &Value) -> Result<bool, Error> {
    match value.kind() {
        ValueKind::Map => Ok(false),
        _ if Sequence::is_tuple(value) => meter::within(|| {
            value.try_iter()?.try_fold(true, |all, item| Ok::<_, Error>(all && is_key(&item)?))
        })?,
        ValueKind::Seq | ValueKind::Iterable => Ok(false),
        _ => Ok(true),
    }
}

fn of_map(map: &Value, name: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match (name, arguments) {
        ("get", [key] | [key, _]) => match item(map, key)? {
            found if !found.is_undefined() => found,
            _ => arguments.get(1).cloned().unwrap_or_else(|| Value::from(())),
        },
        ("keys", []) => Sequence::view("dict_keys", map.try_iter()?.collect()),
        ("values", []) => {
            let values = map.try_iter()?.map(|key| map.get_item(&key));
            Sequence::view("dict_values", values.collect::<Result<_, _>>()?)
        }
        ("items", []) => Sequence::view("dict_items", pairs(map)?),
        _ => return Ok(None),
    }))
}

/// The keys of a dictionary with their values, as tuples.
pub(super) fn pairs(map: &Value) -> Result<Vec<Value>, Error> {
    map.try_iter()?.map(|key| Ok(Sequence::tuple(vec![key.clone(), map.get_item(&key)?]))).collect()
}

fn of_text(whole: &str, name: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    let word = |index: usize| arguments.get(index).and_then(Value::as_str);
    let count = |index: usize| arguments.get(index).and_then(Value::as_i64);
    Ok(Some(match (name, arguments.len()) {
        ("strip", ..=1) => trimmed(whole, arguments.first(), true, true)?,
        ("lstrip", ..=1) => trimmed(whole, arguments.first(), true, false)?,
        ("rstrip", ..=1) => trimmed(whole, arguments.first(), false, true)?,
        ("split" | "rsplit", ..=2) => split(name, whole, arguments)?,
        ("splitlines", ..=1) => {
            let keeps = argument(arguments, 0, "keepends")?.is_some_and(|keeps| keeps.is_true());
            lines(whole, keeps).into_iter().map(Value::from).collect()
        }
        ("ljust" | "rjust" | "center", 1..=2) => match (count(0), fill(arguments.get(1))) {
            (Some(width), Some(fill)) => Value::from(justified(name, whole, width, fill)?),
            _ => return Ok(None),
        },
        ("zfill", 1) => match count(0) {
            Some(width) => Value::from(zero_filled(whole, width)?),
            None => return Ok(None),
        },
        ("join", 1) => Value::from(joined(whole, &arguments[0])?),
        ("format", _) => Value::from(formatted(whole, arguments)?),
        ("startswith", 1) => Value::from(any(&arguments[0], |prefix| whole.starts_with(prefix))?),
        ("endswith", 1) => Value::from(any(&arguments[0], |suffix| whole.ends_with(suffix))?),
        ("upper", 0) => Value::from(whole.to_uppercase()),
        ("lower", 0) => Value::from(whole.to_lowercase()),
        ("title", 0) => Value::from(title(whole)),
        ("capitalize", 0) => Value::from(capitalized(whole)),
        (
            "isdigit" | "isdecimal" | "isnumeric" | "isalpha" | "isalnum" | "isspace" | "isupper" | "islower",
            0,
        ) => Value::from(is(name, whole)),
        _ => {
            let Some(part) = word(0) else { return Ok(None) };
            match (name, arguments.len()) {
                ("removeprefix", 1) => Value::from(whole.strip_prefix(part).unwrap_or(whole)),
                ("removesuffix", 1) => Value::from(whole.strip_suffix(part).unwrap_or(whole)),
                ("replace", 2..=3) => match (word(1), count(2)) {
                    (Some(to), Some(most @ 0..)) => Value::from(replaced(whole, part, to, most as usize)?),
                    (Some(to), _) => Value::from(replaced(whole, part, to, usize::MAX)?),
                    (None, _) => return Ok(None),
                },
                ("count", 1) => Value::from(whole.matches(part).count()),
                ("find", 1) => Value::from(place(whole, whole.find(part)).unwrap_or(-1)),
                ("rfind", 1) => Value::from(place(whole, whole.rfind(part)).unwrap_or(-1)),
                ("index", 1) => found(whole, part, whole.find(part))?,
                ("rindex", 1) => found(whole, part, whole.rfind(part))?,
                ("partition" | "rpartition", 1) if !part.is_empty() => parted(name, whole, part),
                _ => return Ok(None),
            }
        }
    }))
}

fn trimmed(whole: &str, set: Option<&Value>, start: bool, end: bool) -> Result<Value, Error> {
    let set = match set {
        Some(set) if !set.is_none() => Some(set.as_str().ok_or_else(|| wrong("strip", "a text"))?),
        _ => None,
    };
    let is_cut = |character: char| match set {
        Some(set) => set.contains(character),
        None => is_space(character),
    };
    let cut = if start { whole.trim_start_matches(is_cut) } else { whole };
    Ok(Value::from(if end { cut.trim_end_matches(is_cut) } else { cut }))
}

/// The argument `name`, by its place or by its name.
fn argument(arguments: &[Value], place: usize, name: &str) -> Result<Option<Value>, Error> {
    match arguments.last().filter(|last| last.is_kwargs()) {
        Some(named) if place + 1 >= arguments.len() => {
            Ok(Some(named.get_attr(name)?).filter(|value| !value.is_undefined()))
        }
        _ => Ok(arguments.get(place).cloned()),
    }
}

/// `text.split(sep=None, maxsplit=-1)`, from either end.
fn split(name: &str, whole: &str, arguments: &[Value]) -> Result<Value, Error> {
    let wrong = || wrong(name, "a text and a count");
    let separator = argument(arguments, 0, "sep")?;
    let separator = match &separator {
        Some(separator) if !separator.is_none() => {
            Some(separator.as_str().filter(|separator| !separator.is_empty()).ok_or_else(wrong)?)
        }
        _ => None,
    };
    let limit =
        argument(arguments, 1, "maxsplit")?.map(|limit| limit.as_i64().ok_or_else(wrong)).transpose()?;
    let pieces = match limit.unwrap_or(-1) {
        ..0 => usize::MAX,
        limit => (limit as usize).saturating_add(1),
    };
    let from_end = name == "rsplit";
    let mut parts: Vec<&str> = match separator {
        None => words(whole, pieces, from_end),
        Some(separator) if from_end => whole.rsplitn(pieces, separator).collect(),
        Some(separator) => whole.splitn(pieces, separator).collect(),
    };
    if from_end {
        parts.reverse();
    }
    Ok(parts.into_iter().map(Value::from).collect())
}

/// The lines of a text, with their ends or without.
pub(super) fn lines(whole: &str, keeps: bool) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = whole;
    while !rest.is_empty() {
        let at = rest.find(LINE_ENDS).unwrap_or(rest.len());
        let (line, from) = rest.split_at(at);
        let end = if from.starts_with("\r\n") { 2 } else { from.chars().next().map_or(0, char::len_utf8) };
        found.push(if keeps { &rest[..at + end] } else { line });
        rest = &from[end..];
    }
    found
}

/// What stands between blanks, from one end, the rest as one.
fn words(whole: &str, pieces: usize, from_end: bool) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest =
        if from_end { whole.trim_end_matches(is_space) } else { whole.trim_start_matches(is_space) };
    while !rest.is_empty() && found.len() + 1 < pieces {
        let at = if from_end { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(at) = at else { break };
        let (before, after) = rest.split_at(at);
        let word;
        (word, rest) = match from_end {
            true => (after.trim_start_matches(is_space), before.trim_end_matches(is_space)),
            false => (before, after.trim_start_matches(is_space)),
        };
        found.push(word);
    }
    if !rest.is_empty() {
        found.push(rest);
    }
    found
}

fn joined(between: &str, parts: &Value) -> Result<String, Error> {
    let one = |part: Value| part.as_str().map(str::to_owned).ok_or_else(|| wrong("join", "texts"));
    let parts = parts.try_iter()?.map(one).collect::<Result<Vec<_>, _>>()?;
    meter::pay(parts.len().saturating_mul(between.len()) + parts.iter().map(String::len).sum::<usize>())?;
    Ok(parts.join(between))
}

/// Whether a text, or one of several, is as asked.
fn any(asked: &Value, holds: impl Fn(&str) -> bool) -> Result<bool, Error> {
    match asked.as_str() {
        Some(text) => Ok(holds(text)),
        None => Ok(asked.try_iter()?.any(|one| one.as_str().is_some_and(&holds))),
    }
}

/// `'{} {1} {name}'.format(...)`. What a field may say of width and precision is refused.
fn formatted(template: &str, arguments: &[Value]) -> Result<String, Error> {
    let (placed, named) = match arguments.split_last() {
        Some((last, placed)) if last.is_kwargs() => (placed, Some(last)),
        _ => (arguments, None),
    };
    let mut out = String::new();
    let mut next = 0;
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out += &rest[..at];
        let brace = &rest[at..];
        if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
            out.push_str(&brace[..1]);
            rest = after;
            continue;
        }
        let (field, after) = brace
            .strip_prefix('{')
            .and_then(|field| field.split_once('}'))
            .ok_or_else(|| wrong("format", "braces in pairs"))?;
        rest = after;
        let value = match field.parse::<usize>() {
            _ if field.is_empty() => {
                next += 1;
                placed.get(next - 1).cloned()
            }
            Ok(index) => placed.get(index).cloned(),
            Err(_) => {
                named.and_then(|named| named.get_attr(field).ok()).filter(|value| !value.is_undefined())
            }
        };
        let expected = || wrong("format", &format!("a value for the field `{{{field}}}`"));
        out += &text(&value.ok_or_else(expected)?);
    }
    Ok(out + rest)
}

/// What Python's method of this name says of a text: what is in it, and that it is not empty.
pub(super) fn is(name: &str, text: &str) -> bool {
    let all = |holds: &dyn Fn(char) -> bool| !text.is_empty() && text.chars().all(holds);
    match name {
        "isspace" => all(&is_space),
        "isalpha" => all(&char::is_alphabetic),
        "isalnum" => all(&char::is_alphanumeric),
        "isupper" => text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase),
        "islower" => text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase),
        "isnumeric" => all(&char::is_numeric),
        _ => all(&|character| character.is_ascii_digit()),
    }
}

/// The place of a character, counted in characters.
fn place(whole: &str, at: Option<usize>) -> Option<i64> {
    at.map(|at| whole[..at].chars().count() as i64)
}

fn found(whole: &str, part: &str, at: Option<usize>) -> Result<Value, Error> {
    place(whole, at).map(Value::from).ok_or_else(|| wrong("index", &format!("`{part}` in the text")))
}

fn parted(name: &str, whole: &str, separator: &str) -> Value {
    let parts = match (name, whole.split_once(separator), whole.rsplit_once(separator)) {
        ("partition", Some((before, after)), _) | ("rpartition", _, Some((before, after))) => {
            [before, separator, after]
        }
        ("partition", ..) => [whole, "", ""],
        _ => ["", "", whole],
    };
    Sequence::tuple(parts.into_iter().map(Value::from).collect())
}

pub(super) fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &rest.as_str().to_lowercase()
}

fn title(text: &str) -> String {
    let mut after_letter = false;
    let mut out = String::new();
    for character in text.chars() {
        match after_letter {
            true => out.extend(character.to_lowercase()),
            false => out.extend(character.to_uppercase()),
        }
        after_letter = character.is_alphabetic();
    }
    out
}

pub(super) fn wrong(name: &str, expected: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{name}: expected {expected}"))
}
