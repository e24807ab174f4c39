//! Content-addressed artifacts, written atomically.
//!
//! What a stage makes is an artifact: a folder in a store, named by a hash of everything that decides its
//! content ([`Recipe`]: the stage and its code revision, its canonical configuration, the kind of device,
//! the ids of its inputs, and outside files by content). A stage whose artifact is there is not run again.
//!
//! 1. [`Store::find`] looks for the artifact and compares every file with the checksums of its manifest.
//! 2. [`Store::begin`] takes the artifact's lock and opens its partial folder. What an earlier process left
//!    there when it was killed is still there, so that a stage can go on from its last checkpoint.
//! 3. [`Partial::commit`] writes `manifest.json` with the checksums, flushes all of it to disk, and renames the
//!    folder into place. A reader sees a whole artifact or none.
//!
//! ```text
//! <store>/variant-sft-0f3a…/                 manifest.json and the stage's files
//! <store>/partial/variant-rl-77c1…/          unfinished
//! <store>/partial/variant-rl-77c1….scratch/  what a resume needs, and nobody else
//! <store>/partial/variant-rl-77c1….lock      held by the process that works on it
//! ```

mod canonical;
mod content;
mod lock;
mod manifest;
mod partial;
mod recipe;
mod resources;

pub use content::{hash_file, hash_folder};
pub use lock::FolderLock;
pub use manifest::Manifest;
pub use partial::Partial;
pub use recipe::{ArtifactId, Recipe};

use crate::error::{Error, Result, io};
use crate::progress::Observer;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder of artifacts. Several processes may use one store at the same time.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A complete artifact.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its folder.
    pub folder: PathBuf,
    /// What made it, and what it holds.
    pub manifest: Manifest,
}

/// How thoroughly [`Store::find`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// The manifest, and that every file has its size.
    Sizes,
    /// Every byte of every file.
    Checksums,
}

impl Store {
    /// The store at `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn complete(&self, recipe: &Recipe) -> PathBuf {
        self.root.join(recipe.folder_name())
    }

    /// The artifact of `recipe`, if it is complete.
    ///
    /// # Errors
    /// If it is there but corrupt: the error names the file. Nothing is changed.
    pub fn find(&self, recipe: &Recipe, verify: Verify) -> Result<Option<Artifact>> {
        let folder = self.complete(recipe);
        match folder.try_exists() {
            Ok(true) => {
                manifest::open(&folder, recipe, verify).map(|manifest| Some(Artifact { folder, manifest }))
            }
            Ok(false) => Ok(None),
            Err(error) => Err(io("look for", &folder, error)),
        }
    }

    /// Opens the partial folder of `recipe` for writing, with what an interrupted attempt left in it.
    /// Waits while another process works on the same artifact.
    ///
    /// # Errors
    /// If the store cannot be written, or a stop was asked for while waiting.
    pub fn begin(&self, recipe: &Recipe, observer: &Observer) -> Result<Begin> {
        let parent = self.root.join("partial");
        std::fs::create_dir_all(&parent).map_err(|error| io("create", &parent, error))?;
        let lock_path = parent.join(format!("{}.lock", recipe.folder_name()));
        let mut told = false;
        let lock = loop {
            if let Some(lock) = FolderLock::try_take(&lock_path)? {
                break lock;
            }
            if !told {
                tracing::warn!("another process is making {}; waiting for it", recipe.stage);
                told = true;
            }
            observer.check()?;
            std::thread::sleep(Duration::from_millis(200));
        };
        if let Some(artifact) = self.find(recipe, Verify::Sizes)? {
            lock.remove();
            return Ok(Begin::AlreadyThere(artifact));
        }
        let folder = parent.join(recipe.folder_name());
        Partial::open(recipe.clone(), folder, self.complete(recipe), lock).map(Begin::Partial)
    }

    /// The artifact in `folder`, whatever recipe made it, with all checksums compared.
    ///
    /// # Errors
    /// If `folder` holds no artifact, or a corrupt one.
    pub fn open_artifact(folder: &Path) -> Result<Artifact> {
        if !folder.join(manifest::FILE).exists() {
            return Err(Error::request(format!(
                "{} is no artifact: it has no manifest.json",
                folder.display()
            ))
            .hint("give a folder of a study's store, as `deltascope plan` lists them"));
        }
        let manifest = manifest::read_verified(folder, Verify::Checksums)?;
        Ok(Artifact { folder: folder.to_owned(), manifest })
    }
}

