//! `deltascope run STUDY`: every stage that is not there yet, then the report.

use super::Context;
use super::flags::StudyFlags;
use crate::error::Result;
use crate::study::{self, RunSummary};
use std::fmt::Write;

/// The flags of `run`.
#[derive(clap::Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    study: StudyFlags,
}

pub(crate) fn run(arguments: RunArguments, context: &Context) -> Result<()> {
    let study = arguments.study.load()?;
    let place = arguments.study.place(&study, context.device()?);
    let summary = study::run(&study, &place, &context.observer)?;
    for stage in summary.stages.iter().filter(|stage| !stage.older.is_empty()) {
        let how = stage.older.join(" and ");
        context
            .printer
            .note(format!("stage `{}` was made by {how}; its tables and the page say so", stage.name));
    }
    study.suites.all().iter().flat_map(|suite| suite.notes()).for_each(|note| context.printer.note(note));
    summary.stages.iter().flat_map(|stage| stage.notes.clone()).for_each(|note| context.printer.note(note));
    context.printer.answer(&summary, || text(&summary))
}

fn text(summary: &RunSummary) -> String {
    let made: Vec<_> = summary.stages.iter().filter(|stage| !stage.cached).collect();
    let cached = summary.stages.len() - made.len();
    let seconds = made.iter().fold(0.0, |sum, stage| sum + stage.seconds);
    let mut text =
        format!("{}: {} stages made in {seconds:.0} s, {cached} cached\n", summary.study, made.len());
    for claim in &summary.findings {
        let points =
            |value: Option<f64>| value.map_or("?".to_owned(), |value| format!("{:+.1}", value * 100.0));
        let _ = writeln!(
            text,
            "  {}: {}\n    {} of {} on {} ({}): {} points [{}, {}], corrected p {:.3}",
            claim.hypothesis,
            claim.verdict.name(),
            claim.set,
            claim.receiver,
            claim.suite,
            claim.endpoint,
            points(Some(claim.effect)),
            points(claim.ci_low),
            points(claim.ci_high),
            claim.p_corrected
        );
    }
    let _ = write!(text, "report: {}", summary.report.display());
    text
}
