//! The tokens of a fit: shuffled batches of what the dictionary reads and of what it writes.

use super::super::sites::gather;
use super::super::spec::{Kind, Spec};
use super::normalise::Scaling;
use super::settings::{FitSettings, Normalise};
use crate::activations::{ActivationStore, Batches, Order};
use crate::error::{Error, Result};

/// Tokens from which the scale is measured.
const SAMPLE: usize = 16_384;

pub(super) struct Source {
    store: ActivationStore,
    inputs: Batches,
    /// Another store, for transcoders.
    target: Option<(ActivationStore, Batches)>,
    spec: Spec,
    batch: usize,
}

impl Source {
    pub(super) fn new(
        store: &ActivationStore,
        target: &ActivationStore,
        spec: &Spec,
        settings: &FitSettings,
        seed: u64,
    ) -> Result<Self> {
        if store.tokens() != target.tokens() || store.parts() != target.parts() {
            return Err(Error::request(format!(
                "expected two stores of the same tokens, found {} and {}",
                store.tokens(),
                target.tokens()
            ))
            .hint("capture both hooks on the same examples"));
        }
        let order = Order::new(store, 0..store.held_out().start, seed, settings.buffer)?;
        let paired = matches!(spec.kind, Kind::Transcoder | Kind::SkipTranscoder);
        let target = paired.then(|| (target.clone(), Batches::new(target, order.clone(), settings.batch)));
        let inputs = Batches::new(store, order, settings.batch);
        Ok(Self { store: store.clone(), inputs, target, spec: spec.clone(), batch: settings.batch })
    }

    /// Batch `index`: inputs, and targets where they differ from the inputs.
    pub(super) fn read(&mut self, index: u64) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
        let (spec, values) = (&self.spec, self.inputs.read(index)?);
        let inputs = gather(&spec.inputs, spec.d_in, &self.store, &values)?;
        let targets = match &mut self.target {
            Some((store, batches)) => {
                let values = batches.read(index)?;
                Some(gather(&spec.outputs, spec.d_out, store, &values)?)
            }
            None => None,
        };
        Ok((inputs, targets))
    }

    /// The scale of inputs and of targets, from the first batches.
    pub(super) fn scalings(&mut self, how: Normalise) -> Result<(Scaling, Scaling)> {
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for index in 0..SAMPLE.div_ceil(self.batch) {
            let (x, y) = self.read(index as u64)?;
            inputs.extend(x);
            targets.extend(y.unwrap_or_default());
        }
        let input = Scaling::measure(&inputs, self.spec.inputs.len(), self.spec.d_in, how)?;
        let output = match &self.target {
            Some(_) => Scaling::measure(&targets, self.spec.outputs.len(), self.spec.d_out, how)?,
            None => input.clone(),
        };
        Ok((input, output))
    }
}
