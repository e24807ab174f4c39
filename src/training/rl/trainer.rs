//! The policy-gradient trainer. A step:
//!
//! 1. Roll out: `samples` responses to each of `prompts` training problems, verified ([`super::rollout`]).
//! 2. Rewards, less the KL penalty where it stands in the reward, become advantages; groups of equal
//!    reward are dropped where the method says so ([`super::advantages`], [`super::critic`]).
//! 3. Per pass, the groups are shuffled and cut into minibatches of equal size, give or take one group. Per
//!    minibatch, the log-probabilities of the sampled tokens are computed part by part, [`super::objectives`] turns
//!    them into a weight per token, `sum(weight * log_probability)` (with a bonus, also the weighted entropies) is run
//!    backward, and AdamW makes one update. The prompt that the samples of a group share is computed once.
//!
//! The old log-probabilities are the sampler's own; they equal the trainer's, which a test checks.

use super::advantages::Advantage;
use super::critic::{Critic, Targets};
use super::objectives::{Evaluation, KlPenalty, Responses, Totals, Watched};
use super::rollout::{Rollout, roll_out};
use super::settings::RlSettings;
use crate::error::Result;
use crate::model::Model;
use crate::ops::Parameter;
use crate::rng::Stream;
use crate::tasks::Suite;
use crate::training::divergence;
use crate::training::examples::{Example, Part, Prompts, each_part, parts};
use crate::training::lora::Weights;
use crate::training::optimiser::AdamW;
use crate::training::rows::TrainingRow;
use crate::training::run::{Method, StepReport, TrainingRun, drive};
use crate::training::scoring;
use candle_core::Tensor;
use serde_json::json;
use std::time::Instant;

/// Groups of which one response each is used to measure the KL to base.
const KL_GROUPS: usize = 16;

/// Trains `model` in place on problems of `suite`, with its verifier as the reward.
///
/// Goes on from the checkpoint in `run.scratch`, if there is one; the weights are then those of an
/// uninterrupted run, byte for byte.
///
/// # Errors
/// If a setting is wrong, a gradient is not finite, or a signal asked to stop (after saving).
pub fn train_rl(model: &Model, suite: &Suite, settings: &RlSettings, run: &TrainingRun) -> Result<()> {
    settings.check()?;
    let start = model.weights_hash()?;
    let critic = match settings.advantage {
        Advantage::Gae => Some(Critic::new(model, &settings.value_head)?),
        _ => None,
    };
    let needs_base = settings.kl_every > 0 || settings.objective.kl.is_some();
    let base = if needs_base { Some(model.copy()?) } else { None };
    let weights = Weights::new(model, settings.lora.as_ref(), run.seed)?;
    let optimiser = AdamW::new(settings.optimiser.clone());
    let mut method = PolicyGradient { weights, base, suite, settings, seed: run.seed, optimiser, critic };
    let identity = json!({ "method": "policy gradient", "suite": suite.name(), "values": settings });
    drive(run, &mut method, settings.steps, identity, start)
}

struct PolicyGradient<'a> {
    weights: Weights,
    base: Option<Model>,
    suite: &'a Suite,
    settings: &'a RlSettings,
    seed: u64,
    optimiser: AdamW,
    critic: Option<Critic>,
}

/// A response ready to be learned from. All numbers are per response token.
struct Lesson {
    example: Example,
    old: Vec<f64>,
    advantages: Vec<f64>,
    reference: Option<Vec<f64>>,
    targets: Option<Targets>,
}

/// What a step's updates add up.
#[derive(Default)]
struct Sums {
    loss: f64,
    updates: usize,
    largest_norm: f64,
    /// Response tokens of the minibatches, those that teach nothing included.
    tokens: usize,
    tokens_trained: usize,
    value_loss: Option<f64>,
    watched: Watched,
}

