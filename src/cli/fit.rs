//! `fit`: one or several sparse dictionaries on an activation store.

use super::Context;
use super::flags::{SetFlag, named_models};
use crate::activations::import;
use crate::compute::Compute;
use crate::dictionaries::{
    Dictionary, DictionaryRow, FitSettings, Job, Kind, add_splice_costs, fit_jobs, metrics_pair,
};
use crate::error::{Error, Result, io};
use crate::model::Model;
use crate::tables::{self, catalogue};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The flags of `fit`.
#[derive(clap::Args)]
pub(crate) struct FitArguments {
    /// An activation store, or a plain .safetensors file with `activations` [tokens, variants, d_model] or
    /// [tokens, d_model]. Repeated, as for the stores of several layers, each gets its dictionaries.
    #[arg(long, value_name = "FILE_OR_STORE", required = true)]
    activations: Vec<PathBuf>,
    /// What a transcoder writes: the same tokens at another hook.
    #[arg(long, value_name = "FILE_OR_STORE")]
    targets: Option<PathBuf>,
    /// The variants to read, in order. For a plain file, the names of its second axis.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    variants: Vec<String>,
    /// standard, gated, topk, batch_topk, jumprelu, matryoshka, transcoder, skip_transcoder, crosscoder,
    /// batch_topk_crosscoder or difference.
    #[arg(long, default_value_t = Kind::default())]
    kind: Kind,
    /// The number of features; several, as in `1024,4096`, fit several dictionaries over one pass.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    features: Vec<usize>,
    /// Active features per token.
    #[arg(long)]
    k: Option<usize>,
    /// Optimiser steps.
    #[arg(long)]
    steps: Option<usize>,
    /// Tokens per step.
    #[arg(long)]
    batch: Option<usize>,
    /// Adam's step size at its peak.
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
    /// The share of steps over which k falls to its final value.
    #[arg(long, value_name = "SHARE")]
    k_anneal: Option<f64>,
    /// Decides every random number; several, as in `1,2,3`, fit several dictionaries over one pass.
    #[arg(long, value_delimiter = ',', default_value = "7", value_name = "N")]
    seed: Vec<u64>,
    /// A variant's model, as in `--model rl=runs/rl`, to measure what splicing the reconstruction into it costs.
    /// Needs a store with token ids.
    #[arg(long, value_name = "VARIANT=DIR")]
    model: Vec<String>,
    /// Receives the dictionary and `dictionaries.parquet`; with several, a folder for each.
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

pub(crate) fn fit(arguments: FitArguments, context: &Context) -> Result<()> {
    let settings = settings(&arguments)?;
    if arguments.targets.is_some() && arguments.activations.len() > 1 {
        return Err(Error::request("`--targets`: expected one --activations beside it, found several"));
    }
    let models = named_models(&arguments.model, "--model", context)?;
    let mut answers = Vec::new();
    for activations in &arguments.activations {
        // Several stores have a folder each, named after them.
        let out = match (&arguments.activations[..], activations.file_stem()) {
            ([_, _, ..], Some(name)) => arguments.out.join(name),
            _ => arguments.out.clone(),
        };
        answers.extend(fit_store(&arguments, &settings, activations, &out, &models, context)?);
    }
    context.printer.answer(&answers, || text(&answers))
}

/// Fits all sizes and seeds in one pass over one store.
fn fit_store(
    arguments: &FitArguments,
    settings: &FitSettings,
    activations: &Path,
    out: &Path,
    models: &[(String, Model)],
    context: &Context,
) -> Result<Vec<Answer>> {
    let names = if activations.is_dir() { &[][..] } else { &arguments.variants };
    let store = import(activations, names)?;
    let target = match &arguments.targets {
        Some(path) => import(path, if path.is_dir() { &[] } else { &arguments.variants })?,
        None => store.clone(),
    };
    let jobs = jobs(arguments, settings, out, &context.device()?);
    let order_seed = arguments.seed.first().copied().unwrap_or_default();
    let dictionaries = fit_jobs(&store, &target, &jobs, order_seed, &context.observer)?;
    let mut answers = Vec::new();
    for (job, dictionary) in jobs.iter().zip(&dictionaries) {
        let out = job.folder.clone().unwrap_or_else(|| out.to_owned());
        let range = store.held_out();
        let mut rows = metrics_pair(dictionary, &store, &target, range.clone())?;
        add_splice_costs(&mut rows, dictionary, (&store, &target), models, range, &context.observer)?;
        write(dictionary, &rows, &out)?;
        answers.push(Answer { rows, out, seed: job.seed });
    }
    Ok(answers)
}

fn settings(arguments: &FitArguments) -> Result<FitSettings> {
    let mut settings =
        FitSettings { kind: arguments.kind, variants: arguments.variants.clone(), ..FitSettings::default() };
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

fn write(dictionary: &Dictionary, rows: &[DictionaryRow], out: &Path) -> Result<()> {
    dictionary.save(out)?;
    tables::write(&out.join("dictionaries.parquet"), &catalogue::DICTIONARIES, rows)?;
    let state = out.join(crate::dictionaries::STATE_FILE);
    if state.exists() {
        std::fs::remove_file(&state).map_err(|error| io("remove", &state, error))?;
    }
    Ok(())
}

fn text(answers: &[Answer]) -> String {
    let mut text = String::new();
    for answer in answers {
        text += &format!("{} (seed {})\n", answer.out.display(), answer.seed);
        for row in &answer.rows {
            text += &format!("{:24} FVE {:6.3}  L0 {:6.1}  dead {}", row.target, row.fve, row.l0, row.dead);
            if let Some((recovered, kl)) = row.ce_recovered.zip(row.kl) {
                text += &format!("  CE recovered {recovered:.3}  KL {kl:.4}");
            }
            text += "\n";
        }
    }
    text.trim_end().to_owned()
}
