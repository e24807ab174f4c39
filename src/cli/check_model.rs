//! `check model`: conformance of a model repository, and agreement with reference tensors.

use super::Context;
use crate::error::{Error, Result};
use crate::model::TokenFile;
use crate::model::conformance::{self, Finding};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The flags of `check model`.
#[derive(clap::Args)]
pub(crate) struct CheckModelArguments {
    /// A model repository: a folder, or a name on the hub.
    model: String,
    /// Reference tensors: input_ids, attention_mask, hidden.{i}, attn.{l}, logits, loss, grad.{parameter},
    /// greedy.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Write what the model computes here, in the layout of --golden.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Compare with another implementation, too.
    #[arg(long, value_name = "NAME")]
    peer: Option<PeerName>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum PeerName {
    /// candle-transformers, for the families and settings that it has.
    Candle,
}

#[derive(Serialize)]
struct Answer {
    family: &'static str,
    parameters: usize,
    findings: Vec<Finding>,
}

pub(crate) fn check_model(arguments: CheckModelArguments, context: &Context) -> Result<()> {
    let folder = crate::model::hub::find(&arguments.model)?;
    let model = context.reading(&folder)?;
    let tokens = match &arguments.golden {
        Some(file) => TokenFile::load(file, model.config().vocabulary)?,
        None => conformance::drawn_tokens(&model)?,
    };
    context.printer.notes(tokens.notes());
    let mut findings = conformance::check(&model, &tokens)?;
    let mut comparisons = Vec::new();
    if let Some(PeerName::Candle) = arguments.peer {
        comparisons.push(conformance::compare_with_candle(&model.clone().into_merged()?, &tokens)?);
    }
    let mut ours = match (&arguments.golden, &arguments.out) {
        (Some(file), _) => {
            let mut compared = conformance::compare_with_golden(&model, &folder, file)?;
            let tensors = std::mem::take(&mut compared.tensors);
            comparisons.push(compared);
            tensors
        }
        (None, Some(_)) => conformance::golden_tensors(&model, &tokens, conformance::GREEDY_TOKENS)?,
        (None, None) => BTreeMap::new(),
    };
    for comparison in comparisons {
        findings.extend(comparison.findings);
        comparison.note.into_iter().for_each(|note| context.printer.note(note));
    }
    if let Some(path) = &arguments.out {
        ours.insert("input_ids".to_owned(), tokens.ids()?);
        ours.insert("attention_mask".to_owned(), tokens.mask()?);
        crate::model::save_tensors(path, &ours.into_iter().collect::<Vec<_>>())?;
    }
    let answer = Answer {
        family: model.config().family.model_type(),
        parameters: model.parameters().elements(),
        findings,
    };
    context.printer.answer(&answer, || text(&answer))?;
    let wrong = answer.findings.iter().filter(|finding| !finding.passed).count();
    match wrong {
        0 => Ok(()),
        _ => Err(Error::work(format!("{wrong} of {} checks failed", answer.findings.len()))),
    }
}

fn text(answer: &Answer) -> String {
    let mut text = format!("{}, {} parameters\n", answer.family, answer.parameters);
    for finding in &answer.findings {
        let mark = if finding.passed { "ok    " } else { "FAILED" };
        text += &match (finding.difference, finding.tolerance) {
            (Some(found), Some(allowed)) => {
                format!("{mark} {}: {found:.1e} (allowed {allowed:.0e})\n", finding.check)
            }
            _ => format!("{mark} {}\n", finding.check),
        };
    }
    text
}
