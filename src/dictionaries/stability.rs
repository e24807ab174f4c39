//! Whether another fit finds the same features.

use super::dictionary::Dictionary;
use super::matmul::pre_activations;
use super::metrics::DictionaryRow;
use super::vectors::norm;
use crate::error::{Error, Result};

/// Features compared at once.
const BLOCK: usize = 256;

/// For each feature, the largest cosine of its decoder (all outputs joined) with any feature of `other`. The mean
/// over features is the mean max cosine similarity (MMCS, Sharkey et al. 2022) of the two dictionaries.
///
/// # Errors
/// If the two do not write the same outputs.
pub fn stability(dictionary: &Dictionary, other: &Dictionary) -> Result<Vec<f32>> {
    let width = dictionary.spec().output_width();
    if other.spec().output_width() != width || other.variants() != dictionary.variants() {
        return Err(Error::request(format!(
            "expected two dictionaries over the same variants, found `{}` and `{}`",
            dictionary.variants().join(","),
            other.variants().join(",")
        )));
    }
    let (ours, theirs) = (directions(dictionary, width), directions(other, width));
    let (mut best, mut cosines) = (Vec::with_capacity(dictionary.features()), Vec::new());
    for block in ours.chunks(BLOCK * width) {
        pre_activations(block, &theirs, width, &mut cosines);
        best.extend(
            cosines.chunks_exact(other.features()).map(|row| row.iter().copied().fold(0.0, f32::max)),
        );
    }
    Ok(best)
}

/// For each feature, its [`stability`] against each of `others`, averaged. `None` without others.
///
/// # Errors
/// As [`stability`].
pub fn mean_stability(dictionary: &Dictionary, others: &[Dictionary]) -> Result<Option<Vec<f64>>> {
    let mut mean = vec![0.0; dictionary.features()];
    for other in others {
        for (mean, cosine) in mean.iter_mut().zip(stability(dictionary, other)?) {
            *mean += f64::from(cosine) / others.len() as f64;
        }
    }
    Ok((!others.is_empty()).then_some(mean))
}

/// Puts the mean max cosine similarity with `others`, fits of the same dictionary under other seeds, into `rows`.
///
/// # Errors
/// As [`stability`].
pub fn add_stability(
    rows: &mut [DictionaryRow],
    dictionary: &Dictionary,
    others: &[Dictionary],
) -> Result<()> {
    let features = mean_stability(dictionary, others)?;
    let mean = features.map(|values| values.iter().sum::<f64>() / values.len().max(1) as f64);
    rows.iter_mut().for_each(|row| row.stability = mean);
    Ok(())
}

/// Decoder rows of norm 1; a feature that writes nothing stays zero.
pub(super) fn directions(dictionary: &Dictionary, width: usize) -> Vec<f32> {
    let mut rows = dictionary.weights().decoder.clone();
    for row in rows.chunks_exact_mut(width) {
        let length = norm(row).max(f32::MIN_POSITIVE);
        row.iter_mut().for_each(|value| *value /= length);
    }
    rows
}