impl Method for PolicyGradient<'_> {
    fn step(&mut self, step: usize) -> Result<StepReport> {
        let settings = self.settings;
        let started = Instant::now();
        let rollout = roll_out(
            &self.weights.model,
            self.suite,
            &settings.sampling(),
            (settings.prompts, settings.resample),
            self.seed,
            step,
        )?;
        let sampling = started.elapsed().as_secs_f64();
        let kl_to_base = self.kl_to_base(&rollout, step)?;
        let mut row = rollout.describe();
        let sampled = row.tokens_sampled;
        let factor = settings.schedule.factor(step, settings.steps, settings.warmup, settings.floor);
        let rate = settings.learning_rate * factor;
        let groups = self.lessons(rollout, &mut row)?;
        let mut sums = Sums::default();
        for pass in 0..settings.passes {
            let mut order: Vec<usize> = (0..groups.len()).collect();
            Stream::new(self.seed, "training/minibatches", &[step as u64, pass as u64]).shuffle(&mut order);
            for chosen in split(&order, settings.minibatches) {
                let lessons = chosen.iter().flat_map(|group| &groups[*group]).collect();
                self.update(lessons, rate, &mut sums)?;
            }
        }
        sums.fill(&mut row);
        row.updates_missing = Some((settings.passes * settings.minibatches).saturating_sub(sums.updates));
        row.kl_to_base = kl_to_base;
        row.learning_rate = Some(rate);
        Ok(StepReport { row, parts: vec![("sample", sampling, sampled)], before: 0.0 })
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn others(&self) -> Vec<Parameter> {
        self.critic.iter().flat_map(Critic::parameters).collect()
    }

    fn optimiser(&mut self) -> &mut AdamW {
        &mut self.optimiser
    }
}

