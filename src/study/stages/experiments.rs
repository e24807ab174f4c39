//! Stage `experiments`: edits of feature sets and of their controls, and what they do to every suite.

use super::models::{self, ModelSource};
use super::{dictionary, diff};
use crate::dictionaries::Dictionary;
use crate::diff::FeatureRow;
use crate::error::Result;
use crate::experiments::{self, Axis, ExperimentInputs, ExperimentSettings};
use crate::model::HookPoint;
use crate::study::config::{BASE, Hypothesis, Study};
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tables::{self, catalogue};
use crate::tasks::Suite;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const NAME: &str = "experiments";

pub(super) struct Experiments {
    seed: u64,
    settings: ExperimentSettings,
    hook: HookPoint,
    suites: Vec<(Axis, Suite)>,
    models: Vec<ModelSource>,
    hypotheses: Vec<Declared>,
}

/// A hypothesis with the models that it is about.
struct Declared {
    hypothesis: Hypothesis,
    receiver: ModelSource,
    donor: Option<ModelSource>,
}

impl Declared {
    fn new(study: &Study, hypothesis: &Hypothesis) -> Result<Self> {
        let donor = hypothesis.donor.as_ref().map(|donor| ModelSource::new(study, donor));
        Ok(Self {
            receiver: ModelSource::new(study, &hypothesis.receiver)?,
            donor: donor.transpose()?,
            hypothesis: hypothesis.clone(),
        })
    }

    /// The hypothesis, now that every checkpoint is chosen.
    fn named(&self, scene: &Scene) -> Result<experiments::Hypothesis> {
        let name = |model: &ModelSource| model.chosen(scene).map(|chosen| chosen.to_string());
        let donor = self.donor.as_ref().map(name).transpose()?;
        Ok(self.hypothesis.with_names(name(&self.receiver)?, donor))
    }
}

impl Experiments {
    /// `None` without hypotheses.
    pub(super) fn new(study: &Study) -> Result<Option<Self>> {
        let (Some(dictionary), Some(capture), false) =
            (&study.dictionary, &study.capture, study.hypotheses.is_empty())
        else {
            return Ok(None);
        };
        let models = dictionary.over.iter().map(|reference| ModelSource::new(study, reference));
        let hypotheses = study.hypotheses.iter().map(|hypothesis| Declared::new(study, hypothesis));
        Ok(Some(Self {
            seed: study.seed,
            settings: study.interventions.clone(),
            hook: capture.hook()?,
            suites: study.suites.by_axis().map(|(axis, suite)| (axis, suite.clone())).collect(),
            models: models.collect::<Result<_>>()?,
            hypotheses: hypotheses.collect::<Result<_>>()?,
        }))
    }
}

impl Stage for Experiments {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn revision(&self) -> u32 {
        1
    }

    fn config(&self) -> Result<Value> {
        let declared = self.hypotheses.iter().map(|declared| json(&declared.hypothesis.declared));
        Ok(json!({
            "seed": self.seed,
            "settings": json(&self.settings)?,
            "suites": self.suites.iter().map(|(axis, suite)| (axis.name(), suite.name())).collect::<Vec<_>>(),
            "hypotheses": declared.collect::<Result<Vec<_>>>()?,
        }))
    }

    fn inputs(&self) -> Vec<String> {
        let mut inputs = models::inputs(&self.models);
        inputs.extend([dictionary::NAME, diff::NAME].map(str::to_owned));
        inputs
    }

    fn outside(&self) -> Result<BTreeMap<String, String>> {
        models::outside(&self.models, self.suites.iter().map(|(_, suite)| suite))
    }

    fn estimate(&self) -> Estimate {
        let ExperimentSettings { problems, samples, controls, .. } = self.settings;
        let conditions = self.hypotheses.len() * (controls + 1);
        let completions = (conditions * problems * samples * self.suites.len()) as f64;
        Estimate { seconds: 30.0 + completions / 5000.0, memory_bytes: 1.5e9, disk_bytes: 2e6 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let features: Vec<FeatureRow> = tables::read(&scene.input(diff::NAME)?.join("features.parquet"))?;
        let inputs = ExperimentInputs {
            models: models::load(&self.models, scene)?,
            dictionary: Dictionary::load(&dictionary::folder(scene.input(dictionary::NAME)?))?,
            hook: self.hook,
            classes: features.iter().map(|row| row.class.name().to_owned()).collect(),
            suites: self.suites.clone(),
            base: BASE.to_owned(),
        };
        let hypotheses =
            self.hypotheses.iter().map(|declared| declared.named(scene)).collect::<Result<Vec<_>>>()?;
        let found = experiments::run(&inputs, &hypotheses, &self.settings, self.seed, &scene.observer)?;
        let file = |name: &str| scene.folder.join(format!("{name}.parquet"));
        tables::write(&file("effects"), &catalogue::EFFECTS, &found.effects)?;
        tables::write(&file("controls"), &catalogue::CONTROLS, &found.controls)?;
        tables::write(&file("differences"), &catalogue::DIFFERENCES, &found.differences)?;
        tables::write(&file("sets"), &catalogue::SETS, &found.sets)
    }
}
