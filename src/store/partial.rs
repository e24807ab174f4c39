//! An artifact in the making.

use super::lock::FolderLock;
use super::resources;
use super::{Artifact, Manifest, Recipe, content, manifest};
use crate::error::{Error, Result, io};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

const ATTEMPTS: &str = "attempts";

/// The folder of an artifact that is being made. Dropping it keeps the folder for the next attempt.
#[derive(Debug)]
pub struct Partial {
    recipe: Recipe,
    folder: PathBuf,
    scratch: PathBuf,
    destination: PathBuf,
    lock: FolderLock,
    attempts: u32,
    started: Instant,
}

impl Partial {
    pub(super) fn open(
        recipe: Recipe,
        folder: PathBuf,
        destination: PathBuf,
        lock: FolderLock,
    ) -> Result<Self> {
        let scratch = folder.with_extension("scratch");
        for path in [&folder, &scratch] {
            std::fs::create_dir_all(path).map_err(|error| io("create", path, error))?;
        }
        let count = scratch.join(ATTEMPTS);
        // A count that cannot be read is no reason to stop: it only tells how often work was interrupted.
        let before = std::fs::read_to_string(&count).ok().and_then(|text| text.parse().ok()).unwrap_or(0u32);
        let attempts = before.saturating_add(1);
        std::fs::write(&count, attempts.to_string()).map_err(|error| io("write", &count, error))?;
        resources::reset_peak_memory();
        Ok(Self { recipe, folder, scratch, destination, lock, attempts, started: Instant::now() })
    }

    /// Where the stage writes its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder for what an interrupted stage needs to go on; thrown away by [`Partial::commit`].
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Throws everything away, what a resume needs, too.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn discard(self) -> Result<()> {
        remove(&self.folder)?;
        self.lock.remove();
        Ok(())
    }

    /// Empties the folder, for a stage that starts over.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn clear(&self) -> Result<()> {
        remove_folder(&self.folder)?;
        std::fs::create_dir_all(&self.folder).map_err(|error| io("create", &self.folder, error))
    }

    /// Completes the artifact: checksums, manifest, everything on disk, then the rename.
    ///
    /// # Errors
    /// If a file cannot be read, or the disk is full or fails. The partial folder stays.
    pub fn commit(self) -> Result<Artifact> {
        let mut files = manifest::entries(&self.folder)?;
        files.remove(manifest::FILE);
        let manifest = Manifest {
            recipe: self.recipe,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            files,
            wall_seconds: self.started.elapsed().as_secs_f64(),
            peak_memory_bytes: resources::peak_memory(),
            attempts: self.attempts,
        };
        let path = self.folder.join(manifest::FILE);
        let text = serde_json::to_string_pretty(&manifest)
            .map_err(|error| Error::work(format!("the manifest cannot be written as JSON: {error}")))?;
        std::fs::write(&path, text + "\n").map_err(|error| io("write", &path, error))?;
        flush(&self.folder)?;
        std::fs::rename(&self.folder, &self.destination)
            .map_err(|error| io("move into place", &self.destination, error))?;
        if let Some(store) = self.destination.parent() {
            sync(store)?;
        }
        remove_folder(&self.scratch)?;
        self.lock.remove();
        Ok(Artifact { folder: self.destination, manifest })
    }
}

/// Removes a partial folder and its scratch.
pub(super) fn remove(partial: &Path) -> Result<()> {
    remove_folder(partial)?;
    remove_folder(&partial.with_extension("scratch"))
}

fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", folder, error)),
        _ => Ok(()),
    }
}

/// Puts every file and folder below `folder` on disk, so that a power cut after the rename finds them whole.
fn flush(folder: &Path) -> Result<()> {
    let mut folders = std::collections::BTreeSet::from([folder.to_owned()]);
    for relative in content::files_below(folder)? {
        let path = folder.join(relative);
        sync(&path)?;
        folders.extend(path.ancestors().skip(1).take_while(|parent| *parent != folder).map(Path::to_owned));
    }
    folders.iter().rev().try_for_each(|folder| sync(folder))
}

fn sync(path: &Path) -> Result<()> {
    let file = File::open(path).map_err(|error| io("open", path, error))?;
    file.sync_all().map_err(|error| io("flush", path, error))
}
