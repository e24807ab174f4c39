//! PEFT LoRA adapters, read as PEFT reads them, or refused by name.
//!
//! 1. `settings`: what `adapter_config.json` says, every key of it. `pattern`: names and what finds them.
//! 2. `file`: the tensors of `adapter_model.safetensors` or `adapter_model.bin`.
//! 3. `modules`: the modules of the base, as PEFT would see them. `scope`: which of them the settings name.
//! 4. `plan`: these brought together: what becomes of every module, and what is left out. `tables`: of copies and tables
//!    of tokens.
//! 5. `apply`: the plan carried out on a copy of the base. `beside`: adapters beside the weights, copied and merged.
//! 6. `summary`: what was understood, for people.
//!
//! What is left out is a note of the model ([`Model::notes`]), which reaches the answer of every verb.

mod apply;
mod beside;
mod file;
mod modules;
mod pattern;
mod plan;
mod scope;
mod settings;
mod summary;
mod tables;
#[cfg(test)]
mod tests;

pub use summary::{AdapterGroup, AdapterMove, AdapterSummary};

use super::Model;
use super::build::Block;
use crate::error::{At, Error, Result};
use crate::foreign::Object;
use file::File;
use plan::Plan;
use settings::{CONFIG, Settings};
use std::path::{Path, PathBuf};

/// The files that hold the weights of a model.
const MODEL_WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

impl Model {
    /// The folder of the base that the adapter in `folder` is for; `None` if no adapter is there.
    ///
    /// `base_model_name_or_path` is a folder, seen from here, from the adapter or from the folder that the
    /// adapter is in, or a name on the hub, whose `revision` counts.
    ///
    /// # Errors
    /// If the base is not found, or the folder holds the weights of a model, too.
    pub fn base_of_adapter(folder: &Path) -> Result<Option<PathBuf>> {
        let path = folder.join(CONFIG);
        if !path.exists() {
            return Ok(None);
        }
        Self::refuse_two(folder)?;
        let config = Object::load(&path)?;
        let text = |key: &str| -> Result<Option<&str>> {
            Ok(config.text(key).at(path.display())?.filter(|text| !text.is_empty()))
        };
        let Some(base) = text("base_model_name_or_path")? else {
            return Err(Error::request("field `base_model_name_or_path`: expected the adapter's base")
                .hint("name its folder, or its name on the hub, in adapter_config.json")
                .at(path.display()));
        };
        let beside = [Some(folder), folder.parent()].into_iter().flatten().map(|place| place.join(base));
        let found = std::iter::once(PathBuf::from(base)).chain(beside).find(|base| base.is_dir());
        if found.is_some() {
            return Ok(found);
        }
        let name = text("revision")?.map_or_else(|| base.to_owned(), |revision| format!("{base}@{revision}"));
        super::hub::find(&name).at("field `base_model_name_or_path`").at(path.display()).map(Some)
    }

    /// transformers would take such an adapter with its base, and pass by the model that lies there.
    pub(crate) fn refuse_two(folder: &Path) -> Result<()> {
        let weights = MODEL_WEIGHTS.iter().find(|file| folder.join(file).exists());
        match weights.filter(|_| folder.join(CONFIG).exists()) {
            None => Ok(()),
            Some(weights) => Err(Error::request(format!(
                "expected a model or an adapter, found both: {weights} and {CONFIG}"
            ))
            .hint("put the adapter into a folder of its own")
            .at(folder.display())),
        }
    }

    /// A copy of this model with a PEFT LoRA adapter. Plain adapters of the blocks' matrices are beside the weights and
    /// can be trained; whatever else the adapter does (DoRA, embedding and head, trained copies, rows and biases) is in
    /// the weights, which are frozen. What was left out is in [`Model::notes`].
    ///
    /// # Errors
    /// If the adapter is of another kind or another base, a setting is not supported, or a tensor is missing or too
    /// many.
    pub fn with_adapter(&self, folder: &Path) -> Result<Self> {
        if self.has_adapter() {
            return self.merged()?.with_adapter(folder);
        }
        let plan = self.plan(folder)?;
        let mut model = self.with_plan(&plan).at(folder.display())?;
        model.is_adapted = true;
        model.notes = self.notes.clone();
        let named = |note: &String| format!("{}: {note}", folder.display());
        model.notes.extend(plan.notes.iter().map(named));
        Ok(model)
    }

    fn plan(&self, folder: &Path) -> Result<Plan> {
        let settings = Settings::load(folder)?;
        Plan::new(&settings, File::load(folder)?, self).at(folder.display())
    }

    /// What should be known beside whatever is computed with this model: what of its files was left out, and what that
    /// means.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}
