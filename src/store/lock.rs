//! A lock that ends with the process that holds it, however it ends.

use crate::error::{Result, io};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// An exclusive advisory lock on a file. The system releases it when the process dies, so that a lock
/// never outlives a `kill -9`.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    _file: File,
}

impl FolderLock {
    /// Takes the lock at `path`, or returns `None` while another process holds it.
    ///
    /// # Errors
    /// If the lock file cannot be created, or the file system has no locks.
    pub fn try_take(path: &Path) -> Result<Option<Self>> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|error| io("create the lock", path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.to_owned(), _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(io("lock", path, error)),
        }
    }

    /// Releases the lock and removes its file. Only for locks whose purpose is served for good: whoever
    /// waits for it must look again whether there is still something to do.
    pub(super) fn remove(self) {
        // A leftover lock file is harmless, so failing to remove it is no error.
        let _ = std::fs::remove_file(&self.path);
    }
}
