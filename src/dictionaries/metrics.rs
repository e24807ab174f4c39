//! How well a dictionary reconstructs, per variant and per difference.
//!
//! Over tokens t of a range of a store, first tokens left out: FVE = 1 - sum_t ||y_t - y^_t||^2 / sum_t ||y_t - mean y||^2,
//! where y is the activation of a variant, or the difference of two. A high FVE per variant can be all shared
//! variance; what a dictionary knows of a change shows in the FVE of the difference.

use super::codes::Codes;
use super::dictionary::Dictionary;
use super::vectors::{dot, norm};
use crate::activations::{ActivationStore, Part};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Tokens read at once.
const BLOCK: usize = 4096;

/// One row of the table `dictionaries`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DictionaryRow {
    /// The dictionary's kind.
    pub dictionary: String,
    /// The hook point it writes.
    pub hook: String,
    /// What is reconstructed: a variant, or the difference of a variant from the first one.
    pub target: String,
    /// The number of features.
    pub features: usize,
    /// Tokens measured on.
    pub tokens: usize,
    /// Fraction of variance explained.
    pub fve: f64,
    /// Squared error per token, summed over dimensions.
    pub mse: f64,
    /// Mean cosine of target and reconstruction.
    pub cosine: f64,
    /// Mean number of active features per token.
    pub l0: f64,
    /// Mean over tokens of activation times the norm of what it writes to this target.
    pub l1: f64,
    /// Features that never fire.
    pub dead: usize,
    /// Features that fire on more than a tenth of the tokens.
    pub dense: usize,
    /// Number of features by firing rate, as a JSON list.
    pub density: String,
    /// Share of lost cross-entropy recovered, if measured.
    pub ce_recovered: Option<f64>,
    /// KL divergence in nats per token, if measured.
    pub kl: Option<f64>,
    /// Mean over features of the largest cosine with a feature of another fit (MMCS), if there are others.
    pub stability: Option<f64>,
}

/// What a row reconstructs: an output, perhaps minus the first one.
#[derive(Clone, Copy)]
struct Target {
    output: usize,
    minus: Option<usize>,
}

impl Target {
    fn pick(self, row: &[f32], d: usize) -> Vec<f32> {
        let mut vector = row[self.output * d..(self.output + 1) * d].to_vec();
        if let Some(minus) = self.minus {
            super::vectors::add_scaled(&mut vector, -1.0, &row[minus * d..(minus + 1) * d]);
        }
        vector
    }
}

/// Sums over tokens for one target.
#[derive(Clone, Default)]
struct Sums {
    error: f64,
    square: f64,
    mean: Vec<f64>,
    cosine: f64,
    l1: f64,
}

/// Judges `dictionary` on tokens `range` of `store`, usually [`ActivationStore::held_out`].
///
/// # Errors
/// If the store lacks a variant, has another width, or the range holds no token.
pub fn metrics(
    dictionary: &Dictionary,
    store: &ActivationStore,
    range: Range<usize>,
) -> Result<Vec<DictionaryRow>> {
    metrics_pair(dictionary, store, store, range)
}

