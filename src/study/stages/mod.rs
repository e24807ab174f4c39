//! The stages, one file each: a part of the study in, library calls, files out. Nothing is computed here.

mod base;
mod capture;
mod claims;
mod comparison;
mod dictionary;
mod diff;
mod evaluation;
mod experiments;
mod matching;
mod models;
mod repeated;
mod repetition;
mod report;
mod same_change;
mod seeds;
mod select;
mod trajectories;
mod variant;

use super::config::Study;
use super::stage::{Made, Stage};
use crate::dictionaries::Dictionary;
use crate::error::{Error, Result};
use crate::experiments::Readout;
use models::ModelSource;

/// Every stage of `study`, inputs before what needs them. Variants that are given are not made; a study
/// without a dictionary or without hypotheses ends earlier.
pub(super) fn all(study: &Study) -> Result<Vec<Box<dyn Stage>>> {
    let mut stages: Vec<Box<dyn Stage>> = Vec::new();
    stages.extend(base::Base::new(study).map(boxed));
    stages.push(boxed(evaluation::Evaluation::of_base(study)?));
    for variant in &study.variants {
        stages.extend(variant::Variant::new(study, variant)?.map(boxed));
        stages.push(boxed(evaluation::Evaluation::of_variant(study, variant)?));
    }
    stages.push(boxed(trajectories::Trajectories::new(study)));
    stages.extend(seeds::Seeds::new(study).map(boxed));
    stages.extend(select::Select::new(study).map(boxed));
    stages.extend(same_change::SameChange::new(study)?.map(boxed));
    stages.extend(capture::Capture::new(study)?.map(boxed));
    stages.extend(dictionary::Dictionary::new(study)?.map(boxed));
    stages.extend(diff::Diff::new(study)?.map(boxed));
    stages.extend(comparison::Comparison::new(study)?.map(boxed));
    stages.extend(experiments::Experiments::new(study)?.map(boxed));
    // What the report shows are the study's own stages; of repetitions, only how many agree.
    let mut shown: Vec<String> = stages.iter().map(|stage| stage.name()).collect();
    let (repetitions, repeated_claims) = repeated::all(study)?;
    stages.extend(repetitions);
    if let Some(claims) = claims::Claims::new(study, repeated_claims) {
        shown.push(claims.name());
        stages.push(boxed(claims));
    }
    stages.push(boxed(report::Report::new(study, shown)));
    Ok(stages)
}

/// The models of the study's dictionary with the dictionary, of finished stages.
///
/// # Errors
/// If the study fits none, or something cannot be loaded.
pub(super) fn readout(study: &Study, made: &Made) -> Result<Readout> {
    let (Some(capture), Some(request)) = (&study.capture, &study.dictionary) else {
        return Err(Error::request(format!("the study {} fits no dictionary", study.name)));
    };
    let models = request.over.iter().map(|reference| ModelSource::new(study, reference)?.load(made));
    let models = models.collect::<Result<Vec<_>>>()?;
    let dictionary = Dictionary::load(&dictionary::folder(made.folder(dictionary::NAME)?))?;
    Readout::new(&models, Some(dictionary), capture.hook()?)
}

fn boxed<S: Stage + 'static>(stage: S) -> Box<dyn Stage> {
    Box::new(stage)
}
