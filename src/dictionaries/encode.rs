//! Encoding at inference.

use super::codes::Codes;
use super::matmul::PackedRows;
use super::spec::{Activation, Spec, TokenScale};
use super::vectors::norm;
use super::weights::Weights;
use rayon::prelude::*;
use std::borrow::Cow;

/// Tokens whose pre-activations are held at once.
const BLOCK: usize = 256;
const LAYER_NORM_EPSILON: f32 = 1e-5;

/// `encoder` are the rows of all features.
pub(super) fn codes(spec: &Spec, weights: &Weights, x: &[f32], encoder: &PackedRows) -> Codes {
    let x = token_scaled(spec, x);
    let (width, features) = (spec.input_width(), spec.features);
    let (mut codes, mut products) = (Codes::new(), Vec::new());
    for block in x.chunks(BLOCK * width) {
        encoder.pre_activations(block, &mut products);
        let rows: Vec<Vec<(u32, f32)>> = products
            .par_chunks_exact(features)
            .map(|products| {
                let active = (0..features)
                    .filter_map(|feature| {
                        let value = activate(spec.activation, weights, feature, products[feature]);
                        (value != 0.0).then_some((feature as u32, value))
                    })
                    .collect();
                compete(spec.activation, active)
            })
            .collect();
        for row in rows {
            codes.push(row);
        }
    }
    codes
}

/// The activations of some features among the codes of all.
pub(super) fn chosen_of(codes: &Codes, chosen: &[u32]) -> Vec<f32> {
    let mut values = vec![0.0; codes.tokens() * chosen.len()];
    for (token, row) in values.chunks_exact_mut(chosen.len().max(1)).enumerate() {
        for (feature, value) in codes.token(token) {
            for (cell, wanted) in row.iter_mut().zip(chosen) {
                if *wanted as usize == feature {
                    *cell = value;
                }
            }
        }
    }
    values
}

/// The activations of some features, which compete with no others and whose encoder rows are `encoder`.
pub(super) fn some_features(
    spec: &Spec,
    weights: &Weights,
    x: &[f32],
    chosen: &[u32],
    encoder: &PackedRows,
) -> Vec<f32> {
    let mut values = Vec::new();
    encoder.pre_activations(&token_scaled(spec, x), &mut values);
    for row in values.chunks_exact_mut(chosen.len().max(1)) {
        for (value, feature) in row.iter_mut().zip(chosen) {
            *value = activate(spec.activation, weights, *feature as usize, *value);
        }
    }
    values
}

/// The encoder rows of some features.
pub(super) fn gather(spec: &Spec, weights: &Weights, chosen: &[u32]) -> PackedRows {
    let width = spec.input_width();
    let rows = chosen.iter().map(|feature| *feature as usize * width);
    let rows: Vec<f32> = rows.flat_map(|start| &weights.encoder[start..start + width]).copied().collect();
    PackedRows::pack(&rows, width)
}

/// The activation of a feature whose encoder row gave `product`, before features compete.
fn activate(activation: Activation, weights: &Weights, feature: usize, product: f32) -> f32 {
    let pre = product + weights.encoder_bias[feature];
    match activation {
        Activation::Relu | Activation::Topk { .. } => pre.max(0.0),
        Activation::Threshold if pre > weights.threshold[feature] => pre.max(0.0),
        Activation::Gated if pre > 0.0 => {
            (product * weights.magnitude_scale[feature] + weights.magnitude_bias[feature]).max(0.0)
        }
        Activation::Threshold | Activation::Gated => 0.0,
        Activation::SignedTopk { .. } => pre,
        Activation::TanhRelu => pre.max(0.0).tanh(),
    }
}

/// Keeps the k largest, or those of largest magnitude; of equal ones, those with the lower index.
fn compete(activation: Activation, mut active: Vec<(u32, f32)>) -> Vec<(u32, f32)> {
    if let Activation::Topk { k } | Activation::SignedTopk { k } = activation
        && active.len() > k
    {
        active.select_nth_unstable_by(k, |a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
        active.truncate(k);
        active.sort_unstable_by_key(|(feature, _)| *feature);
    }
    active
}

/// Adds the linear path around the features of one token, which reads its input as it is.
pub(super) fn add_skip(weights: &Weights, x: &[f32], output: &mut [f64]) {
    let rows = weights.skip.chunks_exact(x.len());
    for (output, row) in output.iter_mut().zip(rows) {
        *output +=
            row.iter().zip(x).map(|(weight, value)| f64::from(*weight) * f64::from(*value)).sum::<f64>();
    }
}

/// The shift and the factor that undo what a dictionary does to one vector before encoding it.
fn token_scale(how: TokenScale, vector: &[f32]) -> (f32, f32) {
    let count = vector.len() as f32;
    match how {
        TokenScale::None => (0.0, 1.0),
        TokenScale::LayerNorm => {
            let mean = vector.iter().sum::<f32>() / count;
            let squares = vector.iter().map(|value| (value - mean).powi(2)).sum::<f32>();
            (mean, (squares / (count - 1.0).max(1.0)).sqrt())
        }
        TokenScale::ConstantNorm => (0.0, norm(vector) / count.sqrt()),
    }
}

fn token_scaled<'a>(spec: &Spec, x: &'a [f32]) -> Cow<'a, [f32]> {
    let epsilon = match spec.token_scale {
        TokenScale::None => return Cow::Borrowed(x),
        TokenScale::LayerNorm => LAYER_NORM_EPSILON,
        TokenScale::ConstantNorm => 0.0,
    };
    let mut x = x.to_vec();
    for vector in x.chunks_exact_mut(spec.d_in) {
        let (shift, factor) = token_scale(spec.token_scale, vector);
        vector.iter_mut().for_each(|value| *value = (*value - shift) / (factor + epsilon));
    }
    Cow::Owned(x)
}

/// Gives each output the scale of the input that it reconstructs; a transcoder reconstructs none.
pub(super) fn undo_token_scale(spec: &Spec, x: &[f32], output: &mut [f32]) {
    if spec.token_scale == TokenScale::None || spec.kind.is_transcoder() {
        return;
    }
    for (vector, output) in x.chunks_exact(spec.d_in).zip(output.chunks_exact_mut(spec.d_out)) {
        let (shift, factor) = token_scale(spec.token_scale, vector);
        output.iter_mut().for_each(|value| *value = *value * factor + shift);
    }
}