/// As [`metrics`], for a transcoder that reads `store` and writes `target`.
///
/// # Errors
/// As [`metrics`].
pub fn metrics_pair(
    dictionary: &Dictionary,
    store: &ActivationStore,
    target: &ActivationStore,
    range: Range<usize>,
) -> Result<Vec<DictionaryRow>> {
    let (spec, d) = (dictionary.spec(), dictionary.d_model());
    let outputs = spec.outputs.len();
    let mut targets: Vec<Target> = (0..outputs).map(|output| Target { output, minus: None }).collect();
    targets.extend((1..outputs).map(|output| Target { output, minus: Some(0) }));
    let weights: Vec<Vec<f32>> = targets.iter().map(|target| written(dictionary, *target)).collect();
    let mut sums = vec![Sums { mean: vec![0.0; d], ..Sums::default() }; targets.len()];
    let (mut fired, mut tokens, mut active) = (vec![0usize; spec.features], 0usize, 0usize);
    for start in range.clone().step_by(BLOCK) {
        let block = start..(start + BLOCK).min(range.end);
        let kept: Vec<bool> = store.parts()[block.clone()].iter().map(|part| *part != Part::First).collect();
        let x = keep(&dictionary.inputs_of(store, &store.read(block.clone())?)?, &kept);
        let y = keep(&dictionary.targets_of(target, &target.read(block)?)?, &kept);
        let codes = dictionary.encode(&x)?;
        let guess = dictionary.decode(&codes, &x)?;
        tokens += codes.tokens();
        active += codes.values.len();
        codes.features.iter().for_each(|feature| fired[*feature as usize] += 1);
        for ((sums, target), weights) in sums.iter_mut().zip(&targets).zip(&weights) {
            add(sums, *target, d * outputs, d, &y, &guess);
            sums.l1 += cost(&codes, weights);
        }
    }
    if tokens == 0 {
        return Err(Error::request("expected tokens besides the first of each example, found none"));
    }
    let rates: Vec<f64> = fired.iter().map(|count| *count as f64 / tokens as f64).collect();
    let row = |(target, sums): (&Target, &Sums)| {
        let count = tokens as f64;
        let centre: f64 = sums.mean.iter().map(|sum| sum * sum / count).sum();
        let name = &dictionary.variants()[target.output];
        DictionaryRow {
            dictionary: spec.kind.name().to_owned(),
            hook: spec.output_hook.clone(),
            target: match target.minus {
                Some(minus) => format!("{name}-{}", dictionary.variants()[minus]),
                None => name.clone(),
            },
            features: spec.features,
            tokens,
            // Two equal models have no difference to explain; 0 supports no claim about it.
            fve: if sums.square > centre { 1.0 - sums.error / (sums.square - centre) } else { 0.0 },
            mse: sums.error / count,
            cosine: sums.cosine / count,
            l0: active as f64 / count,
            l1: sums.l1 / count,
            dead: rates.iter().filter(|rate| **rate == 0.0).count(),
            dense: rates.iter().filter(|rate| **rate > 0.1).count(),
            density: histogram(&rates),
            ce_recovered: None,
            kl: None,
            stability: None,
        }
    };
    Ok(targets.iter().zip(&sums).map(row).collect())
}

/// The rows of `values` that are kept.
fn keep(values: &[f32], kept: &[bool]) -> Vec<f32> {
    let width = values.len() / kept.len().max(1);
    let rows = values.chunks_exact(width.max(1)).zip(kept);
    rows.filter(|(_, kept)| **kept).flat_map(|(row, _)| row).copied().collect()
}

/// The norm of what each feature writes to a target.
fn written(dictionary: &Dictionary, target: Target) -> Vec<f32> {
    let row = |feature| -> Vec<f32> {
        (0..dictionary.variants().len())
            .flat_map(|output| dictionary.decoder(feature, output))
            .copied()
            .collect()
    };
    (0..dictionary.features())
        .map(|feature| norm(&target.pick(&row(feature), dictionary.d_model())))
        .collect()
}

fn add(sums: &mut Sums, target: Target, width: usize, d: usize, y: &[f32], guess: &[f32]) {
    for (y, guess) in y.chunks_exact(width).zip(guess.chunks_exact(width)) {
        let (y, guess) = (target.pick(y, d), target.pick(guess, d));
        let square = f64::from(dot(&y, &y));
        let both = f64::from(norm(&guess)) * square.sqrt();
        sums.error += y.iter().zip(&guess).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        sums.square += square;
        sums.cosine += if both > 0.0 { f64::from(dot(&y, &guess)) / both } else { 0.0 };
        sums.mean.iter_mut().zip(&y).for_each(|(mean, value)| *mean += f64::from(*value));
    }
}

fn cost(codes: &Codes, weights: &[f32]) -> f64 {
    let entries = codes.features.iter().zip(&codes.values);
    entries.map(|(feature, value)| f64::from(value * weights[*feature as usize])).sum()
}

/// Counts by decade of firing rate: 0, then up to 1e-5, 1e-4, ..., 1.
fn histogram(rates: &[f64]) -> String {
    let mut counts = [0usize; 7];
    for rate in rates {
        let decade = if *rate == 0.0 { 0 } else { (6.0 + rate.log10()).ceil().clamp(1.0, 6.0) as usize };
        counts[decade] += 1;
    }
    format!("{counts:?}")
}

#[cfg(test)]
mod tests {
    use super::histogram;

    #[test]
    fn rates_are_counted_by_decade() {
        assert_eq!(histogram(&[0.0, 1e-5, 2e-5, 0.005, 0.1, 0.2, 1.0]), "[1, 1, 1, 0, 1, 1, 2]");
    }
}
