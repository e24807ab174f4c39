//! `train`: post-train one model by one method.

use super::Context;
use super::flags::{SeedFlag, SetFlag};
use crate::error::{At, Error, Result, nearest};
use crate::model::Model;
use crate::store;
use crate::tables;
use crate::tasks::{Mixture, Suite};
use crate::training::rl::settings::METHODS;
use crate::training::{
    Dataset, DpoSettings, RftSettings, RlSettings, SftSettings, TrainingRow, TrainingRun, own_pairs,
    train_dpo, train_rft, train_rl, train_sft,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The flags of `train`.
#[derive(clap::Args)]
pub(crate) struct TrainArguments {
    /// sft, rft, dpo, or a policy gradient: grpo, dr_grpo, rloo, dapo, gspo, fipo, ppo, reinforce.
    #[arg(long)]
    method: String,
    /// The model to begin from: a folder that is a Hugging Face repository.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// For sft, a data arm (verified_cot), shares ({verified_cot = 0.9, refusals = 0.1}) or a file of prompts
    /// and completions; for dpo, a file of prompts, chosen and rejected (JSONL or Parquet); without one, dpo pairs the model's
    /// own verified and failed responses.
    #[arg(long)]
    data: Option<String>,
    /// For rft, dpo and policy gradients, the suite whose training problems are sampled and whose verifier rewards.
    #[arg(long, default_value = "general_points")]
    suite: String,
    /// Receives `checkpoints/<step>/`, `training.parquet` and `timings.parquet`.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Steps whose model is kept, as in `10,20,40`; the last always is.
    #[arg(long, value_delimiter = ',', value_name = "STEPS")]
    checkpoints: Vec<usize>,
    /// Steps between two saves of what `--resume` needs.
    #[arg(long, default_value_t = 20, value_name = "STEPS")]
    save_every: usize,
    /// Go on with the unfinished run in `--out`.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    seed: SeedFlag,
    #[command(flatten)]
    set: SetFlag,
}

#[derive(Serialize)]
struct Answer {
    method: String,
    model: PathBuf,
    last: Option<TrainingRow>,
}

pub(crate) fn train(arguments: TrainArguments, context: &Context) -> Result<()> {
    let scratch = arguments.out.join("resume");
    match (arguments.resume, scratch.exists()) {
        (false, true) => {
            return Err(Error::request(format!("{} holds a run already", arguments.out.display()))
                .hint("go on with it by --resume, or choose another --out"));
        }
        (true, false) => {
            return Err(Error::request(format!("{} holds no run to resume", arguments.out.display()))
                .hint("leave out --resume to begin one"));
        }
        _ => {}
    }
    let model = Model::load(&arguments.model, &context.device()?)?;
    let run = TrainingRun {
        variant: arguments.method.clone(),
        seed: arguments.seed.seed,
        folder: arguments.out.clone(),
        scratch,
        checkpoints: arguments.checkpoints.clone(),
        save_every: arguments.save_every,
        origin: origin(&arguments)?,
        observer: context.observer.clone(),
    };
    let steps = by_method(&arguments, &model, &run)?;
    let rows: Vec<TrainingRow> = tables::read(&arguments.out.join("training.parquet"))?;
    let answer =
        Answer { method: arguments.method, model: run.checkpoint(steps), last: rows.last().cloned() };
    context.printer.answer(&answer, || {
        let number = |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.3}"));
        let last = rows.last().cloned().unwrap_or_default();
        let result = match last.reward {
            Some(_) => format!("reward {}", number(last.reward)),
            None => format!("loss {}", number(last.loss)),
        };
        format!("{steps} steps, {result}, model in {}", answer.model.display())
    })
}

fn by_method(arguments: &TrainArguments, model: &Model, run: &TrainingRun) -> Result<usize> {
    let suite = || Suite::parse(&arguments.suite).at("--suite");
    let seed = run.seed;
    match arguments.method.as_str() {
        "sft" => {
            let settings: SftSettings = arguments.set.apply(&SftSettings::default())?;
            match file(needed(arguments)?) {
                Some(path) => {
                    let data = Dataset::documents(path)?;
                    train_sft(model, &|first, count| data.take(seed, first, count), &settings, run)?;
                }
                None => {
                    let data = mixture(needed(arguments)?)?;
                    train_sft(model, &|first, count| data.documents(seed, first, count), &settings, run)?;
                }
            }
            Ok(settings.steps)
        }
        "dpo" => {
            let settings: DpoSettings = arguments.set.apply(&DpoSettings::default())?;
            let data = match &arguments.data {
                Some(path) => Dataset::pairs(Path::new(path))?,
                None => own_pairs(model, &suite()?, &settings, seed)?,
            };
            train_dpo(model, &|first, count| data.take(seed, first, count), &settings, run)?;
            Ok(settings.sft.steps)
        }
        "rft" => {
            let settings: RftSettings = arguments.set.apply(&RftSettings::default())?;
            train_rft(model, &suite()?, &settings, run)?;
            Ok(settings.sft.steps)
        }
        name if METHODS.contains(&name) => {
            let settings: RlSettings = arguments.set.apply(&RlSettings::named(name)?)?;
            train_rl(model, &suite()?, &settings, run)?;
            Ok(settings.steps)
        }
        other => {
            let names = || ["sft", "rft", "dpo"].into_iter().chain(METHODS);
            let error = Error::request(format!("--method: unknown method `{other}`"));
            Err(match nearest(other, names()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("use one of {}", names().collect::<Vec<_>>().join(", "))),
            })
        }
    }
}

fn needed(arguments: &TrainArguments) -> Result<&str> {
    arguments.data.as_deref().ok_or_else(|| {
        Error::request(format!("--method {} needs --data", arguments.method))
            .hint("for example `--data verified_cot`, or a JSONL file")
    })
}

fn file(data: &str) -> Option<&Path> {
    let path = Path::new(data);
    let named_so = path.extension().is_some_and(|extension| extension == "jsonl" || extension == "parquet");
    (named_so || path.is_file()).then_some(path)
}

/// A mixture as in a study file: a name, or an inline table of shares.
fn mixture(data: &str) -> Result<Mixture> {
    #[derive(serde::Deserialize)]
    struct Written {
        data: Mixture,
    }
    let value = if data.trim_start().starts_with('{') { data.to_owned() } else { format!("{data:?}") };
    toml::from_str(&format!("data = {value}"))
        .map(|written: Written| written.data)
        .map_err(|error| Error::request(format!("--data: {}", error.message())))
}

/// What the settings do not say of a run: its data, and a file's content.
fn origin(arguments: &TrainArguments) -> Result<String> {
    let Some(data) = &arguments.data else { return Ok(arguments.method.clone()) };
    match file(data) {
        Some(path) => Ok(format!("{} {}", arguments.method, store::hash_file(path)?)),
        None => Ok(format!("{} {data}", arguments.method)),
    }
}
