//! `diff`: what changed between variants, by a dictionary's features and without one.

use super::Context;
use super::flags::{SetFlag, TranscoderFlag, named_models, renamed};
use crate::activations::import;
use crate::dictionaries::NoteRow;
use crate::diff::models::{
    self, DirectionSettings, LabelledPrompt, ProbeSettings, activation_differences, directions, divergence,
    heads, probes, read_prompts, weights,
};
use crate::diff::{Class, DiffSettings, FeatureRow, add_lens, add_stability, features_pair, readouts};
use crate::error::{Error, Result, io, nearest};
use crate::experiments::neutral_texts;
use crate::model::{HookPoint, Model};
use crate::tables::{self, TableSpec, catalogue};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Neutral texts on which mean differences are read, and the seed that draws them, the one that every verb has.
const NEUTRAL_TEXTS: usize = 64;
const NEUTRAL_SEED: u64 = 7;

/// The flags of `diff`.
#[derive(clap::Args)]
pub(crate) struct DiffArguments {
    /// A dictionary over several variants. Needs `--activations`.
    #[arg(long, value_name = "DIR_OR_NAME", requires = "activations")]
    dictionary: Option<String>,
    #[command(flatten)]
    transcoder: TranscoderFlag,
    /// An activation store, or a plain .safetensors file with `activations` [tokens, variants, d_model].
    #[arg(long, value_name = "FILE_OR_STORE", requires = "dictionary")]
    activations: Option<PathBuf>,
    /// What a transcoder writes: the same tokens at another hook.
    #[arg(long, value_name = "FILE_OR_STORE", requires = "dictionary")]
    targets: Option<PathBuf>,
    /// What the activations call a variant that the dictionary calls otherwise, as in `--rename gpt2-small=rl` for a
    /// dictionary that another program made; may be repeated.
    #[arg(long, value_name = "OLD=NEW", requires = "dictionary")]
    rename: Vec<String>,
    /// Names of the variants of a plain file, base first.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    variants: Vec<String>,
    /// The same dictionary fitted under another seed, to say how surely each feature comes back; may be repeated.
    #[arg(long, value_name = "DIR_OR_NAME", requires = "dictionary")]
    against: Vec<String>,
    /// A variant's model, base first, as in `--model base=runs/base --model rl=runs/rl`. With a dictionary they
    /// say which tokens its decoders promote (of a difference, the model of the variant, not of what is subtracted); two
    /// or more are compared matrix by matrix.
    #[arg(long, value_name = "VARIANT=DIR")]
    model: Vec<String>,
    /// Prompts with labels (lines with `prompt` and `label`) on which the models are compared: divergence,
    /// mean differences, directions, probes and heads.
    #[arg(long, value_name = "FILE.jsonl", requires = "model")]
    prompts: Option<PathBuf>,
    /// Tokens that begin the response that the labels are about, such as a refusal, as in `--watch no,sorry`.
    #[arg(long, value_delimiter = ',', value_name = "TOKENS")]
    watch: Vec<String>,
    /// Where probes and mean differences read; may be repeated [default: the end of the middle block].
    #[arg(long, value_name = "HOOK")]
    hook: Vec<HookPoint>,
    /// Texts that have nothing to do with the training, one JSON object a line with `text`, on which mean differences
    /// are read [default: the microcosm's, where the models know its words, else the prompts].
    #[arg(long, value_name = "FILE.jsonl", requires = "prompts")]
    neutral: Option<PathBuf>,
    /// Measure features on all tokens, not only on the last tenth that `fit` leaves out. For activations
    /// that the dictionary has never seen.
    #[arg(long)]
    all_tokens: bool,
    /// Receives the tables.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    set: SetFlag,
}

#[derive(Serialize)]
struct Answer {
    out: PathBuf,
    tables: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<FeatureSummary>,
}