impl PolicyGradient<'_> {
    fn kl_to_base(&self, rollout: &Rollout, step: usize) -> Result<Option<f64>> {
        let Some(base) = self.base.as_ref().filter(|_| self.settings.kl_every > 0) else { return Ok(None) };
        if !step.is_multiple_of(self.settings.kl_every) {
            return Ok(None);
        }
        let groups = rollout.groups.iter().take(KL_GROUPS);
        let examples: Vec<Example> =
            groups.filter_map(|group| Some(group.responses.first()?.example.clone())).collect();
        divergence::to_base(&self.weights.model, base, &examples, self.settings.part_tokens)
    }

    /// Turns rewards into advantages, and leaves out what the method drops. Tells `row` what that took.
    fn lessons(&self, mut rollout: Rollout, row: &mut TrainingRow) -> Result<Vec<Vec<Lesson>>> {
        let settings = self.settings;
        if settings.drop_equal_groups {
            rollout.keep_unequal(settings.prompts);
        }
        row.groups_trained = Some(rollout.groups.len());
        row.groups_missing =
            (settings.resample > 0).then(|| settings.prompts.saturating_sub(rollout.groups.len()));
        let examples: Vec<Example> = rollout.responses().map(|response| response.example.clone()).collect();
        let mut references = match (&settings.objective.kl, &self.base) {
            (Some(_), Some(base)) => scoring::log_probabilities(base, &examples, settings.part_tokens)?
                .into_iter()
                .map(Some)
                .collect(),
            _ => vec![None; examples.len()],
        };
        let in_reward = settings.objective.kl.as_ref().filter(|penalty| penalty.in_reward);
        let penalties: Vec<Vec<f64>> = rollout
            .responses()
            .zip(&references)
            .map(|(response, reference)| penalty(in_reward, &response.old, reference.as_deref()))
            .collect();
        row.kl_penalty =
            in_reward.map(|_| penalties.iter().flatten().sum::<f64>() / penalties.len().max(1) as f64);
        let tokens: usize = examples.iter().map(|example| example.tokens.len()).sum();
        row.tokens_scored += tokens * usize::from(settings.objective.kl.is_some());
        row.tokens_scored += tokens * usize::from(self.critic.is_some());
        let (advantages, mut targets) = match &self.critic {
            Some(critic) => {
                let rewards: Vec<f64> = rollout.responses().map(|response| response.shaped).collect();
                let (advantages, targets) = critic.judge(
                    &self.weights.model,
                    &examples,
                    &rewards,
                    &penalties,
                    settings.part_tokens,
                )?;
                (advantages, targets.into_iter().map(Some).collect())
            }
            None => (per_response(settings.advantage, &rollout, &penalties)?, vec![None; examples.len()]),
        };
        let mut advantages = advantages.into_iter();
        let (mut references, mut targets) = (references.drain(..), targets.drain(..));
        let lesson = |response: super::rollout::Response| Lesson {
            example: response.example,
            old: response.old,
            advantages: advantages.next().unwrap_or_default(),
            reference: references.next().flatten(),
            targets: targets.next().flatten(),
        };
        let mut lesson = lesson;
        Ok(rollout
            .groups
            .into_iter()
            .map(|group| group.responses.into_iter().map(&mut lesson).collect())
            .collect())
    }

    /// One update on the responses of one minibatch.
    fn update(&mut self, lessons: Vec<&Lesson>, rate: f64, sums: &mut Sums) -> Result<()> {
        let totals = Totals {
            rows: lessons.len(),
            tokens: lessons.iter().map(|lesson| lesson.old.len()).sum(),
            width: self.settings.max_new_tokens,
        };
        sums.tokens += totals.tokens;
        let lessons: Vec<&Lesson> = lessons.into_iter().filter(|lesson| self.teaches(lesson)).collect();
        if lessons.is_empty() {
            return Ok(());
        }
        let examples: Vec<Example> = lessons.iter().map(|lesson| lesson.example.clone()).collect();
        let (mut loss, mut watched) = (0.0, Watched::default());
        let parts = parts(&examples, Prompts::Shared, self.settings.part_tokens)?;
        let found = each_part(&parts, |part| {
            let chosen: Vec<&Lesson> = part.rows.iter().map(|row| lessons[*row]).collect();
            self.part(part, &chosen, &totals)
        })?;
        for PartReport { evaluation, value_loss } in found {
            loss += evaluation.loss;
            watched.merge(&evaluation.watched);
            if let Some(value_loss) = value_loss {
                *sums.value_loss.get_or_insert(0.0) += value_loss;
            }
        }
        let scale = watched.rescale(self.settings.objective.aggregation, &totals);
        let others = self.others();
        let norm = self.weights.update(&mut self.optimiser, &others, rate, scale)?;
        sums.loss += loss * scale;
        sums.updates += 1;
        sums.largest_norm = sums.largest_norm.max(norm);
        sums.watched.merge(&watched);
        sums.tokens_trained += examples.iter().map(|example| example.tokens.len()).sum::<usize>();
        Ok(())
    }

    /// Whether a response has any gradient. One that has none is spared the forward pass, but counts in
    /// the averages.
    fn teaches(&self, lesson: &Lesson) -> bool {
        let objective = &self.settings.objective;
        let always = lesson.targets.is_some() || objective.entropy_bonus > 0.0 || objective.kl_in_loss();
        always || lesson.advantages.iter().any(|advantage| *advantage != 0.0)
    }

    /// Adds the gradient of one part of a minibatch.
    fn part(&self, part: &Part, lessons: &[&Lesson], totals: &Totals) -> Result<PartReport> {
        let hidden = scoring::hidden(&self.weights.model, &part.tokens, self.settings.gradients())?;
        let output = self.weights.model.token_log_probabilities(&hidden, &part.at, &part.targets)?;
        let new = output.log_probabilities.to_vec1::<f32>()?;
        let width = lessons.iter().map(|lesson| lesson.old.len()).max().unwrap_or(0);
        let grid = Grid { width, lessons };
        let new: Vec<f64> = new.into_iter().map(f64::from).collect();
        let batch = Responses::new(
            lessons.len(),
            width,
            grid.mask(),
            grid.spread(|lesson| &lesson.old),
            grid.fill(&new),
        )?;
        let advantages = grid.spread(|lesson| &lesson.advantages);
        let reference = lessons
            .iter()
            .all(|lesson| lesson.reference.is_some())
            .then(|| grid.spread(|lesson| lesson.reference.as_deref().unwrap_or_default()));
        let objective = &self.settings.objective;
        let mut evaluation = objective.evaluate(&batch, &advantages, reference.as_deref(), totals)?;
        let weights = grid.gather(&evaluation.weights);
        let weights = Tensor::from_vec(weights, new.len(), hidden.device())?;
        let mut loss = output.log_probabilities.mul(&weights)?.sum_all()?;
        if let Some(weights) = objective.entropy_weights(&batch, totals) {
            let weights = Tensor::from_vec(grid.gather(&weights), new.len(), hidden.device())?;
            let term = output.entropies.mul(&weights)?.sum_all()?;
            evaluation.loss += f64::from(term.to_scalar::<f32>()?);
            loss = (loss + term)?;
        }
        let mut value_loss = None;
        if let Some(critic) = &self.critic {
            let targets = lessons.iter().filter_map(|lesson| lesson.targets.as_ref());
            let (of_trunk, of_head) = critic.loss(&hidden, part, targets, totals)?;
            loss = (loss + of_trunk)?;
            value_loss = Some(of_head);
        }
        loss.backward()?;
        Ok(PartReport { evaluation, value_loss })
    }
}

/// What one part of a minibatch adds to the sums of its step.
struct PartReport {
    evaluation: Evaluation,
    value_loss: Option<f64>,
}

/// Cuts `items` into `count` runs whose lengths differ by one at most; fewer runs where there are fewer items.
fn split<T>(items: &[T], count: usize) -> impl Iterator<Item = &[T]> {
    let bound = move |part: usize| part * items.len() / count.max(1);
    (0..count).map(move |part| &items[bound(part)..bound(part + 1)]).filter(|run| !run.is_empty())
}

