//! A JSON object that knows which of its keys were read.

use super::door;
use crate::error::{At, Error, Result};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

/// The largest configuration file that is read. The longest of real repositories hold some 100 kB.
const LIMIT: u64 = 64 << 20;

/// A JSON object of a file, of which every key is read, declared harmless, or left over.
#[derive(Debug, Default)]
pub(crate) struct Object {
    keys: Map<String, Value>,
    read: RefCell<BTreeSet<String>>,
}

impl Object {
    /// The keys of an object, none of them read yet.
    pub(crate) fn new(keys: Map<String, Value>) -> Self {
        Self { keys, read: RefCell::default() }
    }

    /// Reads a file that holds one JSON object.
    ///
    /// # Errors
    /// If the file cannot be read or holds something else.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = door::text(path, LIMIT)?;
        let keys = serde_json::from_str(&text)
            .map_err(|error| Error::request(format!("expected a JSON object: {error}")))
            .at(path.display())?;
        Ok(Self::new(keys))
    }

    /// Puts a value in the place of what a key holds.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.keys.insert(key.to_owned(), value);
    }

    /// The value of a key, which counts as read; none if it is missing or `null`.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.stated(key).filter(|value| !value.is_null())
    }

    /// The value of a key, which counts as read; `null` where it is stated as such.
    pub(crate) fn stated(&self, key: &str) -> Option<&Value> {
        let (key, value) = self.keys.get_key_value(key)?;
        self.read.borrow_mut().insert(key.clone());
        Some(value)
    }

    /// The error of a key that is missing or not what was expected.
    pub(crate) fn wrong(&self, key: &str, expected: &str) -> Error {
        match self.keys.get(key) {
            Some(found) => Error::request(format!("field `{key}`: expected {expected}, found {found}")),
            None => Error::request(format!("field `{key}`: expected {expected}, found nothing")),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.get(key).map(|found| found.as_str().ok_or_else(|| self.wrong(key, "a text"))).transpose()
    }

    /// True or false.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.get(key).map(|found| found.as_bool().ok_or_else(|| self.wrong(key, "true or false"))).transpose()
    }

    /// A finite number.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = |found: &Value| {
            let finite = found.as_f64().filter(|number| number.is_finite());
            finite.ok_or_else(|| self.wrong(key, "a number"))
        };
        self.get(key).map(number).transpose()
    }

    /// A whole number from 0.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn count(&self, key: &str) -> Result<Option<u64>> {
        self.get(key)
            .map(|found| found.as_u64().ok_or_else(|| self.wrong(key, "a whole number from 0")))
            .transpose()
    }

    /// Says of these keys that nothing that is computed depends on them, whatever they hold.
    pub(crate) fn harmless(&self, keys: &[&str]) {
        self.read.borrow_mut().extend(keys.iter().map(|key| (*key).to_owned()));
    }

    /// The keys that nobody read and that say something: neither `null`, `false`, nor empty, which is how writers say
    /// that what a key stands for is not used.
    pub(crate) fn left_out(&self) -> Vec<&str> {
        let read = self.read.borrow();
        let unread = self.keys.iter().filter(|(key, value)| !read.contains(*key) && says_something(value));
        unread.map(|(key, _)| key.as_str()).collect()
    }

    /// The keys that nobody read and that are not `null`: of a row of data even `false` says something.
    pub(crate) fn unread(&self) -> Vec<&str> {
        let read = self.read.borrow();
        let unread = self.keys.iter().filter(|(key, value)| !read.contains(*key) && !value.is_null());
        unread.map(|(key, _)| key.as_str()).collect()
    }

    /// All keys that are not `null`.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.keys.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key.as_str()).collect()
    }

    /// Refuses the keys that nobody read: they might change the result.
    ///
    /// # Errors
    /// If there is one that says something.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.left_out().as_slice() {
            [] => Ok(()),
            [key, ..] => {
                let value = self.keys.get(*key).map(Value::to_string).unwrap_or_default();
                let shown: String = value.chars().take(80).collect();
                Err(Error::request(format!(
                    "field `{key}`: `{shown}` is not known, and could change the result"
                )))
            }
        }
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(keys) => !keys.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_that_nobody_read_is_refused_by_name_unless_it_is_switched_off() {
        let object = |value: Value| match value {
            Value::Object(keys) => Object::new(keys),
            _ => Object::default(),
        };
        let found =
            object(json!({"r": 4, "scale": 2.0, "note": "by me", "new": null, "also": false, "more": []}));
        assert_eq!(found.count("r").unwrap(), Some(4));
        found.harmless(&["note"]);
        assert_eq!(found.left_out(), ["scale"]);
        let error = found.finish().unwrap_err().to_string();
        assert_eq!(error, "field `scale`: `2.0` is not known, and could change the result");
        assert_eq!(found.number("scale").unwrap(), Some(2.0));
        found.finish().unwrap();
        assert!(found.text("r").unwrap_err().to_string().contains("expected a text, found 4"));
        assert!(object(json!({"on": true})).finish().is_err());
    }
}
