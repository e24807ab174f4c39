//! How much of a planted world a dictionary and its diff found.
//!
//! 1. The score of a planted feature and a dictionary feature is the smallest of their activation
//!    correlation on held-out tokens and of their decoder cosines in each variant where the planted
//!    norm is positive.
//! 2. The Hungarian algorithm matches them one to one; a match of at least .8 is a hit.
//! 3. **Recall**: planted features that are hit and rightly classed (same `present`, same `change`).
//!    **Precision**: of all live features that were given a class, those that are hits rightly classed.
//!    The rest is named: misclassed, duplicate (its planted feature is matched to another), split (the
//!    direction is right but it fires on a part only), or mixture.

use super::matching::assign;
use super::{Planted, PlantedFeature, PlantedTokens};
use crate::dictionaries::{Codes, Dictionary};
use crate::diff::classes::Class;
use crate::diff::decoders::{Decoders, dot};
use crate::diff::rows::FeatureRow;
use crate::diff::scaling::transpose;
use crate::error::Result;

/// A match of this score is a hit.
pub(super) const HIT: f64 = 0.8;

/// The outcome for one planted feature.
#[derive(Clone, Debug, PartialEq)]
pub struct PlantedOutcome {
    /// Its presence pattern, `+`-joined, with its change where that is not `same`.
    pub fate: String,
    /// The dictionary feature it is matched with.
    pub matched: Option<usize>,
    /// The score of the match.
    pub score: f64,
    /// Whether it is a hit.
    pub hit: bool,
    /// Whether it is a hit and rightly classed.
    pub right: bool,
}

/// What was found of one planted world by one dictionary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// One outcome per planted feature.
    pub planted: Vec<PlantedOutcome>,
    /// Live features that were given a class.
    pub classed: usize,
    /// Of these: hits that are rightly classed.
    pub right: usize,
    /// Of these: hits that are wrongly classed.
    pub misclassed: usize,
    /// Of these: features whose planted feature is already matched.
    pub duplicates: usize,
    /// Of these: features with a planted direction that fire on a part of its tokens.
    pub splits: usize,
    /// Of these: all others.
    pub mixtures: usize,
    /// Live features left undecided.
    pub undecided: usize,
}

impl Score {
    /// Share of planted features that are hit and rightly classed.
    pub fn recall(&self) -> f64 {
        self.right as f64 / self.planted.len().max(1) as f64
    }

    /// Share of classed features that are hits rightly classed. 0 when none is classed.
    pub fn precision(&self) -> f64 {
        self.right as f64 / self.classed.max(1) as f64
    }
}

/// Scores a dictionary, and the classes that were given to its features, on held-out planted tokens.
///
/// # Errors
/// If the dictionary does not read the planted variants.
pub fn score(
    planted: &Planted,
    tokens: &PlantedTokens,
    dictionary: &Dictionary,
    rows: &[FeatureRow],
) -> Result<Score> {
    let codes = dictionary.codes(&tokens.activations)?;
    let decoders = Decoders::of(dictionary);
    let correlations = correlations(&tokens.truth, planted.features().len(), &codes, decoders.features());
    let cosines: Vec<Vec<f64>> = planted
        .features()
        .iter()
        .map(|feature| (0..decoders.features()).map(|other| cosine(feature, &decoders, other)).collect())
        .collect();
    let scores: Vec<Vec<f64>> = correlations
        .iter()
        .zip(&cosines)
        .map(|(correlations, cosines)| {
            correlations.iter().zip(cosines).map(|(a, b)| a.min(*b).max(0.0)).collect()
        })
        .collect();
    let variants = &planted.recipe().variants;
    let mut outcome_of = vec![None; decoders.features()];
    let mut score = Score::default();
    for ((feature, scores), matched) in planted.features().iter().zip(&scores).zip(assign(&scores)) {
        let value = matched.map_or(0.0, |other| scores[other]);
        let hit = value >= HIT;
        let right = hit && matched.is_some_and(|other| rightly_classed(feature, variants, &rows[other]));
        if let Some(other) = matched.filter(|_| hit) {
            outcome_of[other] = Some(right);
        }
        score.planted.push(PlantedOutcome {
            fate: fate(feature, variants),
            matched,
            score: value,
            hit,
            right,
        });
    }
    for (other, row) in rows.iter().enumerate() {
        match row.class {
            Class::Dead => continue,
            Class::Undecided => {
                score.undecided += 1;
                continue;
            }
            _ => score.classed += 1,
        }
        match outcome_of[other] {
            Some(true) => score.right += 1,
            Some(false) => score.misclassed += 1,
            None if scores.iter().any(|scores| scores[other] >= HIT) => score.duplicates += 1,
            None if cosines.iter().any(|cosines| cosines[other] >= HIT) => score.splits += 1,
            None => score.mixtures += 1,
        }
    }
    Ok(score)
}

