//! Stage `experiments`: edits of feature sets and of their controls, and what they do to every suite.

use super::models::{self, ModelSource};
use super::repetition::ORIGINAL;
use super::{dictionary, diff};
use crate::dictionaries::{self, Dictionary};
use crate::diff::FeatureRow;
use crate::error::{At, Result};
use crate::experiments::{self, Axis, ExperimentInputs, ExperimentSettings, SetRule, neutral_texts};
use crate::interventions::Edit;
use crate::model::HookPoint;
use crate::store::{Content, Outside};
use crate::study::config::{BASE, Hypothesis, Study};
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tables;
use crate::tasks::Suite;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) const NAME: &str = "experiments";

pub(super) struct Experiments {
    seed: u64,
    settings: ExperimentSettings,
    hook: HookPoint,
    suites: Vec<(Axis, Suite)>,
    models: Vec<ModelSource>,
    /// The models as the study writes them.
    written: Vec<String>,
    hypotheses: Vec<Declared>,
    /// Whether listed features are numbered as in the study's own dictionary, of which this repeats the fit.
    repeats: bool,
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

    /// The hypothesis, now that every checkpoint is chosen. `names` are the chosen names of the variants.
    fn named(&self, scene: &Scene, names: &BTreeMap<String, String>) -> Result<experiments::Hypothesis> {
        let name = |model: &ModelSource| model.chosen(&scene.made).map(|chosen| chosen.to_string());
        let donor = self.donor.as_ref().map(name).transpose()?;
        let mut named = self.hypothesis.with_names(name(&self.receiver)?, donor);
        if let SetRule::Means { of: Some(of), .. } = &mut named.set
            && let Some(chosen) = names.get(of.as_str())
        {
            of.clone_from(chosen);
        }
        Ok(named)
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
            written: dictionary.over.iter().map(ToString::to_string).collect(),
            hypotheses: hypotheses.collect::<Result<_>>()?,
            repeats: false,
        }))
    }

    /// The declared hypotheses alone, with another dictionary: features that they list are matched one to one.
    pub(super) fn repeated(study: &Study) -> Result<Option<Self>> {
        Ok(Self::new(study)?.map(|experiments| Self {
            settings: ExperimentSettings {
                exploratory: false,
                doses: Vec::new(),
                protocol: None,
                ..experiments.settings
            },
            repeats: true,
            ..experiments
        }))
    }

    /// Hypotheses whose listed features are those of `dictionary` that match the ones of the original.
    fn translate(
        &self,
        hypotheses: &mut [experiments::Hypothesis],
        dictionary: &Dictionary,
        scene: &Scene,
    ) -> Result<()> {
        let listed = |hypothesis: &experiments::Hypothesis| matches!(hypothesis.set, SetRule::Features(_));
        if !self.repeats || !hypotheses.iter().any(listed) {
            return Ok(());
        }
        let original = scene.input(&format!("{ORIGINAL}{}", dictionary::NAME))?;
        let matches = dictionaries::matches(&Dictionary::load(&dictionary::folder(original))?, dictionary)?;
        for hypothesis in hypotheses {
            if let SetRule::Features(features) = &mut hypothesis.set {
                let matched = features.iter().filter_map(|feature| *matches.get(*feature as usize)?);
                *features = matched.collect();
            }
        }
        Ok(())
    }
}

impl Experiments {
    /// The names that tables give to the variants of the dictionary, by how the study names them.
    fn names(&self, scene: &Scene) -> Result<BTreeMap<String, String>> {
        let resolved = models::names(&self.models);
        let written = resolved.iter().chain(&self.written).zip(self.models.iter().cycle());
        written
            .map(|(written, model)| Ok((written.clone(), model.chosen(&scene.made)?.to_string())))
            .collect()
    }
}

impl Stage for Experiments {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
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
        inputs.extend(self.repeats.then(|| format!("{ORIGINAL}{}", dictionary::NAME)));
        inputs
    }

    fn outside(&self) -> Result<Outside> {
        let mut outside = models::outside(&self.models, self.suites.iter().map(|(_, suite)| suite))?;
        if let Some(file) = &self.settings.neutral {
            outside.insert(
                format!("neutral text {file}"),
                Content::of_file(Path::new(file)).at("[interventions]")?,
            );
        }
        for declared in &self.hypotheses {
            if let SetRule::File(file) = &declared.hypothesis.declared.set {
                let place = || format!("hypothesis `{}`", declared.hypothesis.name());
                outside.insert(format!("direction {file}"), Content::of_file(Path::new(file)).at(place())?);
            }
        }
        Ok(outside)
    }

    fn estimate(&self) -> Estimate {
        let ExperimentSettings { problems, samples, controls, .. } = self.settings;
        let conditions = self.hypotheses.len() * (controls + 1);
        let completions = (conditions * problems * samples * self.suites.len()) as f64;
        Estimate { seconds: 30.0 + completions / 5000.0, memory_bytes: 1.5e9, disk_bytes: 2e6 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let features: Vec<FeatureRow> = tables::read(&scene.input(diff::NAME)?.join("features.parquet"))?;
        let models = models::load(&self.models, &scene.made)?;
        let neutral = match models.first() {
            Some((_, base)) => neutral_texts(
                base,
                self.seed,
                self.settings.neutral_texts,
                self.settings.neutral.as_deref().map(Path::new),
            )?,
            None => Vec::new(),
        };
        let inputs = ExperimentInputs {
            models,
            dictionary: Some(Dictionary::load(&dictionary::folder(scene.input(dictionary::NAME)?))?),
            hook: self.hook,
            classes: features.iter().map(|row| row.class.name().to_owned()).collect(),
            suites: self.suites.clone(),
            base: BASE.to_owned(),
            neutral,
        };
        let names = self.names(scene)?;
        let hypotheses = self.hypotheses.iter().map(|declared| declared.named(scene, &names));
        let mut hypotheses = hypotheses.collect::<Result<Vec<_>>>()?;
        if let Some(dictionary) = &inputs.dictionary {
            self.translate(&mut hypotheses, dictionary, scene)?;
        }
        let donor = |edit: &Edit| match edit.donor().and_then(|donor| names.get(donor)) {
            Some(chosen) => edit.clone().with_donor(chosen),
            None => edit.clone(),
        };
        let settings = ExperimentSettings {
            edits: self.settings.edits.iter().map(donor).collect(),
            ..self.settings.clone()
        };
        let found = experiments::run(&inputs, &hypotheses, &settings, self.seed, &scene.observer)?;
        found.write(&scene.folder)
    }
}
