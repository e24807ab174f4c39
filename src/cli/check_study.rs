//! `deltascope check study STUDY`: reads a study as `run` would and says what it amounts to.

use super::Context;
use super::flags::SetFlag;
use crate::error::Result;
use crate::study::{Reach, Study};
use serde::Serialize;
use std::path::PathBuf;

/// The flags of `check study`.
#[derive(clap::Args)]
pub(crate) struct CheckStudyArguments {
    /// The study file.
    study: PathBuf,
    #[command(flatten)]
    set: SetFlag,
}

#[derive(Serialize)]
struct Answer {
    study: String,
    variants: Vec<String>,
    suites: usize,
    hypotheses: usize,
    controls: usize,
    reach: Vec<Reach>,
}

pub(crate) fn check_study(arguments: CheckStudyArguments, context: &Context) -> Result<()> {
    let study = Study::load(&arguments.study, &arguments.set.set)?;
    let answer = Answer {
        study: study.name.clone(),
        variants: study.variants.iter().map(|variant| variant.name.clone()).collect(),
        suites: study.suites.all().len(),
        hypotheses: study.hypotheses.len(),
        controls: study.interventions.controls,
        reach: study.reach(),
    };
    study.suites.all().iter().flat_map(|suite| suite.notes()).for_each(|note| context.printer.note(note));
    context.printer.answer(&answer, || {
        let reach: String = answer.reach.iter().map(|reach| reach.sentence() + "\n").collect();
        format!(
            "{reach}{}: variants base, {}; {} suites; {} hypotheses with {} controls each. It can run.",
            answer.study,
            answer.variants.join(", "),
            answer.suites,
            answer.hypotheses,
            answer.controls
        )
    })
}
