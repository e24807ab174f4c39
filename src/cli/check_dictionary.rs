//! `check dictionary`: whether a dictionary can be read, and whether it computes what it should.

use super::Context;
use crate::dictionaries::{Dictionary, Golden, GoldenReport, TOLERANCE, stability};
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
    /// Other fits of the same dictionary, to say how many features they share; may be repeated.
    #[arg(long, value_name = "DIR")]
    against: Vec<PathBuf>,
}

/// How alike another fit is.
#[derive(Serialize)]
struct Likeness {
    dictionary: PathBuf,
    mean_max_cosine: f64,
    features_above_90_percent: usize,
}

#[derive(Serialize)]
struct Answer {
    kind: &'static str,
    features: usize,
    variants: Vec<String>,
    d_model: usize,
    hook: String,
    golden: Option<GoldenReport>,
    against: Vec<Likeness>,
}

pub(crate) fn check_dictionary(arguments: CheckDictionaryArguments, context: &Context) -> Result<()> {
    let dictionary = Dictionary::load(&arguments.dictionary)?;
    let mut report = None;
    if let Some(path) = &arguments.golden {
        let golden = Golden::read(path, &dictionary)?;
        report = golden.compare(&dictionary)?;
        if report.is_none() && arguments.out.is_none() {
            return Err(Error::request("expected `features` or `output` to compare with, found `x` alone")
                .hint("`--out FILE` writes what this program computes for `x`")
                .at(path.display()));
        }
        if let Some(out) = &arguments.out {
            golden.write(&dictionary, out)?;
        }
    }
    let against =
        arguments.against.into_iter().map(|dir| likeness(&dictionary, dir)).collect::<Result<_>>()?;
    let answer = Answer {
        kind: dictionary.kind().name(),
        features: dictionary.features(),
        variants: dictionary.variants().to_vec(),
        d_model: dictionary.d_model(),
        hook: dictionary.hook().to_owned(),
        golden: report,
        against,
    };
    context.printer.answer(&answer, || text(&answer))?;
    match &answer.golden {
        Some(report) if !report.holds() => Err(Error::work(format!(
            "expected equal supports and values within {TOLERANCE}, found {}",
            compared(report)
        ))),
        _ => Ok(()),
    }
}

fn likeness(dictionary: &Dictionary, dir: PathBuf) -> Result<Likeness> {
    let best = stability(dictionary, &Dictionary::load(&dir)?)?;
    Ok(Likeness {
        dictionary: dir,
        mean_max_cosine: best.iter().map(|cosine| f64::from(*cosine)).sum::<f64>() / best.len() as f64,
        features_above_90_percent: best.iter().filter(|cosine| **cosine > 0.9).count(),
    })
}

/// What was compared, and how far apart it is.
fn compared(report: &GoldenReport) -> String {
    let parts = [
        report.support_differs.map(|count| format!("{count} supports that differ")),
        report.features_differ.map(|gap| format!("features up to {gap:.1e} apart")),
        report.output_differs.map(|gap| format!("outputs up to {gap:.1e} apart")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn text(answer: &Answer) -> String {
    let mut text = format!(
        "{}: {} features, width {}, over {}",
        answer.kind,
        answer.features,
        answer.d_model,
        answer.variants.join(", ")
    );
    if let Some(report) = &answer.golden {
        text += &format!("\n{} tokens: {}", report.tokens, compared(report));
    }
    for like in &answer.against {
        text += &format!(
            "\n{}: mean max cosine {:.3}, {} features above .9",
            like.dictionary.display(),
            like.mean_max_cosine,
            like.features_above_90_percent
        );
    }
    text
}
