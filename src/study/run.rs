//! Runs a study: what is there is kept, what is missing is made, and the report is put in its place.

use super::config::Study;
use super::graph::{Graph, Node};
use super::place::RunPlace;
use super::publish;
use super::stage::{Made, Scene};
use crate::claims::ClaimRow;
use crate::error::{At, Error, Result, io};
use crate::progress::Observer;
use crate::store::{Artifact, Begin, FolderLock, Partial, Store};
use crate::tables;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a run did.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    /// The study's name.
    pub study: String,
    /// The stages in the order they ran.
    pub stages: Vec<FinishedStage>,
    /// What was decided about every hypothesis.
    pub findings: Vec<ClaimRow>,
    /// The report's page.
    pub report: PathBuf,
}

/// One finished stage.
#[derive(Clone, Debug, Serialize)]
pub struct FinishedStage {
    /// Its name.
    pub name: String,
    /// Its artifact's folder.
    pub folder: PathBuf,
    /// Whether it was there before.
    pub cached: bool,
    /// How the code that made it differs from this program, where that is accepted.
    pub older: Vec<String>,
    /// Seconds that making it took.
    pub seconds: f64,
}

/// Runs `study`: every stage whose artifact is not in the store, then publishes the report.
///
/// # Errors
/// If a stage fails or a gate is not met (what is finished stays), if an artifact in the store is corrupt,
/// if another process runs in the same folder, or if a signal asked to stop.
pub fn run(study: &Study, place: &RunPlace, observer: &Observer) -> Result<RunSummary> {
    std::fs::create_dir_all(&place.out).map_err(|error| io("create", &place.out, error))?;
    let _lock = FolderLock::try_take(&place.out.join(".lock"))?.ok_or_else(|| {
        Error::request(format!("another deltascope runs in {}", place.out.display()))
            .hint("wait for it, or choose another folder with --out")
    })?;
    let store = place.store();
    let graph = Graph::new(study, place)?;
    let mut folders: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut stages = Vec::new();
    for node in &graph.nodes {
        observer.check()?;
        let name = node.stage.name();
        let (artifact, cached) =
            obtain(node, &store, &Surroundings { folders: &folders, place, older: &graph.older, observer })
                .at(format!("stage `{name}`"))?;
        node.stage.accept(&artifact.folder).at(format!("stage `{name}`"))?;
        folders.insert(name.clone(), artifact.folder.clone());
        stages.push(FinishedStage {
            name,
            folder: artifact.folder,
            cached,
            older: node.older.iter().map(|difference| difference.name().to_owned()).collect(),
            seconds: artifact.manifest.wall_seconds,
        });
    }
    let report = match folders.get("report") {
        Some(folder) => publish::publish(folder, &place.out)?,
        None => return Err(Error::work("the study has no report stage")),
    };
    let findings = match folders.get("claims") {
        Some(folder) => tables::read(&folder.join("claims.parquet"))?,
        None => Vec::new(),
    };
    Ok(RunSummary { study: study.name.clone(), stages, findings, report })
}

/// What every stage of a run works with.
struct Surroundings<'a> {
    folders: &'a BTreeMap<String, PathBuf>,
    place: &'a RunPlace,
    older: &'a [String],
    observer: &'a Observer,
}

/// The node's artifact, and whether it was there before.
fn obtain(node: &Node, store: &Store, around: &Surroundings<'_>) -> Result<(Artifact, bool)> {
    if let Some(artifact) = store.find(&node.recipe)? {
        tracing::debug!("{} is there: {}", node.recipe.stage, artifact.folder.display());
        store.tidy(&node.recipe)?;
        return Ok((artifact, true));
    }
    // What the recipe says of files must be true before they are read, and still when all is done.
    unchanged(node)?;
    let partial = match store.begin(&node.recipe, around.observer)? {
        Begin::Partial(partial) => partial,
        Begin::AlreadyThere(artifact) => return Ok((artifact, true)),
    };
    tracing::debug!("making {} in {}", node.recipe.stage, partial.folder().display());
    if !node.stage.resumes() {
        partial.clear()?;
    }
    let made = node.stage.make(&scene(node, &partial, around));
    if let Err(error) = unchanged(node) {
        // Nor may a later attempt go on from what was made of other files.
        partial.discard()?;
        return Err(error);
    }
    made?;
    Ok((partial.commit()?, false))
}

fn scene(node: &Node, partial: &Partial, around: &Surroundings<'_>) -> Scene {
    let inputs = node.stage.inputs().into_iter();
    Scene {
        id: node.recipe.id(),
        made: Made {
            folders: inputs
                .filter_map(|name| around.folders.get(&name).map(|folder| (name, folder.clone())))
                .collect(),
            device: around.place.device.clone(),
        },
        folder: partial.folder().to_owned(),
        scratch: partial.scratch().to_owned(),
        older: around.older.to_vec(),
        observer: around.observer.clone(),
    }
}

/// Whether all that the node reads from outside of the store is what its recipe says.
fn unchanged(node: &Node) -> Result<()> {
    node.outside.iter().try_for_each(|(role, content)| content.check().at(role))
}

/// The default folder of a study's results.
pub fn default_out(study: &Study) -> PathBuf {
    Path::new("runs").join(&study.name)
}
