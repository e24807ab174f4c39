//! Stage `base`: a small decoder trained from scratch on the built-in curriculum.

use crate::error::{Result, io};
use crate::model::{Config, LlamaShape, Model};
use crate::study::config::{self, Preset, Sizes, Study};
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tasks;
use crate::training::{SftSettings, TrainingRun, train_sft};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "base";

/// Steps between two saves for a resume: some ten seconds of work.
const SAVE_EVERY: usize = 100;

pub(super) struct Base {
    seed: u64,
    preset: Preset,
    training: SftSettings,
}

/// The model in the artifact's folder.
pub(super) fn model(artifact: &Path) -> PathBuf {
    artifact.join("model")
}

impl Base {
    /// `None` for a given base.
    pub(super) fn new(study: &Study) -> Option<Self> {
        match &study.base {
            config::Base::Preset { preset, training } => {
                Some(Self { seed: study.seed, preset: *preset, training: training.clone() })
            }
            config::Base::Model(_) => None,
        }
    }
}

impl Stage for Base {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({ "seed": self.seed, "preset": self.preset, "training": json(&self.training)? }))
    }

    fn inputs(&self) -> Vec<String> {
        Vec::new()
    }

    fn estimate(&self) -> Estimate {
        Estimate {
            seconds: 1e-3 * (self.training.steps * self.training.batch) as f64,
            memory_bytes: 0.6e9,
            disk_bytes: 3.3e6,
        }
    }

    fn resumes(&self) -> bool {
        true
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let tokenizer = tasks::tokenizer()?;
        let Sizes { d_model, layers, heads, d_mlp } = self.preset.sizes();
        let shape = LlamaShape {
            vocabulary: tokenizer.vocabulary(),
            d_model,
            layers,
            heads,
            d_mlp,
            max_positions: 256,
            bos: tokenizer.bos(),
            eos: tokenizer.eos(),
            pad: tokenizer.pad(),
        };
        let model = Model::initialise(&Config::llama(&shape)?, self.seed, &scene.made.device)?;
        let model = model.with_tokenizer(tokenizer);
        let run = TrainingRun {
            variant: NAME.to_owned(),
            seed: self.seed,
            folder: scene.folder.clone(),
            scratch: scene.scratch.clone(),
            checkpoints: Vec::new(),
            save_every: SAVE_EVERY,
            origin: json!(scene.id.to_string()),
            base: None,
            observer: scene.observer.clone(),
        };
        let curriculum = |first, count| Ok(tasks::curriculum(self.seed, first, count));
        train_sft(&model, &curriculum, &self.training, &run)?;
        // Trained in place, the model is the last checkpoint; it is kept under the name that readers expect.
        let folder = self::model(&scene.folder);
        std::fs::create_dir_all(&folder).map_err(|error| io("create", &folder, error))?;
        model.save(&folder)?;
        let checkpoints = scene.folder.join("checkpoints");
        std::fs::remove_dir_all(&checkpoints)
            .or_else(ignore_missing)
            .map_err(|error| io("remove", &checkpoints, error))
    }
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
