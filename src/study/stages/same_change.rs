//! Stage `same_change`: the checkpoint of every variant whose activations have moved as far as those of the variant
//! that others are matched to. For null studies (PROTOCOL 9): training that is to change nothing must change the
//! activations as much as the real variant did, or its null would be too easy.
//!
//! On texts that base and that variant write on the selection half of every suite: the first checkpoint whose mean
//! ‖h − h_base‖² at the captured hook is at least that of the matched variant at its end; if none gets there, the one
//! that moved most.

use super::matching::{FILE, Matching, NAME};
use super::models::{self, ModelSource};
use crate::diff::models::{LabelledPrompt, activation_change};
use crate::error::{Error, Result, io};
use crate::experiments::{Axis, ExperimentInputs, ExperimentSettings, own_texts};
use crate::model::{HookPoint, Model};
use crate::store::Outside;
use crate::study::config::{BASE, Checkpoint, Reference, Study};
use crate::study::stage::{Estimate, Scene, Stage};
use crate::tasks::Suite;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Prompts of each suite.
const PROMPTS: usize = 32;

pub(super) struct SameChange {
    seed: u64,
    settings: ExperimentSettings,
    hook: HookPoint,
    suites: Vec<(Axis, Suite)>,
    base: ModelSource,
    reference: ModelSource,
    /// The checkpoints of every variant that is to be matched.
    variants: Vec<(String, Vec<(usize, ModelSource)>)>,
}

impl SameChange {
    /// `None` where no model is matched by its change.
    pub(super) fn new(study: &Study) -> Result<Option<Self>> {
        let (Some(dictionary), Some(capture), Some(reference)) =
            (&study.dictionary, &study.capture, study.matching_reference())
        else {
            return Ok(None);
        };
        let mut variants = Vec::new();
        for wanted in dictionary.over.iter().filter(|one| one.checkpoint == Checkpoint::SameChange) {
            let Some(variant) = study.variant(&wanted.variant) else { continue };
            let at = |step: &usize| {
                let reference =
                    Reference { variant: variant.name.clone(), checkpoint: Checkpoint::Step(*step) };
                Ok((*step, ModelSource::new(study, &reference)?))
            };
            let steps = variant.checkpoints.iter().map(at).collect::<Result<Vec<_>>>()?;
            variants.push((variant.name.clone(), steps));
        }
        if variants.is_empty() {
            return Ok(None);
        }
        let end = Reference { variant: reference.name.clone(), checkpoint: Checkpoint::Last };
        Ok(Some(Self {
            seed: study.seed,
            settings: ExperimentSettings { problems: PROMPTS, ..study.interventions.clone() },
            hook: capture.hook()?,
            suites: study.suites.by_axis().map(|(axis, suite)| (axis, suite.clone())).collect(),
            base: ModelSource::new(study, &Reference::base())?,
            reference: ModelSource::new(study, &end)?,
            variants,
        }))
    }

    fn all_models(&self) -> Vec<ModelSource> {
        let checkpoints = self.variants.iter().flat_map(|(_, steps)| steps.iter().map(|(_, model)| model));
        [&self.base, &self.reference].into_iter().chain(checkpoints).cloned().collect()
    }

    /// What base and the matched variant write on the selection half.
    fn texts(&self, models: Vec<(String, Model)>, scene: &Scene) -> Result<Vec<LabelledPrompt>> {
        let inputs = ExperimentInputs {
            models,
            dictionary: None,
            hook: self.hook,
            classes: Vec::new(),
            suites: self.suites.clone(),
            base: BASE.to_owned(),
            neutral: Vec::new(),
        };
        Ok(own_texts(&inputs, &self.settings, self.seed, &scene.observer)?.by_suite)
    }
}

/// The first step that moved at least as far as `reference`, else the one that moved most.
fn matched(changes: &BTreeMap<usize, f64>, reference: f64) -> Option<usize> {
    let first = changes.iter().find(|(_, change)| **change >= reference);
    let most = || changes.iter().rev().max_by(|a, b| a.1.total_cmp(b.1));
    first.or_else(most).map(|(step, _)| *step)
}