fn pattern(feature: &PlantedFeature, variants: &[String]) -> String {
    let present = variants.iter().zip(&feature.present).filter(|(_, here)| **here);
    present.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("+")
}

fn fate(feature: &PlantedFeature, variants: &[String]) -> String {
    match feature.change {
        super::Change::Same => pattern(feature, variants),
        change => format!("{} {}", pattern(feature, variants), change.name()),
    }
}

fn rightly_classed(feature: &PlantedFeature, variants: &[String], row: &FeatureRow) -> bool {
    row.class == feature.class()
        && row.present == pattern(feature, variants)
        && row.change == Some(feature.change)
}

/// The smallest decoder cosine over the variants where the planted norm is positive.
fn cosine(feature: &PlantedFeature, decoders: &Decoders, other: usize) -> f64 {
    let mut smallest = f64::INFINITY;
    for (variant, planted) in feature.decoders.iter().enumerate().filter(|(v, _)| feature.present[*v]) {
        let found = decoders.row(other, variant);
        let norms = (dot(planted, planted) * dot(found, found)).sqrt();
        smallest = smallest.min(if norms > 0.0 { dot(planted, found) / norms } else { 0.0 });
    }
    smallest
}

/// Pearson correlation of every planted activation with every code, `[planted][features]`; 0 where one is constant.
pub(super) fn correlations(truth: &Codes, planted: usize, codes: &Codes, features: usize) -> Vec<Vec<f64>> {
    let count = codes.tokens().max(1) as f64;
    let moments = |codes: &Codes, width: usize| -> Vec<(f64, f64)> {
        let by_feature = transpose(codes, width);
        (0..width)
            .map(|feature| {
                let entries = by_feature.of(feature);
                let sum: f64 = entries.iter().map(|(_, value)| f64::from(*value)).sum();
                let squares: f64 = entries.iter().map(|(_, value)| f64::from(*value).powi(2)).sum();
                let mean = sum / count;
                (mean, (squares / count - mean * mean).max(0.0).sqrt())
            })
            .collect()
    };
    let (planted_moments, code_moments) = (moments(truth, planted), moments(codes, features));
    let mut products = vec![vec![0.0; features]; planted];
    for token in 0..codes.tokens() {
        for (feature, strength) in truth.token(token) {
            for (other, value) in codes.token(token) {
                products[feature][other] += f64::from(strength) * f64::from(value);
            }
        }
    }
    for (row, (mean, deviation)) in products.iter_mut().zip(&planted_moments) {
        for (product, (other_mean, other_deviation)) in row.iter_mut().zip(&code_moments) {
            let scale = deviation * other_deviation;
            *product = if scale > 0.0 { (*product / count - mean * other_mean) / scale } else { 0.0 };
        }
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_is_pearsons() {
        let codes = |values: &[f32]| Codes {
            starts: (0..=values.len()).collect(),
            features: vec![0; values.len()],
            values: values.to_vec(),
        };
        let found = correlations(&codes(&[1.0, 2.0, 3.0, 6.0]), 1, &codes(&[2.0, 2.0, 5.0, 6.0]), 1)[0][0];
        assert!((found - 0.898_177_426).abs() < 1e-6, "{found}");
    }
}
