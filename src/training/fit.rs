//! One update of supervised fine-tuning on given rows: what SFT and rejection sampling share.

use super::examples::{Example, Part, Prompts, each_part, parts};
use super::lora::Weights;
use super::optimiser::AdamW;
use super::rows::TrainingRow;
use super::settings::{SftSettings, TokenWeighting};
use super::{divergence, scoring};
use crate::error::{Error, Result};
use crate::model::{Hooks, Model, Under};
use candle_core::Tensor;
use std::sync::Arc;

/// Weights, their optimiser, and a copy of what it began as.
pub(super) struct Fit<'a> {
    pub(super) weights: Weights,
    pub(super) base: Option<Model>,
    pub(super) settings: &'a SftSettings,
    pub(super) optimiser: AdamW,
    /// What the model reads under, where that is something.
    pub(super) under: Option<Arc<dyn Under>>,
    /// Whether it has made a step.
    pub(super) has_read: bool,
}

/// Sums over the response tokens of a step.
#[derive(Default)]
struct Sums {
    loss: f64,
    entropy: f64,
}

impl<'a> Fit<'a> {
    pub(super) fn new(model: &Model, settings: &'a SftSettings, seed: u64) -> Result<Self> {
        let base = if settings.kl_every > 0 { Some(model.copy()?) } else { None };
        let weights = Weights::new(model, settings.lora.as_ref(), seed)?;
        let optimiser = AdamW::new(settings.optimiser.clone());
        Ok(Self { weights, base, settings, optimiser, under: None, has_read: false })
    }

    /// Makes step `step` (from 0) on `examples`.
    pub(super) fn step(&mut self, step: usize, examples: &[Example]) -> Result<TrainingRow> {
        let settings = self.settings;
        let responses: usize = examples.iter().map(|example| example.response().len()).sum();
        if responses == 0 {
            return Err(Error::request("the documents of this step have no response tokens"));
        }
        let factor = settings.schedule.factor(step, settings.steps, settings.warmup, settings.floor);
        let rate = settings.learning_rate * factor;
        let kl_to_base = match &self.base {
            Some(base) if step.is_multiple_of(settings.kl_every) => {
                let few = &examples[..examples.len().min(divergence::DOCUMENTS)];
                divergence::to_base(&self.weights.model, base, few, settings.part_tokens)?
            }
            _ => None,
        };
        let mut sums = Sums::default();
        for part in each_part(&parts(examples, Prompts::Own, settings.part_tokens)?, |part| {
            self.part(part, examples, responses)
        })? {
            sums.loss += part.loss;
            sums.entropy += part.entropy;
        }
        self.has_read = true;
        let gradient_norm = self.weights.update(&mut self.optimiser, &[], rate, 1.0)?;
        let (count, rows) = (responses as f64, examples.len() as f64);
        let truncated = examples.iter().filter(|example| example.truncated).count();
        Ok(TrainingRow {
            loss: Some(sums.loss / count),
            kl_to_base,
            gradient_norm: Some(gradient_norm),
            entropy: Some(sums.entropy / count),
            response_length: Some(count / rows),
            truncated: Some(truncated as f64 / rows),
            learning_rate: Some(rate),
            tokens_trained: examples.iter().map(|example| example.tokens.len()).sum(),
            ..TrainingRow::default()
        })
    }

    /// Adds one part's share of the gradient.
    fn part(&self, part: &Part, examples: &[Example], responses: usize) -> Result<Sums> {
        let mut hooks = match &self.under {
            Some(under) => {
                // Every example is a row of its own.
                let prompts: Vec<usize> = part.rows.iter().map(|row| examples[*row].prompt).collect();
                under.hooks(&prompts)
            }
            None => Hooks::none(),
        };
        let gradients = self.settings.gradients();
        let hidden = self.weights.model.hidden(&part.tokens, None, &mut hooks, gradients)?;
        let output = self.weights.model.token_log_probabilities(&hidden, &part.at, &part.targets)?;
        let values = output.log_probabilities.to_vec1::<f32>()?;
        let weight = |value: f32| match self.settings.weighting {
            TokenWeighting::Plain => 1.0,
            TokenWeighting::Dft => f64::from(value).exp(),
        };
        let sums = Sums {
            loss: -values.iter().map(|value| weight(*value) * f64::from(*value)).sum::<f64>(),
            entropy: scoring::total(&output.entropies)?,
        };
        let weights: Vec<f32> =
            values.iter().map(|value| (-weight(*value) / responses as f64) as f32).collect();
        let weights = Tensor::from_vec(weights, values.len(), output.log_probabilities.device())?;
        output.log_probabilities.mul(&weights)?.sum_all()?.backward()?;
        Ok(sums)
    }
}
