//! Typed access to the fields of a JSON object.

use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// The keys that were asked for.
pub(super) type Seen = RefCell<BTreeSet<String>>;

/// The fields of a JSON object. `null` counts as missing, unless said otherwise.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>, Option<&'a Seen>);

/// A setting that the decoder does not follow.
pub(super) fn refused(key: &str, found: impl std::fmt::Display, why: &str) -> Error {
    Error::request(format!("field `{key}`: `{found}` is not supported: {why}"))
}

impl<'a> Fields<'a> {
    /// Of an object inside another.
    pub(super) fn of(object: &'a Map<String, Value>) -> Self {
        Self(object, None)
    }

    /// Of a document; every key that is asked for is put into `seen`.
    pub(super) fn of_document(document: &'a Map<String, Value>, seen: &'a Seen) -> Self {
        Self(document, Some(seen))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.stated(key).filter(|value| !value.is_null())
    }

    /// The value of a key, `null` where it is stated as such.
    pub(super) fn stated(&self, key: &str) -> Option<&'a Value> {
        if let Some(seen) = self.1 {
            seen.borrow_mut().insert(key.to_owned());
        }
        self.0.get(key)
    }

    /// The error of a field that is missing or not what was expected.
    pub(super) fn wrong(&self, key: &str, expected: &str) -> Error {
        match self.0.get(key) {
            Some(found) => Error::request(format!("field `{key}`: expected {expected}, found {found}")),
            None => Error::request(format!("field `{key}`: expected {expected}, found nothing")),
        }
    }

    pub(super) fn size(&self, key: &str, default: Option<usize>) -> Result<usize> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (found, _) => found
                .and_then(Value::as_u64)
                .filter(|size| (1..=1 << 32).contains(size))
                .map(|size| size as usize)
                .ok_or_else(|| self.wrong(key, "a positive whole number")),
        }
    }

    /// A count that may be zero.
    pub(super) fn size_from_zero(&self, key: &str, default: usize) -> Result<usize> {
        match self.get(key).and_then(Value::as_u64) {
            Some(0) => Ok(0),
            _ => self.size(key, Some(default)),
        }
    }

    /// A size where a missing key means one thing and `null` another.
    pub(super) fn size_or(&self, key: &str, missing: usize, null: usize) -> Result<usize> {
        self.size(key, Some(if self.stated(key).is_some() { null } else { missing }))
    }

    /// A size under its own key or another that transformers takes for it.
    pub(super) fn aliased_size(&self, key: &str, alias: &str, default: usize) -> Result<usize> {
        let found = self.size(key, Some(self.size(alias, Some(default))?))?;
        self.fixed(alias, found as f64, &format!("`{key}` is {found}"))?;
        Ok(found)
    }

    pub(super) fn number(&self, key: &str, default: Option<f64>) -> Result<f64> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (found, _) => found
                .and_then(Value::as_f64)
                .filter(|number| number.is_finite() && *number > 0.0)
                .ok_or_else(|| self.wrong(key, "a positive number")),
        }
    }

    /// A missing key is `default`; an explicit `null` is `None`.
    pub(super) fn optional(&self, key: &str, default: Option<f64>) -> Result<Option<f64>> {
        match self.stated(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(_) => self.number(key, None).map(Some),
        }
    }

    /// As transformers reads some numbers: one that is missing, `null` or zero counts as none.
    pub(super) fn unless_zero(&self, key: &str) -> Result<Option<f64>> {
        match self.get(key).and_then(Value::as_f64) {
            Some(0.0) => Ok(None),
            _ => self.optional(key, None),
        }
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(found) => found.as_bool().ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    pub(super) fn text(&self, key: &str, default: &str) -> Result<String> {
        match self.get(key) {
            None => Ok(default.to_owned()),
            Some(found) => found.as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "a text")),
        }
    }

    /// An object that is there and not empty.
    pub(super) fn object(&self, key: &str) -> Result<Option<Fields<'a>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(inner)) => Ok(Some(Fields::of(inner)).filter(|_| !inner.is_empty())),
            Some(_) => Err(self.wrong(key, "an object")),
        }
    }

    /// Refuses a field that the family does not read and that says something else than what it does.
    pub(super) fn fixed(&self, key: &str, value: f64, why: &str) -> Result<()> {
        match self.optional(key, None)? {
            Some(found) if found != value => Err(refused(key, found, why)),
            _ => Ok(()),
        }
    }

    /// Refuses a field unless it is missing, `null` or empty.
    pub(super) fn refuse_unless_empty(&self, key: &str, what: &str) -> Result<()> {
        let is_empty = match self.get(key) {
            None => true,
            Some(Value::Object(inner)) => inner.is_empty(),
            Some(Value::Array(inner)) => inner.is_empty(),
            Some(_) => false,
        };
        if is_empty {
            return Ok(());
        }
        Err(Error::request(format!("field `{key}`: {what} are not supported")))
    }
}
