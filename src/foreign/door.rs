//! Opening a file that somebody else made.

use crate::error::{At, Error, Result, io};
use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

/// The most bytes of a file that is read for its settings: configurations, manifests, studies.
pub(crate) const DOCUMENT: u64 = 256 << 20;
/// The most bytes of a file that is read whole for what it holds: rows, texts, tensors.
pub(crate) const DATA: u64 = 16 << 30;

/// Opens a regular file, and says how many bytes it holds. A pipe, a device or a folder is refused before it is opened:
/// reading one might never end.
///
/// # Errors
/// If there is no such file, it is none, or it holds more than `limit` bytes.
pub(crate) fn regular(path: &Path, limit: u64) -> Result<(File, u64)> {
    let facts = std::fs::metadata(path).map_err(|error| io("read", path, error))?;
    if !facts.is_file() {
        return Err(Error::request("expected a regular file").at(path.display()));
    }
    let size = facts.len();
    if size > limit {
        return Err(
            Error::request(format!("expected at most {limit} bytes, found {size}")).at(path.display())
        );
    }
    let file = File::open(path).map_err(|error| io("read", path, error))?;
    // What lies there now may be something else than what was asked about.
    let opened = file.metadata().map_err(|error| io("inspect", path, error))?;
    if !opened.is_file() || opened.len() > limit {
        return Err(Error::request("the file was exchanged while it was opened").at(path.display()));
    }
    Ok((file, opened.len().max(size)))
}

/// The bytes of a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`regular`], and if it cannot be read.
pub(crate) fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, size) = regular(path, limit)?;
    let mut content = Vec::new();
    content
        .try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))
        .map_err(|_| Error::work(format!("there is no memory for {size} bytes")).at(path.display()))?;
    // The file may grow while it is read: what was promised is what is taken.
    file.take(limit).read_to_end(&mut content).map_err(|error| io("read", path, error))?;
    Ok(content)
}

/// As [`bytes`]; none if there is no such file.
///
/// # Errors
/// If it is there, as [`bytes`].
pub(crate) fn bytes_if_any(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        _ => bytes(path, limit).map(Some),
    }
}

/// The text of a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`bytes`], and if it is no UTF-8.
pub(crate) fn text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(bytes(path, limit)?)
        .map_err(|error| Error::request(format!("expected UTF-8 text: {}", error.utf8_error())))
        .at(path.display())
}

thread_local! {
    /// Whether this thread is inside [`guarded`], where a panic is an answer and not an accident.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `reading`, and turns a panic of the library that reads into an error that names the file.
///
/// # Errors
/// As `reading`, and if it panics.
pub(crate) fn guarded<T>(place: &Path, reading: impl FnOnce() -> Result<T>) -> Result<T> {
    silence_guarded_panics();
    let before = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(reading));
    GUARDED.set(before);
    outcome.unwrap_or_else(|_| {
        Err(Error::request("the file is damaged: what reads it met something impossible")
            .hint("download or write the file again")
            .at(place.display()))
    })
}

/// Once for the process: a panic that [`guarded`] catches prints nothing.
fn silence_guarded_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                usual(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_sensible_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(text(&path, 3).unwrap(), "abc");
        assert!(text(&path, 2).unwrap_err().to_string().contains("at most 2 bytes, found 3"));
        assert!(bytes(folder.path(), 100).unwrap_err().to_string().contains("expected a regular file"));
        assert!(bytes(Path::new("/dev/zero"), 100).unwrap_err().to_string().contains("regular file"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(text(&path, 3).unwrap_err().to_string().contains("expected UTF-8 text"));
    }

    #[test]
    fn a_panic_becomes_an_error_with_the_files_name() {
        let nothing: Vec<u8> = Vec::new();
        let error = guarded(Path::new("bad.bin"), || Ok(nothing[1])).unwrap_err();
        assert!(error.to_string().starts_with("bad.bin: the file is damaged"), "{error}");
        assert_eq!(guarded(Path::new("good.bin"), || Ok(7)).unwrap(), 7);
    }
}
