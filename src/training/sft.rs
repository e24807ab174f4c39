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
use crate::model::{Model, Under};
use crate::tasks::Document;
use serde_json::json;
use std::sync::Arc;

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
    train_sft_under(model, documents, None, settings, run)
}

/// As [`train_sft`], with something in place while the model reads every document, such as interventions
/// (`interventions::under`). Gradients flow through it; prompt and response are those of the document. What is measured of
/// the model beside that (`kl_to_base`) is measured without it.
///
/// # Errors
/// As [`train_sft`], or if an intervention cannot act on this model, has no gradient, or never acted.
pub fn train_sft_under(
    model: &Model,
    documents: Documents<'_>,
    under: Option<Arc<dyn Under>>,
    settings: &SftSettings,
    run: &TrainingRun,
) -> Result<()> {
    settings.check()?;
    let start = model.weights_hash()?;
    let mut fit = Fit::new(model, settings, run.seed)?;
    let mut identity = json!({ "method": "sft", "values": settings });
    if let Some(under) = &under {
        identity["under"] = json!(under.identity()?);
    }
    fit.under = under;
    let mut method = Sft { fit, documents, seed: run.seed };
    drive(run, &mut method, settings.steps, identity, start)?;
    match &method.fit.under {
        // Where a finished run is found again, no step is made.
        Some(under) if method.fit.has_read => under.finish(),
        _ => Ok(()),
    }
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
