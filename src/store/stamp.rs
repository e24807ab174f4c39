//! What a file system tells of a file without reading it.

use crate::error::{Result, io};
use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A write within this time of another may leave the same dates.
const TICK: Duration = Duration::from_secs(2);

/// What a file system tells of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    bytes: u64,
    written: Option<SystemTime>,
    /// Device and number, where there are such things.
    identity: (u64, u64),
    /// When its bytes, its name or its permissions last changed. Nobody can set it.
    changed: (i64, i64),
    looked: Looked,
}

/// When it was looked at; all times are equal, so that stamps of two looks can be.
#[derive(Clone, Debug)]
struct Looked(SystemTime);

impl PartialEq for Looked {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Looked {}

impl Stamp {
    /// Of the file that `path` leads to.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|error| io("read", path, error))?;
        let (identity, changed) = of_system(&metadata);
        Ok(Self {
            bytes: metadata.len(),
            written: metadata.modified().ok(),
            identity,
            changed,
            looked: Looked(SystemTime::now()),
        })
    }

    /// Whether the file is old enough that any later write shows in its stamp.
    pub fn is_settled(&self) -> bool {
        let age = self.written.and_then(|written| self.looked.0.duration_since(written).ok());
        self.changed != (0, 0) && age.is_some_and(|age| age > TICK)
    }

    /// Whether it is the same file, with the same date of its bytes.
    pub(super) fn is_unwritten_since(&self, before: &Self) -> bool {
        (self.bytes, self.written, self.identity) == (before.bytes, before.written, before.identity)
    }
}

#[cfg(unix)]
fn of_system(metadata: &Metadata) -> ((u64, u64), (i64, i64)) {
    use std::os::unix::fs::MetadataExt;
    ((metadata.dev(), metadata.ino()), (metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn of_system(_: &Metadata) -> ((u64, u64), (i64, i64)) {
    ((0, 0), (0, 0))
}
