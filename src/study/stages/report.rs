//! Stage `report`: every table of the study in one place, and the page that shows them.

use super::matching::{self, Matching};
use super::models::ModelSource;
use super::select::{self, Selection};
use crate::claims::ClaimSettings;
use crate::diff::DiffSettings;
use crate::error::{Result, io};
use crate::experiments::ExperimentSettings;
use crate::report::{self, OutsideFact, ReportInput, StageFact, StudyFacts, VariantFact};
use crate::store::{Manifest, Outside};
use crate::study::config::{BASE, Base, Method, Reference, Study};
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tables::{self, catalogue};
use crate::tasks::Suite;
use crate::training::TimingRow;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(super) const NAME: &str = "report";

pub(super) struct Report {
    study: Study,
    inputs: Vec<String>,
}

impl Report {
    /// `inputs` are all other stages, in the order they run.
    pub(super) fn new(study: &Study, inputs: Vec<String>) -> Self {
        Self { study: study.clone(), inputs }
    }

    fn facts(&self, scene: &Scene) -> Result<StudyFacts> {
        let study = &self.study;
        let selection = match self.inputs.iter().any(|input| input == select::NAME) {
            true => Some(Selection::load(scene.input(select::NAME)?)?),
            false => None,
        };
        let label =
            |reference: &Reference| Ok(ModelSource::new(study, reference)?.chosen(&scene.made)?.to_string());
        let over = study.dictionary.as_ref().map(|dictionary| dictionary.over.as_slice()).unwrap_or_default();
        Ok(StudyFacts {
            name: study.name.clone(),
            question: study.question.clone(),
            seed: study.seed,
            device: scene.made.device.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            base: self.base(),
            variants: self.variants(),
            in_domain: names(&study.suites.in_domain),
            transfer: names(&study.suites.transfer),
            safety: names(&study.suites.safety),
            collateral: names(&study.suites.collateral),
            dictionary_variants: over.iter().map(label).collect::<Result<_>>()?,
            matched: selection.map(|selection| self.matched(&selection)).unwrap_or_default(),
            same_change: match self.inputs.iter().any(|input| input == matching::NAME) {
                true => Matching::load(scene.input(matching::NAME)?)?.sentences(),
                false => Vec::new(),
            },
            samples: study.evaluation.samples as u64,
            temperature: f64::from(study.evaluation.temperature),
            max_new_tokens: study.evaluation.max_new_tokens as u64,
            alpha: study.claims.alpha,
            correction: study.claims.correction.name().to_owned(),
            training_seeds: self.training_seeds(),
            changed_defaults: self.changed_defaults()?,
            beside: Vec::new(),
            stages: self.stages(scene)?,
            outside: self.outside_facts(scene)?,
            older: scene.older.clone(),
            study_file: study.text.clone(),
        })
    }

    /// The fewest training seeds of any variant that is trained.
    fn training_seeds(&self) -> u64 {
        let variants = &self.study.variants;
        let trained = variants.iter().filter(|one| matches!(one.method, Method::Trained(_)));
        let seeds = trained.map(|one| variants.iter().filter(|other| other.group == one.group).count());
        seeds.min().unwrap_or(1) as u64
    }

    fn base(&self) -> String {
        match &self.study.base {
            Base::Preset { preset, training } => {
                format!("preset {preset:?}, {} steps on the built-in curriculum", training.steps)
                    .to_lowercase()
            }
            Base::Model(model) => model.clone(),
        }
    }

    fn variants(&self) -> Vec<VariantFact> {
        let base = match &self.study.base {
            Base::Preset { training, .. } => ("curriculum".to_owned(), training.steps),
            Base::Model(model) => (model.clone(), 0),
        };
        let base = VariantFact {
            name: BASE.to_owned(),
            method: BASE.to_owned(),
            data: base.0,
            steps: base.1 as u64,
            updates_per_step: 1,
            runs: Vec::new(),
        };
        let variants = self.study.variants.iter().filter(|variant| !variant.is_replicate()).map(|variant| {
            let (method, data, updates) = match &variant.method {
                Method::Trained(training) => {
                    (training.name(), training.teacher(), training.updates_per_step())
                }
                Method::Model(model) => ("given", model.clone(), 1),
            };
            let own = self.study.variants.iter().filter(|other| other.group == variant.group);
            let runs: Vec<String> = own.map(|run| run.name.clone()).collect();
            VariantFact {
                name: variant.name.clone(),
                method: method.to_owned(),
                data,
                steps: variant.last_checkpoint().unwrap_or(0) as u64,
                updates_per_step: updates as u64,
                runs: if runs.len() > 1 { runs } else { Vec::new() },
            }
        });
        std::iter::once(base).chain(variants).collect()
    }

