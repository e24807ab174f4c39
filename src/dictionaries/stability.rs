//! Whether another fit finds the same features.

use super::dictionary::Dictionary;
use super::matmul::pre_activations;
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

/// Decoder rows of norm 1; a feature that writes nothing stays zero.
fn directions(dictionary: &Dictionary, width: usize) -> Vec<f32> {
    let mut rows = dictionary.weights().decoder.clone();
    for row in rows.chunks_exact_mut(width) {
        let length = norm(row).max(f32::MIN_POSITIVE);
        row.iter_mut().for_each(|value| *value /= length);
    }
    rows
}
