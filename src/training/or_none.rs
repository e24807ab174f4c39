//! Settings that can be switched off: a value, or the word `none`.
//!
//! TOML has no null, so a preset's value could otherwise be changed but never taken away.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads `none` (or a null, in JSON) as `None` and anything else as `T`; for `#[serde(deserialize_with)]`.
pub(super) fn or_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    reader: D,
) -> Result<Option<T>, D::Error> {
    match Value::deserialize(reader)? {
        Value::Null => Ok(None),
        Value::String(word) if word == "none" => Ok(None),
        value => serde_json::from_value(value).map(Some).map_err(D::Error::custom),
    }
}
