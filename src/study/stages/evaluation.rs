//! Stages `evaluation base` and `evaluation <variant>`: every checkpoint on every suite.
//!
//! One artifact a variant, so that a further variant redoes no other. A checkpoint that was evaluated
//! before an interruption is not evaluated again. Single completions are kept for the first training seed of a
//! variant; of the others only what each scored, out of the report's sight.

use super::models::{self, ModelSource};
use crate::error::{At, Error, Result, io};
use crate::evaluation::{
    self, AgreementRow, DisagreementRow, EvaluationRow, EvaluationSettings, OutcomeRow, PLAIN,
};
use crate::foreign;
use crate::study::config::{self, BASE, Checkpoint, Gate, Reference, Study};
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tables::{self, catalogue};
use crate::tasks::Suite;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) struct Evaluation {
    seed: u64,
    variant: String,
    models: Vec<(u64, ModelSource)>,
    suites: Vec<Suite>,
    settings: EvaluationSettings,
    gate: Option<(Gate, Vec<Suite>)>,
    /// Whether the texts of single completions are kept; those of the first training seed are enough to read.
    outcomes: bool,
}

/// The name of the stage that evaluates `variant`.
pub(super) fn name(variant: &str) -> String {
    format!("evaluation {variant}")
}

/// The folder of an evaluation whose completions are not to be read: the report gathers tables beside it only.
const SCORED: &str = "scored";
const OUTCOMES: &str = "outcomes.parquet";

/// What every completion of a finished evaluation scored; with its text where texts were kept.
pub(super) fn outcomes(artifact: &Path) -> Result<Vec<OutcomeRow>> {
    let read = artifact.join(OUTCOMES);
    tables::read(&if read.exists() { read } else { artifact.join(SCORED).join(OUTCOMES) })
}

/// What an interrupted stage keeps of one checkpoint.
#[derive(Serialize, Deserialize)]
struct Evaluated {
    outcomes: Vec<OutcomeRow>,
    evaluations: Vec<EvaluationRow>,
    #[serde(default)]
    agreements: Vec<AgreementRow>,
    #[serde(default)]
    disagreements: Vec<DisagreementRow>,
}

impl Evaluation {
    /// Of the base, which must pass the gate.
    pub(super) fn of_base(study: &Study) -> Result<Self> {
        let gate = Some((study.gate.clone(), study.suites.in_domain.clone()));
        Self::new(study, BASE, &[Reference::base()], gate, true)
    }

    /// Of all checkpoints of a variant.
    pub(super) fn of_variant(study: &Study, variant: &config::Variant) -> Result<Self> {
        let at = |checkpoint| Reference { variant: variant.name.clone(), checkpoint };
        let references: Vec<Reference> = match variant.checkpoints.as_slice() {
            [] => vec![at(Checkpoint::Last)],
            steps => steps.iter().map(|step| at(Checkpoint::Step(*step))).collect(),
        };
        Self::new(study, &variant.name, &references, None, !variant.is_replicate())
    }

