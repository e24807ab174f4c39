//! `fit`: one or several sparse dictionaries on an activation store.

use super::Context;
use super::flags::{SetFlag, named_models};
use crate::activations::{ActivationStore, import};
use crate::compute::Compute;
use crate::dictionaries::{
    Dictionary, DictionaryRow, FitSettings, Job, Kind, STATE_FILE, add_splice_costs, add_stability,
    check_judge, check_splice, fit_jobs, judge,
};
use crate::error::{Error, Result, io};
use crate::model::Model;
use crate::tables::{self, catalogue};
use serde::Serialize;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The flags of `fit`.
#[derive(clap::Args)]
pub(crate) struct FitArguments {
    /// An activation store, or a plain .safetensors file with `activations` [tokens, variants, d_model] or
    /// [tokens, d_model]. Repeated, as for the stores of several layers, each gets its dictionaries, in a folder of
    /// its name. Everything is read once beforehand and compared with its checksums, or looked through for NaN,
    /// infinities and vectors of zeros. The first token of each example is left out, as it is an outlier in most
    /// models; no other outlier is clipped or dropped. A plain file does not say which tokens are first: leave them
    /// out of it. The last tenth of the tokens is held out.
    #[arg(long, value_name = "FILE_OR_STORE", required = true)]
    activations: Vec<PathBuf>,
    /// What a transcoder writes: the same tokens at another hook. Needed by transcoders, and by no other kind.
    #[arg(long, value_name = "FILE_OR_STORE")]
    targets: Option<PathBuf>,
    /// The variants to read, in order. For a plain file, the names of its second axis, all of them.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    variants: Vec<String>,
    /// Which of the variants the dictionary reads, in order, as in `--variants base,sft,rl --over rl --kind batch_topk`,
    /// or `--over base,rl --kind difference` [default: all of --variants, or of the store].
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    over: Vec<String>,
    /// standard, gated, topk, batch_topk, jumprelu, matryoshka, transcoder, skip_transcoder, crosscoder,
    /// batch_topk_crosscoder or difference.
    #[arg(long, default_value_t = Kind::default())]
    kind: Kind,
    /// The number of features [default: 2048]; several, as in `1024,4096`, fit several dictionaries over one pass.
    /// Spare features stay dead, so rather too many than too few.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    features: Vec<usize>,
    /// Active features per token [default: 32], for the kinds that keep the largest; the others are made sparse by
    /// `--set penalty=`. Take the smallest k beyond which the FVE, of differences above all, no longer rises: too small
    /// a k misses features and confuses whose they are, one several times too large splits them. `deltascope check
    /// planted --k 2,4,8,16,32` says how much, and `--kinds all` what each kind finds; reports/planted holds both.
    #[arg(long)]
    k: Option<usize>,
    /// Optimiser steps [default: 800].
    #[arg(long)]
    steps: Option<usize>,
    /// Tokens per step [default: 2048].
    #[arg(long)]
    batch: Option<usize>,
    /// Adam's step size at its peak, for activations of unit variance [default: .06 / sqrt(width of all outputs)].
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
    /// The share of steps over which k falls to its final value, from four times that [default: .3].
    #[arg(long, value_name = "SHARE")]
    k_anneal: Option<f64>,
    /// Decides every random number; several, as in `1,2,3`, fit several dictionaries over one pass, and say how surely
    /// the features of one come back in the others.
    #[arg(long, value_delimiter = ',', default_value = "7", value_name = "N")]
    seed: Vec<u64>,
    /// A variant's model, as in `--model rl=runs/rl`, to measure what splicing the reconstruction into it costs.
    /// Needs a store with token ids.
    #[arg(long, value_name = "VARIANT=DIR")]
    model: Vec<String>,
    /// Receives the dictionary, `fit.json` (what made it) and `dictionaries.parquet`; with several, a folder for each.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    set: SetFlag,
}

#[derive(Serialize)]
struct Answer {
    out: PathBuf,
    seed: u64,
    rows: Vec<DictionaryRow>,
}

/// The stores that one dictionary is fitted on, and where it goes.
struct Place<'a> {
    activations: &'a Path,
    store: ActivationStore,
    target: ActivationStore,
    out: PathBuf,
}

