//! The only place that writes to stdout, and errors to stderr.
//!
//! What was read and left out, or should be known beside the answer, is a note: it ends the text of the answer, and
//! stands under `notes` in its JSON.

use super::progress::Bars;
use crate::error::{Error, Result};
use crate::foreign::visible;
use serde::Serialize;
use std::io::{ErrorKind, Write, stdout};
use std::sync::{Arc, Mutex, PoisonError};

/// Prints answers and errors.
pub(crate) struct Printer {
    json: bool,
    bars: Arc<Bars>,
    notes: Mutex<Vec<String>>,
}

impl Printer {
    pub(super) fn new(json: bool, bars: Arc<Bars>) -> Self {
        Self { json, bars, notes: Mutex::default() }
    }

    /// Keeps a sentence that belongs to the answer, once.
    pub(crate) fn note(&self, note: impl Into<String>) {
        let note = note.into();
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// Keeps sentences that belong to the answer, each once.
    pub(crate) fn notes(&self, notes: &[String]) {
        notes.iter().for_each(|note| self.note(note.as_str()));
    }

    /// Prints a verb's answer: `value` as one JSON document under `--json`, else `text`.
    ///
    /// # Errors
    /// If stdout cannot be written. A closed pipe is no error: the reader has seen enough.
    pub(crate) fn answer<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> Result<()> {
        let notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        let text = if self.json {
            let wrong = |error| Error::work(format!("the answer cannot be written as JSON: {error}"));
            let mut value = serde_json::to_value(value).map_err(wrong)?;
            match value.as_object_mut() {
                Some(answer) if !notes.is_empty() => {
                    answer.insert("notes".to_owned(), notes.into());
                }
                Some(_) => {}
                // A list has no place for them.
                None => notes.iter().for_each(|note| self.bars.print(&format!("note: {note}"))),
            }
            serde_json::to_string_pretty(&value).map_err(wrong)?
        } else {
            let lines = notes.iter().map(|note| format!("\nnote: {note}")).collect::<String>();
            visible(&(text().trim_end().to_owned() + &lines)).into_owned()
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
