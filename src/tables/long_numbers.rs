//! Numbers of more digits than a JSON value holds: they keep their digits.
//!
//! serde_json reads an integer beyond 64 bits as the nearest floating-point number, so that the right answer to a problem
//! and its neighbour become one. (Its own remedy changes how every number of the program is read, tokenizers' among
//! them.) Here such a number becomes an object that holds its digits under a key that no file has.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// The key of the digits; a file cannot mean it by accident.
const KEY: &str = "\u{0}number";
/// More digits than this are not those of a floating-point number.
const MOST_DIGITS: usize = 17;

/// Reads one JSON value.
///
/// # Errors
/// If it is none.
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(&marked(text))
}

/// The digits of a long number.
pub(crate) fn digits(value: &Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    object.get(KEY)?.as_str().filter(|text| is_long(text))
}

/// A value as JSON, with all digits of long numbers.
pub(crate) fn print(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(keys) => match digits(value) {
            Some(digits) => out.push_str(digits),
            None => write_object(keys, out),
        },
        other => out.push_str(&other.to_string()),
    }
}

fn write_object(keys: &Map<String, Value>, out: &mut String) {
    out.push('{');
    for (number, (key, value)) in keys.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

/// The text with every long number made an object that JSON values hold.
fn marked(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut out, mut copied, mut place) = (String::new(), 0, 0);
    while let Some(byte) = bytes.get(place) {
        match byte {
            b'"' => {
                place += 1;
                while bytes.get(place).is_some_and(|byte| *byte != b'"') {
                    place += if bytes.get(place) == Some(&b'\\') { 2 } else { 1 };
                }
                place += 1;
            }
            b'-' | b'0'..=b'9' => {
                let start = place;
                while bytes
                    .get(place)
                    .is_some_and(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
                {
                    place += 1;
                }
                if let (Some(number), Some(before)) = (text.get(start..place), text.get(copied..start))
                    && is_long(number)
                {
                    out.push_str(before);
                    out.push_str(&format!("{{\"\\u0000number\":\"{number}\"}}"));
                    copied = place;
                }
            }
            _ => place += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// Whether a text is a JSON number that a value would hold with fewer digits.
fn is_long(text: &str) -> bool {
    let whole = text.strip_prefix('-').unwrap_or(text);
    let digit = |byte: u8| byte.is_ascii_digit();
    if !whole.starts_with(|first: char| first.is_ascii_digit())
        || (whole.len() > 1 && whole.starts_with('0') && !whole.starts_with("0."))
    {
        return false;
    }
    if whole.bytes().all(digit) {
        return whole.len() > MOST_DIGITS && text.parse::<i64>().is_err() && text.parse::<u64>().is_err();
    }
    let mantissa = whole.split(['e', 'E']).next().unwrap_or(whole);
    let significant = mantissa.bytes().filter(|byte| digit(*byte)).skip_while(|byte| *byte == b'0').count();
    let sound = serde_json::from_str::<f64>(text).is_ok();
    // `1e400` is a number of JSON that no value holds.
    let beyond = !sound
        && text.parse::<f64>().is_ok_and(f64::is_infinite)
        && !whole.ends_with(['e', 'E', '+', '-', '.']);
    (sound && significant > MOST_DIGITS) || beyond
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_numbers_keep_their_digits_and_others_are_what_they_were() {
        let text = "{\"a\":123456789012345678901234567890,\"b\":[-98765432109876543210987654321,1,0.5],\"c\":\"12345678901234567890123 \\\" \",\"d\":18446744073709551615,\"e\":3.14159265358979323846264}";
        let value = parse(text).unwrap();
        assert_eq!(digits(&value["a"]), Some("123456789012345678901234567890"));
        assert_eq!(digits(&value["b"][0]), Some("-98765432109876543210987654321"));
        assert_eq!((&value["b"][1], &value["b"][2]), (&json!(1), &json!(0.5)));
        assert_eq!(value["d"], json!(u64::MAX));
        assert_eq!(value["c"], json!("12345678901234567890123 \" "));
        assert_eq!(print(&value), text);
        for plain in ["{\"a\": [1, -2.5e-3, null, true], \"b\": \"\\u00e9\\\\\"}", "0.1", "[]", "\"x\""] {
            assert_eq!(parse(plain).unwrap(), serde_json::from_str::<Value>(plain).unwrap(), "{plain}");
        }
        assert_eq!(print(&parse("[1e400]").unwrap()), "[1e400]");
        for wrong in ["{\"a\": 0123456789012345678901234}", "[1234567890123456789012 3]", "{\"a\": ", "\"\\"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
