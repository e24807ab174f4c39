//! Stage `comparison`: what changed between the dictionary's variants, beyond its features' own geometry.
//!
//! On the selection half of every suite: how much more each variant uses each feature, how far predictions are
//! from base's by suite, and what linear probes read. On requests: the refusal direction with its selection, and
//! attention heads. On what was trained on: the direction from failed to solved responses. On neutral texts: the mean
//! difference on first tokens. Then weights, and the dynamics of features along checkpoints.

use super::models::{self, ModelSource};
use super::{capture, dictionary};
use crate::activations::ActivationStore;
use crate::dictionaries::Dictionary;
use crate::diff::models::{
    DirectionRow, DirectionSettings, LabelledPrompt, ProbeSettings, activation_differences, directions,
    divergence, heads, labels, probes, weights,
};
use crate::diff::{DynamicsRow, dynamics};
use crate::error::{At, Result};
use crate::experiments::{Axis, ExperimentInputs, ExperimentSettings, neutral_texts, own_texts};
use crate::model::{HookPoint, Model};
use crate::progress::Bar;
use crate::store::Outside;
use crate::study::config::{BASE, Checkpoint, Reference, Study};
use crate::study::stage::{Estimate, Scene, Stage, json};
use crate::tables::{self, TableSpec, catalogue};
use crate::tasks::{Half, Suite};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Prompts of each suite.
const PROMPTS: usize = 32;
/// Texts on which mean differences are read.
const NEUTRAL_TEXTS: usize = 64;

pub(super) struct Comparison {
    seed: u64,
    settings: ExperimentSettings,
    lens_tokens: usize,
    hook: HookPoint,
    /// Where probes and mean differences are read: the captured hook, then those that the study adds.
    hooks: Vec<HookPoint>,
    suites: Vec<(Axis, Suite)>,
    models: Vec<ModelSource>,
    /// Of every trained variant of the dictionary: how it is named there, and its checkpoints in order.
    trained: Vec<(ModelSource, Vec<(u64, ModelSource)>)>,
}

/// The captured hook and the others, each once.
fn hooks(captured: HookPoint, others: &[HookPoint]) -> Vec<HookPoint> {
    let mut hooks = vec![captured];
    for hook in others {
        if !hooks.contains(hook) {
            hooks.push(*hook);
        }
    }
    hooks
}

impl Comparison {
    /// `None` without a dictionary, or where the study does not ask for it.
    pub(super) fn new(study: &Study) -> Result<Option<Self>> {
        let (Some(dictionary), Some(capture), true) = (&study.dictionary, &study.capture, study.diff.models)
        else {
            return Ok(None);
        };
        let mut trained = Vec::new();
        for reference in &dictionary.over {
            let Some(variant) = study.variant(&reference.variant) else { continue };
            let at = |step: usize| {
                let reference =
                    Reference { variant: variant.name.clone(), checkpoint: Checkpoint::Step(step) };
                Ok((step as u64, ModelSource::new(study, &reference)?))
            };
            let steps = variant.checkpoints.iter().map(|step| at(*step)).collect::<Result<Vec<_>>>()?;
            if !steps.is_empty() {
                trained.push((ModelSource::new(study, reference)?, steps));
            }
        }
        let models = dictionary.over.iter().map(|reference| ModelSource::new(study, reference));
        Ok(Some(Self {
            seed: study.seed,
            settings: ExperimentSettings { problems: PROMPTS, ..study.interventions.clone() },
            lens_tokens: study.diff.lens_tokens,
            hook: capture.hook()?,
            hooks: hooks(capture.hook()?, &study.diff.hooks),
            suites: study.suites.by_axis().map(|(axis, suite)| (axis, suite.clone())).collect(),
            models: models.collect::<Result<_>>()?,
            trained,
        }))
    }

    fn all_models(&self) -> Vec<ModelSource> {
        let checkpoints = self.trained.iter().flat_map(|(_, steps)| steps.iter().map(|(_, model)| model));
        self.models.iter().chain(checkpoints).cloned().collect()
    }

