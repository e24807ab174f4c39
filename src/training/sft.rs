//! Supervised fine-tuning: cross-entropy on responses only. The base is trained by the same code.
//!
//! 1. The step's documents become rows, sorted by length and cut into parts.
//! 2. The loss is the mean of `-w log p` over all response tokens of the step, the end token included; w is
//!    1, or sg(p) for DFT. Each part adds its share of the gradient.
//! 3. One update of AdamW.

use super::examples::{Example, repeated};
use super::fit::Fit;
use super::lora::Weights;
use super::optimiser::AdamW;
use super::run::{Method, StepReport, TrainingRun, drive};
use super::settings::SftSettings;
use crate::error::Result;
use crate::model::Model;
use crate::tasks::Document;
use serde_json::json;

/// Where documents come from: `count` of them from number `first` on. Equal numbers, equal documents.
pub type Documents<'a> = &'a dyn Fn(u64, usize) -> Result<Vec<Document>>;

/// Trains `model` in place on `documents`; step t uses documents `t * batch ..` or, where the settings say how
/// many different ones there are, those of passes over these.
///
/// Goes on from the checkpoint in `run.scratch`, if there is one; the weights are then those of an
/// uninterrupted run, byte for byte.
///
/// # Errors
/// If a setting or document is wrong, a gradient is not finite, or a signal asked to stop (after saving).
pub fn train_sft(
    model: &Model,
    documents: Documents<'_>,
    settings: &SftSettings,
    run: &TrainingRun,
) -> Result<()> {
    settings.check()?;
    let start = model.weights_hash()?;
    let mut method = Sft { fit: Fit::new(model, settings, run.seed)?, documents, seed: run.seed };
    let identity = json!({ "method": "sft", "values": settings });
    drive(run, &mut method, settings.steps, identity, start)
}

struct Sft<'a> {
    fit: Fit<'a>,
    documents: Documents<'a>,
    seed: u64,
}

impl Method for Sft<'_> {
    fn step(&mut self, step: usize) -> Result<StepReport> {
        let settings = self.fit.settings;
        let tokenizer = self.fit.weights.model.tokenizer()?;
        let documents: Vec<Document> = match settings.documents {
            None => (self.documents)((step * settings.batch) as u64, settings.batch)?,
            Some(different) => {
                let seed = settings.shuffle.then_some(self.seed);
                let numbers = repeated(step, settings.batch, different, seed);
                let batches = numbers.into_iter().map(|number| (self.documents)(number, 1));
                batches.collect::<Result<Vec<_>>>()?.concat()
            }
        };
        let examples = documents
            .iter()
            .map(|document| Example::encode(tokenizer, document, settings.max_tokens))
            .collect::<Result<Vec<_>>>()?;
        Ok(StepReport { row: self.fit.step(step, &examples)?, parts: Vec::new(), before: 0.0 })
    }

    fn weights(&self) -> &Weights {
        &self.fit.weights
    }

    fn optimiser(&mut self) -> &mut AdamW {
        &mut self.fit.optimiser
    }
}
