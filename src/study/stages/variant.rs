//! Stage `variant <name>`: post-trains the base.

use super::models::{self, ModelSource};
use crate::error::Result;
use crate::study::config::{self, Method, Reference, Study};
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tasks::{Mixture, Suite};
use crate::training::{RlSettings, SftSettings, TrainingRun, train_rl, train_sft};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Steps between two saves for a resume: some five seconds of work.
const SFT_SAVE_EVERY: usize = 80;
const RL_SAVE_EVERY: usize = 10;

pub(super) struct Variant {
    seed: u64,
    name: String,
    base: ModelSource,
    checkpoints: Vec<usize>,
    training: Training,
}

enum Training {
    Sft { data: Mixture, settings: SftSettings },
    Rl { method: String, suite: Suite, settings: RlSettings },
}

/// The name of the stage that makes `variant`.
pub(super) fn name(variant: &str) -> String {
    format!("variant {variant}")
}

/// The model after `step` steps, in the artifact's folder.
pub(super) fn checkpoint(artifact: &Path, step: usize) -> PathBuf {
    artifact.join("checkpoints").join(step.to_string())
}

impl Variant {
    /// `None` for a given model.
    pub(super) fn new(study: &Study, variant: &config::Variant) -> Result<Option<Self>> {
        let training = match (&variant.method, study.suites.in_domain.first()) {
            (Method::Sft { data, settings }, _) => {
                Training::Sft { data: data.clone(), settings: settings.clone() }
            }
            (Method::Rl { name, settings }, Some(suite)) => {
                Training::Rl { method: name.clone(), suite: suite.clone(), settings: settings.clone() }
            }
            _ => return Ok(None),
        };
        Ok(Some(Self {
            seed: study.seed,
            name: variant.name.clone(),
            base: ModelSource::new(study, &Reference::base())?,
            checkpoints: variant.checkpoints.clone(),
            training,
        }))
    }
}

impl Stage for Variant {
    fn name(&self) -> String {
        name(&self.name)
    }

    fn revision(&self) -> u32 {
        1
    }

    fn config(&self) -> Result<Value> {
        let training = match &self.training {
            Training::Sft { data, settings } => {
                json!({ "method": "sft", "data": json(data)?, "settings": json(settings)? })
            }
            Training::Rl { method, suite, settings } => {
                json!({ "method": method, "suite": suite.name(), "settings": json(settings)? })
            }
        };
        Ok(json!({
            "seed": self.seed,
            "name": self.name,
            "checkpoints": self.checkpoints,
            "training": training,
        }))
    }

    fn inputs(&self) -> Vec<String> {
        self.base.inputs()
    }

    fn outside(&self) -> Result<BTreeMap<String, String>> {
        let suite = match &self.training {
            Training::Rl { suite, .. } => Some(suite),
            Training::Sft { .. } => None,
        };
        models::outside(std::slice::from_ref(&self.base), suite)
    }

    fn estimate(&self) -> Estimate {
        // Measured on the quickstart's model.
        let seconds = match &self.training {
            Training::Sft { settings, .. } => 1.8e-3 * (settings.steps * settings.batch) as f64,
            Training::Rl { settings, .. } => {
                2.8e-3 * (settings.steps * settings.prompts * settings.samples) as f64
            }
        };
        let disk_bytes = 3.3e6 * self.checkpoints.len() as f64;
        Estimate { seconds, memory_bytes: 0.6e9, disk_bytes }
    }

    fn resumes(&self) -> bool {
        true
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let (_, model) = self.base.load(scene)?;
        let run = |save_every| TrainingRun {
            variant: self.name.clone(),
            seed: self.seed,
            folder: scene.folder.clone(),
            scratch: scene.scratch.clone(),
            checkpoints: self.checkpoints.clone(),
            save_every,
            origin: scene.id.to_string(),
            observer: scene.observer.clone(),
        };
        match &self.training {
            Training::Sft { data, settings } => {
                let documents = |first, count| data.documents(self.seed, first, count);
                train_sft(&model, &documents, settings, &run(SFT_SAVE_EVERY))
            }
            Training::Rl { suite, settings, .. } => train_rl(&model, suite, settings, &run(RL_SAVE_EVERY)),
        }
    }
}
