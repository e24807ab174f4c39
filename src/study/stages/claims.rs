//! Stage `claims`: effects and controls become verdicts.

use super::{dictionary, evaluation, experiments, repetition};
use crate::claims::{self, ClaimRow, ClaimSettings, Fitness, RepetitionRow};
use crate::dictionaries::DictionaryRow;
use crate::error::Result;
use crate::evaluation::EvaluationRow;
use crate::experiments::{ControlRow, DifferenceRow, EffectRow};
use crate::study::config::{BASE, Study};
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tables::{self, catalogue};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) const NAME: &str = "claims";

pub(super) struct Claims {
    seed: u64,
    settings: ClaimSettings,
    receivers: Vec<String>,
    /// The stages that decide the same hypotheses with other seeds.
    repetitions: Vec<String>,
}

impl Claims {
    /// `None` without hypotheses to decide.
    pub(super) fn new(study: &Study, repetitions: Vec<String>) -> Option<Self> {
        let variants: BTreeSet<String> =
            study.hypotheses.iter().map(|hypothesis| hypothesis.receiver.variant.clone()).collect();
        (!variants.is_empty()).then(|| Self {
            seed: study.seed,
            settings: study.claims.clone(),
            receivers: variants.into_iter().filter(|variant| variant != BASE).collect(),
            repetitions,
        })
    }
}

impl Stage for Claims {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({ "seed": self.seed, "settings": json(&self.settings)? }))
    }

    fn inputs(&self) -> Vec<String> {
        let evaluations = self.receivers.iter().map(String::as_str).chain([BASE]).map(evaluation::name);
        let before = [experiments::NAME, dictionary::NAME].map(str::to_owned).into_iter();
        before.chain(evaluations).chain(self.repetitions.iter().cloned()).collect()
    }

    fn estimate(&self) -> Estimate {
        Estimate { seconds: 5.0, memory_bytes: 0.2e9, disk_bytes: 2e4 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let folder = scene.input(experiments::NAME)?;
        let effects: Vec<EffectRow> = tables::read(&folder.join("effects.parquet"))?;
        let controls: Vec<ControlRow> = tables::read(&folder.join("controls.parquet"))?;
        let differences: Vec<DifferenceRow> = tables::read(&folder.join("differences.parquet"))?;
        let mut evaluations: Vec<EvaluationRow> = Vec::new();
        for variant in self.receivers.iter().map(String::as_str).chain([BASE]) {
            evaluations.extend(tables::read::<EvaluationRow>(
                &scene.input(&evaluation::name(variant))?.join("evaluations.parquet"),
            )?);
        }
        let dictionaries: Vec<DictionaryRow> =
            tables::read(&scene.input(dictionary::NAME)?.join("dictionaries.parquet"))?;
        let fitness = Fitness::of_receivers(&effects, &evaluations, &dictionaries, BASE);
        let mut rows =
            claims::decide(&effects, &controls, &differences, &fitness, &self.settings, self.seed)?;
        let mut repetitions = Vec::new();
        for name in &self.repetitions {
            let repeated: Vec<ClaimRow> = tables::read(&scene.input(name)?.join("claims.parquet"))?;
            repetitions
                .extend(repeated.iter().map(|claim| RepetitionRow::new(repetition::seed(name), claim)));
        }
        if !repetitions.is_empty() {
            let file = scene.folder.join("repetitions.parquet");
            tables::write(&file, &catalogue::REPETITIONS, &repetitions)?;
        }
        claims::count_agreement(&mut rows, &repetitions);
        tables::write(&scene.folder.join("claims.parquet"), &catalogue::CLAIMS, &rows)
    }
}