/// Moves numbers between response tokens in a row and the padded `[responses, width]` of the objectives.
struct Grid<'a> {
    width: usize,
    lessons: &'a [&'a Lesson],
}

impl Grid<'_> {
    fn mask(&self) -> Vec<bool> {
        let row = |lesson: &&Lesson| {
            let length = lesson.old.len();
            (0..self.width).map(move |index| index < length).collect::<Vec<_>>()
        };
        self.lessons.iter().flat_map(row).collect()
    }

    fn spread<'b>(&'b self, values: impl Fn(&'b Lesson) -> &'b [f64]) -> Vec<f64> {
        let mut all = Vec::with_capacity(self.lessons.len() * self.width);
        for lesson in self.lessons {
            all.extend_from_slice(values(lesson));
            all.resize(all.len().next_multiple_of(self.width), 0.0);
        }
        all
    }

    /// As [`Self::spread`], from the numbers of all responses one after another.
    fn fill(&self, values: &[f64]) -> Vec<f64> {
        let mut all = Vec::with_capacity(self.lessons.len() * self.width);
        let mut rest = values;
        for lesson in self.lessons {
            let (row, after) = rest.split_at(lesson.old.len().min(rest.len()));
            all.extend_from_slice(row);
            all.resize(all.len().next_multiple_of(self.width), 0.0);
            rest = after;
        }
        all
    }

    /// The other way.
    fn gather(&self, values: &[f64]) -> Vec<f32> {
        let rows = values.chunks(self.width.max(1)).zip(self.lessons);
        rows.flat_map(|(row, lesson)| row.iter().take(lesson.old.len()).map(|value| *value as f32)).collect()
    }
}

/// The KL penalty of each token where it is taken from the reward, else zeros.
fn penalty(penalty: Option<&KlPenalty>, old: &[f64], reference: Option<&[f64]>) -> Vec<f64> {
    match (penalty, reference) {
        (Some(penalty), Some(reference)) => {
            let terms = old.iter().zip(reference);
            terms
                .map(|(old, reference)| penalty.coefficient * penalty.estimator.term(*old, *reference).value)
                .collect()
        }
        _ => vec![0.0; old.len()],
    }
}

/// Advantages of groups, the same for every token of a response.
fn per_response(kind: Advantage, rollout: &Rollout, penalties: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let mut penalties = penalties.iter();
    let mut all = Vec::with_capacity(penalties.len());
    for group in &rollout.groups {
        let rewards: Vec<f64> = group
            .responses
            .iter()
            .map(|response| response.shaped - penalties.next().map_or(0.0, |penalty| penalty.iter().sum()))
            .collect();
        let advantages = kind.of(&rewards, rewards.len())?;
        let lengths = group.responses.iter().map(|response| response.old.len());
        all.extend(advantages.into_iter().zip(lengths).map(|(advantage, length)| vec![advantage; length]));
    }
    Ok(all)
}

impl Sums {
    fn fill(&self, row: &mut TrainingRow) {
        let watched = &self.watched;
        // A token without advantage meets no bound, so it counts although its forward pass was spared.
        let share = |clipped: usize| (self.tokens > 0).then(|| clipped as f64 / self.tokens as f64);
        row.clipped_high = share(watched.clipped_high);
        row.clipped_low = share(watched.clipped_low);
        row.clipped_dual = share(watched.clipped_dual);
        if self.updates == 0 {
            return;
        }
        let per_token = |value: f64| Some(value / watched.tokens.max(1) as f64);
        row.loss = Some(self.loss / self.updates as f64);
        row.gradient_norm = Some(self.largest_norm);
        row.moved = per_token(watched.moved);
        row.influence_mean = watched.influence.and_then(|influence| per_token(influence.sum));
        row.influence_min = watched.influence.map(|influence| influence.min);
        row.influence_max = watched.influence.map(|influence| influence.max);
        row.value_loss = self.value_loss.map(|sum| sum / self.updates as f64);
        row.tokens_trained = self.tokens_trained;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minibatches_are_as_many_as_asked_and_as_equal_as_can_be() {
        let sizes = |items: usize, count| split(&vec![0; items], count).map(<[i32]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(5, 4), [1, 1, 1, 2]);
        assert_eq!(sizes(32, 2), [16, 16]);
        assert_eq!(sizes(3, 4), [1, 1, 1]);
        assert_eq!(sizes(0, 2), [0; 0]);
    }
}
