//! Flags that several verbs share and that mean the same in each.

use super::Context;
use crate::compute::Compute;
use crate::dictionaries::{Declared, Dictionary};
use crate::error::{At, Error, Result};
use crate::model::{Model, hub};
use crate::study::{self, RunPlace, Study, overrides};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// The study file and where its results live: the flags of `run` and `plan`.
#[derive(clap::Args)]
pub(crate) struct StudyFlags {
    /// The study file.
    study: PathBuf,
    #[arg(long, value_name = "DIR", help = "The folder of the results [default: runs/<study name>]")]
    out: Option<PathBuf>,
    #[arg(long, value_name = "DIR", help = "Where artifacts are kept [default: <out>/store]")]
    store: Option<PathBuf>,
    /// Use artifacts that other code made of the same settings and inputs; tables and page say so.
    #[arg(long)]
    accept_older: bool,
    #[command(flatten)]
    set: SetFlag,
}

impl StudyFlags {
    /// The checked study.
    ///
    /// # Errors
    /// If the file is missing or does not describe a study that can run.
    pub(crate) fn load(&self) -> Result<Study> {
        Study::load(&self.study, &self.set.set)
    }

    /// Where its results live.
    pub(crate) fn place(&self, study: &Study, device: Compute) -> RunPlace {
        let out = self.out.clone().unwrap_or_else(|| study::default_out(study));
        RunPlace { out, store: self.store.clone(), device, accept_older: self.accept_older }
    }
}

/// `--seed`.
#[derive(clap::Args)]
pub(crate) struct SeedFlag {
    /// Decides every random number, together with what it is drawn for.
    #[arg(long, default_value_t = 7, value_name = "N")]
    pub(crate) seed: u64,
}

/// `--set key=value`.
#[derive(clap::Args)]
pub(crate) struct SetFlag {
    /// Overrides one setting, as in `--set learning_rate=1e-4`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

impl SetFlag {
    /// `settings` with the overrides applied.
    ///
    /// # Errors
    /// If a key does not exist (the nearest is offered) or a value has the wrong type.
    pub(crate) fn apply<T: Serialize + DeserializeOwned>(&self, settings: &T) -> Result<T> {
        overrides::apply(settings, &self.set)
    }
}

/// The models of a flag that is repeated as NAME=DIR_OR_NAME.
///
/// # Errors
/// If a flag has another form, or a folder holds no model.
pub(crate) fn named_models(given: &[String], flag: &str, context: &Context) -> Result<Vec<(String, Model)>> {
    given
        .iter()
        .map(|text| {
            let Some((name, folder)) = text.split_once('=') else {
                return Err(Error::request(format!("`{flag}`: expected NAME=DIR, found `{text}`"))
                    .hint(format!("name the variant that the model is, as in `{flag} rl=runs/rl`")));
            };
            Ok((name.to_owned(), context.reading(&hub::find(folder)?).at(format!("{flag} {name}"))?))
        })
        .collect()
}

/// `--transcoder`.
#[derive(clap::Args)]
pub(crate) struct TranscoderFlag {
    /// The dictionary is a transcoder, which writes another hook than it reads: for files that do not say, as those of
    /// Gemma Scope.
    #[arg(long)]
    transcoder: bool,
}

impl TranscoderFlag {
    /// The dictionary of a flag: a folder, a folder of the hub as `owner/name[@revision]/sub/folder`, or SAELens's
    /// `release/sae_id`. What its reader should know becomes part of the answer.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub(crate) fn dictionary(&self, name: &str, context: &Context) -> Result<Dictionary> {
        let declared = Declared { transcoder: self.transcoder, ..Declared::default() };
        let dictionary = Dictionary::find(name, &declared)?;
        dictionary.notes().iter().for_each(|note| context.printer.note(format!("dictionary {name}: {note}")));
        Ok(dictionary)
    }
}

/// The dictionary with the variants of a flag that is repeated as OLD=NEW.
///
/// # Errors
/// If a flag has another form, or the dictionary has no such variant.
pub(crate) fn renamed(dictionary: Dictionary, given: &[String]) -> Result<Dictionary> {
    given.iter().try_fold(dictionary, |dictionary, text| match text.split_once('=') {
        Some((old, new)) if !new.is_empty() => dictionary.renamed(old, new),
        _ => Err(Error::request(format!("`--rename`: expected OLD=NEW, found `{text}`"))),
    })
}
