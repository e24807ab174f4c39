//! The only place that writes to stdout, and errors to stderr.

use super::progress::Bars;
use crate::error::{Error, Result};
use serde::Serialize;
use std::io::{ErrorKind, Write, stdout};
use std::sync::Arc;

/// Prints answers and errors.
pub(crate) struct Printer {
    json: bool,
    bars: Arc<Bars>,
}

impl Printer {
    pub(super) fn new(json: bool, bars: Arc<Bars>) -> Self {
        Self { json, bars }
    }

    /// Prints a verb's answer: `value` as one JSON document under `--json`, else `text`.
    ///
    /// # Errors
    /// If stdout cannot be written. A closed pipe is no error: the reader has seen enough.
    pub(crate) fn answer<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> Result<()> {
        let text = if self.json {
            serde_json::to_string_pretty(value)
                .map_err(|error| Error::work(format!("the answer cannot be written as JSON: {error}")))?
        } else {
            text()
        };
        let written = self.bars.suspend(|| {
            let mut stdout = stdout().lock();
            writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush())
        });
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Error::work(format!("cannot write to stdout: {error}")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn failure(&self, error: &Error) {
        self.bars.print(&format!("error: {error}"));
    }
}