impl Stage for SameChange {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn code(&self) -> &'static str {
        module_path!()
    }

    fn config(&self) -> Result<Value> {
        let steps = |(name, steps): &(String, Vec<(usize, ModelSource)>)| {
            (name.clone(), steps.iter().map(|(step, _)| *step).collect::<Vec<_>>())
        };
        Ok(json!({
            "seed": self.seed,
            "prompts": PROMPTS,
            "temperature": self.settings.temperature,
            "max_new_tokens": self.settings.max_new_tokens,
            "hook": self.hook.to_string(),
            "suites": self.suites.iter().map(|(axis, suite)| (axis.name(), suite.name())).collect::<Vec<_>>(),
            "reference": models::names(std::slice::from_ref(&self.reference)),
            "variants": self.variants.iter().map(steps).collect::<BTreeMap<_, _>>(),
        }))
    }

    fn inputs(&self) -> Vec<String> {
        models::inputs(&self.all_models())
    }

    fn outside(&self) -> Result<Outside> {
        models::outside(&self.all_models(), self.suites.iter().map(|(_, suite)| suite))
    }

    fn estimate(&self) -> Estimate {
        let checkpoints: usize = self.variants.iter().map(|(_, steps)| steps.len()).sum();
        Estimate { seconds: 5.0 + checkpoints as f64, memory_bytes: 0.5e9, disk_bytes: 1e3 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let (base, reference) = (self.base.load(&scene.made)?, self.reference.load(&scene.made)?);
        let texts = self.texts(vec![base.clone(), reference.clone()], scene)?;
        let change = |model: &Model| activation_change(&base.1, model, self.hook, &texts);
        let reference_change = change(&reference.1)?;
        let (mut changes, mut chosen) = (BTreeMap::new(), BTreeMap::new());
        for (name, steps) in &self.variants {
            let mut own = BTreeMap::new();
            for (step, model) in steps {
                own.insert(*step, change(&model.load(&scene.made)?.1)?);
                scene.observer.check()?;
            }
            chosen.extend(matched(&own, reference_change).map(|step| (name.clone(), step)));
            changes.insert(name.clone(), own);
        }
        let matching = Matching { reference: reference.0, reference_change, changes, matched: chosen };
        let path = scene.folder.join(FILE);
        let text = serde_json::to_string_pretty(&matching)
            .map_err(|error| Error::work(format!("the matching cannot be written as JSON: {error}")))?;
        std::fs::write(&path, text + "\n").map_err(|error| io("write", &path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::config::Study;

    const MICRO: &str = include_str!("../../../probes/micro.toml");

    #[test]
    fn the_first_checkpoint_that_moved_as_far_is_matched_else_the_farthest() {
        let changes: BTreeMap<usize, f64> = [(10, 0.2), (20, 0.6), (40, 0.5), (80, 0.9)].into();
        assert_eq!(matched(&changes, 0.55), Some(20));
        assert_eq!(matched(&changes, 0.6), Some(20), "as far is far enough");
        assert_eq!(matched(&changes, 2.0), Some(80), "none gets there");
        assert_eq!(matched(&BTreeMap::new(), 0.1), None);
    }

    #[test]
    fn the_stage_is_there_where_a_reference_asks_for_it_and_needs_what_is_compared() {
        assert!(SameChange::new(&Study::parse(MICRO, &[]).unwrap()).unwrap().is_none());
        let null = MICRO.replace("sft@matched", "sft@same_change");
        let stage = SameChange::new(&Study::parse(&null, &[]).unwrap()).unwrap().unwrap();
        assert_eq!(stage.inputs(), ["base", "variant rl", "variant sft"]);
        let error = |text: &str| Study::parse(text, &[]).map(drop).unwrap_err().to_string();
        let found = error(&MICRO.replace("\"rl\", \"sft@matched\"", "\"rl@same_change\", \"sft@matched\""));
        assert!(found.contains("`rl` is what others are matched to"), "{found}");
    }
}