#[derive(Serialize)]
struct FeatureSummary {
    features: usize,
    tokens: usize,
    classes: BTreeMap<&'static str, usize>,
    present: BTreeMap<String, usize>,
}

pub(crate) fn diff(arguments: DiffArguments, context: &Context) -> Result<()> {
    let settings = arguments.set.apply(&DiffSettings::default())?;
    let models = named_models(&arguments.model, "--model", context)?;
    if arguments.dictionary.is_none() && models.len() < 2 {
        return Err(Error::request("expected a dictionary or at least two models, found neither")
            .hint("give --dictionary and --activations, or --model base=DIR --model rl=DIR"));
    }
    std::fs::create_dir_all(&arguments.out).map_err(|error| io("create", &arguments.out, error))?;
    let mut tables = Writer { out: &arguments.out, written: Vec::new() };
    let features = match (&arguments.dictionary, &arguments.activations) {
        (Some(dictionary), Some(activations)) => Some(feature_tables(
            &arguments,
            dictionary,
            activations,
            &models,
            &settings,
            context,
            &mut tables,
        )?),
        _ => None,
    };
    if models.len() >= 2 {
        tables.write(&catalogue::WEIGHTS, &weights(&models)?)?;
    }
    if let (Some(prompts), Some((_, first))) = (&arguments.prompts, models.first()) {
        let (prompts, notes) = read_prompts(prompts, first.tokenizer()?)?;
        notes.into_iter().for_each(|note| context.printer.note(note));
        prompt_tables(&arguments, &models, &prompts, &settings, &mut tables)?;
    }
    let answer = Answer { out: arguments.out.clone(), tables: tables.written, features };
    context.printer.answer(&answer, || text_of(&answer))
}

/// Writes tables into one folder and remembers their names.
struct Writer<'a> {
    out: &'a Path,
    written: Vec<String>,
}

impl Writer<'_> {
    fn write<R: Serialize>(&mut self, spec: &TableSpec, rows: &[R]) -> Result<()> {
        let name = format!("{}.parquet", spec.name);
        tables::write(&self.out.join(&name), spec, rows)?;
        self.written.push(name);
        Ok(())
    }
}

fn feature_tables(
    arguments: &DiffArguments,
    dictionary: &str,
    activations: &Path,
    models: &[(String, Model)],
    settings: &DiffSettings,
    context: &Context,
    tables: &mut Writer<'_>,
) -> Result<FeatureSummary> {
    let dictionary = renamed(arguments.transcoder.dictionary(dictionary, context)?, &arguments.rename)?;
    let store = import(activations, &arguments.variants)?;
    let target = match &arguments.targets {
        Some(path) => import(path, if path.is_dir() { &[] } else { &arguments.variants })?,
        None => store.clone(),
    };
    let range = if arguments.all_tokens { 0..store.tokens() } else { store.held_out() };
    let tokenizer = models.first().map(|(_, model)| model.tokenizer()).transpose()?;
    let text =
        |id: u32| tokenizer.and_then(|tokenizer| tokenizer.token(id)).unwrap_or_else(|| id.to_string());
    let tokens = range.len().min(settings.tokens);
    let judged = range.clone();
    let mut found = features_pair(&dictionary, (&store, &target), range, settings, &text, &context.observer)?;
    let other = |name: &String| renamed(arguments.transcoder.dictionary(name, context)?, &arguments.rename);
    let others = arguments.against.iter().map(other).collect::<Result<Vec<_>>>()?;
    add_stability(&mut found.features, &dictionary, &others)?;
    add_lens(&mut found.features, &dictionary, models, settings.lens_tokens)?;
    tables.write(&catalogue::FEATURES, &found.features)?;
    tables.write(&catalogue::CONTEXTS, &found.contexts)?;
    if !dictionary.notes().is_empty() {
        tables.write(&catalogue::NOTES, &NoteRow::of(&dictionary))?;
    }
    // A transcoder's output is no variant's input: there is nothing to read out.
    if !dictionary.kind().is_transcoder() {
        tables.write(&catalogue::READOUTS, &readouts(&dictionary, &store, judged)?)?;
    }
    Ok(summary(&found.features, tokens))
}