    /// Texts that have nothing to do with the training: neutral ones in the words of the microcosm, else what was
    /// written on the suites that should not change.
    fn neutral(&self, base: &Model, by_suite: &[LabelledPrompt]) -> Result<Vec<LabelledPrompt>> {
        let texts = neutral_texts(base, self.seed, NEUTRAL_TEXTS, None)?;
        if !texts.is_empty() {
            return Ok(texts.into_iter().map(LabelledPrompt::from).collect());
        }
        let collateral = |label: &str| {
            self.suites.iter().any(|(axis, suite)| *axis == Axis::Collateral && suite.name() == label)
        };
        Ok(by_suite.iter().filter(|text| collateral(&text.label)).cloned().collect())
    }

    /// Prompts of the suites that are requests, by suite, and the tokens that begin a refusal.
    fn requests(&self, model: &Model) -> Result<(Vec<LabelledPrompt>, Vec<u32>)> {
        let tokenizer = model.tokenizer()?;
        let (mut prompts, mut watched) = (Vec::new(), Vec::new());
        for (_, suite) in &self.suites {
            let Some(word) = suite.refusal_word() else { continue };
            watched.extend(tokenizer.id(word));
            let problems =
                suite.problems(self.seed).into_iter().filter(|problem| problem.half == Half::Select);
            for problem in problems.take(PROMPTS) {
                let tokens = problem.tokens(tokenizer)?;
                prompts.push(LabelledPrompt {
                    tokens,
                    label: suite.name().to_owned(),
                    problem: problem.id,
                    ..LabelledPrompt::default()
                });
            }
        }
        watched.sort_unstable();
        watched.dedup();
        Ok((prompts, watched))
    }

    /// The directions of the checkpoints that the dictionary does not span, against base's: where they came to lie.
    /// Nothing is edited along them, and none is selected.
    fn directions_on_the_way(
        &self,
        models: &[(String, Model)],
        requests: &[LabelledPrompt],
        scene: &Scene,
    ) -> Result<Vec<DirectionRow>> {
        let Some(base) = models.first() else { return Ok(Vec::new()) };
        let mut rows = Vec::new();
        for (_, source) in self.trained.iter().flat_map(|(_, steps)| steps) {
            let (name, model) = source.load(&scene.made)?;
            if models.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let pair = [base.clone(), (name, model)];
            let found = directions(&pair, requests, &DirectionSettings::default())?;
            let own = found.into_iter().filter(|row| row.variant == pair[1].0);
            rows.extend(own.map(|row| DirectionRow { selected: false, ..row }));
            scene.observer.check()?;
        }
        Ok(rows)
    }

    fn dynamics(&self, dictionary: &Dictionary, scene: &Scene) -> Result<Vec<DynamicsRow>> {
        let store = ActivationStore::open(&capture::store(scene.input(capture::NAME)?))?;
        let mut rows = Vec::new();
        for (spanned, steps) in &self.trained {
            let chosen = spanned.chosen(&scene.made)?;
            // The last one compared is the one that the dictionary reads.
            let until = match chosen.checkpoint {
                Checkpoint::Step(step) => step as u64,
                _ => u64::MAX,
            };
            let steps = steps.iter().filter(|(step, _)| *step <= until);
            let checkpoints = steps
                .map(|(step, model)| Ok((*step, model.load(&scene.made)?.1)))
                .collect::<Result<Vec<_>>>()?;
            let names = (chosen.variant.as_str(), chosen.to_string());
            let range = store.held_out();
            let found = dynamics(dictionary, &store, range, (names.0, &names.1), self.hook, &checkpoints);
            rows.extend(found.at(format!("variant `{}`", names.1))?);
        }
        Ok(rows)
    }
}

