//! What every stage has: a name, what decides its artifact, an estimate, and the work.

use crate::compute::Compute;
use crate::error::{At, Error, Result, io};
use crate::foreign;
use crate::progress::Observer;
use crate::store::{ArtifactId, Outside};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One stage of one study: its configuration, checked, and nothing that does not decide its artifact.
pub(super) trait Stage: Send + Sync {
    /// Its name, unique in the study: `variant sft`.
    fn name(&self) -> String;

    /// The module whose code makes the artifact, with all that it uses: `module_path!()`.
    fn code(&self) -> &'static str;

    /// The configuration that decides the artifact, defaults written out.
    fn config(&self) -> Result<Value>;

    /// The stages whose artifacts it reads.
    fn inputs(&self) -> Vec<String>;

    /// What it reads from outside the store.
    fn outside(&self) -> Result<Outside> {
        Ok(Outside::new())
    }

    /// Whether what other code made may stand for its artifact, where the user accepts that. What says so may not.
    fn may_be_older(&self) -> bool {
        true
    }

    /// What it will take on two CPU cores.
    fn estimate(&self) -> Estimate;

    /// Whether [`Stage::make`] goes on with what an interrupted attempt left in `scene.folder`; else the
    /// folder is empty when it begins.
    fn resumes(&self) -> bool {
        false
    }

    /// Makes the artifact in `scene.folder`.
    fn make(&self, scene: &Scene) -> Result<()>;

    /// Judges the finished artifact, made now or found: an error ends the run before what depends on it.
    fn accept(&self, _artifact: &Path) -> Result<()> {
        Ok(())
    }
}

/// What a stage is estimated to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Wall time on two CPU cores.
    pub seconds: f64,
    /// The most memory it holds at once.
    pub memory_bytes: f64,
    /// What its artifact takes on disk.
    pub disk_bytes: f64,
}

/// What finished stages left, and where to compute with it.
pub(super) struct Made {
    /// The folders of artifacts, by the names of their stages.
    pub(super) folders: BTreeMap<String, PathBuf>,
    /// Where to compute.
    pub(super) device: Compute,
}

impl Made {
    /// The folder that the stage called `name` left.
    pub(super) fn folder(&self, name: &str) -> Result<&Path> {
        self.folders
            .get(name)
            .map(PathBuf::as_path)
            .ok_or_else(|| Error::work(format!("stage `{name}` is needed here but is no declared input")))
    }
}

/// What a stage works with.
pub(super) struct Scene {
    /// The id of the artifact that is made.
    pub(super) id: ArtifactId,
    /// Its inputs.
    pub(super) made: Made,
    /// Where its files go.
    pub(super) folder: PathBuf,
    /// What an interrupted attempt needs to go on goes here, and is thrown away at the end.
    pub(super) scratch: PathBuf,
    /// What other code made of all that the study uses, a sentence a stage.
    pub(super) older: Vec<String>,
    /// Progress, and the wish to stop.
    pub(super) observer: Observer,
}

impl Scene {
    /// The folder of the input made by the stage called `name`.
    pub(super) fn input(&self, name: &str) -> Result<&Path> {
        self.made.folder(name)
    }
}

/// `value` as the JSON that goes into a stage's configuration.
pub(super) fn json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| Error::work(format!("the configuration cannot be written as JSON: {error}")))
}

/// The file in an artifact that holds what an answer must say of the files that the stage read. There is none where
/// nothing is to be said.
const NOTES: &str = "notes.json";

/// Keeps notes with the artifact: they are said whenever it is used.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn keep_notes(folder: &Path, notes: &[String]) -> Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    let path = folder.join(NOTES);
    std::fs::write(&path, format!("{}\n", serde_json::json!(notes)))
        .map_err(|error| io("write", &path, error))
}

/// The notes that were kept with an artifact.
///
/// # Errors
/// If they cannot be read.
pub(super) fn notes(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join(NOTES);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = foreign::text(&path, foreign::DOCUMENT)?;
    serde_json::from_str(&text)
        .map_err(|error| Error::work(format!("expected a list of notes: {error}")))
        .at(path.display())
}
