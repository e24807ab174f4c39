//! `manifest.json`: what made an artifact, what it holds, and what it took.

use super::{Recipe, content};
use crate::error::{At, Error, Result, io};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) const FILE: &str = "manifest.json";

/// What made an artifact, what it holds, and what it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Everything that decided the content.
    pub recipe: Recipe,
    /// The version of deltascope that made it.
    pub version: String,
    /// Every file, by its path below the artifact's folder.
    pub files: BTreeMap<String, FileEntry>,
    /// Seconds that the last attempt took.
    pub wall_seconds: f64,
    /// The most memory that the process held during it, in bytes; unknown on some systems.
    pub peak_memory_bytes: Option<u64>,
    /// How many times it was begun; more than one after interruptions.
    pub attempts: u32,
}

/// One file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its size.
    pub bytes: u64,
    /// The BLAKE3 hash of its bytes, in hexadecimal.
    pub blake3: String,
}

impl Manifest {
    /// The manifest of the artifact in `folder`.
    ///
    /// # Errors
    /// If it is missing or not readable.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => corrupt(folder, "its manifest.json is missing"),
            _ => io("read", &path, error),
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|error| corrupt(folder, &format!("its manifest.json is not readable ({error})")))
    }

    /// The size of all files together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }
}

/// The entries of all files below `folder`.
pub(super) fn entries(folder: &Path) -> Result<BTreeMap<String, FileEntry>> {
    let mut entries = BTreeMap::new();
    for relative in content::files_below(folder)? {
        let path = folder.join(&relative);
        let bytes = std::fs::metadata(&path).map_err(|error| io("read", &path, error))?.len();
        entries.insert(relative, FileEntry { bytes, blake3: content::hash_file(&path)? });
    }
    Ok(entries)
}

/// The manifest of the complete artifact in `folder`, which must be what `recipe` makes.
pub(super) fn open(folder: &Path, recipe: &Recipe) -> Result<Manifest> {
    let manifest = read_verified(folder)?;
    if manifest.recipe.id() != recipe.id() {
        return Err(corrupt(folder, "its manifest belongs to another artifact"));
    }
    Ok(manifest)
}

/// The manifest of the artifact in `folder`: every byte of every file is what was written, and no file was added.
pub(super) fn read_verified(folder: &Path) -> Result<Manifest> {
    let manifest = Manifest::load(folder)?;
    let place = || format!("artifact `{}`", manifest.recipe.stage);
    for (name, entry) in &manifest.files {
        verify_file(folder, name, entry).at(place())?;
    }
    let found = content::files_below(folder)?;
    match found.iter().find(|name| *name != FILE && !manifest.files.contains_key(*name)) {
        Some(added) => {
            Err(corrupt(folder, &format!("file `{added}` was added since it was written"))).at(place())
        }
        None => Ok(manifest),
    }
}

fn verify_file(folder: &Path, name: &str, entry: &FileEntry) -> Result<()> {
    let path = folder.join(name);
    let found = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(_) => return Err(corrupt(folder, &format!("file `{name}` is missing"))),
    };
    if found != entry.bytes {
        return Err(corrupt(folder, &format!("file `{name}` has {found} bytes, expected {}", entry.bytes)));
    }
    if content::hash_file(&path)? != entry.blake3 {
        return Err(corrupt(folder, &format!("file `{name}` has changed since it was written")));
    }
    Ok(())
}

fn corrupt(folder: &Path, what: &str) -> Error {
    Error::work(format!("the artifact is corrupt: {what}"))
        .hint(format!("remove the folder {} and run again; only what it held is made anew", folder.display()))
}
