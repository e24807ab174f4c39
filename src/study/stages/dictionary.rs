//! Stage `dictionary`: one dictionary over the captured activations of all its variants, fitted once or under
//! several seeds in one pass, and what splicing its reconstructions into the variants costs them.

use super::capture;
use super::models::{self, ModelSource};
use crate::activations::ActivationStore;
use crate::dictionaries::{self, FitSettings, Job};
use crate::error::{Error, Result, io};
use crate::store::Outside;
use crate::study::config::Study;
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tables::{self, catalogue};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "dictionary";

/// Held-out tokens on which the cost of splicing is measured: three passes of every variant over them.
const SPLICED_TOKENS: usize = 20_000;

pub(super) struct Dictionary {
    seed: u64,
    seeds: usize,
    models: Vec<ModelSource>,
    settings: FitSettings,
}

/// The dictionary in the artifact's folder.
pub(super) fn folder(artifact: &Path) -> PathBuf {
    artifact.join("dictionary")
}

/// The same dictionary fitted under other seeds, `index` from 1.
fn repetition(artifact: &Path, index: usize) -> PathBuf {
    artifact.join(format!("repetition_{index}"))
}

/// The dictionaries that were fitted under other seeds.
pub(super) fn repetitions(artifact: &Path) -> Vec<PathBuf> {
    (1..).map(|index| repetition(artifact, index)).take_while(|folder| folder.is_dir()).collect()
}

impl Dictionary {
    /// `None` if the study asks for none.
    pub(super) fn new(study: &Study) -> Result<Option<Self>> {
        let Some(request) = study.dictionary.as_ref() else { return Ok(None) };
        let models = request.over.iter().map(|reference| ModelSource::new(study, reference));
        Ok(Some(Self {
            seed: study.seed,
            seeds: request.seeds,
            models: models.collect::<Result<_>>()?,
            settings: request.settings.clone(),
        }))
    }
}

impl Stage for Dictionary {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({ "seed": self.seed, "seeds": self.seeds, "settings": json(&self.settings)? }))
    }

    fn inputs(&self) -> Vec<String> {
        let mut inputs = models::inputs(&self.models);
        inputs.push(capture::NAME.to_owned());
        inputs
    }

    fn outside(&self) -> Result<Outside> {
        models::outside(&self.models, [])
    }

    fn estimate(&self) -> Estimate {
        let FitSettings { features, steps, batch, .. } = self.settings;
        // The quickstart's width. Encoding is one matrix product a token; the rest is about as much again.
        let width = (self.models.len() * 128) as f64;
        let operations = (self.seeds * steps * batch * features) as f64 * width;
        let parameters = (self.seeds * features) as f64 * width * 2.0;
        Estimate {
            seconds: operations * 4.0 / 100e9 + 1e-4 * (SPLICED_TOKENS * self.models.len()) as f64,
            memory_bytes: 0.3e9 + parameters * 16.0,
            disk_bytes: parameters * 4.0,
        }
    }

    fn resumes(&self) -> bool {
        true
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let store = ActivationStore::open(&capture::store(scene.input(capture::NAME)?))?;
        store.verify()?;
        let held_out = store.held_out();
        dictionaries::check_judge(&store, held_out.clone())?;
        let job = |index: usize| Job {
            settings: self.settings.clone(),
            seed: self.seed.wrapping_add(index as u64),
            folder: Some(scene.scratch.join(format!("fit_{index}"))),
            compute: scene.made.device.clone(),
        };
        let jobs: Vec<Job> = (0..self.seeds).map(job).collect();
        let fitted = dictionaries::fit_jobs(&store, &store, &jobs, self.seed, &scene.observer)?;
        for (index, dictionary) in fitted.iter().enumerate() {
            let folder = if index == 0 { folder(&scene.folder) } else { repetition(&scene.folder, index) };
            std::fs::create_dir_all(&folder).map_err(|error| io("create", &folder, error))?;
            dictionary.save(&folder)?;
        }
        let (first, others) = fitted.split_first().ok_or_else(|| Error::work("a fit gave no dictionary"))?;
        let mut judgement = dictionaries::judge(first, &store, &store, held_out.clone())?;
        dictionaries::add_stability(&mut judgement, first, others)?;
        let mut rows = judgement.rows;
        let spliced = held_out.start..held_out.end.min(held_out.start + SPLICED_TOKENS);
        let models = models::load(&self.models, &scene.made)?;
        dictionaries::add_splice_costs(
            &mut rows,
            first,
            (&store, &store),
            &models,
            spliced,
            &scene.observer,
        )?;
        tables::write(&scene.folder.join("dictionaries.parquet"), &catalogue::DICTIONARIES, &rows)
    }
}
