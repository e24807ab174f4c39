//! From the trainer's state to a dictionary that reads and writes raw activations.

use super::super::dictionary::Dictionary;
use super::super::spec::Activation;
use super::super::vectors::norm;
use super::super::weights::Weights;
use super::normalise::{Scaling, fold};
use super::trainer::Trainer;
use crate::error::Result;

pub(super) fn finish(trainer: &Trainer, input: &Scaling, output: &Scaling) -> Result<Dictionary> {
    let (spec, state) = (&trainer.spec, &trainer.state);
    let extra = |index: usize| state.extras.get(index).map(|extra| extra.value.clone()).unwrap_or_default();
    let exponential = |values: Vec<f32>| -> Vec<f32> { values.into_iter().map(f32::exp).collect() };
    let mut weights = Weights {
        encoder: state.encoder.value.clone(),
        encoder_bias: state.encoder_bias.value.clone(),
        decoder: state.decoder.value.clone(),
        decoder_bias: state.decoder_bias.value.clone(),
        skip: state.skip.value.clone(),
        ..Weights::default()
    };
    match (spec.activation, state.extras.len()) {
        (Activation::Gated, _) => {
            (weights.magnitude_scale, weights.magnitude_bias) = (exponential(extra(0)), extra(1))
        }
        (Activation::Threshold, 0) => {
            let cut = state.cuts[1];
            let threshold = |cost: &f32| if *cost > 0.0 { cut / cost } else { f32::MAX };
            weights.threshold = trainer.costs()?.iter().map(threshold).collect();
        }
        (Activation::Threshold, _) => weights.threshold = exponential(extra(0)),
        (
            Activation::Relu | Activation::Topk { .. } | Activation::SignedTopk { .. } | Activation::TanhRelu,
            _,
        ) => {}
    }
    if !trainer.recipe().unit_decoder() {
        rescale(&mut weights, spec.d_out, spec.input_width(), spec.output_width());
    }
    fold(spec, &mut weights, input, output);
    Dictionary::new(spec.clone(), weights)
}

/// Scales each feature so that its decoder norms sum to 1. Reconstructions stay the same.
fn rescale(weights: &mut Weights, d: usize, width_in: usize, width_out: usize) {
    let rows = weights.decoder.chunks_exact_mut(width_out).zip(weights.encoder.chunks_exact_mut(width_in));
    for (feature, (decoder, encoder)) in rows.enumerate() {
        let total: f32 = decoder.chunks_exact(d).map(norm).sum();
        if total > 0.0 {
            decoder.iter_mut().for_each(|value| *value /= total);
            encoder.iter_mut().for_each(|value| *value *= total);
            weights.encoder_bias[feature] *= total;
            if let Some(threshold) = weights.threshold.get_mut(feature) {
                *threshold *= total;
            }
        }
    }
}
