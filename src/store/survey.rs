//! Everything that lies in a store, and whether it is sound.

use super::{FolderLock, Manifest, Store, manifest};
use crate::error::{Result, io};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Something that lies in a store.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Its folder or file.
    pub path: PathBuf,
    /// What it is.
    pub state: State,
    /// What made it, and what it holds, as far as that can be read.
    #[serde(skip)]
    pub manifest: Option<Manifest>,
}

/// What something in a store is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "why")]
pub enum State {
    /// An artifact. Whether its bytes were compared is up to who asked.
    Artifact,
    /// An artifact that is not what was written: how.
    Corrupt(String),
    /// A process works on it.
    InWork,
    /// An interrupted attempt, from which a run goes on.
    Unfinished,
    /// Nothing that a store holds.
    Foreign,
}

impl Store {
    /// Everything that lies in the store, by name; with `contents`, every byte of every artifact is compared with its
    /// checksum. Changes nothing.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub fn survey(&self, contents: bool) -> Result<Vec<Found>> {
        let mut all = Vec::new();
        for path in entries(self.root())? {
            if path.file_name().is_some_and(|name| name == "partial") {
                continue;
            }
            if !path.join(manifest::FILE).exists() {
                let state = if is_named_as_an_artifact(&path) {
                    State::Corrupt("its manifest.json is missing".to_owned())
                } else {
                    State::Foreign
                };
                all.push(Found { path, state, manifest: None });
                continue;
            }
            let read = if contents { manifest::read_verified(&path) } else { Manifest::load(&path) };
            let (state, manifest) = match read {
                Ok(manifest)
                    if path.file_name().is_none_or(|name| *name != *manifest.recipe.folder_name()) =>
                {
                    (State::Corrupt("its manifest belongs to another artifact".to_owned()), Some(manifest))
                }
                Ok(manifest) => (State::Artifact, Some(manifest)),
                Err(error) => (State::Corrupt(error.to_string()), Manifest::load(&path).ok()),
            };
            all.push(Found { path, state, manifest });
        }
        let partial = self.root().join("partial");
        if partial.is_dir() {
            for path in entries(&partial)?.into_iter().filter(|path| path.extension().is_none()) {
                let lock = path.with_extension("lock");
                // Taken for a moment, and let go at the end of the line.
                let is_free = !lock.exists() || FolderLock::try_take(&lock)?.is_some();
                let state = if is_free { State::Unfinished } else { State::InWork };
                all.push(Found { path, state, manifest: None });
            }
        }
        Ok(all)
    }
}

/// The folders of all artifacts.
pub(super) fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    if !root.exists() {
        return Ok(Vec::new());
    }
    Ok(entries(root)?.into_iter().filter(|path| path.join(manifest::FILE).is_file()).collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder).map_err(|error| io("list", folder, error))?;
    let mut paths = listed
        .map(|entry| entry.map(|entry| entry.path()).map_err(|error| io("list", folder, error)))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Whether a folder ends in the 16 digits of an id.
fn is_named_as_an_artifact(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = name.rsplit_once('-').map(|(_, digits)| digits);
    path.is_dir()
        && digits.is_some_and(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
