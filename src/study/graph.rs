//! The stages of a study in the order they run, each with the recipe that names its artifact.
//!
//! A recipe holds the ids of the inputs, so every id follows from the study alone, before anything has
//! run: `plan` can tell what is cached, and a changed setting moves the ids of what depends on it and
//! of nothing else.

use super::config::Study;
use super::stage::Stage;
use super::stages;
use crate::compute::Compute;
use crate::error::{At, Error, Result};
use crate::store::{ArtifactId, Recipe};
use std::collections::BTreeMap;

/// The stages of a study, inputs before what needs them.
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
}

/// One stage with the recipe of its artifact.
pub(super) struct Node {
    pub(super) stage: Box<dyn Stage>,
    pub(super) recipe: Recipe,
}

impl Graph {
    /// # Errors
    /// If a file that the study names cannot be read.
    pub(super) fn new(study: &Study, device: &Compute) -> Result<Self> {
        let mut ids: BTreeMap<String, ArtifactId> = BTreeMap::new();
        let mut nodes = Vec::new();
        for stage in stages::all(study)? {
            let name = stage.name();
            let inputs = stage.inputs().into_iter().map(|input| match ids.get(&input) {
                Some(id) => Ok((input, id.clone())),
                None => Err(Error::work(format!("stage `{name}` comes before its input `{input}`"))),
            });
            let recipe = Recipe {
                stage: name.clone(),
                revision: stage.revision(),
                config: stage.config()?,
                device: device.to_string(),
                inputs: inputs.collect::<Result<_>>()?,
                outside: stage.outside().at(format!("stage `{name}`"))?,
            };
            ids.insert(name, recipe.id());
            nodes.push(Node { stage, recipe });
        }
        Ok(Self { nodes })
    }
}