fn prompt_tables(
    arguments: &DiffArguments,
    models: &[(String, Model)],
    prompts: &[LabelledPrompt],
    settings: &DiffSettings,
    tables: &mut Writer<'_>,
) -> Result<()> {
    let Some((_, base)) = models.first() else { return Ok(()) };
    let watched = watched(&arguments.watch, base)?;
    let hooks = match arguments.hook.as_slice() {
        [] => vec![HookPoint::resid_post(base.config().layers() / 2)],
        given => given.to_vec(),
    };
    let divergences = divergence(models, prompts)?;
    tables.write(&catalogue::DIVERGENCES, &divergences.groups)?;
    tables.write(&catalogue::DIVERGENT_TOKENS, &divergences.tokens)?;
    let texts = unrelated(arguments, base, prompts)?;
    let mut differences = Vec::new();
    for hook in &hooks {
        differences.extend(activation_differences(models, *hook, &texts, settings.lens_tokens)?);
    }
    tables.write(&catalogue::ACTIVATION_DIFFERENCES, &differences)?;
    tables.write(&catalogue::HEADS, &heads(models, prompts, &watched)?)?;
    if models::labels(prompts).len() > 1 {
        let how = DirectionSettings { watched, ..DirectionSettings::default() };
        tables.write(&catalogue::DIRECTIONS, &directions(models, prompts, &how)?)?;
        tables.write(&catalogue::PROBES, &probes(models, &hooks, prompts, &ProbeSettings::default())?)?;
    }
    Ok(())
}

/// The texts on which mean differences are read: given ones, else the microcosm's, else the prompts themselves.
fn unrelated(
    arguments: &DiffArguments,
    base: &Model,
    prompts: &[LabelledPrompt],
) -> Result<Vec<LabelledPrompt>> {
    let texts = neutral_texts(base, NEUTRAL_SEED, NEUTRAL_TEXTS, arguments.neutral.as_deref())?;
    match texts.is_empty() {
        true => Ok(prompts.to_vec()),
        false => Ok(texts.into_iter().map(LabelledPrompt::from).collect()),
    }
}

fn watched(names: &[String], model: &Model) -> Result<Vec<u32>> {
    let tokenizer = model.tokenizer()?;
    let id = |name: &String| {
        tokenizer.id(name).ok_or_else(|| {
            let error = Error::request(format!("`--watch`: the tokenizer has no token `{name}`"));
            let known: Vec<String> =
                (0..tokenizer.vocabulary() as u32).filter_map(|id| tokenizer.token(id)).collect();
            match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("give the token as the tokenizer writes it"),
            }
        })
    };
    names.iter().map(id).collect()
}

fn summary(rows: &[FeatureRow], tokens: usize) -> FeatureSummary {
    let mut classes = BTreeMap::new();
    let mut present = BTreeMap::new();
    for row in rows {
        *classes.entry(row.class.name()).or_insert(0) += 1;
        if !matches!(row.class, Class::Dead | Class::Undecided) {
            *present.entry(row.present.clone()).or_insert(0) += 1;
        }
    }
    FeatureSummary { features: rows.len(), tokens, classes, present }
}

fn text_of(answer: &Answer) -> String {
    let mut text = String::new();
    if let Some(found) = &answer.features {
        text += &format!("{} features on {} tokens\n", found.features, found.tokens);
        for (class, count) in &found.classes {
            text += &format!("{count:7}  {class}\n");
        }
        text += "present in\n";
        for (present, count) in &found.present {
            text += &format!("{count:7}  {present}\n");
        }
    }
    text + &format!("{}: {}", answer.out.display(), answer.tables.join(", "))
}
