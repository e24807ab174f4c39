//! The top level of a study file, taken apart section by section.

use crate::error::{Error, Result};
use crate::study::parse;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// The study's seed, with the default that every verb has.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Seed(pub(super) u64);

impl Default for Seed {
    fn default() -> Self {
        Self(7)
    }
}

pub(super) struct Sections {
    table: Table,
    known: Vec<&'static str>,
}

impl Sections {
    pub(super) fn new(table: Table) -> Self {
        Self { table, known: Vec::new() }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.table.remove(name)
    }

    pub(super) fn optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>> {
        self.take(name).map(|value| parse::section(value, &label(name))).transpose()
    }

    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T> {
        self.optional(name)?.ok_or_else(|| missing(name))
    }

    pub(super) fn or_default<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> Result<T> {
        Ok(self.optional(name)?.unwrap_or_default())
    }

    /// A section whose fields are read by its own reader.
    pub(super) fn optional_table(&mut self, name: &'static str) -> Result<Option<Table>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(table)),
            Some(other) => {
                Err(Error::request(format!("expected a table, found {}", parse::describe(&other)))
                    .at(label(name)))
            }
        }
    }

    pub(super) fn table(&mut self, name: &'static str) -> Result<Table> {
        self.optional_table(name)?.ok_or_else(|| missing(name))
    }

    /// A section that may be repeated: `[[name]]`.
    pub(super) fn tables(&mut self, name: &'static str) -> Result<Vec<Table>> {
        let wrong = |found: &Value| {
            Error::request(format!("expected a list of tables, found {}", parse::describe(found)))
                .hint(format!("write each as its own section, headed [[{name}]]"))
                .at(label(name))
        };
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::Table(table) => Ok(table),
                    other => Err(wrong(&other)),
                })
                .collect(),
            Some(other) => Err(wrong(&other)),
        }
    }

    /// Sections that may be there though nobody takes them.
    pub(super) fn ignore(&mut self, names: &[&'static str]) {
        for name in names {
            self.take(name);
        }
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self) -> Result<()> {
        match self.table.keys().next() {
            Some(left) => Err(parse::unknown("section", left, &self.known)),
            None => Ok(()),
        }
    }
}

fn label(name: &str) -> String {
    match name {
        "name" | "seed" | "question" | "matched_to" => format!("field `{name}`"),
        _ => format!("[{name}]"),
    }
}

fn missing(name: &str) -> Error {
    let example = match name {
        "name" => "name = \"quickstart\"",
        "base" => "[base]\npreset = \"tiny\"",
        _ => "[suites]\nin_domain = [\"general_points\"]",
    };
    Error::request(format!("{} is missing", label(name))).hint(format!("for example\n{example}"))
}
