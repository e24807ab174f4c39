//! The filters and tests of Jinja2 that differ from minijinja's, or that it lacks.

use super::justified::justified;
use super::markup::Markup;
use super::meter;
use super::metered::{add_filter, add_test};
use super::methods::{capitalized, is, lines};
use super::printf::formatted;
use super::sequences::{Sequence, is_list, iterated};
use super::text::{is_space, repr, text};
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

/// Puts them in the place of minijinja's.
pub(super) fn add(environment: &mut Environment<'_>) {
    add_filter(environment, "string", |value: &Value| text(value));
    add_filter(environment, "upper", |value: &Value| text(value).to_uppercase());
    add_filter(environment, "lower", |value: &Value| text(value).to_lowercase());
    add_filter(environment, "capitalize", |value: &Value| capitalized(&text(value)));
    add_filter(environment, "default", default);
    add_filter(environment, "d", default);
    add_filter(environment, "indent", indent);
    add_filter(environment, "center", |value: &Value, width: Option<i64>| {
        justified("center", &text(value), width.unwrap_or(80), ' ')
    });
    add_filter(environment, "format", |template: &Value, values: Rest<Value>| {
        let values = match values.as_slice() {
            [named] if named.is_kwargs() => named.clone(),
            placed => Sequence::tuple(placed.to_vec()),
        };
        formatted(&text(template), &values)
    });
    add_filter(environment, "trim", trim);
    add_filter(environment, "join", join);
    add_filter(environment, "int", int);
    add_filter(environment, "float", float);
    add_filter(environment, "round", round);
    add_filter(environment, "title", title);
    add_filter(environment, "replace", replace);
    add_filter(environment, "wordcount", |text: String| {
        let words = text.split(|character: char| !(character.is_alphanumeric() || character == '_'));
        words.filter(|word| !word.is_empty()).count()
    });
    add_filter(environment, "truncate", truncate);
    // An item is no attribute in Python.
    add_filter(environment, "attr", |value: &Value, name: &str| match value.kind() {
        ValueKind::Map => Ok(Value::UNDEFINED),
        _ => value.get_attr(name),
    });
    // Wraps at 80 columns in Python: refused rather than nearly the same.
    environment.remove_filter("pprint");
    // Jinja2 has none of these.
    for name in ["bool", "chain", "zip", "lines", "split"] {
        environment.remove_filter(name);
    }
    add_test(environment, "sequence", |value: &Value| match value.kind() {
        ValueKind::String | ValueKind::Map | ValueKind::Seq | ValueKind::Undefined => true,
        _ => is_list(value),
    });
    add_test(environment, "iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    add_test(environment, "lower", |value: &Value| is("islower", &text(value)));
    add_test(environment, "upper", |value: &Value| is("isupper", &text(value)));
    // Python's booleans are numbers.
    add_test(environment, "number", |value: &Value| {
        matches!(value.kind(), ValueKind::Number | ValueKind::Bool)
    });
}

/// `default_value` where there is none, and with `boolean` where it is false.
fn default(
    value: Value,
    placed: Option<Value>,
    boolean: Option<bool>,
    options: Kwargs,
) -> Result<Value, Error> {
    let other = argument(placed, &options, "default_value")?.unwrap_or_else(|| Value::from(""));
    let boolean = argument(boolean, &options, "boolean")?.unwrap_or(false);
    options.assert_all_used()?;
    let is_missing = value.is_undefined() || (boolean && !value.is_true());
    Ok(if is_missing { other } else { value })
}

/// The lines after the first, moved to the right by a number of blanks or by a text. A last end of line is kept.
fn indent(
    value: &Value,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<String, Error> {
    let width = argument(width, &options, "width")?.unwrap_or_else(|| Value::from(4));
    let first = argument(first, &options, "first")?.unwrap_or(false);
    let blank = argument(blank, &options, "blank")?.unwrap_or(false);
    options.assert_all_used()?;
    let wrong = || wrong("indent: expected a text, and a number or a text");
    let shift = match width.as_str() {
        Some(shift) => shift.to_owned(),
        None => meter::repeated(" ", width.as_usize().ok_or_else(wrong)?)?,
    };
    if value.as_str().is_none() && value.downcast_object_ref::<Markup>().is_none() {
        return Err(wrong());
    }
    let whole = text(value) + "\n";
    meter::pay(shift.len().saturating_mul(lines(&whole, false).len()))?;
    let shifted = |(index, line): (usize, &str)| match index {
        0 if !first => line.to_owned(),
        0 => shift.clone() + line,
        _ if line.is_empty() && !blank => String::new(),
        _ => shift.clone() + line,
    };
    Ok(lines(&whole, false).into_iter().enumerate().map(shifted).collect::<Vec<_>>().join("\n"))
}

fn trim(value: &Value, characters: Option<String>) -> String {
    let value = text(value);
    let cut = |character: char| match &characters {
        Some(set) => set.contains(character),
        None => is_space(character),
    };
    value.trim_matches(cut).to_owned()
}

fn join(value: &Value, between: Option<String>, options: Kwargs) -> Result<String, Error> {
    let attribute: Option<String> = options.get("attribute")?;
    let between = between.or(options.get("d")?).unwrap_or_default();
    options.assert_all_used()?;
    let one = |item: Value| match &attribute {
        Some(path) => {
            path.split('.').try_fold(item, |item, name| item.get_attr(name)).map(|item| text(&item))
        }
        None => Ok(text(&item)),
    };
    let items = iterated(value)?;
    meter::pay(between.len().saturating_mul(items.len()))?;
    Ok(items.into_iter().map(one).collect::<Result<Vec<_>, Error>>()?.join(&between))
}

/// An argument by its place or by its name, as in Python.
fn argument<T>(placed: Option<T>, options: &Kwargs, name: &str) -> Result<Option<T>, Error>
where
    T: for<'a> minijinja::value::ArgType<'a, Output = T>,
{
    match placed {
        Some(value) => Ok(Some(value)),
        None => options.get::<Option<T>>(name),
    }
}

/// Refuses what Python makes no number of, not even the default.
fn defined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() { Err(Error::from(ErrorKind::UndefinedError)) } else { Ok(()) }
}

/// Digits as Python reads them: blanks around them, and underscores between them.
fn digits(text: &str) -> String {
    text.trim_matches(is_space).replace('_', "")
}

fn int(value: &Value, default: Option<Value>, base: Option<u32>, options: Kwargs) -> Result<Value, Error> {
    defined(value)?;
    let default = argument(default, &options, "default")?.unwrap_or_else(|| Value::from(0));
    let base = argument(base, &options, "base")?.unwrap_or(10);
    options.assert_all_used()?;
    let whole = |number: f64| number.is_finite().then(|| Value::from(number.trunc() as i128));
    let read = match (value.kind(), value.as_str()) {
        (_, Some(text)) => {
            let text = digits(text).to_lowercase();
            let prefix = match base {
                2 => "0b",
                8 => "0o",
                16 => "0x",
                _ => "",
            };
            let bare = text.strip_prefix(prefix).unwrap_or(&text);
            let exact = (2..=36).contains(&base).then(|| i128::from_str_radix(bare, base).ok()).flatten();
            exact.map(Value::from).or_else(|| whole(text.parse().ok()?))
        }
        (ValueKind::Bool, _) => Some(Value::from(i64::from(value.is_true()))),
        (ValueKind::Number, _) if value.is_integer() => Some(value.clone()),
        (ValueKind::Number, _) => f64::try_from(value.clone()).ok().and_then(whole),
        _ => None,
    };
    Ok(read.unwrap_or(default))
}

fn float(value: &Value, default: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    defined(value)?;
    let default = argument(default, &options, "default")?.unwrap_or_else(|| Value::from(0.0));
    options.assert_all_used()?;
    let read = match (value.kind(), value.as_str()) {
        (_, Some(text)) => digits(text).parse().ok(),
        (ValueKind::Bool, _) => Some(f64::from(u8::from(value.is_true()))),
        (ValueKind::Number, _) => f64::try_from(value.clone()).ok(),
        _ => None,
    };
    Ok(read.map_or(default, Value::from))
}

/// Half goes to the even neighbour, of the number as it is in binary: `2.5` to `2.0`, `2.675` to `2.67`.
fn round(
    value: &Value,
    precision: Option<i32>,
    method: Option<String>,
    options: Kwargs,
) -> Result<Value, Error> {
    let precision = argument(precision, &options, "precision")?.unwrap_or(0);
    let method = argument(method, &options, "method")?.unwrap_or_else(|| "common".to_owned());
    options.assert_all_used()?;
    if value.is_integer() && method == "common" && precision >= 0 {
        return Ok(value.clone());
    }
    let number = f64::try_from(value.clone())?;
    let power = 10f64.powi(precision);
    let scaled = number * power;
    // Python can divide neither by nothing nor by what is no number.
    if method != "common" && !(scaled.is_finite() && power.is_normal()) {
        return Err(wrong("round: the precision is out of range"));
    }
    let rounded = match method.as_str() {
        // No number has more decimals.
        "common" if precision > 1100 => number,
        "common" if precision >= 0 => {
            meter::decimals(number, precision.unsigned_abs() as usize)?.parse().unwrap_or(number)
        }
        "common" if !power.is_normal() => 0.0_f64.copysign(number),
        "common" => scaled.round_ties_even() / power,
        "ceil" => scaled.ceil() / power,
        "floor" => scaled.floor() / power,
        _ => return Err(wrong("round: expected common, ceil or floor")),
    };
    Ok(if value.is_integer() && method == "common" {
        Value::from(rounded as i64)
    } else {
        Value::from(rounded)
    })
}

/// Words begin after blanks, hyphens and open brackets: an apostrophe begins none, as it does in Python's `title`.
fn title(value: &Value) -> String {
    let mut begins = true;
    let mut out = String::new();
    for character in text(value).chars() {
        match begins {
            true => out.extend(character.to_uppercase()),
            false => out.extend(character.to_lowercase()),
        }
        begins = is_space(character) || "-({[<".contains(character);
    }
    out
}

fn replace(value: &Value, from: &Value, to: &Value, count: Option<usize>) -> Result<String, Error> {
    replaced(&text(value), &text(from), &text(to), count.unwrap_or(usize::MAX))
}

/// The first `most` places of `from` replaced.
pub(super) fn replaced(whole: &str, from: &str, to: &str, most: usize) -> Result<String, Error> {
    meter::pay(whole.matches(from).count().min(most).saturating_mul(to.len()))?;
    Ok(whole.replacen(from, to, most))
}

fn truncate(
    value: Value,
    length: Option<usize>,
    cuts_words: Option<bool>,
    end: Option<String>,
    options: Kwargs,
) -> Result<Value, Error> {
    let length = argument(length, &options, "length")?.unwrap_or(255);
    let cuts_words = argument(cuts_words, &options, "killwords")?.unwrap_or(false);
    let end = argument(end, &options, "end")?.unwrap_or_else(|| "...".to_owned());
    let leeway = options.get::<Option<usize>>("leeway")?.unwrap_or(5);
    options.assert_all_used()?;
    let kept = length.checked_sub(end.chars().count()).ok_or_else(|| {
        wrong(&format!(
            "truncate: expected a length of at least that of {}",
            repr(&Value::from(end.as_str()))
        ))
    })?;
    let found = value.len().ok_or_else(|| wrong("truncate: expected a text"))?;
    if found <= length.saturating_add(leeway) {
        return Ok(value);
    }
    let whole = value.as_str().ok_or_else(|| wrong("truncate: expected a text"))?;
    let start: String = whole.chars().take(kept).collect();
    let cut = if cuts_words { None } else { start.rsplit_once(' ').map(|(words, _)| words.to_owned()) };
    Ok(Value::from(cut.unwrap_or(start) + &end))
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.to_owned())
}