/// What [`Store::begin`] found.
#[derive(Debug)]
pub enum Begin {
    /// The artifact is to be made; here is its folder.
    Partial(Partial),
    /// Another process finished it in the meantime.
    AlreadyThere(Artifact),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn recipe(steps: u64) -> Recipe {
        Recipe {
            stage: "variant sft".into(),
            revision: 1,
            config: serde_json::json!({ "steps": steps }),
            device: "cpu".into(),
            inputs: BTreeMap::new(),
            outside: BTreeMap::new(),
        }
    }

    fn begin(store: &Store, recipe: &Recipe) -> Partial {
        match store.begin(recipe, &Observer::silent()).unwrap() {
            Begin::Partial(partial) => partial,
            Begin::AlreadyThere(_) => panic!("expected work to do"),
        }
    }

    fn made(store: &Store) -> Artifact {
        let partial = begin(store, &recipe(1));
        std::fs::create_dir_all(partial.folder().join("checkpoints/1")).unwrap();
        std::fs::write(partial.folder().join("checkpoints/1/model.bin"), b"weights").unwrap();
        std::fs::write(partial.scratch().join("resume.bin"), b"state").unwrap();
        partial.commit().unwrap()
    }

    #[test]
    fn a_committed_artifact_is_found_again_without_its_scratch() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        assert!(store.find(&recipe(1), Verify::Checksums).unwrap().is_none());
        let artifact = made(&store);
        let found = store.find(&recipe(1), Verify::Checksums).unwrap().unwrap();
        assert_eq!(found.folder, artifact.folder);
        assert_eq!(found.manifest.files.keys().collect::<Vec<_>>(), ["checkpoints/1/model.bin"]);
        assert!(store.find(&recipe(2), Verify::Checksums).unwrap().is_none());
        assert!(matches!(store.begin(&recipe(1), &Observer::silent()).unwrap(), Begin::AlreadyThere(_)));
        assert_eq!(
            std::fs::read_dir(root.path().join("partial")).unwrap().count(),
            0,
            "nothing is left over"
        );
    }

    #[test]
    fn what_a_killed_process_left_is_there_for_the_next() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let partial = begin(&store, &recipe(1));
        std::fs::write(partial.scratch().join("resume.bin"), b"state").unwrap();
        drop(partial);
        let again = begin(&store, &recipe(1));
        assert_eq!(std::fs::read(again.scratch().join("resume.bin")).unwrap(), b"state");
        assert_eq!(again.commit().unwrap().manifest.attempts, 2);
    }

    #[test]
    fn a_truncated_a_changed_and_a_missing_file_are_named() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let file = made(&store).folder.join("checkpoints/1/model.bin");
        let message = || store.find(&recipe(1), Verify::Checksums).unwrap_err().to_string();
        std::fs::write(&file, b"weigh").unwrap();
        assert!(message().contains("`checkpoints/1/model.bin` has 5 bytes, expected 7"), "{}", message());
        assert!(message().contains("hint: remove the folder"), "{}", message());
        std::fs::write(&file, b"Weights").unwrap();
        assert!(message().contains("`checkpoints/1/model.bin` has changed"), "{}", message());
        assert!(store.find(&recipe(1), Verify::Sizes).is_ok());
        std::fs::remove_file(&file).unwrap();
        assert!(message().contains("`checkpoints/1/model.bin` is missing"), "{}", message());
    }

    #[test]
    fn a_broken_manifest_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let manifest = made(&store).folder.join("manifest.json");
        std::fs::write(&manifest, b"{\"stage\": ").unwrap();
        let message = store.find(&recipe(1), Verify::Sizes).unwrap_err().to_string();
        assert!(message.contains("manifest.json"), "{message}");
        assert!(message.contains("hint: remove the folder"), "{message}");
    }

    #[test]
    fn one_process_at_a_time_makes_an_artifact() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let partial = begin(&store, &recipe(1));
        let observer = Observer::silent();
        observer.stop_flag().store(15, std::sync::atomic::Ordering::Relaxed);
        let error = store.begin(&recipe(1), &observer).unwrap_err();
        assert_eq!(error.exit_code(), 143, "it waits until it is stopped");
        drop(partial);
        begin(&store, &recipe(1));
    }

    #[test]
    fn a_store_that_cannot_be_written_is_refused_with_a_hint() {
        let error = Store::new("/proc/store").begin(&recipe(1), &Observer::silent()).unwrap_err();
        assert!(error.to_string().contains("/proc/store"), "{error}");
    }
}
