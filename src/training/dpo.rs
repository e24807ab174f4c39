//! Direct preference optimisation (arXiv 2305.18290).
//!
//! With `r = beta * (log p - log p_ref)` summed over a response, the loss of a pair is
//! `-log sigmoid(r_chosen - r_rejected)`. Its slope by each token's log-probability is
//! `-beta * sigmoid(-(r_chosen - r_rejected))` on the chosen response and the opposite on the rejected
//! one. The reference is a real copy of the model as it was at the start.

use super::examples::{Example, Prompts, each_part, parts};
use super::lora::Weights;
use super::optimiser::AdamW;
use super::rows::TrainingRow;
use super::run::{Method, StepReport, TrainingRun, drive};
use super::settings::DpoSettings;
use super::{divergence, scoring};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::tasks::Pair;
use candle_core::Tensor;
use serde_json::json;

/// Where pairs come from.
#[derive(Clone, Copy)]
pub struct Pairs<'a> {
    /// `count` of them from number `first` on. Equal numbers, equal pairs.
    pub draw: &'a dyn Fn(u64, usize) -> Vec<Pair>,
    /// How the model's own were sampled; `None` for given ones.
    pub sampled: Option<&'a Sampled>,
}

/// How responses were sampled that became preferences: it stands in the row of the first step.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// Rewards, lengths, what was cut off and so left out, and the tokens it took.
    pub row: TrainingRow,
    /// Wall time.
    pub seconds: f64,
}

/// Trains `model` in place on preferences; step t uses pairs `t * batch ..`.
///
/// # Errors
/// If a setting or pair is wrong, a gradient is not finite, or a signal asked to stop (after saving).
pub fn train_dpo(model: &Model, pairs: Pairs<'_>, settings: &DpoSettings, run: &TrainingRun) -> Result<()> {
    settings.check()?;
    let start = model.weights_hash()?;
    let reference = model.copy()?;
    let weights = Weights::new(model, settings.sft.lora.as_ref(), run.seed)?;
    let optimiser = AdamW::new(settings.sft.optimiser.clone());
    let mut method = Dpo { weights, reference, pairs, settings, optimiser };
    let identity = json!({ "method": "dpo", "values": settings });
    drive(run, &mut method, settings.sft.steps, identity, start)
}

struct Dpo<'a> {
    weights: Weights,
    reference: Model,
    pairs: Pairs<'a>,
    settings: &'a DpoSettings,
    optimiser: AdamW,
}

impl Method for Dpo<'_> {
    fn step(&mut self, step: usize) -> Result<StepReport> {
        let settings = &self.settings.sft;
        let pairs = (self.pairs.draw)((step * settings.batch) as u64, settings.batch);
        if pairs.is_empty() {
            return Err(Error::request("there is no pair to learn from"));
        }
        let tokenizer = self.weights.model.tokenizer()?;
        let encode = |document| Example::encode(tokenizer, document, settings.max_tokens);
        let count = pairs.len();
        // The chosen responses, then the rejected ones.
        let documents = pairs.iter().map(|pair| &pair.chosen).chain(pairs.iter().map(|pair| &pair.rejected));
        let examples = documents.map(encode).collect::<Result<Vec<_>>>()?;
        let rewards = self.rewards(&examples)?;
        let margins: Vec<f64> = (0..count).map(|pair| rewards[pair] - rewards[pair + count]).collect();
        let slopes: Vec<f64> = (0..2 * count)
            .map(|row| {
                let slope = -self.settings.beta * sigmoid(-margins[row % count]) / count as f64;
                if row < count { slope } else { -slope }
            })
            .collect();
        let factor = settings.schedule.factor(step, settings.steps, settings.warmup, settings.floor);
        let rate = settings.learning_rate * factor;
        let measure = settings.kl_every > 0 && step.is_multiple_of(settings.kl_every);
        let kl_to_base = match measure {
            true => divergence::to_base(
                &self.weights.model,
                &self.reference,
                &examples[..count.min(divergence::DOCUMENTS)],
                settings.part_tokens,
            )?,
            false => None,
        };
        let entropy = self.backward(&examples, &slopes)?;
        let gradient_norm = self.weights.update(&mut self.optimiser, &[], rate, 1.0)?;
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count as f64;
        let truncated = examples.iter().filter(|example| example.truncated).count();
        let responses: usize = examples.iter().map(|example| example.response().len()).sum();
        let tokens: usize = examples.iter().map(|example| example.tokens.len()).sum();
        let row = TrainingRow {
            loss: Some(mean(&mut margins.iter().map(|margin| log_loss(*margin)))),
            accuracy: Some(mean(&mut margins.iter().map(|margin| f64::from(*margin > 0.0)))),
            margin: Some(mean(&mut margins.iter().copied())),
            kl_to_base,
            gradient_norm: Some(gradient_norm),
            entropy: Some(entropy / responses.max(1) as f64),
            response_length: Some(responses as f64 / examples.len() as f64),
            truncated: Some(truncated as f64 / examples.len() as f64),
            learning_rate: Some(rate),
            tokens_trained: tokens,
            // Once by the policy for the margins, once by the reference.
            tokens_scored: 2 * tokens,
            ..TrainingRow::default()
        };
        Ok(match self.pairs.sampled {
            None => StepReport { row, parts: Vec::new(), before: 0.0 },
            Some(sampled) => with_sampling(row, sampled, step),
        })
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn optimiser(&mut self) -> &mut AdamW {
        &mut self.optimiser
    }
}

