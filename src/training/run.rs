//! The loop that every method shares: resume, step, watch, save, stop when asked.
//!
//! 1. Restore the checkpoint in `scratch`, if there is one, and refuse it if it is another run's. If there is none,
//!    save one before the first step, so that whatever happens there is a sound one.
//! 2. Per step: let the method make it, add its row, save the model where a checkpoint was asked for.
//! 3. Every `save_every` steps, at the end, and when a signal asked to stop: save what a resume needs.
//! 4. At the end, however it comes about: the tables `training` and `timings`.

use super::checkpoint::{self, Progress};
use super::lora::{BaseName, Weights};
use super::optimiser::AdamW;
use super::rows::{TimingRow, TrainingRow};
use super::watch::{Warning, Watch};
use crate::error::{At, Error, Result, io};
use crate::ops::Parameter;
use crate::progress::Observer;
use crate::tables::{self, catalogue};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where a run writes, and what it is.
#[derive(Clone, Debug)]
pub struct TrainingRun {
    /// The variant's name, for the tables and the progress bar.
    pub variant: String,
    /// Decides, with the settings, every random number.
    pub seed: u64,
    /// Receives `checkpoints/<step>/` (HF repositories), `training.parquet` and `timings.parquet`.
    pub folder: PathBuf,
    /// Holds what a resume needs, and nothing that anybody else needs.
    pub scratch: PathBuf,
    /// The steps whose model is kept. The last step always is.
    pub checkpoints: Vec<usize>,
    /// Steps between two saves for a resume: at most this much work is lost to a kill.
    pub save_every: usize,
    /// Names the data and whatever else the settings do not say, so that a checkpoint of another run is
    /// refused; an artifact id, for example.
    pub origin: Value,
    /// The model that the run begins from, for adapters to name as their base; `None` if nobody could find it by that.
    pub base: Option<BaseName>,
    /// Receives progress and may ask the run to stop.
    pub observer: Observer,
}

impl TrainingRun {
    /// The folder of the model after `step` steps.
    pub fn checkpoint(&self, step: usize) -> PathBuf {
        self.folder.join("checkpoints").join(step.to_string())
    }
}

/// The checkpoints 10, 20, 40 … before the last of `steps`: evenly spaced on a logarithmic scale, where a dip would hide.
pub fn log_spaced(steps: usize) -> Vec<usize> {
    std::iter::successors(Some(10_usize), |step| step.checked_mul(2))
        .take_while(|step| *step < steps)
        .collect()
}

