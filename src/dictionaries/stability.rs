//! Whether another fit finds the same features.

use super::dictionary::Dictionary;
use super::matmul::PackedRows;
use super::metrics::Judgement;
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
    let width = same_width(dictionary, other)?;
    let (ours, theirs) = (directions(dictionary, width), PackedRows::pack(&directions(other, width), width));
    let (mut best, mut cosines) = (Vec::with_capacity(dictionary.features()), Vec::new());
    for block in ours.chunks(BLOCK * width) {
        theirs.pre_activations(block, &mut cosines);
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

/// Puts the mean max cosine similarity with `others`, fits of the same dictionary under other seeds, into the rows. The
/// mean is over the features that fired: one that never does keeps the direction that its seed gave it, and says
/// nothing about the fit.
///
/// # Errors
/// As [`stability`].
pub fn add_stability(
    judgement: &mut Judgement,
    dictionary: &Dictionary,
    others: &[Dictionary],
) -> Result<()> {
    let features = mean_stability(dictionary, others)?;
    let mean = features.and_then(|values| mean_of_live(&values, &judgement.firings));
    judgement.rows.iter_mut().for_each(|row| row.stability = mean);
    Ok(())
}

/// The mean of `values` over the features that fire; `None` if none does.
pub fn mean_of_live(values: &[f64], firings: &[usize]) -> Option<f64> {
    let live = values.iter().zip(firings).filter(|(_, firings)| **firings > 0);
    let (sum, count) = live.fold((0.0, 0usize), |(sum, count), (value, _)| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// The width of what both write.
fn same_width(dictionary: &Dictionary, other: &Dictionary) -> Result<usize> {
    let width = dictionary.spec().output_width();
    // Repetitions over training seeds may match other checkpoints of the same variants.
    let names = |dictionary: &Dictionary| -> Vec<String> {
        let variants = dictionary.variants().iter();
        variants.map(|name| name.split('@').next().unwrap_or(name).to_owned()).collect()
    };
    if other.spec().output_width() == width && names(other) == names(dictionary) {
        return Ok(width);
    }
    Err(Error::request(format!(
        "expected two dictionaries over the same variants, found `{}` and `{}`",
        dictionary.variants().join(","),
        other.variants().join(",")
    )))
}

/// The least decoder cosine of a match.
const MATCH: f32 = 0.8;

/// For each feature, the feature of `other` with the most similar decoder (all outputs joined), one to one: the
/// most similar pairs first, down to a cosine of .8. `None` for what is left.
///
/// # Errors
/// As [`stability`].
pub fn matches(dictionary: &Dictionary, other: &Dictionary) -> Result<Vec<Option<u32>>> {
    let width = same_width(dictionary, other)?;
    let (ours, theirs) = (directions(dictionary, width), PackedRows::pack(&directions(other, width), width));
    let (mut pairs, mut cosines) = (Vec::new(), Vec::new());
    for (block, ours) in ours.chunks(BLOCK * width).enumerate() {
        theirs.pre_activations(ours, &mut cosines);
        for (row, cosines) in cosines.chunks_exact(other.features()).enumerate() {
            let close = cosines.iter().enumerate().filter(|(_, cosine)| **cosine >= MATCH);
            pairs.extend(close.map(|(feature, cosine)| (*cosine, block * BLOCK + row, feature)));
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut found, mut taken) = (vec![None; dictionary.features()], vec![false; other.features()]);
    for (_, ours, theirs) in pairs {
        if found[ours].is_none() && !taken[theirs] {
            found[ours] = Some(theirs as u32);
            taken[theirs] = true;
        }
    }
    Ok(found)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionaries::{Activation, Kind, Site, Spec, Weights};

    fn dictionary(decoder: Vec<f32>) -> Dictionary {
        let sites = vec![Site::of("base"), Site::of("rl@120")];
        let features = decoder.len() / 4;
        let spec = Spec::reconstructing(Kind::BatchTopkCrosscoder, Activation::Relu, sites, 2, features);
        let weights = Weights {
            encoder: decoder.clone(),
            encoder_bias: vec![0.0; features],
            decoder,
            decoder_bias: vec![0.0; 4],
            ..Weights::default()
        };
        Dictionary::new(spec, weights).unwrap()
    }

    #[test]
    fn features_that_never_fire_do_not_count() {
        assert_eq!(mean_of_live(&[1.0, 0.2, 0.8, 0.1], &[3, 0, 9, 0]), Some(0.9));
        assert_eq!(mean_of_live(&[1.0, 0.2], &[0, 0]), None);
    }

    #[test]
    fn features_are_matched_one_to_one_the_most_similar_first() {
        let ours = dictionary(vec![1.0, 0.0, 0.0, 0.0, 0.9, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let theirs = dictionary(vec![0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]);
        assert_eq!(matches(&ours, &theirs).unwrap(), [Some(1), None, None]);
        assert_eq!(matches(&ours, &ours).unwrap(), [Some(0), Some(1), Some(2)]);
    }
}
