//! Rejection-sampling fine-tuning (RFT, arXiv 2308.01825; STaR, arXiv 2203.14465).
//!
//! Every `refresh` steps: sample responses to fresh training problems from the model as it is, keep the
//! verified ones of problems at the boundary of its ability (some responses right, some wrong), at most
//! `per_problem` different ones each. Between, fit the kept responses as SFT does, in keyed random order. Where
//! nothing is worth keeping any more (a model that solves everything has no boundary), the last responses stay.

use super::examples::Example;
use super::fit::Fit;
use super::lora::Weights;
use super::optimiser::AdamW;
use super::rl::rollout::{Group, Overlong, Sampling, roll_out};
use super::rows::TrainingRow;
use super::run::{Method, StepReport, TrainingRun, drive};
use super::settings::RftSettings;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::rng::{Stream, passes};
use crate::tasks::Suite;
use serde_json::{Value, json};
use std::time::Instant;

/// Trains `model` in place on its own verified responses to problems of `suite`.
///
/// # Errors
/// If a setting is wrong, no response of the first sampling is worth keeping, a gradient is not finite, or a signal asked to stop
/// (after saving).
pub fn train_rft(model: &Model, suite: &Suite, settings: &RftSettings, run: &TrainingRun) -> Result<()> {
    settings.check()?;
    let start = model.weights_hash()?;
    let fit = Fit::new(model, &settings.sft, run.seed)?;
    let mut method = Rft { fit, suite, settings, seed: run.seed, kept: Vec::new() };
    let identity = json!({ "method": "rft", "suite": suite.name(), "values": settings });
    drive(run, &mut method, settings.sft.steps, identity, start)
}

struct Rft<'a> {
    fit: Fit<'a>,
    suite: &'a Suite,
    settings: &'a RftSettings,
    seed: u64,
    kept: Vec<Example>,
}

impl Method for Rft<'_> {
    fn step(&mut self, step: usize) -> Result<StepReport> {
        let mut sampled = TrainingRow::default();
        let mut parts = Vec::new();
        if step.is_multiple_of(self.settings.refresh) {
            let started = Instant::now();
            sampled = self.sample(step)?;
            parts.push(("sample", started.elapsed().as_secs_f64(), sampled.tokens_sampled));
        }
        let row = self.fit.step(step, &self.batch(step))?;
        let row = TrainingRow {
            reward: sampled.reward,
            response_length: sampled.response_length,
            truncated: sampled.truncated,
            entropy: sampled.entropy,
            tokens_scored: sampled.tokens_scored,
            pass_at_1: sampled.pass_at_1,
            pass_at_k: sampled.pass_at_k,
            equal_groups: sampled.equal_groups,
            groups_trained: sampled.groups_trained,
            tokens_sampled: sampled.tokens_sampled,
            ..row
        };
        Ok(StepReport { row, parts, before: 0.0 })
    }

    fn weights(&self) -> &Weights {
        &self.fit.weights
    }

    fn optimiser(&mut self) -> &mut AdamW {
        &mut self.fit.optimiser
    }

    fn memory(&self) -> Value {
        json!(self.kept)
    }

    fn remember(&mut self, memory: Value) -> Result<()> {
        self.kept = serde_json::from_value(memory)
            .map_err(|error| Error::work(format!("the checkpoint's kept responses are damaged: {error}")))?;
        Ok(())
    }
}

impl Rft<'_> {
    fn sample(&mut self, step: usize) -> Result<TrainingRow> {
        let settings = self.settings;
        let sampling = Sampling {
            samples: settings.samples,
            temperature: settings.temperature,
            max_new_tokens: settings.max_new_tokens,
            batch_rows: settings.batch_rows,
            overlong: Overlong::NONE,
        };
        let round = step / settings.refresh;
        let rollout = roll_out(
            &self.fit.weights.model,
            self.suite,
            &sampling,
            (settings.prompts, 0),
            self.seed,
            round,
        )?;
        let mut row = rollout.describe();
        let kept: Vec<Vec<Example>> = rollout.groups.iter().map(|group| keep(group, settings)).collect();
        row.groups_trained = Some(kept.iter().filter(|kept| !kept.is_empty()).count());
        let kept = kept.concat();
        // A round that yields nothing does not end a run: the responses of the round before are fitted further.
        if !kept.is_empty() {
            self.kept = kept;
        }
        if self.kept.is_empty() {
            return Err(Error::work(format!(
                "none of {} responses is verified and at the boundary of the model's ability; {}",
                settings.prompts * settings.samples,
                rollout.outcome()
            ))
            .hint("raise `prompts`, `samples` or `max_new_tokens`, or set `boundary = false`"));
        }
        Ok(row)
    }

    /// The step's share of the kept responses, which are gone through in an order keyed by the pass.
    fn batch(&self, step: usize) -> Vec<Example> {
        let batch = self.settings.sft.batch;
        let round = (step / self.settings.refresh) as u64;
        let first = (step % self.settings.refresh * batch) as u64;
        let order = |pass| Stream::new(self.seed, "training/rft", &[round, pass]);
        let places = passes(self.kept.len(), (first..).take(batch), order);
        places.into_iter().filter_map(|place| self.kept.get(place).cloned()).collect()
    }
}

/// The different verified responses of a group, if the group is worth learning from.
fn keep(group: &Group, settings: &RftSettings) -> Vec<Example> {
    if settings.boundary && group.equal() {
        return Vec::new();
    }
    let mut kept: Vec<Example> = Vec::new();
    for response in group.responses.iter().filter(|response| response.reward >= 1.0) {
        if kept.len() < settings.per_problem && !kept.contains(&response.example) {
            kept.push(response.example.clone());
        }
    }
    kept
}
