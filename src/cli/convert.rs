//! `convert`: a dictionary from one format to another, or its features to pages of Neuronpedia.

use super::Context;
use super::flags::{TranscoderFlag, renamed};
use crate::dictionaries::{Activation, Format};
use crate::diff::neuronpedia;
use crate::error::{Error, Result};
use crate::tables;
use serde::Serialize;
use std::path::PathBuf;
use std::str::FromStr;

/// What a dictionary is turned into.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Another format of the same weights.
    Weights(Format),
    /// Feature pages.
    Neuronpedia,
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "neuronpedia" { Ok(Self::Neuronpedia) } else { text.parse().map(Self::Weights) }
    }
}

/// The flags of `convert`.
#[derive(clap::Args)]
pub(crate) struct ConvertArguments {
    /// A dictionary of any known format.
    #[arg(value_name = "DIR_OR_NAME")]
    dictionary: String,
    #[command(flatten)]
    transcoder: TranscoderFlag,
    /// Of a dictionary with signed TopK, make the two signs of a feature two features: `diff` and edits take
    /// activations for strengths, which are positive.
    #[arg(long)]
    split_signs: bool,
    /// saelens, crosscoder, deltascope or neuronpedia. SAELens has no crosscoder: one SAE per variant is written,
    /// each reading that variant alone. The crosscoder format has one threshold for all features: of fits with
    /// `shared_features` or `normalise=standard`, whose thresholds differ, activations are written in units of them
    /// (`code_normalization` NONE). Neuronpedia gets pages of features, one source per variant.
    #[arg(long, value_name = "FORMAT")]
    to: Target,
    /// A variant's new name, as in `--rename gpt2-small=rl` for a dictionary that another program made; may be
    /// repeated.
    #[arg(long, value_name = "OLD=NEW")]
    rename: Vec<String>,
    /// The folder with the tables that `diff` wrote for this dictionary; Neuronpedia's pages are made from them.
    #[arg(long, value_name = "DIR", required_if_eq("to", "neuronpedia"))]
    tables: Option<PathBuf>,
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
    let dictionary = arguments.transcoder.dictionary(&arguments.dictionary, context)?;
    let mut dictionary = renamed(dictionary, &arguments.rename)?;
    if arguments.split_signs {
        if !matches!(dictionary.spec().activation, Activation::SignedTopk { .. }) {
            return Err(Error::request(format!(
                "`--split-signs`: expected signed TopK, found activation: {}",
                dictionary.spec().activation
            )));
        }
        dictionary = dictionary.split_signs()?;
    }
    match (arguments.to, &arguments.tables) {
        (Target::Weights(format), _) => dictionary.save_as(&arguments.out, format)?,
        (Target::Neuronpedia, Some(tables)) => {
            let features = tables::read(&tables.join("features.parquet"))?;
            let contexts = tables::read(&tables.join("contexts.parquet"))?;
            neuronpedia(&dictionary, &features, &contexts, &arguments.out)?;
        }
        (Target::Neuronpedia, None) => {
            return Err(Error::request("expected --tables with the tables of `diff`, found none"));
        }
    }
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