pub(crate) fn fit(arguments: FitArguments, context: &Context) -> Result<()> {
    let settings = settings(&arguments)?;
    check(&arguments)?;
    let places = places(&arguments)?;
    let models = named_models(&arguments.model, "--model", context)?;
    for place in &places {
        check_judge(&place.store, place.store.held_out())?;
        check_splice(&settings, (&place.store, &place.target), &models)?;
    }
    let mut answers = Vec::new();
    for place in &places {
        answers.extend(fit_place(&arguments, &settings, place, &models, context)?);
    }
    context.printer.answer(&answers, || text(&answers))
}

/// What is wrong with flags that the settings do not hold, before anything is read.
fn check(arguments: &FitArguments) -> Result<()> {
    if arguments.targets.is_some() && arguments.activations.len() > 1 {
        return Err(Error::request("`--targets`: expected one --activations beside it, found several"));
    }
    match (&arguments.targets, arguments.kind.is_transcoder()) {
        (Some(_), false) => {
            return Err(Error::request(format!(
                "`--targets`: expected a transcoder, found kind `{}`",
                arguments.kind
            ))
            .hint("choose `--kind transcoder` or `skip_transcoder`, or leave --targets out"));
        }
        (None, true) => {
            return Err(Error::request("expected `--targets` with what the transcoder writes, found none")
                .hint("capture the same tokens at another hook, or choose `--kind batch_topk`"));
        }
        _ => {}
    }
    if let Some(twice) = repeated(&arguments.seed) {
        return Err(Error::request(format!("`--seed`: {twice} is listed twice")));
    }
    match repeated(&arguments.features) {
        Some(twice) => Err(Error::request(format!("`--features`: {twice} is listed twice"))),
        None => Ok(()),
    }
}

/// The first value that came before.
fn repeated<T: PartialEq>(values: &[T]) -> Option<&T> {
    values.iter().enumerate().find(|(index, value)| values[..*index].contains(value)).map(|(_, value)| value)
}

/// Opens all stores, so that a fit is not lost to the next one's damage.
fn places<'a>(arguments: &'a FitArguments) -> Result<Vec<Place<'a>>> {
    let open = |path: &Path| import(path, if path.is_dir() { &[] } else { &arguments.variants });
    let outs: Vec<PathBuf> = match &arguments.activations[..] {
        [_] => vec![arguments.out.clone()],
        several => several.iter().map(|path| arguments.out.join(folder_name(path))).collect(),
    };
    if let Some(twice) = repeated(&outs) {
        return Err(Error::request(format!("`--activations`: two of them would write {}", twice.display()))
            .hint("dictionaries of several stores are named after them: rename one"));
    }
    let place = |(activations, out): (&'a PathBuf, PathBuf)| {
        let store = open(activations)?;
        let target = arguments.targets.as_deref().map(open).transpose()?.unwrap_or_else(|| store.clone());
        Ok(Place { activations, store, target, out })
    };
    arguments.activations.iter().zip(outs).map(place).collect()
}

/// A store's whole name (hooks have dots in theirs), or a file's without its ending.
fn folder_name(path: &Path) -> &OsStr {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.unwrap_or_default()
}

/// Fits all sizes and seeds in one pass over one store. Each is written before it is judged: what can still fail
/// costs no fit.
fn fit_place(
    arguments: &FitArguments,
    settings: &FitSettings,
    place: &Place<'_>,
    models: &[(String, Model)],
    context: &Context,
) -> Result<Vec<Answer>> {
    let Place { store, target, out, .. } = place;
    let jobs = jobs(arguments, settings, out, &context.device()?);
    let order_seed = arguments.seed.first().copied().unwrap_or_default();
    let dictionaries = fit_jobs(store, target, &jobs, order_seed, &context.observer)?;
    for (job, dictionary) in jobs.iter().zip(&dictionaries) {
        let folder = folder(job, out);
        dictionary.save(folder)?;
        write_json(&folder.join("fit.json"), &Made::of(arguments, place, job, order_seed))?;
    }
    let mut answers = Vec::new();
    for (index, (job, dictionary)) in jobs.iter().zip(&dictionaries).enumerate() {
        let range = store.held_out();
        let mut judgement = judge(dictionary, store, target, range.clone())?;
        let others = dictionaries.iter().enumerate();
        let alike = others.filter(|(other, fit)| *other != index && fit.features() == dictionary.features());
        let alike: Vec<Dictionary> = alike.map(|(_, fit)| fit.clone()).collect();
        add_stability(&mut judgement, dictionary, &alike)?;
        let mut rows = judgement.rows;
        add_splice_costs(&mut rows, dictionary, (store, target), models, range, &context.observer)?;
        let folder = folder(job, out);
        finish(&rows, folder)?;
        answers.push(Answer { rows, out: folder.to_owned(), seed: job.seed });
    }
    Ok(answers)
}

