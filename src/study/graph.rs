//! The stages of a study in the order they run, each with the recipe that names its artifact.
//!
//! A recipe holds the ids of the inputs, so every id follows from the study alone, before anything has
//! run: `plan` can tell what is cached, and a changed setting moves the ids of what depends on it and
//! of nothing else. The code that a stage is made of is part of its recipe. Where artifacts of other code may be used,
//! the ids are those of the artifacts that are there.

use super::config::Study;
use super::place::RunPlace;
use super::stage::Stage;
use super::stages;
use crate::error::{At, Error, Result};
use crate::fingerprint;
use crate::ops;
use crate::store::{ArtifactId, Code, Difference, Outside, Recipe};
use serde_json::json;
use std::collections::BTreeMap;

/// The stages of a study, inputs before what needs them.
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// What other code made of all that is used, a sentence a stage.
    pub(super) older: Vec<String>,
}

/// One stage with the recipe of its artifact.
pub(super) struct Node {
    pub(super) stage: Box<dyn Stage>,
    /// Of the artifact: what is asked for, or what other code made of the same question.
    pub(super) recipe: Recipe,
    /// What it reads from outside of the store.
    pub(super) outside: Outside,
    /// How the code that made the artifact differs from this program; empty for what is this program's.
    pub(super) older: Vec<Difference>,
}

impl Graph {
    /// # Errors
    /// If a file that the study names cannot be read.
    pub(super) fn new(study: &Study, place: &RunPlace) -> Result<Self> {
        let study = &study.rendered()?;
        let store = place.store();
        let mut ids: BTreeMap<String, ArtifactId> = BTreeMap::new();
        let (mut nodes, mut said) = (Vec::new(), Vec::new());
        for stage in stages::all(study)? {
            let name = stage.name();
            let inputs = stage.inputs().into_iter().map(|input| match ids.get(&input) {
                Some(id) => Ok((input, id.clone())),
                None => Err(Error::work(format!("stage `{name}` comes before its input `{input}`"))),
            });
            let outside = stage.outside().at(format!("stage `{name}`"))?;
            let code = code(stage.as_ref())?;
            let mut config = stage.config()?;
            if !stage.may_be_older() && !said.is_empty() {
                config["older"] = json!(said);
            }
            let mut recipe = Recipe::new(name.clone(), config, place.device.to_string(), code);
            recipe.inputs = inputs.collect::<Result<_>>()?;
            recipe.outside =
                outside.iter().map(|(role, content)| (role.clone(), content.hash().to_owned())).collect();
            let mut older = Vec::new();
            if place.accept_older
                && stage.may_be_older()
                && store.find(&recipe).at(format!("stage `{name}`"))?.is_none()
                && let Some(artifact) = store.find_older(&recipe).at(format!("stage `{name}`"))?
            {
                older = recipe.differences(&artifact.manifest.recipe);
                recipe = artifact.manifest.recipe;
                said.push(sentence(&name, &older));
            }
            ids.insert(name, recipe.id());
            nodes.push(Node { stage, recipe, outside, older });
        }
        Ok(Self { nodes, older: said })
    }
}

fn sentence(stage: &str, older: &[Difference]) -> String {
    let how: Vec<&str> = older.iter().map(|difference| difference.name()).collect();
    format!("stage `{stage}` was made by {}", how.join(" and "))
}

/// What the artifact of `stage` would be made by.
fn code(stage: &dyn Stage) -> Result<Code> {
    let module = stage.code();
    let source = fingerprint::source(module)
        .ok_or_else(|| Error::work(format!("the module {module} is not in the table of sources")))?;
    Ok(Code {
        source: source.to_owned(),
        dependencies: fingerprint::dependencies().to_owned(),
        compiler: fingerprint::compiler().to_owned(),
        kernels: ops::path().to_owned(),
    })
}
