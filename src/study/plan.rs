//! What a run would do: the stages, which are there already, and what the rest will take.

use super::config::{Reach, Study};
use super::graph::Graph;
use super::place::RunPlace;
use super::stage::Estimate;
use crate::error::Result;
use serde::Serialize;

/// What a run would do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The study's name.
    pub study: String,
    /// The stages in the order they run.
    pub stages: Vec<PlannedStage>,
    /// What the stages that are not there yet will take together (of memory, the most of any).
    pub remaining: Estimate,
    /// What every declared hypothesis could find.
    pub reach: Vec<Reach>,
}

/// One stage of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedStage {
    /// Its name.
    pub name: String,
    /// The short id of its artifact.
    pub id: String,
    /// Whether the artifact is there, every byte as it was written.
    pub cached: bool,
    /// How the code that made it differs from this program, where that is accepted.
    pub older: Vec<String>,
    /// What it takes; for a cached one, what it took.
    pub estimate: Estimate,
}

/// Plans `study` against the store of `place`, without changing anything.
///
/// # Errors
/// If a file that the study names cannot be read, or an artifact is corrupt.
pub fn plan(study: &Study, place: &RunPlace) -> Result<Plan> {
    let store = place.store();
    let mut stages = Vec::new();
    let mut remaining = Estimate::default();
    for node in Graph::new(study, place)?.nodes {
        let found = store.find(&node.recipe)?;
        let estimate = match &found {
            Some(artifact) => Estimate {
                seconds: artifact.manifest.wall_seconds,
                memory_bytes: artifact.manifest.peak_memory_bytes.unwrap_or(0) as f64,
                disk_bytes: artifact.manifest.bytes() as f64,
            },
            None => node.stage.estimate(),
        };
        if found.is_none() {
            remaining.seconds += estimate.seconds;
            remaining.memory_bytes = remaining.memory_bytes.max(estimate.memory_bytes);
            remaining.disk_bytes += estimate.disk_bytes;
        }
        stages.push(PlannedStage {
            name: node.stage.name(),
            id: node.recipe.id().short().to_owned(),
            cached: found.is_some(),
            older: node.older.iter().map(|difference| difference.name().to_owned()).collect(),
            estimate,
        });
    }
    Ok(Plan { study: study.name.clone(), stages, remaining, reach: study.reach() })
}