impl Stage for Comparison {
    fn name(&self) -> String {
        "comparison".to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({
            "seed": self.seed,
            "prompts": PROMPTS,
            "temperature": self.settings.temperature,
            "max_new_tokens": self.settings.max_new_tokens,
            "lens_tokens": self.lens_tokens,
            "hook": self.hook.to_string(),
            "hooks": json(&self.hooks)?,
            "suites": json(&self.suites.iter().map(|(axis, suite)| (axis.name(), suite.name())).collect::<Vec<_>>())?,
        }))
    }

    fn inputs(&self) -> Vec<String> {
        let mut inputs = models::inputs(&self.all_models());
        inputs.extend([capture::NAME, dictionary::NAME].map(str::to_owned));
        inputs
    }

    fn outside(&self) -> Result<Outside> {
        models::outside(&self.all_models(), self.suites.iter().map(|(_, suite)| suite))
    }

    fn estimate(&self) -> Estimate {
        let models = self.models.len() as f64;
        Estimate { seconds: 5.0 + 8.0 * models, memory_bytes: 0.8e9, disk_bytes: 3e6 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let models = models::load(&self.models, &scene.made)?;
        let Some((_, base)) = models.first() else { return Ok(()) };
        let dictionary = Dictionary::load(&dictionary::folder(scene.input(dictionary::NAME)?))?;
        let mut bar = scene.observer.bar("comparison", 9, "tables");
        let mut done = Done { scene, bar: &mut bar };
        done.write(&catalogue::DYNAMICS, &self.dynamics(&dictionary, scene)?)?;
        let inputs = ExperimentInputs {
            models: models.clone(),
            dictionary: Some(dictionary),
            hook: self.hook,
            classes: Vec::new(),
            suites: self.suites.clone(),
            base: BASE.to_owned(),
            neutral: Vec::new(),
        };
        let texts = own_texts(&inputs, &self.settings, self.seed, &scene.observer)?;
        done.write(&catalogue::SHIFTS, &texts.shifts)?;
        let divergences = divergence(&models, &texts.by_suite)?;
        done.write(&catalogue::DIVERGENCES, &divergences.groups)?;
        done.write(&catalogue::DIVERGENT_TOKENS, &divergences.tokens)?;
        let neutral = self.neutral(base, &texts.by_suite)?;
        let mut differences = Vec::new();
        for hook in &self.hooks {
            differences.extend(activation_differences(&models, *hook, &neutral, self.lens_tokens)?);
        }
        done.write(&catalogue::ACTIVATION_DIFFERENCES, &differences)?;
        done.write(&catalogue::WEIGHTS, &weights(&models)?)?;
        let (requests, watched) = self.requests(base)?;
        let mut found = Vec::new();
        if labels(&requests).len() > 1 {
            done.write(&catalogue::HEADS, &heads(&models, &requests, &watched)?)?;
            found = directions(
                &models,
                &requests,
                &DirectionSettings { watched, ..DirectionSettings::default() },
            )?;
            found.extend(self.directions_on_the_way(&models, &requests, scene)?);
        }
        let problems = |label: &str| {
            let of_label = texts.by_outcome.iter().filter(|text| text.label == label);
            of_label.map(|text| text.problem.as_str()).collect::<BTreeSet<_>>().len()
        };
        if problems("solved") >= 4 && problems("failed") >= 4 {
            found.extend(directions(&models, &texts.by_outcome, &DirectionSettings::default())?);
        }
        done.write(&catalogue::DIRECTIONS, &found)?;
        // Every variant answered the same prompts; a probe must not be judged on one that it was fitted on.
        let mut seen = BTreeSet::new();
        let mut prompts: Vec<LabelledPrompt> = Vec::new();
        for text in &texts.by_suite {
            let tokens = text.tokens[..text.response.unwrap_or(text.tokens.len())].to_vec();
            if seen.insert(tokens.clone()) {
                prompts.push(LabelledPrompt { tokens, response: None, ..text.clone() });
            }
        }
        done.write(&catalogue::PROBES, &probes(&models, &self.hooks, &prompts, &ProbeSettings::default())?)
    }
}

/// Writes tables, one step of progress each.
struct Done<'a> {
    scene: &'a Scene,
    bar: &'a mut Bar,
}

impl Done<'_> {
    fn write<R: Serialize>(&mut self, spec: &TableSpec, rows: &[R]) -> Result<()> {
        tables::write(&self.scene.folder.join(format!("{}.parquet", spec.name)), spec, rows)?;
        self.bar.advance(1);
        self.scene.observer.check()
    }
}
