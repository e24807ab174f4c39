//! One error type: what was expected, what was found, where, and a hint that mends it.

use signal_hook::consts::SIGINT;
use std::fmt;
use std::path::Path;

/// What went wrong decides the exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request was wrong: an unknown key, a missing file, a value out of range. Exit code 2.
    Request,
    /// The work failed: a full disk, a corrupt artifact, a gate that was not met. Exit code 1.
    Work,
    /// A signal asked the process to stop and a checkpoint was saved. Exit code 130 after an interrupt from the
    /// keyboard, 143 after a request to terminate or a scheduler's warning (SIGUSR1) that it will come.
    Interrupted(i32),
}

/// An error with its kind, a sentence, the places it passed through and, where one is known, a hint.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    places: Vec<String>,
    hint: Option<String>,
}

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A wrong request. `message` says what was expected and what was found.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Request, message)
    }

    /// Work that failed though the request was sound.
    pub fn work(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Work, message)
    }

    /// A stop by signal after a checkpoint was saved.
    pub fn interrupted(signal: i32) -> Self {
        Self::new(ErrorKind::Interrupted(signal), "stopped by a signal; run the same command again to go on")
    }

    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), places: Vec::new(), hint: None }))
    }

    /// Adds the sentence that tells the user how to mend it. The innermost hint wins.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Names the place (a file, a field, a stage) that the error passed through on its way up.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.places.push(place.to_string());
        self
    }

    /// Whether the request, the work or a signal is to blame.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The process exit code: 2, 1, 130 or 143.
    pub fn exit_code(&self) -> u8 {
        match self.0.kind {
            ErrorKind::Request => 2,
            ErrorKind::Work => 1,
            ErrorKind::Interrupted(SIGINT) => 130,
            ErrorKind::Interrupted(_) => 143,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.0.places.iter().rev() {
            write!(formatter, "{place}: ")?;
        }
        formatter.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(formatter, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::work(format!("tensor operation failed: {error}"))
    }
}

impl From<polars::error::PolarsError> for Error {
    fn from(error: polars::error::PolarsError) -> Self {
        Self::work(format!("table operation failed: {error}"))
    }
}

/// Names the place of an error while it is passed up, as `result.at("capture")?`.
pub trait At<T> {
    /// Adds a place to the error, if there is one.
    fn at(self, place: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Error>> At<T> for std::result::Result<T, E> {
    fn at(self, place: impl fmt::Display) -> Result<T> {
        self.map_err(|error| error.into().at(place))
    }
}

/// Turns an input/output error into one that names the file and what was being done to it.
pub fn io(action: &str, path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    let message = format!("cannot {action} {}: {error}", path.display());
    match error.kind() {
        Io::NotFound => Error::request(message).hint("check the path"),
        Io::PermissionDenied | Io::ReadOnlyFilesystem => {
            Error::work(message).hint("choose a folder that you may write to, with --out or --store")
        }
        Io::StorageFull | Io::QuotaExceeded => Error::work(message)
            .hint("free some disk and run the same command again; finished stages are kept"),
        _ => Error::work(message),
    }
}

/// The candidate nearest to what was typed, for `hint: did you mean …` lines.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(typed, candidate), candidate))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_from_the_outside_in_and_keeps_the_innermost_hint() {
        let error = Error::request("expected a number, found `x`")
            .hint("write a number")
            .at("field `k`")
            .at("study.toml")
            .hint("not this one");
        assert_eq!(
            error.to_string(),
            "study.toml: field `k`: expected a number, found `x`\nhint: write a number"
        );
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(nearest("contdown", ["countdown", "refusal"]), Some("countdown"));
        assert_eq!(nearest("zzz", ["countdown", "refusal"]), None);
    }
}