fn folder<'a>(job: &'a Job, out: &'a Path) -> &'a Path {
    job.folder.as_deref().unwrap_or(out)
}

/// What made a dictionary: the file `fit.json` beside it.
#[derive(Serialize)]
struct Made<'a> {
    version: &'static str,
    seed: u64,
    /// Decides the order of the tokens; the first of several seeds, which share one pass.
    order_seed: u64,
    settings: &'a FitSettings,
    activations: Source<'a>,
    targets: Option<Source<'a>>,
}

/// Where activations came from.
#[derive(Serialize)]
struct Source<'a> {
    path: &'a Path,
    hook: &'a str,
    variants: &'a [String],
    tokens: usize,
    /// Hashes of the models and the examples; empty for a plain file.
    provenance: &'a [(String, String)],
}

impl<'a> Made<'a> {
    fn of(arguments: &'a FitArguments, place: &'a Place<'a>, job: &'a Job, order_seed: u64) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            seed: job.seed,
            order_seed,
            settings: &job.settings,
            activations: Source::of(place.activations, &place.store),
            targets: arguments.targets.as_deref().map(|path| Source::of(path, &place.target)),
        }
    }
}

impl<'a> Source<'a> {
    fn of(path: &'a Path, store: &'a ActivationStore) -> Self {
        Self {
            path,
            hook: store.hook(),
            variants: store.variants(),
            tokens: store.tokens(),
            provenance: store.provenance(),
        }
    }
}

fn settings(arguments: &FitArguments) -> Result<FitSettings> {
    let variants = if arguments.over.is_empty() { &arguments.variants } else { &arguments.over };
    let mut settings =
        FitSettings { kind: arguments.kind, variants: variants.clone(), ..FitSettings::default() };
    settings.k = arguments.k.unwrap_or(settings.k);
    settings.steps = arguments.steps.unwrap_or(settings.steps);
    settings.batch = arguments.batch.unwrap_or(settings.batch);
    settings.learning_rate = arguments.lr.or(settings.learning_rate);
    settings.k_anneal = arguments.k_anneal.unwrap_or(settings.k_anneal);
    arguments.set.apply(&settings)
}

fn jobs(arguments: &FitArguments, settings: &FitSettings, out: &Path, compute: &Compute) -> Vec<Job> {
    let sizes =
        if arguments.features.is_empty() { vec![settings.features] } else { arguments.features.clone() };
    let alone = sizes.len() * arguments.seed.len() == 1;
    let folder = |features: usize, seed: u64| match alone {
        true => out.to_owned(),
        false => out.join(format!("features_{features}-seed_{seed}")),
    };
    let job = |features: usize, seed: u64| Job {
        settings: FitSettings { features, ..settings.clone() },
        seed,
        folder: Some(folder(features, seed)),
        compute: compute.clone(),
    };
    sizes.iter().flat_map(|features| arguments.seed.iter().map(move |seed| job(*features, *seed))).collect()
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::work(format!("what made the dictionary cannot be written: {error}")))?;
    std::fs::write(path, text + "\n").map_err(|error| io("write", path, error))
}

/// Writes the rows; the saved state of the fit has done its work.
fn finish(rows: &[DictionaryRow], out: &Path) -> Result<()> {
    tables::write(&out.join("dictionaries.parquet"), &catalogue::DICTIONARIES, rows)?;
    let state = out.join(STATE_FILE);
    if state.exists() {
        std::fs::remove_file(&state).map_err(|error| io("remove", &state, error))?;
    }
    Ok(())
}

fn text(answers: &[Answer]) -> String {
    let mut text = String::new();
    for answer in answers {
        text += &format!("{} (seed {})\n", answer.out.display(), answer.seed);
        if let Some(stability) = answer.rows.first().and_then(|row| row.stability) {
            text += &format!("{:24} {stability:.3}\n", "features come back");
        }
        for row in &answer.rows {
            text += &row.to_string();
            text += "\n";
        }
    }
    text.trim_end().to_owned()
}
