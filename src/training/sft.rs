//! Supervised fine-tuning: cross-entropy on responses only. The base is trained by the same code.
//!
//! 1. The step's documents become rows, sorted by length and cut into padded parts.
//! 2. The loss is the mean of `-w log p` over all response tokens of the step, the end token included; w is
//!    1, or sg(p) for DFT. Each part adds its share of the gradient.
//! 3. One update of AdamW.

use super::divergence;
use super::examples::{Example, Part, parts};
use super::optimiser::AdamW;
use super::rows::TrainingRow;
use super::run::{Method, StepReport, TrainingRun, drive};
use super::scoring;
use super::settings::{SftSettings, TokenWeighting};
use crate::error::{Error, Result};
use crate::model::{Gradients, Model, Parameter};
use crate::tasks::Document;
use candle_core::Tensor;
use serde_json::json;

/// Where documents come from: `count` of them from number `first` on. Equal numbers, equal documents.
pub type Documents<'a> = &'a dyn Fn(u64, usize) -> Vec<Document>;

/// Documents whose prefixes the KL to base is measured on.
const KL_DOCUMENTS: usize = 8;

/// Trains `model` in place on `documents`; step t uses documents `t * batch ..`.
///
/// Goes on from the checkpoint in `run.scratch`, if there is one; the weights are then those of an
/// uninterrupted run, byte for byte.
///
/// # Errors
/// If a setting or document is wrong, a gradient is not finite, or a signal asked to stop (after saving).
pub fn train_sft(model: &Model, documents: Documents<'_>, settings: &SftSettings, run: &TrainingRun) -> Result<()> {
    settings.check()?;
    let start = model.weights_hash()?;
    let base = if settings.kl_every > 0 { Some(model.copy()?) } else { None };
    let optimiser = AdamW::new(settings.optimiser.clone());
    let mut method = Sft { model: model.clone(), base, documents, settings, optimiser };
    let identity = json!({ "method": "sft", "values": settings });
    drive(run, model, &mut method, settings.steps, identity, start)
}

struct Sft<'a> {
    model: Model,
    base: Option<Model>,
    documents: Documents<'a>,
    settings: &'a SftSettings,
    optimiser: AdamW,
}

/// Sums over the response tokens of a step.
#[derive(Default)]
struct Sums {
    loss: f64,
    entropy: f64,
}

impl Method for Sft<'_> {
    fn step(&mut self, step: usize) -> Result<StepReport> {
        let settings = self.settings;
        let tokenizer = self.model.tokenizer()?;
        let first = (step * settings.batch) as u64;
        let examples = (self.documents)(first, settings.batch)
            .iter()
            .map(|document| Example::encode(tokenizer, document, settings.max_tokens))
            .collect::<Result<Vec<_>>>()?;
        let responses: usize = examples.iter().map(|example| example.response().len()).sum();
        if responses == 0 {
            return Err(Error::request("the documents of this step have no response tokens"));
        }
        let factor = settings.schedule.factor(step, settings.steps, settings.warmup, settings.floor);
        let rate = settings.learning_rate * factor;
        let kl_to_base = match &self.base {
            Some(base) if step.is_multiple_of(settings.kl_every) => {
                let few = &examples[..examples.len().min(KL_DOCUMENTS)];
                divergence::to_base(&self.model, base, few, settings.part_tokens)?
            }
            _ => None,
        };
        let mut sums = Sums::default();
        for part in parts(&examples, settings.part_tokens)? {
            self.part(&part, responses, &mut sums)?;
        }
        let gradient_norm = self.optimiser.update(&self.parameters(), rate, 1.0)?;
        let count = responses as f64;
        let truncated = examples.iter().filter(|example| example.truncated).count();
        let row = TrainingRow {
            loss: Some(sums.loss / count),
            kl_to_base,
            gradient_norm: Some(gradient_norm),
            entropy: Some(sums.entropy / count),
            response_length: Some(count / examples.len() as f64),
            truncated: Some(truncated as f64 / examples.len() as f64),
            learning_rate: Some(rate),
            tokens_trained: examples.iter().map(|example| example.tokens.len()).sum(),
            ..TrainingRow::default()
        };
        Ok(StepReport { row, parts: Vec::new() })
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.model.parameters().iter().cloned().collect()
    }

    fn optimiser(&mut self) -> &mut AdamW {
        &mut self.optimiser
    }
}

impl Sft<'_> {
    /// Adds one part's share of the gradient.
    fn part(&self, part: &Part, responses: usize, sums: &mut Sums) -> Result<()> {
        let hidden = scoring::hidden(&self.model, &part.tokens, Gradients::On)?;
        let output = self.model.token_log_probabilities(&hidden, &part.at, &part.targets)?;
        let values = output.log_probabilities.to_vec1::<f32>()?;
        let weight = |value: f32| match self.settings.weighting {
            TokenWeighting::Plain => 1.0,
            TokenWeighting::Dft => f64::from(value).exp(),
        };
        sums.loss -= values.iter().map(|value| weight(*value) * f64::from(*value)).sum::<f64>();
        sums.entropy += output.entropies.iter().map(|value| f64::from(*value)).sum::<f64>();
        let weights: Vec<f32> =
            values.iter().map(|value| (-weight(*value) / responses as f64) as f32).collect();
        let weights = Tensor::from_vec(weights, values.len(), output.log_probabilities.device())?;
        output.log_probabilities.mul(&weights)?.sum_all()?.backward()?;
        Ok(())
    }
}