    /// The matched checkpoints in the order of the study, the reference at its end.
    fn matched(&self, selection: &Selection) -> Vec<String> {
        let variants = self.study.variants.iter().filter(|variant| !variant.is_replicate());
        let variants = variants.filter_map(|variant| {
            let step = if variant.name == selection.reference {
                variant.last_checkpoint()
            } else {
                selection.matched.get(&variant.name).copied()
            };
            step.map(|step| format!("{}@{step}", variant.name))
        });
        variants.collect()
    }

    /// What the study changed of the protocol's defaults, a line each.
    fn changed_defaults(&self) -> Result<Vec<String>> {
        let mut changed =
            changes("interventions", &self.study.interventions, &ExperimentSettings::default())?;
        changed.extend(changes("claims", &self.study.claims, &ClaimSettings::default())?);
        changed.extend(changes("diff", &self.study.diff, &DiffSettings::default())?);
        Ok(changed)
    }

    fn stages(&self, scene: &Scene) -> Result<Vec<StageFact>> {
        let manifest = |name: &String| {
            let manifest = Manifest::load(scene.input(name)?)?;
            Ok(StageFact {
                name: name.clone(),
                id: manifest.recipe.id().short().to_owned(),
                inputs: manifest.recipe.inputs.values().map(|id| id.short().to_owned()).collect(),
            })
        };
        self.inputs.iter().map(manifest).collect()
    }

    /// What the stages read from outside of the store, each file once.
    fn outside_facts(&self, scene: &Scene) -> Result<Vec<OutsideFact>> {
        let mut all = BTreeMap::new();
        for name in &self.inputs {
            all.extend(Manifest::load(scene.input(name)?)?.recipe.outside);
        }
        Ok(all.into_iter().map(|(role, hash)| OutsideFact { role, hash }).collect())
    }

    /// How long every stage took, as its manifest tells it.
    fn write_timings(&self, scene: &Scene) -> Result<PathBuf> {
        let row = |name: &String| {
            let manifest = Manifest::load(scene.input(name)?)?;
            Ok(TimingRow { stage: name.clone(), seconds: manifest.wall_seconds, ..TimingRow::default() })
        };
        let rows = self.inputs.iter().map(row).collect::<Result<Vec<_>>>()?;
        let folder = scene.scratch.join("timings");
        std::fs::create_dir_all(&folder).map_err(|error| io("create", &folder, error))?;
        tables::write(&folder.join("timings.parquet"), &catalogue::TIMINGS, &rows)?;
        Ok(folder)
    }
}

/// The fields in which `found` differs from `default`, a line each.
fn changes(section: &str, found: &impl Serialize, default: &impl Serialize) -> Result<Vec<String>> {
    let (found, default) = (json(found)?, json(default)?);
    let (Some(found), Some(default)) = (found.as_object(), default.as_object()) else {
        return Ok(Vec::new());
    };
    let changed = found.iter().filter(|(key, value)| default.get(*key) != Some(value));
    Ok(changed
        .map(|(key, value)| {
            format!("{section}.{key} is {value} instead of {}", default.get(key).unwrap_or(&Value::Null))
        })
        .collect())
}

fn names(suites: &[Suite]) -> Vec<String> {
    suites.iter().map(|suite| suite.name().to_owned()).collect()
}

impl Stage for Report {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn may_be_older(&self) -> bool {
        false
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({ "name": self.study.name, "question": self.study.question, "study": self.study.text }))
    }

    fn inputs(&self) -> Vec<String> {
        self.inputs.clone()
    }

    fn outside(&self) -> Result<Outside> {
        self.study.beside.contents()
    }

    fn estimate(&self) -> Estimate {
        Estimate { seconds: 3.0, memory_bytes: 0.3e9, disk_bytes: 10e6 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let mut folders = self
            .inputs
            .iter()
            .map(|name| scene.input(name).map(ToOwned::to_owned))
            .collect::<Result<Vec<PathBuf>>>()?;
        folders.push(self.write_timings(scene)?);
        let beside = self.study.beside.clone();
        report::build(&ReportInput { tables: folders, facts: self.facts(scene)?, beside }, &scene.folder)
    }
}