    fn new(
        study: &Study,
        variant: &str,
        references: &[Reference],
        gate: Option<(Gate, Vec<Suite>)>,
        outcomes: bool,
    ) -> Result<Self> {
        let step = |reference: &Reference| match reference.checkpoint {
            Checkpoint::Step(step) => step as u64,
            _ => 0,
        };
        let models = references
            .iter()
            .map(|reference| Ok((step(reference), ModelSource::new(study, reference)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            seed: study.seed,
            variant: variant.to_owned(),
            models,
            suites: study.suites.all(),
            settings: study.evaluation.clone(),
            gate,
            outcomes,
        })
    }

    fn evaluate(&self, scene: &Scene, step: u64, source: &ModelSource) -> Result<Evaluated> {
        let kept = scene.scratch.join(format!("{step}.json"));
        if let Some(evaluated) =
            foreign::bytes(&kept, foreign::DATA).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
        {
            return Ok(evaluated);
        }
        let (label, model) = source.load(&scene.made)?;
        let outcomes = evaluation::evaluate(&model, &self.suites, &self.settings, self.seed, &scene.observer)
            .at(format!("model `{label}`"))?;
        evaluation::missing(&outcomes).iter().for_each(|note| tracing::warn!("model `{label}`: {note}"));
        let (agreements, disagreements) = evaluation::agreement(&self.variant, step, &self.suites, &outcomes);
        let evaluated = Evaluated {
            agreements,
            disagreements,
            evaluations: evaluation::summarise(&self.variant, step, &outcomes),
            outcomes: outcomes
                .iter()
                .map(|outcome| OutcomeRow::new(&self.variant, step, PLAIN, outcome))
                .collect(),
        };
        let text = serde_json::to_vec(&evaluated)
            .map_err(|error| Error::work(format!("an evaluation cannot be kept: {error}")))?;
        let partial = kept.with_extension("partial");
        std::fs::write(&partial, text).map_err(|error| io("write", &partial, error))?;
        std::fs::rename(&partial, &kept).map_err(|error| io("rename", &partial, error))?;
        Ok(evaluated)
    }
}

impl Stage for Evaluation {
    fn name(&self) -> String {
        name(&self.variant)
    }

    fn revision(&self) -> u32 {
        4
    }

    fn config(&self) -> Result<Value> {
        let models: Vec<ModelSource> = self.models.iter().map(|(_, source)| source.clone()).collect();
        Ok(json!({
            "seed": self.seed,
            "models": models::names(&models),
            "suites": self.suites.iter().map(Suite::name).collect::<Vec<_>>(),
            "settings": json(&self.settings)?,
        }))
    }

    fn inputs(&self) -> Vec<String> {
        let models: Vec<ModelSource> = self.models.iter().map(|(_, source)| source.clone()).collect();
        models::inputs(&models)
    }

    fn outside(&self) -> Result<BTreeMap<String, String>> {
        let models: Vec<ModelSource> = self.models.iter().map(|(_, source)| source.clone()).collect();
        models::outside(&models, &self.suites)
    }

    fn estimate(&self) -> Estimate {
        let completions = (self.models.len() * self.suites.len() * self.settings.samples * 400) as f64;
        Estimate { seconds: completions / 4000.0, memory_bytes: 0.6e9, disk_bytes: completions * 30.0 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let (mut outcomes, mut evaluations) = (Vec::new(), Vec::new());
        let (mut agreements, mut disagreements) = (Vec::new(), Vec::new());
        let label = self.name();
        let mut bar = scene.observer.bar(&label, self.models.len() as u64, "checkpoints");
        for (step, source) in &self.models {
            scene.observer.check()?;
            let evaluated = self.evaluate(scene, *step, source)?;
            outcomes.extend(evaluated.outcomes);
            evaluations.extend(evaluated.evaluations);
            agreements.extend(evaluated.agreements);
            disagreements.extend(evaluated.disagreements);
            bar.advance(1);
        }
        let folder = match self.outcomes {
            true => scene.folder.clone(),
            false => {
                outcomes.iter_mut().for_each(|row| row.completion.clear());
                scene.folder.join(SCORED)
            }
        };
        std::fs::create_dir_all(&folder).map_err(|error| io("create", &folder, error))?;
        tables::write(&folder.join(OUTCOMES), &catalogue::OUTCOMES, &outcomes)?;
        if !agreements.is_empty() {
            let table = |name: &str| scene.folder.join(format!("{name}.parquet"));
            tables::write(&table("agreements"), &catalogue::AGREEMENTS, &agreements)?;
            if self.outcomes {
                tables::write(&table("disagreements"), &catalogue::DISAGREEMENTS, &disagreements)?;
            }
        }
        tables::write(&scene.folder.join("evaluations.parquet"), &catalogue::EVALUATIONS, &evaluations)
    }

    fn accept(&self, artifact: &Path) -> Result<()> {
        let Some((gate, in_domain)) = &self.gate else { return Ok(()) };
        let rows: Vec<EvaluationRow> = tables::read(&artifact.join("evaluations.parquet"))?;
        gate.judge(&rows, in_domain)
    }
}
