//! Stage `dictionary`: one dictionary over the captured activations of all its variants.

use super::capture;
use crate::activations::ActivationStore;
use crate::dictionaries::{self, FitSettings};
use crate::error::{Result, io};
use crate::study::config::Study;
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tables::{self, catalogue};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "dictionary";

pub(super) struct Dictionary {
    seed: u64,
    variants: usize,
    settings: FitSettings,
}

/// The dictionary in the artifact's folder.
pub(super) fn folder(artifact: &Path) -> PathBuf {
    artifact.join("dictionary")
}

impl Dictionary {
    /// `None` if the study asks for none.
    pub(super) fn new(study: &Study) -> Option<Self> {
        let request = study.dictionary.as_ref()?;
        Some(Self { seed: study.seed, variants: request.over.len(), settings: request.settings.clone() })
    }
}

impl Stage for Dictionary {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn revision(&self) -> u32 {
        1
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({ "seed": self.seed, "settings": json(&self.settings)? }))
    }

    fn inputs(&self) -> Vec<String> {
        vec![capture::NAME.to_owned()]
    }

    fn estimate(&self) -> Estimate {
        let FitSettings { features, steps, batch, .. } = self.settings;
        // The quickstart's width. Encoding is one matrix product a token; the rest is about as much again.
        let width = (self.variants * 128) as f64;
        let operations = (steps * batch * features) as f64 * width;
        let parameters = features as f64 * width * 2.0;
        Estimate {
            seconds: operations * 4.0 / 100e9,
            memory_bytes: 0.3e9 + parameters * 16.0,
            disk_bytes: parameters * 4.0,
        }
    }

    fn resumes(&self) -> bool {
        true
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let store = ActivationStore::open(&capture::store(scene.input(capture::NAME)?))?;
        let dictionary =
            dictionaries::fit(&store, &self.settings, self.seed, Some(&scene.scratch), &scene.observer)?;
        let folder = folder(&scene.folder);
        std::fs::create_dir_all(&folder).map_err(|error| io("create", &folder, error))?;
        dictionary.save(&folder)?;
        let rows = dictionaries::metrics(&dictionary, &store, store.held_out())?;
        tables::write(&scene.folder.join("dictionaries.parquet"), &catalogue::DICTIONARIES, &rows)
    }
}