impl Dpo<'_> {
    /// The implicit reward of each response.
    fn rewards(&self, examples: &[Example]) -> Result<Vec<f64>> {
        let limit = self.settings.sft.part_tokens;
        let policy = scoring::log_probabilities(&self.weights.model, examples, limit)?;
        let reference = scoring::log_probabilities(&self.reference, examples, limit)?;
        let pairs = policy.iter().zip(&reference);
        Ok(pairs
            .map(|(policy, reference)| {
                self.settings.beta * (policy.iter().sum::<f64>() - reference.iter().sum::<f64>())
            })
            .collect())
    }

    /// Adds the gradient of `sum(slope * log-probability of the response)`; returns the summed entropy.
    fn backward(&self, examples: &[Example], slopes: &[f64]) -> Result<f64> {
        let parts = parts(examples, Prompts::Shared, self.settings.sft.part_tokens)?;
        let model = &self.weights.model;
        let entropies = each_part(&parts, |part| {
            let hidden = scoring::hidden(model, &part.tokens, self.settings.sft.gradients())?;
            let output = model.token_log_probabilities(&hidden, &part.at, &part.targets)?;
            let by_example = part.by_example(&part.targets);
            let weights: Vec<f32> =
                by_example.flat_map(|(row, targets)| vec![slopes[row] as f32; targets.len()]).collect();
            let weights = Tensor::from_vec(weights, part.at.len(), hidden.device())?;
            output.log_probabilities.mul(&weights)?.sum_all()?.backward()?;
            scoring::total(&output.entropies)
        })?;
        Ok(entropies.iter().sum())
    }
}

/// The row of a step on own responses: the first tells how they were sampled, and none describes the pairs as if they
/// were all that was said.
fn with_sampling(row: TrainingRow, sampled: &Sampled, step: usize) -> StepReport {
    if step > 0 {
        let row = TrainingRow { response_length: None, truncated: None, ..row };
        return StepReport { row, parts: Vec::new(), before: 0.0 };
    }
    let of = &sampled.row;
    let row = TrainingRow {
        reward: of.reward,
        pass_at_1: of.pass_at_1,
        pass_at_k: of.pass_at_k,
        equal_groups: of.equal_groups,
        groups_trained: of.groups_trained,
        response_length: of.response_length,
        truncated: of.truncated,
        tokens_sampled: of.tokens_sampled,
        tokens_scored: row.tokens_scored + of.tokens_scored,
        ..row
    };
    StepReport { row, parts: vec![("sample", sampled.seconds, of.tokens_sampled)], before: sampled.seconds }
}

/// `-log sigmoid(value)`, finite however negative the value is.
fn log_loss(value: f64) -> f64 {
    (-value).max(0.0) + (-value.abs()).exp().ln_1p()
}

fn sigmoid(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_finite_far_from_the_preference() {
        assert!((log_loss(0.0) - std::f64::consts::LN_2).abs() < 1e-15);
        assert!((log_loss(1.5) + sigmoid(1.5).ln()).abs() < 1e-15);
        assert_eq!((log_loss(-2000.0), log_loss(2000.0)), (2000.0, 0.0));
    }
}
