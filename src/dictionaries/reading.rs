//! What is understood of a dictionary's files, beside the dictionary itself.

use serde::Serialize;

/// What a user says of files that do not say it themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// It reads one hook and writes another, whatever the widths are.
    pub transcoder: bool,
    /// Keys of SAELens's configuration that stand in its table of releases, and hold before those of the file.
    pub overrides: serde_json::Map<String, serde_json::Value>,
    /// What inputs are multiplied by where the configuration says that they are scaled, from the same table.
    pub norm_scaling_factor: Option<f64>,
}

/// What was understood of the files that a dictionary was read from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FileReading {
    /// The format; empty for a dictionary that was read from no file.
    pub format: &'static str,
    /// What the format does to inputs and activations that became part of the weights.
    pub folded: Vec<String>,
    /// What the files say of how it was made, on which nothing that is computed depends: `key: value`.
    pub about: Vec<String>,
}

impl FileReading {
    /// Of a format.
    pub(super) fn of(format: &'static str) -> Self {
        Self { format, ..Self::default() }
    }

    /// Notes something that became part of the weights.
    pub(super) fn fold(&mut self, what: impl Into<String>) {
        self.folded.push(what.into());
    }
}
