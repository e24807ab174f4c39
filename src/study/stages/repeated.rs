//! Repetitions of a study under other seeds, for the stability of its claims.
//!
//! A repetition is a chain of the study's own stages under other names: from the dictionary's fit on, or from
//! the training of the variants on, with one seed changed and every problem, halves and all, as before.

use super::repetition::ORIGINAL;
use super::{capture, claims, dictionary, diff, evaluation, experiments, same_change, select, variant};
use crate::error::Result;
use crate::store::Outside;
use crate::study::config::Study;
use crate::study::stage::{Estimate, Made, Scene, Stage};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Stages, inputs before what needs them.
type Chain = Vec<Box<dyn Stage>>;

/// A stage of a repetition.
struct Repeated {
    inner: Box<dyn Stage>,
    suffix: String,
    /// The stages of the repetition, by the names that they have in the study.
    repeated: BTreeSet<String>,
}

/// The stages of every repetition that the study asks for, and the names of those that end in claims.
pub(super) fn all(study: &Study) -> Result<(Chain, Vec<String>)> {
    let (mut stages, mut claims) = (Chain::new(), Vec::new());
    if study.hypotheses.is_empty() {
        return Ok((stages, claims));
    }
    for seed in &study.claims.dictionary_seeds {
        add(dictionary_seed(study, *seed)?, &format!(" (dictionary seed {seed})"), &mut stages, &mut claims);
    }
    for seed in &study.claims.training_seeds {
        add(training_seed(study, *seed)?, &format!(" (training seed {seed})"), &mut stages, &mut claims);
    }
    Ok((stages, claims))
}

fn add(chain: Chain, suffix: &str, stages: &mut Chain, claims: &mut Vec<String>) {
    let repeated: BTreeSet<String> = chain.iter().map(|stage| stage.name()).collect();
    claims.push(format!("{}{suffix}", claims::NAME));
    stages.extend(chain.into_iter().map(|inner| -> Box<dyn Stage> {
        Box::new(Repeated { inner, suffix: suffix.to_owned(), repeated: repeated.clone() })
    }));
}

fn dictionary_seed(study: &Study, seed: u64) -> Result<Chain> {
    let reseeded = Study { seed, ..study.clone() };
    let mut chain = Chain::new();
    chain.extend(dictionary::Dictionary::new(&reseeded)?.map(super::boxed));
    after_dictionary(study, &mut chain)?;
    Ok(chain)
}

fn training_seed(study: &Study, seed: u64) -> Result<Chain> {
    let reseeded = Study { seed, ..study.clone() };
    let mut chain = Chain::new();
    for variant in &study.variants {
        chain.extend(variant::Variant::new(&reseeded, variant)?.map(super::boxed));
        chain.push(super::boxed(evaluation::Evaluation::of_variant(study, variant)?));
    }
    chain.extend(select::Select::new(study).map(super::boxed));
    chain.extend(same_change::SameChange::new(study)?.map(super::boxed));
    chain.extend(capture::Capture::new(study)?.map(super::boxed));
    chain.extend(dictionary::Dictionary::new(study)?.map(super::boxed));
    after_dictionary(study, &mut chain)?;
    Ok(chain)
}

fn after_dictionary(study: &Study, chain: &mut Chain) -> Result<()> {
    chain.extend(diff::Diff::new(study)?.map(super::boxed));
    chain.extend(experiments::Experiments::repeated(study)?.map(super::boxed));
    chain.extend(claims::Claims::new(study, Vec::new()).map(super::boxed));
    Ok(())
}

impl Repeated {
    /// The name that an input of the inner stage has in the whole study.
    fn outer(&self, name: &str) -> String {
        match name.strip_prefix(ORIGINAL) {
            Some(original) => original.to_owned(),
            None if self.repeated.contains(name) => format!("{name}{}", self.suffix),
            None => name.to_owned(),
        }
    }
}

impl Stage for Repeated {
    fn name(&self) -> String {
        format!("{}{}", self.inner.name(), self.suffix)
    }

    fn code(&self) -> &'static str {
        self.inner.code()
    }

    fn config(&self) -> Result<Value> {
        self.inner.config()
    }

    fn inputs(&self) -> Vec<String> {
        self.inner.inputs().iter().map(|name| self.outer(name)).collect()
    }

    fn outside(&self) -> Result<Outside> {
        self.inner.outside()
    }

    fn estimate(&self) -> Estimate {
        self.inner.estimate()
    }

    fn resumes(&self) -> bool {
        self.inner.resumes()
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let inputs = self.inner.inputs().into_iter().map(|name| {
            let folder = scene.input(&self.outer(&name))?.to_owned();
            Ok((name, folder))
        });
        self.inner.make(&Scene {
            id: scene.id.clone(),
            made: Made { folders: inputs.collect::<Result<_>>()?, device: scene.made.device.clone() },
            folder: scene.folder.clone(),
            scratch: scene.scratch.clone(),
            older: scene.older.clone(),
            observer: scene.observer.clone(),
        })
    }

    fn accept(&self, artifact: &Path) -> Result<()> {
        self.inner.accept(artifact)
    }
}
