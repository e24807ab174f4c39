//! `check dictionary`: whether a dictionary can be read, and whether it computes what it should.

use super::Context;
use crate::dictionaries::{Dictionary, Golden, GoldenReport, TOLERANCE};
use crate::error::{Error, Result};
use serde::Serialize;
use std::path::PathBuf;

/// The flags of `check dictionary`.
#[derive(clap::Args)]
pub(crate) struct CheckDictionaryArguments {
    /// A dictionary of any known format.
    #[arg(value_name = "DIR")]
    dictionary: PathBuf,
    /// A safetensors file with inputs `x` and, to compare with, `features` and `output`.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Receives `x`, `features` and `output` as this program computes them.
    #[arg(long, value_name = "FILE", requires = "golden")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Answer {
    kind: &'static str,
    features: usize,
    variants: Vec<String>,
    d_model: usize,
    hook: String,
    golden: Option<GoldenReport>,
}

pub(crate) fn check_dictionary(arguments: CheckDictionaryArguments, context: &Context) -> Result<()> {
    let dictionary = Dictionary::load(&arguments.dictionary)?;
    let mut report = None;
    if let Some(path) = &arguments.golden {
        let golden = Golden::read(path, &dictionary)?;
        report = golden.compare(&dictionary)?;
        if let Some(out) = &arguments.out {
            golden.write(&dictionary, out)?;
        }
    }
    let answer = Answer {
        kind: dictionary.kind().name(),
        features: dictionary.features(),
        variants: dictionary.variants().to_vec(),
        d_model: dictionary.d_model(),
        hook: dictionary.hook().to_owned(),
        golden: report,
    };
    context.printer.answer(&answer, || text(&answer))?;
    match &answer.golden {
        Some(report) if !report.holds() => Err(Error::work(format!(
            "expected equal supports and values within {TOLERANCE}, found {} supports that differ, features up to {:.2e} and outputs up to {:.2e} apart",
            report.support_differs, report.features_differ, report.output_differs
        ))),
        _ => Ok(()),
    }
}

fn text(answer: &Answer) -> String {
    let about = format!(
        "{}: {} features, width {}, over {}",
        answer.kind,
        answer.features,
        answer.d_model,
        answer.variants.join(", ")
    );
    match &answer.golden {
        Some(report) => format!(
            "{about}\n{} tokens: {} supports differ, features within {:.1e}, outputs within {:.1e}",
            report.tokens, report.support_differs, report.features_differ, report.output_differs
        ),
        None => about,
    }
}
