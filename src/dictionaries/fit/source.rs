//! The tokens of a fit: shuffled batches of what dictionaries read and of what they write.

use super::super::sites::gather;
use super::super::spec::Spec;
use super::Job;
use super::normalise::{Moments, Scaling};
use super::settings::Normalise;
use crate::activations::{ActivationStore, Batches, Order};
use crate::error::{Error, Result};

/// Tokens from which the scale is measured.
const SAMPLE: usize = 16_384;
/// Bytes that shuffled tokens may take in memory, whatever the size of the store.
const BUFFER_BYTES: usize = 512 << 20;

pub(super) struct Source {
    pub(super) store: ActivationStore,
    pub(super) target: ActivationStore,
    inputs: Batches,
    /// Batches of the target, if some dictionary writes another hook.
    targets: Option<Batches>,
    batch: usize,
}

/// One batch, as the stores hold it.
pub(super) struct Raw {
    store: ActivationStore,
    target: ActivationStore,
    inputs: Vec<f32>,
    targets: Option<Vec<f32>>,
}

impl Raw {
    /// What a dictionary reads, and what it writes where that is something else.
    pub(super) fn pick(&self, spec: &Spec) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
        let inputs = gather(&spec.inputs, spec.d_in, &self.store, &self.inputs)?;
        let targets = match &self.targets {
            Some(values) if spec.kind.is_transcoder() => {
                Some(gather(&spec.outputs, spec.d_out, &self.target, values)?)
            }
            _ => None,
        };
        Ok((inputs, targets))
    }
}

impl Source {
    pub(super) fn new(
        store: &ActivationStore,
        target: &ActivationStore,
        jobs: &[Job],
        order_seed: u64,
    ) -> Result<Self> {
        let Some(first) = jobs.first() else {
            return Err(Error::request("expected at least one dictionary to fit, found none"));
        };
        for job in jobs {
            job.settings.check()?;
            if (job.settings.batch, job.settings.buffer) != (first.settings.batch, first.settings.buffer) {
                return Err(Error::request(
                    "expected equal `batch` and `buffer` in dictionaries that are fitted together",
                ));
            }
        }
        if store.tokens() != target.tokens() || store.parts() != target.parts() {
            return Err(Error::request(format!(
                "expected two stores of the same tokens, found {} and {}",
                store.tokens(),
                target.tokens()
            ))
            .hint("capture both hooks on the same examples"));
        }
        let batch = first.settings.batch;
        if let Some(job) = jobs.iter().find(|job| !job.settings.kind.is_transcoder())
            && !store.is(target)
        {
            return Err(Error::request(format!(
                "expected a transcoder to write other activations than it reads, found kind `{}`",
                job.settings.kind
            ))
            .hint("choose `transcoder` or `skip_transcoder`, or leave the targets out"));
        }
        let paired = jobs.iter().any(|job| job.settings.kind.is_transcoder());
        let row = |store: &ActivationStore| store.variants().len() * store.d_model() * size_of::<f32>();
        let token_bytes = row(store) + if paired { row(target) } else { 0 };
        let buffer = first.settings.buffer.min(BUFFER_BYTES / token_bytes);
        let order = Order::new(store, 0..store.held_out().start, order_seed, buffer)?;
        if order.tokens() < batch {
            tracing::warn!(
                "{} tokens to fit on, fewer than the {batch} of one step: each comes several times",
                order.tokens()
            );
        }
        Ok(Self {
            store: store.clone(),
            target: target.clone(),
            targets: paired.then(|| Batches::new(target, order.clone(), batch)),
            inputs: Batches::new(store, order, batch),
            batch,
        })
    }

    /// Batch `index`.
    pub(super) fn read(&mut self, index: u64) -> Result<Raw> {
        Ok(Raw {
            store: self.store.clone(),
            target: self.target.clone(),
            inputs: self.inputs.read(index)?,
            targets: self.targets.as_mut().map(|targets| targets.read(index)).transpose()?,
        })
    }

    /// For each dictionary, the scale of what it reads and of what it writes, from the first batches.
    pub(super) fn scalings(&mut self, specs: &[(Spec, Normalise)]) -> Result<Vec<(Scaling, Scaling)>> {
        let mut moments: Vec<(Moments, Option<Moments>)> = specs
            .iter()
            .map(|(spec, _)| {
                let output = spec.kind.is_transcoder().then(|| Moments::new(spec.output_width()));
                (Moments::new(spec.input_width()), output)
            })
            .collect();
        for index in 0..SAMPLE.div_ceil(self.batch) {
            let batch = self.read(index as u64)?;
            for ((spec, _), (input, output)) in specs.iter().zip(&mut moments) {
                let (x, y) = batch.pick(spec)?;
                input.add(&x);
                output.iter_mut().zip(&y).for_each(|(output, y)| output.add(y));
            }
        }
        specs
            .iter()
            .zip(&moments)
            .map(|((spec, how), (input, output))| {
                let input = input.scaling(spec.d_in, *how)?;
                let output = match output {
                    Some(output) => output.scaling(spec.d_out, *how)?,
                    None => input.clone(),
                };
                Ok((input, output))
            })
            .collect()
    }
}
