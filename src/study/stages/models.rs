//! Where the models of a study are: made by a stage, or given by the user.

use super::matching::{self, Matching};
use super::select::Selection;
use super::{base, select, variant};
use crate::error::{At, Result};
use crate::model::{Model, hub};
use crate::store::{Content, Outside};
use crate::study::config::{Base, Checkpoint, Method, Reference, Study};
use crate::study::stage::Made;
use crate::tasks::Suite;
use crate::training::BaseName;
use std::path::{Path, PathBuf};

/// One model of a study: what it is called, and where it will be.
#[derive(Clone, Debug)]
pub(super) struct ModelSource {
    reference: Reference,
    given: Option<Given>,
}

/// A finished model that the user names.
#[derive(Clone, Debug)]
struct Given {
    /// As the user wrote it.
    name: String,
    folder: PathBuf,
    /// `owner/name@commit`, of a name on the hub.
    identity: Option<String>,
}

impl ModelSource {
    /// The model that `reference` names.
    pub(super) fn new(study: &Study, reference: &Reference) -> Result<Self> {
        let given = match (study.variant(&reference.variant), &study.base) {
            (Some(variant), _) => match &variant.method {
                Method::Model(model) => Some(given(model).at(format!("variant `{}`", variant.name))?),
                _ => None,
            },
            (None, Base::Model(model)) => Some(given(model).at("[base]")?),
            (None, Base::Preset { .. }) => None,
        };
        Ok(Self { reference: study.resolved(reference), given })
    }

    /// The stages that must have run before the model is there.
    pub(super) fn inputs(&self) -> Vec<String> {
        if self.given.is_some() {
            return Vec::new();
        }
        if self.reference.is_base() {
            return vec![base::NAME.to_owned()];
        }
        let mut inputs = vec![variant::name(&self.reference.variant)];
        match self.reference.checkpoint {
            Checkpoint::Matched => inputs.push(select::NAME.to_owned()),
            Checkpoint::SameChange => inputs.push(matching::NAME.to_owned()),
            Checkpoint::Last | Checkpoint::Step(_) => {}
        }
        inputs
    }

    /// What a given model is, for the recipe: its content, and that of the base of an adapter. Of a snapshot of the hub,
    /// what is read of it: other programs may put more beside.
    fn outside(&self) -> Result<Outside> {
        let Some(given) = &self.given else { return Ok(Outside::new()) };
        let role = format!("model {}", self.reference);
        let mut all = Outside::from([(role.clone(), content(&given.folder)?)]);
        if let Some(base) = Model::base_of_adapter(&given.folder)? {
            all.insert(format!("{role}, base of the adapter"), content(&base)?);
        }
        Ok(all)
    }

    /// The name that an adapter on this model gets for its base, if the hub has one: it is written into the adapter.
    pub(super) fn identity(&self) -> Option<&str> {
        self.given.as_ref()?.identity.as_deref()
    }

    /// The reference with its checkpoint as a step, now that the stage that chooses it has run.
    pub(super) fn chosen(&self, made: &Made) -> Result<Reference> {
        let checkpoint = match self.reference.checkpoint {
            Checkpoint::Matched => {
                let selection = Selection::load(made.folder(select::NAME)?)?;
                Checkpoint::Step(selection.step(&self.reference.variant)?)
            }
            Checkpoint::SameChange => {
                let matching = Matching::load(made.folder(matching::NAME)?)?;
                Checkpoint::Step(matching.step(&self.reference.variant)?)
            }
            other => other,
        };
        Ok(Reference { variant: self.reference.variant.clone(), checkpoint })
    }

    /// Where the model is, now that its stage has run.
    pub(super) fn folder(&self, made: &Made) -> Result<PathBuf> {
        if let Some(given) = &self.given {
            return Ok(given.folder.clone());
        }
        let chosen = self.chosen(made)?;
        match chosen.checkpoint {
            Checkpoint::Step(step) => {
                Ok(variant::checkpoint(made.folder(&variant::name(&chosen.variant))?, step))
            }
            _ => Ok(base::model(made.folder(base::NAME)?)),
        }
    }

    /// What an adapter names as its base, where it lies `depth` folders below the store. A model that a stage made is
    /// named from there, so that the store may move and its bytes are the same everywhere.
    pub(super) fn base_name(&self, made: &Made, depth: usize) -> Result<Option<BaseName>> {
        if let Some(Given { folder, name, .. }) = &self.given {
            return BaseName::of(name, folder);
        }
        let folder = self.folder(made)?;
        let Some(store) = made.folder(base::NAME)?.parent() else { return Ok(None) };
        let within = folder.strip_prefix(store).ok();
        Ok(within.map(|within| BaseName::Folder(PathBuf::from("../".repeat(depth)).join(within))))
    }

    /// The name in tables and the model.
    pub(super) fn load(&self, made: &Made) -> Result<(String, Model)> {
        let name = self.chosen(made)?.to_string();
        let model = Model::load(&self.folder(made)?, &made.device).at(format!("model `{name}`"))?;
        model.notes().iter().for_each(|note| tracing::warn!("model `{name}`: {note}"));
        Ok((name, model))
    }
}

/// The names of several models as the study gives them, with ends written out as steps.
pub(super) fn names(models: &[ModelSource]) -> Vec<String> {
    models.iter().map(|model| model.reference.to_string()).collect()
}

/// Several models with their names in tables.
pub(super) fn load(models: &[ModelSource], made: &Made) -> Result<Vec<(String, Model)>> {
    models.iter().map(|model| model.load(made)).collect()
}

/// The inputs of several models together, each once.
pub(super) fn inputs(models: &[ModelSource]) -> Vec<String> {
    let mut inputs: Vec<String> = models.iter().flat_map(ModelSource::inputs).collect();
    inputs.sort();
    inputs.dedup();
    inputs
}

/// The contents of given models and of suites that come from files.
pub(super) fn outside<'a>(
    models: &[ModelSource],
    suites: impl IntoIterator<Item = &'a Suite>,
) -> Result<Outside> {
    let mut all = Outside::new();
    for model in models {
        all.extend(model.outside()?);
    }
    all.extend(suites.into_iter().flat_map(|suite| suite.contents("suite")));
    Ok(all)
}

fn content(folder: &Path) -> Result<Content> {
    match hub::files(folder)? {
        Some(files) => Content::of_files(folder, &files),
        None => Content::of_folder(folder),
    }
}

/// A folder, or what a name on the hub stands for.
fn given(model: &str) -> Result<Given> {
    let folder = hub::find(model).at("field `model`")?;
    Ok(Given { name: model.to_owned(), folder, identity: hub::identity(model) })
}
