//! `check objectives`: our losses and gradients against a file of reference numbers.

use super::Context;
use crate::error::{At, Error, Result, io};
use crate::foreign;
use crate::training::rl::golden;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The flags of `check objectives`.
#[derive(clap::Args)]
pub(crate) struct CheckObjectivesArguments {
    /// Reference numbers: `cases` with log-probabilities, losses, gradients, advantages and KL terms.
    file: PathBuf,
    /// Write the same file here with our numbers in it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Answer {
    compared: usize,
    tolerance: f64,
    worst: BTreeMap<String, f64>,
}

pub(crate) fn check_objectives(arguments: CheckObjectivesArguments, context: &Context) -> Result<()> {
    let text = foreign::text(&arguments.file, foreign::DOCUMENT)?;
    let file = serde_json::from_str(&text)
        .map_err(|error| Error::request(format!("not JSON: {error}")).at(arguments.file.display()))?;
    let (ours, comparisons) = golden::recompute(&file).at(arguments.file.display())?;
    if let Some(path) = &arguments.out {
        let text = serde_json::to_string_pretty(&ours)
            .map_err(|error| Error::work(format!("our numbers cannot be written as JSON: {error}")))?;
        std::fs::write(path, text).map_err(|error| io("write", path, error))?;
    }
    let answer = Answer {
        compared: comparisons.len(),
        tolerance: golden::tolerance(&file),
        worst: golden::summary(&comparisons),
    };
    context.printer.answer(&answer, || {
        let mut text = String::new();
        for (what, difference) in &answer.worst {
            text += &format!("{difference:9.1e}  {what}\n");
        }
        text + &format!("{} quantities compared, tolerance {:.0e}", answer.compared, answer.tolerance)
    })?;
    let wrong = comparisons
        .iter()
        .filter(|found| found.difference.is_nan() || found.difference > answer.tolerance)
        .count();
    match wrong {
        0 => Ok(()),
        wrong => Err(Error::work(format!(
            "{wrong} of {} quantities differ from the reference by more than {:.0e}",
            comparisons.len(),
            answer.tolerance
        ))),
    }
}
