//! Stage `variant <name>`: post-trains the base.

use super::models::{self, ModelSource};
use crate::error::Result;
use crate::store::Outside;
use crate::study::config::{self, Method, Reference, Study};
use crate::study::stage::{self, Estimate, Scene, Stage};
use crate::training::{PostTraining, TrainingRun};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Rows of training between two saves for a resume: some five seconds of work.
const SAVE_ROWS: usize = 2560;

pub(super) struct Variant {
    seed: u64,
    name: String,
    base: ModelSource,
    checkpoints: Vec<usize>,
    training: PostTraining,
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
        let Method::Trained(training) = &variant.method else { return Ok(None) };
        Ok(Some(Self {
            seed: variant.seed(study.seed),
            name: variant.name.clone(),
            base: ModelSource::new(study, &Reference::base())?,
            checkpoints: variant.checkpoints.clone(),
            training: PostTraining::clone(training),
        }))
    }

    /// Rows that a step samples and those that it trains on.
    fn rows(&self) -> (usize, usize) {
        match &self.training {
            PostTraining::Sft { settings, .. } => (0, settings.batch),
            PostTraining::Rft { settings, .. } => {
                ((settings.prompts * settings.samples).div_ceil(settings.refresh.max(1)), settings.sft.batch)
            }
            // Two responses a pair, and a pass by the reference and one by the policy before it learns.
            PostTraining::Dpo { settings, .. } => (0, 4 * settings.sft.batch),
            PostTraining::PolicyGradient { settings, .. } => {
                let rows = settings.prompts * settings.samples;
                (rows, rows * settings.passes)
            }
        }
    }
}

impl Stage for Variant {
    fn name(&self) -> String {
        name(&self.name)
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn config(&self) -> Result<Value> {
        let mut config = json!({
            "seed": self.seed,
            "name": self.name,
            "checkpoints": self.checkpoints,
            "training": self.training.description()?,
            "named": self.training.trains_adapters().then(|| self.base.identity()).flatten(),
        });
        // Which tokens the rows of a file become is as much part of it as the file.
        if let (true, Some(fields)) = (self.training.reads_rows(), config.as_object_mut()) {
            fields.insert("rows".to_owned(), "as TRL 1.16".into());
        }
        Ok(config)
    }

    fn inputs(&self) -> Vec<String> {
        self.base.inputs()
    }

    fn outside(&self) -> Result<Outside> {
        let mut outside = models::outside(std::slice::from_ref(&self.base), [])?;
        outside.extend(self.training.contents()?);
        Ok(outside)
    }

    fn estimate(&self) -> Estimate {
        // Measured on the quickstart's model.
        let (sampled, trained) = self.rows();
        let rows = 1.0e-3 * sampled as f64 + 1.8e-3 * trained as f64;
        let disk_bytes = 3.3e6 * self.checkpoints.len() as f64;
        Estimate { seconds: rows * self.training.steps() as f64, memory_bytes: 0.6e9, disk_bytes }
    }

    fn resumes(&self) -> bool {
        true
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let model = self.base.load(&scene.made)?.1.into_merged()?;
        let (sampled, trained) = self.rows();
        let run = TrainingRun {
            variant: self.name.clone(),
            seed: self.seed,
            folder: scene.folder.clone(),
            scratch: scene.scratch.clone(),
            checkpoints: self.checkpoints.clone(),
            save_every: SAVE_ROWS / (sampled + trained).max(1),
            origin: json!(scene.id.to_string()),
            // The artifact, `checkpoints`, the step, `adapter`.
            base: self.base.base_name(&scene.made, 4)?,
            observer: scene.observer.clone(),
        };
        stage::keep_notes(&scene.folder, &self.training.train(&model, &run)?)
    }
}
