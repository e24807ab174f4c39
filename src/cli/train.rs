//! `train`: post-train one model by one method.

use super::Context;
use super::flags::{SeedFlag, SetFlag};
use crate::error::{At, Error, Result};
use crate::model::hub;
use crate::study::{overrides, post_training};
use crate::tables;
use crate::tasks::{Stated, Suite};
use crate::training::{BaseName, PostTraining, TrainingRow, TrainingRun, log_spaced};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::{Table, Value};

/// The flags of `train`.
#[derive(clap::Args)]
pub(crate) struct TrainArguments {
    /// sft, rft, dpo, or a policy gradient: grpo, dr_grpo, rloo, dapo, gspo, fipo, ppo, reinforce.
    #[arg(long)]
    method: String,
    /// The model to begin from: a folder, or a name on the hub. A PEFT adapter is merged into its base.
    #[arg(long, value_name = "DIR_OR_NAME")]
    model: String,
    /// For sft, a data arm (verified_cot), a file (JSONL or Parquet, in the layouts of TRL's datasets), or shares of
    /// these ({verified_cot = 0.9, refusals = 0.1}); for dpo, a file of prompts, chosen and rejected; without one,
    /// dpo pairs the model's own verified and failed responses.
    #[arg(long)]
    data: Option<String>,
    /// For rft, dpo and policy gradients, the suite whose training problems are sampled and whose verifier rewards.
    #[arg(long, default_value = "general_points")]
    suite: String,
    /// Receives `checkpoints/<step>/`, `training.parquet` and `timings.parquet`.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Steps whose model is kept, as in `10,20,40`, or `log` for 10, 20, 40 and so on; the last always is.
    #[arg(long, value_name = "STEPS")]
    checkpoints: Option<String>,
    /// Steps between two saves of what `--resume` needs.
    #[arg(long, default_value_t = 20, value_name = "STEPS")]
    save_every: usize,
    /// Go on with the unfinished run in `--out`; begin it if there is none yet.
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
            // It may have been killed before there was anything to save.
            tracing::warn!("{} holds no run to resume: beginning one", arguments.out.display());
        }
        _ => {}
    }
    let training = request(&arguments)?;
    let folder = hub::find(&arguments.model)?;
    let model = context.reading(&folder)?.into_merged()?;
    let training = training.said_to(model.tokenizer()?, Stated::default())?;
    let run = TrainingRun {
        variant: arguments.method.clone(),
        seed: arguments.seed.seed,
        folder: arguments.out.clone(),
        scratch,
        checkpoints: checkpoints(arguments.checkpoints.as_deref(), training.steps())?,
        save_every: arguments.save_every,
        origin: origin(&training)?,
        base: BaseName::of(&arguments.model, &folder)?,
        observer: context.observer.clone(),
    };
    training.train(&model, &run)?.into_iter().for_each(|note| context.printer.note(note));
    let steps = training.steps();
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

/// What the run learns from. Its settings are the run's own to compare, see `--resume`.
fn origin(training: &PostTraining) -> Result<serde_json::Value> {
    let mut description = training.description()?;
    if let Some(fields) = description.as_object_mut() {
        fields.remove("settings");
    }
    let contents = training.contents()?;
    let contents: BTreeMap<&String, &str> =
        contents.iter().map(|(role, content)| (role, content.hash())).collect();
    Ok(json!({ "training": description, "contents": contents }))
}

/// The steps whose model is kept.
fn checkpoints(text: Option<&str>, steps: usize) -> Result<Vec<usize>> {
    let step = |part: &str| {
        part.trim().parse().map_err(|_| {
            Error::request(format!("--checkpoints: expected steps or `log`, found `{part}`"))
                .hint("for example --checkpoints 10,40,160")
        })
    };
    match text {
        None => Ok(Vec::new()),
        Some("log") => Ok(log_spaced(steps)),
        Some(list) => list.split(',').map(step).collect(),
    }
}

/// The request as a section of a study would state it.
fn request(arguments: &TrainArguments) -> Result<PostTraining> {
    let mut table = Table::new();
    overrides::apply_to_section(&mut table, &arguments.set.set)?;
    table.insert("method".to_owned(), Value::String(arguments.method.clone()));
    if let Some(data) = &arguments.data {
        // An inline table of shares is TOML; a name or a path is not.
        let value = data.parse().unwrap_or_else(|_| Value::String(data.clone()));
        table.insert("data".to_owned(), value);
    }
    let suite = Suite::parse(&arguments.suite).at("--suite")?;
    post_training::read(table, Some(&suite), &[], &format!("--method {}", arguments.method))
}
