//! `convert`: a dictionary from one format to another.

use super::Context;
use crate::dictionaries::{Dictionary, Format};
use crate::error::Result;
use serde::Serialize;
use std::path::PathBuf;

/// The flags of `convert`.
#[derive(clap::Args)]
pub(crate) struct ConvertArguments {
    /// A dictionary of any known format.
    #[arg(value_name = "DIR")]
    dictionary: PathBuf,
    /// saelens, crosscoder or deltascope. SAELens has no crosscoder: one SAE per variant is written, each
    /// reading that variant alone.
    #[arg(long, value_name = "FORMAT")]
    to: Format,
    /// Receives the dictionary.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Answer {
    kind: &'static str,
    features: usize,
    variants: Vec<String>,
    out: PathBuf,
}

pub(crate) fn convert(arguments: ConvertArguments, context: &Context) -> Result<()> {
    let dictionary = Dictionary::load(&arguments.dictionary)?;
    dictionary.save_as(&arguments.out, arguments.to)?;
    let answer = Answer {
        kind: dictionary.kind().name(),
        features: dictionary.features(),
        variants: dictionary.variants().to_vec(),
        out: arguments.out,
    };
    context.printer.answer(&answer, || {
        format!("{} with {} features -> {}", answer.kind, answer.features, answer.out.display())
    })
}
