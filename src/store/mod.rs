//! Content-addressed artifacts, written atomically.
//!
//! What a stage makes is an artifact: a folder in a store, named by a hash of everything that decides its
//! content ([`Recipe`]: the stage, its canonical configuration, the kind of device, the ids of its inputs, outside files by
//! content, and the code that makes it). A stage whose artifact is there is not run again.
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
mod stamp;
mod survey;

pub use content::{Content, Outside, hash_file};
pub use lock::FolderLock;
pub use manifest::Manifest;
pub use partial::Partial;
pub use recipe::{ArtifactId, Code, Difference, Recipe};
pub use stamp::Stamp;
pub use survey::{Found, State};

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

    /// The artifact of `recipe`, if it is complete: every byte of every file is compared with its checksum.
    ///
    /// # Errors
    /// If it is there but corrupt: the error names the file. Nothing is changed.
    pub fn find(&self, recipe: &Recipe) -> Result<Option<Artifact>> {
        let folder = self.complete(recipe);
        match folder.try_exists() {
            Ok(true) => manifest::open(&folder, recipe).map(|manifest| Some(Artifact { folder, manifest })),
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
        if let Some(artifact) = self.find(recipe)? {
            partial::remove(&parent.join(recipe.folder_name()))?;
            lock.remove();
            return Ok(Begin::AlreadyThere(artifact));
        }
        let folder = parent.join(recipe.folder_name());
        Partial::open(recipe.clone(), folder, self.complete(recipe), lock).map(Begin::Partial)
    }

    /// The artifact that other code made of the same question and the same inputs: of several, one whose code differs in
    /// the fewest ways, and of these the one that was made last.
    ///
    /// # Errors
    /// If the store cannot be listed, or the artifact is corrupt.
    pub fn find_older(&self, recipe: &Recipe) -> Result<Option<Artifact>> {
        let mut best: Option<(usize, std::time::SystemTime, PathBuf)> = None;
        for folder in survey::folders(&self.root)? {
            let Ok(manifest) = Manifest::load(&folder) else { continue };
            if !recipe.asks_the_same(&manifest.recipe) {
                continue;
            }
            let file = folder.join(manifest::FILE);
            let made = file
                .metadata()
                .and_then(|found| found.modified())
                .map_err(|error| io("read", &file, error))?;
            let differences = recipe.differences(&manifest.recipe).len();
            let is_better = |(least, latest, _): &(usize, std::time::SystemTime, PathBuf)| {
                differences < *least || (differences == *least && made > *latest)
            };
            if best.as_ref().is_none_or(is_better) {
                best = Some((differences, made, folder));
            }
        }
        best.map(|(_, _, folder)| Self::open_artifact(&folder)).transpose()
    }

    /// Removes what an interrupted attempt left of an artifact that is complete, unless somebody works on it.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn tidy(&self, recipe: &Recipe) -> Result<()> {
        let partial = self.root.join("partial").join(recipe.folder_name());
        let lock = partial.with_extension("lock");
        if ![partial.clone(), partial.with_extension("scratch"), lock.clone()]
            .iter()
            .any(|path| path.exists())
        {
            return Ok(());
        }
        let Some(lock) = FolderLock::try_take(&lock)? else { return Ok(()) };
        partial::remove(&partial)?;
        lock.remove();
        Ok(())
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
        let manifest = manifest::read_verified(folder)?;
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

    fn recipe(steps: u64) -> Recipe {
        let config = serde_json::json!({ "steps": steps });
        Recipe::new("variant sft".into(), config, "cpu".into(), code("one"))
    }

    fn code(source: &str) -> Code {
        let [source, dependencies, compiler, kernels] = [source, "lock", "rustc", "avx2"].map(str::to_owned);
        Code { source, dependencies, compiler, kernels }
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
        assert!(store.find(&recipe(1)).unwrap().is_none());
        let artifact = made(&store);
        let found = store.find(&recipe(1)).unwrap().unwrap();
        assert_eq!(found.folder, artifact.folder);
        assert_eq!(found.manifest.files.keys().collect::<Vec<_>>(), ["checkpoints/1/model.bin"]);
        assert!(store.find(&recipe(2)).unwrap().is_none());
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
        let message = || store.find(&recipe(1)).unwrap_err().to_string();
        std::fs::write(&file, b"weigh").unwrap();
        assert!(message().contains("`checkpoints/1/model.bin` has 5 bytes, expected 7"), "{}", message());
        assert!(message().contains("hint: remove the folder"), "{}", message());
        std::fs::write(&file, b"Weights").unwrap();
        assert!(message().contains("`checkpoints/1/model.bin` has changed"), "{}", message());
        std::fs::write(&file, b"weights").unwrap();
        assert!(store.find(&recipe(1)).is_ok());
        let added = file.with_file_name("added.bin");
        std::fs::write(&added, b"").unwrap();
        assert!(message().contains("`checkpoints/1/added.bin` was added"), "{}", message());
        std::fs::remove_file(&added).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(message().contains("`checkpoints/1/model.bin` is missing"), "{}", message());
    }

    #[test]
    fn a_broken_manifest_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let manifest = made(&store).folder.join("manifest.json");
        std::fs::write(&manifest, b"{\"stage\": ").unwrap();
        let message = store.find(&recipe(1)).unwrap_err().to_string();
        assert!(message.contains("manifest.json"), "{message}");
        assert!(message.contains("hint: remove the folder"), "{message}");
    }

    #[test]
    fn every_part_of_the_code_is_in_the_id_and_what_other_code_made_is_found_if_asked_for() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        made(&store);
        let own = code("one");
        let others = [
            (code("two"), Difference::Source),
            (Code { dependencies: "other".into(), ..own.clone() }, Difference::Dependencies),
            (Code { compiler: "other".into(), ..own.clone() }, Difference::Compiler),
            (Code { kernels: "other".into(), ..own }, Difference::Kernels),
        ];
        for (code, difference) in others {
            let mut other = recipe(1);
            other.code = Some(code);
            assert!(store.find(&other).unwrap().is_none());
            let older = store.find_older(&other).unwrap().unwrap();
            assert_eq!(other.differences(&older.manifest.recipe), [difference]);
            other.config = serde_json::json!({ "steps": 2 });
            assert!(store.find_older(&other).unwrap().is_none());
        }
        // As versions wrote it that noted a number in place of the code.
        let text = r#"{"stage":"variant sft","revision":5,"config":{"steps":1},"device":"cpu","inputs":{},"outside":{}}"#;
        let old: Recipe = serde_json::from_str(text).unwrap();
        let sorted = r#"{"config":{"steps":1},"device":"cpu","inputs":{},"outside":{},"revision":5,"stage":"variant sft"}"#;
        assert_eq!(old.id().to_string(), blake3::hash(sorted.as_bytes()).to_hex().to_string());
        assert!(recipe(1).asks_the_same(&old));
        assert_eq!(recipe(1).differences(&old), [Difference::Unknown]);
    }

    #[test]
    fn what_a_kill_after_the_rename_leaves_is_tidied() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let name = made(&store).folder.file_name().unwrap().to_str().unwrap().to_owned();
        let partial = root.path().join("partial");
        let scratch = partial.join(format!("{name}.scratch"));
        for begun in [false, true] {
            std::fs::create_dir_all(&scratch).unwrap();
            std::fs::write(scratch.join("resume.bin"), b"state").unwrap();
            match begun {
                true => drop(store.begin(&recipe(1), &Observer::silent()).unwrap()),
                false => store.tidy(&recipe(1)).unwrap(),
            }
            assert_eq!(std::fs::read_dir(&partial).unwrap().count(), 0);
        }
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
