//! Stage `diff`: what every feature of the dictionary is, and how it differs between variants.

use super::models::{self, ModelSource};
use super::{capture, dictionary};
use crate::activations::ActivationStore;
use crate::dictionaries::Dictionary;
use crate::diff::{self, DiffSettings};
use crate::error::Result;
use crate::store::Outside;
use crate::study::config::Study;
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tables::{self, catalogue};
use serde_json::Value;

pub(super) const NAME: &str = "diff";

pub(super) struct Diff {
    settings: DiffSettings,
    models: Vec<ModelSource>,
}

impl Diff {
    /// `None` without a dictionary.
    pub(super) fn new(study: &Study) -> Result<Option<Self>> {
        let Some(dictionary) = &study.dictionary else { return Ok(None) };
        let models = dictionary.over.iter().map(|reference| ModelSource::new(study, reference));
        // Whether the models are compared, too, changes no feature: that is a stage of its own.
        let settings = DiffSettings { models: false, hooks: Vec::new(), ..study.diff.clone() };
        Ok(Some(Self { settings, models: models.collect::<Result<_>>()? }))
    }
}

impl Stage for Diff {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn config(&self) -> Result<Value> {
        json(&self.settings)
    }

    fn inputs(&self) -> Vec<String> {
        let mut inputs = models::inputs(&self.models);
        inputs.extend([capture::NAME, dictionary::NAME].map(str::to_owned));
        inputs
    }

    fn outside(&self) -> Result<Outside> {
        models::outside(&self.models, [])
    }

    fn estimate(&self) -> Estimate {
        Estimate { seconds: 2e-4 * self.settings.tokens as f64, memory_bytes: 0.6e9, disk_bytes: 5e6 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let store = ActivationStore::open(&capture::store(scene.input(capture::NAME)?))?;
        let dictionary = Dictionary::load(&dictionary::folder(scene.input(dictionary::NAME)?))?;
        let models = models::load(&self.models, &scene.made)?;
        let tokenizer = models.first().map(|(_, model)| model.tokenizer()).transpose()?;
        let text =
            |id: u32| tokenizer.and_then(|tokenizer| tokenizer.token(id)).unwrap_or_else(|| id.to_string());
        let range = store.held_out();
        let readouts = diff::readouts(&dictionary, &store, range.clone())?;
        let mut found = diff::features(&dictionary, &store, range, &self.settings, &text, &scene.observer)?;
        let repetitions = dictionary::repetitions(scene.input(dictionary::NAME)?);
        let others = repetitions.iter().map(|folder| Dictionary::load(folder)).collect::<Result<Vec<_>>>()?;
        diff::add_stability(&mut found.features, &dictionary, &others)?;
        diff::add_lens(&mut found.features, &dictionary, &models, self.settings.lens_tokens)?;
        tables::write(&scene.folder.join("features.parquet"), &catalogue::FEATURES, &found.features)?;
        tables::write(&scene.folder.join("readouts.parquet"), &catalogue::READOUTS, &readouts)?;
        tables::write(&scene.folder.join("contexts.parquet"), &catalogue::CONTEXTS, &found.contexts)
    }
}