/// What one step has to tell.
pub(super) struct StepReport {
    /// `variant`, `step` and the running totals are filled in by the loop.
    pub(super) row: TrainingRow,
    /// Seconds and tokens of the step's parts, by name.
    pub(super) parts: Vec<(&'static str, f64, usize)>,
    /// Seconds that the step took before the loop came to it.
    pub(super) before: f64,
}

/// One way of training, a step at a time.
pub(super) trait Method {
    /// Makes step `step`, counted from 0.
    fn step(&mut self, step: usize) -> Result<StepReport>;
    /// The model's weights, or adapters on them.
    fn weights(&self) -> &Weights;
    /// What else is trained.
    fn others(&self) -> Vec<Parameter> {
        Vec::new()
    }
    fn optimiser(&mut self) -> &mut AdamW;
    /// What must survive from step to step beside parameters and optimiser.
    fn memory(&self) -> Value {
        Value::Null
    }
    fn remember(&mut self, _memory: Value) -> Result<()> {
        Ok(())
    }
}

/// Runs `method` for `steps` steps. `settings` and `start` (the hash of the first weights) identify it.
pub(super) fn drive(
    run: &TrainingRun,
    method: &mut dyn Method,
    steps: usize,
    settings: Value,
    start: String,
) -> Result<()> {
    if let Some(wrong) = run.checkpoints.iter().find(|step| !(1..=steps).contains(*step)) {
        return Err(Error::request(format!("checkpoints: expected steps from 1 to {steps}, found {wrong}"))
            .hint("a checkpoint is the model after so many steps; the last always is kept"));
    }
    std::fs::create_dir_all(&run.folder).map_err(|error| io("create", &run.folder, error))?;
    let identity = json!({ "origin": run.origin, "seed": run.seed, "settings": settings, "start": start });
    let dropout = method.weights().model.config().dropout();
    if !dropout.is_empty() {
        let settings =
            dropout.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ");
        tracing::warn!("{}: trained without dropout, though config.json sets {settings}", run.variant);
    }
    let parameters = [method.weights().parameters(), method.others()].concat();
    let restored = checkpoint::restore(&run.scratch, &identity, &parameters, method.optimiser())?;
    let is_new = restored.is_none();
    let mut progress = restored.unwrap_or(Progress { identity, ..Progress::default() });
    if is_new {
        progress.memory = method.memory();
        checkpoint::save(&run.scratch, &mut progress, &parameters, method.optimiser())?;
    }
    if progress.steps > 0 {
        tracing::info!("{}: going on after step {} of {steps}", run.variant, progress.steps);
        method.weights().merge()?;
        method.remember(std::mem::take(&mut progress.memory))?;
    }
    let outcome = go_on(run, method, steps, &parameters, &mut progress);
    // What was watched says why a run ended early, so it is written then, too.
    let written = tables::write(&run.folder.join("training.parquet"), &catalogue::TRAINING, &progress.rows)
        .and_then(|()| {
            tables::write(&run.folder.join("timings.parquet"), &catalogue::TIMINGS, &progress.timings)
        });
    outcome.and(written)
}

/// Makes the steps that are left.
fn go_on(
    run: &TrainingRun,
    method: &mut dyn Method,
    steps: usize,
    parameters: &[Parameter],
    progress: &mut Progress,
) -> Result<()> {
    let (mut watch, said) = Watch::after(&progress.rows);
    for warning in said {
        tell(run, &warning);
    }
    let mut bar = run.observer.bar(&run.variant, steps as u64, "steps");
    bar.advance(progress.steps as u64);
    while progress.steps < steps {
        let started = Instant::now();
        let step = progress.steps;
        let mut report = method.step(step).at(format!("step {}", step + 1)).at(&run.variant)?;
        progress.steps += 1;
        let weights = method.weights().model.parameters().elements();
        report.row.updates = Some(method.optimiser().updates());
        let seconds = started.elapsed().as_secs_f64() + report.before;
        add(run, progress, report, weights, seconds);
        if let Some(row) = progress.rows.last() {
            bar.note(&note(row));
        }
        for warning in watch.look(&progress.rows) {
            tell(run, &warning);
        }
        bar.advance(1);
        if progress.steps == steps || run.checkpoints.contains(&progress.steps) {
            keep(method.weights(), run.base.as_ref(), &run.checkpoint(progress.steps))?;
        }
        let stopping = run.observer.stop_requested().is_some();
        if stopping || progress.steps == steps || progress.steps.is_multiple_of(run.save_every.max(1)) {
            progress.memory = method.memory();
            checkpoint::save(&run.scratch, progress, parameters, method.optimiser())?;
        }
        run.observer.check()?;
    }
    Ok(())
}

fn tell(run: &TrainingRun, warning: &Warning) {
    tracing::warn!("{}: step {}: {}", run.variant, warning.step, warning.text);
}

fn add(run: &TrainingRun, progress: &mut Progress, report: StepReport, weights: usize, seconds: f64) {
    let mut row = report.row;
    let tokens = row.tokens_trained;
    row.variant.clone_from(&run.variant);
    row.step = progress.steps;
    if let Some(previous) = progress.rows.last() {
        row.tokens_trained += previous.tokens_trained;
        row.tokens_sampled += previous.tokens_sampled;
        row.tokens_scored += previous.tokens_scored;
    }
    row.flops =
        weights as f64 * (6 * row.tokens_trained + 2 * (row.tokens_sampled + row.tokens_scored)) as f64;
    let timed = |stage: &str, seconds, tokens| TimingRow {
        stage: stage.into(),
        variant: run.variant.clone(),
        step: row.step,
        seconds,
        tokens,
    };
    progress.timings.push(timed("train", seconds, tokens));
    progress
        .timings
        .extend(report.parts.iter().map(|(part, seconds, tokens)| timed(part, *seconds, *tokens)));
    progress.rows.push(row);
}

/// The live line of a terminal.
fn note(row: &TrainingRow) -> String {
    let share = |name: &str, value: Option<f64>| value.map(|value| format!("{name} {:.0} %", 100.0 * value));
    let number = |name: &str, value: Option<f64>| value.map(|value| format!("{name} {value:.3}"));
    let told = [
        row.reward.map(|reward| format!("reward {reward:.2}")),
        number("loss", row.loss.filter(|_| row.reward.is_none())),
        share("prefers", row.accuracy),
        number("KL", row.kl_to_base),
        number("entropy", row.entropy),
        row.response_length.map(|length| format!("length {length:.0}")),
        share("cut off", row.truncated.filter(|share| *share > 0.0)),
    ];
    told.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Saves the model (and its adapters, in a folder of their own) beside its place and renames it there.
fn keep(weights: &Weights, base: Option<&BaseName>, folder: &Path) -> Result<()> {
    let partial = folder.with_extension("partial");
    for stale in [partial.as_path(), folder] {
        match std::fs::remove_dir_all(stale) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io("remove", stale, error));
            }
            _ => {}
        }
    }
    std::fs::create_dir_all(&partial).map_err(|error| io("create", &partial, error))?;
    weights.model.save(&partial)?;
    weights.save_adapter(base, &partial.join("adapter"))?;
    std::fs::rename(&partial, folder).map_err(|error| io("rename", &partial, error))
}
