//! `diff`: what changed between the variants of a dictionary.

use super::Context;
use super::flags::SetFlag;
use crate::activations::import;
use crate::dictionaries::Dictionary;
use crate::diff::{Class, DiffSettings, FeatureRow, add_lens, features};
use crate::error::{Error, Result, io};
use crate::model::Model;
use crate::tables::{self, catalogue};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The flags of `diff`.
#[derive(clap::Args)]
pub(crate) struct DiffArguments {
    /// A dictionary over several variants.
    #[arg(long, value_name = "DIR")]
    dictionary: PathBuf,
    /// An activation store, or a plain .safetensors file with `activations` [tokens, variants, d_model].
    #[arg(long, value_name = "FILE_OR_STORE")]
    activations: PathBuf,
    /// Names of the variants of a plain file, base first.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    variants: Vec<String>,
    /// A variant's model, for the tokens that its decoders promote, as in `--model rl=runs/rl`; may be repeated.
    #[arg(long, value_name = "VARIANT=DIR")]
    model: Vec<String>,
    /// Measure on all tokens, not only on the last tenth that `fit` leaves out. For activations that the
    /// dictionary has never seen.
    #[arg(long)]
    all_tokens: bool,
    /// Receives `features.parquet` and `contexts.parquet`.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    set: SetFlag,
}

#[derive(Serialize)]
struct Answer {
    out: PathBuf,
    features: usize,
    tokens: usize,
    classes: BTreeMap<&'static str, usize>,
    present: BTreeMap<String, usize>,
}

pub(crate) fn diff(arguments: DiffArguments, context: &Context) -> Result<()> {
    let settings = arguments.set.apply(&DiffSettings::default())?;
    let dictionary = Dictionary::load(&arguments.dictionary)?;
    let store = import(&arguments.activations, &arguments.variants)?;
    let models = models(&arguments.model, context)?;
    let range = if arguments.all_tokens { 0..store.tokens() } else { store.held_out() };
    let tokenizer = models.first().map(|(_, model)| model.tokenizer()).transpose()?;
    let text =
        |id: u32| tokenizer.and_then(|tokenizer| tokenizer.token(id)).unwrap_or_else(|| id.to_string());
    let tokens = range.len().min(settings.tokens);
    let mut found = features(&dictionary, &store, range, &settings, &text, &context.observer)?;
    add_lens(&mut found.features, &dictionary, &models, settings.lens_tokens)?;
    std::fs::create_dir_all(&arguments.out).map_err(|error| io("create", &arguments.out, error))?;
    tables::write(&arguments.out.join("features.parquet"), &catalogue::FEATURES, &found.features)?;
    tables::write(&arguments.out.join("contexts.parquet"), &catalogue::CONTEXTS, &found.contexts)?;
    let answer = summary(&found.features, tokens, &arguments.out);
    context.printer.answer(&answer, || text_of(&answer))
}

fn models(flags: &[String], context: &Context) -> Result<Vec<(String, Model)>> {
    let device = context.device()?;
    flags
        .iter()
        .map(|flag| {
            let Some((name, folder)) = flag.split_once('=') else {
                return Err(Error::request(format!("`--model`: expected VARIANT=DIR, found `{flag}`"))
                    .hint("name the dictionary's variant that the model is, as in `--model rl=runs/rl`"));
            };
            Ok((name.to_owned(), Model::load(Path::new(folder), &device)?))
        })
        .collect()
}

fn summary(rows: &[FeatureRow], tokens: usize, out: &Path) -> Answer {
    let mut classes = BTreeMap::new();
    let mut present = BTreeMap::new();
    for row in rows {
        *classes.entry(row.class.name()).or_insert(0) += 1;
        if !matches!(row.class, Class::Dead | Class::Undecided) {
            *present.entry(row.present.clone()).or_insert(0) += 1;
        }
    }
    Answer { out: out.to_owned(), features: rows.len(), tokens, classes, present }
}

fn text_of(answer: &Answer) -> String {
    let mut text = format!("{} features on {} tokens\n", answer.features, answer.tokens);
    for (class, count) in &answer.classes {
        text += &format!("{count:7}  {class}\n");
    }
    text += "present in\n";
    for (present, count) in &answer.present {
        text += &format!("{count:7}  {present}\n");
    }
    text + &answer.out.join("features.parquet").display().to_string()
}
