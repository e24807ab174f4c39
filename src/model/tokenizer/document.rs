//! What of a `tokenizer.json` is looked at before the library reads it: whatever it could be made to do without end.
//!
//! The library allocates what the document says. Here stands a bound for each way in which a short document can make
//! much out of little; a document beyond is refused by name.

use crate::error::{Error, Result};
use serde_json::Value;

/// The largest file. Real ones hold up to some 40 MB.
pub(super) const LARGEST: u64 = 512 << 20;

/// How much longer a text may become at most.
const GROWTH: f64 = 4096.0;

/// How many bytes may be put before or after a text.
const ADDED: usize = 1 << 16;

/// How many tokens a post-processor may put around a text.
const AROUND: usize = 1 << 12;

/// Refuses what would grow without bound, or give other tokens every time.
///
/// # Errors
/// If there is such a thing.
pub(super) fn check(document: &Value) -> Result<()> {
    let mut growth = Growth { factor: 1.0, added: 0 };
    for key in ["normalizer", "pre_tokenizer", "decoder"] {
        if let Some(part) = document.get(key) {
            growth.follow(part, key)?;
        }
    }
    if let Some(post) = document.get("post_processor") {
        around(post)?;
    }
    let model = document.get("model");
    let dropout = model.and_then(|model| model.get("dropout")).and_then(Value::as_f64).unwrap_or(0.0);
    if dropout != 0.0 {
        return Err(Error::request(format!(
            "field `model.dropout`: `{dropout}` is not supported: the same text would have other tokens every time"
        ))
        .hint("write null in its place"));
    }
    Ok(())
}

struct Growth {
    factor: f64,
    added: usize,
}

impl Growth {
    fn follow(&mut self, part: &Value, place: &str) -> Result<()> {
        for key in ["normalizers", "pretokenizers", "decoders"] {
            for step in part.get(key).and_then(Value::as_array).into_iter().flatten() {
                self.follow(step, place)?;
            }
        }
        let text = |key: &str| part.get(key).and_then(Value::as_str).unwrap_or_default();
        match part.get("type").and_then(Value::as_str) {
            Some("Replace") => {
                let pattern = part.get("pattern").and_then(|pattern| pattern.get("String"));
                // An expression may match at every byte, and between any two.
                let (least, every) = match pattern.and_then(Value::as_str) {
                    Some(pattern) if !pattern.is_empty() => (pattern.len(), 0),
                    _ => (1, 1),
                };
                let content = text("content").len();
                self.factor *= ((content / least + content * every) as f64).max(1.0);
            }
            Some("Prepend") => self.added += text("prepend").len(),
            Some("Precompiled") => self.factor *= longest_entry(text("precompiled_charsmap"))?,
            Some("ByteLevel") => self.factor *= 2.0,
            Some("FixedLength") if part.get("length").and_then(Value::as_u64) == Some(0) => {
                return Err(Error::request(format!("field `{place}`: expected a length, found 0")));
            }
            Some("Strip") => {
                for key in ["start", "stop"] {
                    if part.get(key).and_then(Value::as_u64).is_some_and(|count| count > ADDED as u64) {
                        return Err(Error::request(format!(
                            "field `{place}.{key}`: expected at most {ADDED}"
                        )));
                    }
                }
            }
            _ => {}
        }
        if self.factor > GROWTH || self.added > ADDED {
            return Err(Error::request(format!(
                "field `{place}`: expected a text to become at most {GROWTH} times as long, found more"
            ))
            .hint("the file is damaged, or was made to use up memory"));
        }
        Ok(())
    }
}

/// How long the longest text is that a precompiled map puts in the place of a character. It is checked as far as the
/// library's own reader goes: a length, a table of so many bytes, texts that end in zeros.
fn longest_entry(encoded: &str) -> Result<f64> {
    let wrong = || Error::request("field `precompiled_charsmap`: the map is damaged");
    let bytes = base64(encoded).ok_or_else(wrong)?;
    let size = bytes.first_chunk().map(|size| u32::from_le_bytes(*size) as usize).ok_or_else(wrong)?;
    let texts = bytes.get(4 + size / 4 * 4..).ok_or_else(wrong)?;
    if size < 4 || std::str::from_utf8(texts).is_err() {
        return Err(wrong());
    }
    Ok(texts.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0).max(1) as f64)
}

/// The bytes of base 64; none if it is something else.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut held, mut bits) = (0u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    Some(bytes)
}

/// Refuses a post-processor that puts very much around a text, or writes it more than once.
fn around(post: &Value) -> Result<()> {
    for step in post.get("processors").and_then(Value::as_array).into_iter().flatten() {
        around(step)?;
    }
    let specials = post.get("special_tokens");
    let (mut texts, mut tokens) = (0, 0);
    for piece in post.get("single").and_then(Value::as_array).into_iter().flatten() {
        texts += usize::from(piece.get("Sequence").is_some());
        if let Some(token) = piece.get("SpecialToken") {
            let name = token.get("id").and_then(Value::as_str).unwrap_or_default();
            let ids = specials.and_then(|all| all.get(name)?.get("ids")?.as_array());
            tokens += ids.map_or(1, Vec::len);
        }
    }
    if texts > 1 || tokens > AROUND {
        return Err(Error::request(format!(
            "field `post_processor`: expected a text once with at most {AROUND} tokens around it, found {texts} times \
             with {tokens}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_grows_without_bound_is_refused() {
        let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
        let sequence = |count: usize| json!({"type": "Sequence", "normalizers": vec![double.clone(); count]});
        assert!(check(&json!({"normalizer": sequence(8)})).is_ok());
        assert!(check(&json!({"normalizer": sequence(40)})).is_err());
        assert!(check(&json!({"decoder": {"type": "Sequence", "decoders": vec![double; 40]}})).is_err());
        let everywhere = json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "x".repeat(5000)});
        assert!(check(&json!({"normalizer": everywhere})).is_err());
        assert!(check(&json!({"normalizer": {"type": "Prepend", "prepend": "▁"}})).is_ok());
        assert!(check(&json!({"normalizer": {"type": "Prepend", "prepend": "x".repeat(70_000)}})).is_err());
        assert!(check(&json!({"pre_tokenizer": {"type": "FixedLength", "length": 0}})).is_err());
        assert!(check(&json!({"model": {"dropout": 0.1}})).is_err());
        let twice = json!([{"Sequence": {"id": "A"}}, {"Sequence": {"id": "A"}}]);
        assert!(check(&json!({"post_processor": {"single": twice}})).is_err());
    }

    #[test]
    fn a_precompiled_map_is_whole_before_it_is_read() {
        let map = |encoded: &str| {
            check(&json!({"normalizer": {"type": "Precompiled", "precompiled_charsmap": encoded}}))
        };
        assert!(map("LA==").is_err(), "a length that is cut off");
        assert!(map("BAAAAAAAAABhAA==").is_ok(), "four bytes of a table and one text");
        assert!(map("/////wAAAAA=").is_err(), "a table that is longer than the file");
        assert!(map("?").is_err());
        assert_eq!(base64("YWJjZA==").unwrap(), b"abcd");
    }
}
