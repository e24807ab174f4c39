//! Python's `'%s' % value`, and the filter `format`.

use super::meter;
use super::operators::Number;
use super::sequences::Sequence;
use super::text::{repr, text};
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// Fills in `values`: a tuple, one value, or a dictionary for fields with names.
///
/// # Errors
/// If there are too few values or too many, or a field asks for what is not known here.
pub(super) fn formatted(template: &str, values: &Value) -> Result<String, Error> {
    let is_map = values.kind() == ValueKind::Map;
    let mut placed = match Sequence::is_tuple(values) {
        true => values.try_iter()?.collect(),
        false => vec![values.clone()],
    }
    .into_iter();
    let mut pieces = template.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    let mut is_named = false;
    while let Some(piece) = pieces.next() {
        if piece.is_empty() {
            out.push('%');
            out += pieces.next().ok_or_else(|| wrong("ends with a field without a type"))?;
            continue;
        }
        let (name, spec) = match piece.strip_prefix('(').and_then(|named| named.split_once(')')) {
            Some((name, spec)) => (Some(name), spec),
            None => (None, piece),
        };
        let end =
            spec.find(|next: char| next.is_alphabetic()).ok_or_else(|| wrong("a field without a type"))?;
        let (layout, rest) = spec.split_at(end);
        let value = match name {
            Some(name) if is_map => {
                is_named = true;
                values.get_attr(name).ok().filter(|value| !value.is_undefined())
            }
            Some(_) => None,
            None => placed.next(),
        };
        let value = value.ok_or_else(|| wrong("too few values"))?;
        let kind = rest.chars().next().unwrap_or_default();
        out += &field(layout, kind, &value)?;
        out += &rest[kind.len_utf8()..];
    }
    match placed.next() {
        Some(_) if !is_named && !is_map => Err(wrong("too many values")),
        _ => Ok(out),
    }
}

/// One value in the layout `[flags][width][.precision]`.
fn field(layout: &str, kind: char, value: &Value) -> Result<String, Error> {
    let digits = layout.trim_start_matches(['-', '0', '+']);
    let flags = &layout[..layout.len() - digits.len()];
    let unknown = || wrong(&format!("the field `%{layout}{kind}`"));
    let (width, precision) =
        digits.split_once('.').map_or((digits, None), |(width, part)| (width, Some(part)));
    let count = |text: &str| match text {
        "" => Ok(0),
        text => text.parse::<usize>().map_err(|_| unknown()),
    };
    let (width, precision) = (count(width)?, precision.map(count).transpose()?);
    let number = || Number::of(value).ok_or_else(|| wrong(&format!("`%{kind}` of a {}", value.kind())));
    let (body, is_number) = match kind {
        's' | 'r' => {
            let text = if kind == 's' { text(value) } else { repr(value) };
            (text.chars().take(precision.unwrap_or(usize::MAX)).collect(), false)
        }
        'd' | 'i' if precision.is_none() => match number()? {
            Number::Whole(number) => (number.to_string(), true),
            Number::Real(number) if number.is_finite() => ((number.trunc() as i128).to_string(), true),
            Number::Real(_) => return Err(unknown()),
        },
        'f' => match number()?.real() {
            number if number.is_finite() => (meter::decimals(number, precision.unwrap_or(6))?, true),
            _ => return Err(unknown()),
        },
        _ => return Err(unknown()),
    };
    let body =
        if is_number && flags.contains('+') && !body.starts_with('-') { format!("+{body}") } else { body };
    let missing = width.saturating_sub(body.chars().count());
    Ok(if flags.contains('-') {
        body + &meter::repeated(" ", missing)?
    } else if flags.contains('0') && is_number {
        let sign = usize::from(body.starts_with(['-', '+']));
        format!("{}{}{}", &body[..sign], meter::repeated("0", missing)?, &body[sign..])
    } else {
        meter::repeated(" ", missing)? + &body
    })
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("format with %: {message}"))
}
