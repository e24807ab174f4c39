//! Whether a file in the cache is what its name there says.

use super::part::mismatch;
use crate::error::{Error, Result, io};
use crate::store::Stamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The stamps of the files that were found sound in this process.
static SOUND: Mutex<BTreeMap<PathBuf, Stamp>> = Mutex::new(BTreeMap::new());

/// Compares the file at `place`, a link to a blob, with the hash that the blob is named by. Within one process a file is
/// read once, unless it changes. A blob that no hash names, and what is no link, is believed.
///
/// # Errors
/// If it is not what its name says, or cannot be read.
pub(super) fn check(place: &Path) -> Result<()> {
    let Ok(link) = std::fs::read_link(place) else { return Ok(()) };
    let etag = link.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let blob = place.canonicalize().map_err(|error| io("read", place, error))?;
    if is_sound(&blob, etag)? {
        return Ok(());
    }
    let message =
        format!("{} is not what the hub named it after: its bytes have changed in the cache", blob.display());
    Err(Error::work(message).hint("remove that file; online, the next run brings it anew"))
}

/// Whether the file at `path` is what `etag` names. One that cannot be read is not.
pub(super) fn is_what(path: &Path, etag: &str) -> bool {
    is_sound(path, etag).unwrap_or(false)
}

fn is_sound(path: &Path, etag: &str) -> Result<bool> {
    let stamp = Stamp::of(path)?;
    let known = SOUND.lock().unwrap_or_else(PoisonError::into_inner).get(path) == Some(&stamp);
    if known && stamp.is_settled() {
        return Ok(true);
    }
    if mismatch(path, etag).map_err(|error| io("read", path, error))? {
        return Ok(false);
    }
    SOUND.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), stamp);
    Ok(true)
}
