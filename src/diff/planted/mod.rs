//! Planted activations: data whose features, and what post-training did to them, are known.
//!
//! 1. A [`Recipe`] says how many features have which fate (presence pattern and change), how often they
//!    fire, how noisy the activations are, and whether features are correlated, nested or dense.
//! 2. [`Planted::new`] draws the features under a seed: a unit direction for each, the same in every
//!    variant where it is present, but for one changed variant (another norm, or another direction).
//! 3. [`Planted::tokens`] draws tokens: which features fire, how strongly, and for each variant
//!    h = sum over active features of strength x decoder + noise.
//! 4. A dictionary is fitted to them and its features are classed as any others are; [`score`] matches
//!    them one to one with the planted features and counts what was found ([`Score`]).
//! 5. [`PlantedStore::kind_trial`] asks of any kind of dictionary how many of the features it finds.
//!
//! Every draw is keyed by (seed, purpose, index): a token is the same whichever range it is read in.

mod kinds;
mod matching;
mod pool;
mod recipe;
mod score;
mod tokens;
mod trial;

pub use kinds::KindRow;
pub use pool::{Pooled, pool};
pub use recipe::{Fate, Recipe};
pub use score::{Score, score};
pub use tokens::PlantedTokens;
pub use trial::{PlantedRow, PlantedStore};

use super::classes::{Change, Class};
use crate::error::Result;
use crate::rng::Stream;

/// One planted feature.
#[derive(Clone, Debug)]
pub struct PlantedFeature {
    /// In which variants it is present, in the recipe's order.
    pub present: Vec<bool>,
    /// How it differs between them.
    pub change: Change,
    /// Its decoder in each variant, `[variants][d_model]`; zero where it is absent.
    pub decoders: Vec<Vec<f32>>,
    /// When it fires.
    firing: Firing,
}

impl PlantedFeature {
    /// Its class.
    pub fn class(&self) -> Class {
        Class::of(&self.present)
    }
}

/// When a planted feature fires.
#[derive(Clone, Copy, Debug)]
enum Firing {
    /// By itself, at this rate.
    Alone { rate: f64 },
    /// Only where an earlier feature does, with this probability.
    Within { parent: usize, probability: f64 },
    /// By itself at `rate`, and with this probability where an earlier feature does.
    Beside { partner: usize, probability: f64, rate: f64 },
}

/// A planted world: the recipe and the features drawn from it.
#[derive(Clone, Debug)]
pub struct Planted {
    recipe: Recipe,
    seed: u64,
    features: Vec<PlantedFeature>,
}

impl Planted {
    /// Draws the features of `recipe` under `seed`.
    ///
    /// # Errors
    /// If the recipe is not sound; the message names the field.
    pub fn new(recipe: &Recipe, seed: u64) -> Result<Self> {
        recipe.check()?;
        let fates: Vec<&Fate> =
            recipe.fates.iter().flat_map(|fate| std::iter::repeat_n(fate, fate.count)).collect();
        let mut order: Vec<usize> = (0..fates.len()).collect();
        // Without the shuffle, nesting and correlation would fall on the first fates only.
        Stream::new(seed, "planted order", &[]).shuffle(&mut order);
        let features = order
            .into_iter()
            .enumerate()
            .map(|(index, fate)| {
                let mut stream = Stream::new(seed, "planted feature", &[index as u64]);
                let fate = fates[fate];
                PlantedFeature {
                    present: fate.present.clone(),
                    change: fate.change,
                    decoders: decoders(fate, recipe.d_model, &mut stream),
                    firing: firing(recipe, index, &mut stream),
                }
            })
            .collect();
        Ok(Self { recipe: recipe.clone(), seed, features })
    }

    /// The recipe it was drawn from.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The seed it was drawn under.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The planted features.
    pub fn features(&self) -> &[PlantedFeature] {
        &self.features
    }
}

/// Unit directions; one of the later variants where the feature is present carries the change.
fn decoders(fate: &Fate, d_model: usize, stream: &mut Stream) -> Vec<Vec<f32>> {
    let direction = unit(d_model, stream);
    let mut decoders: Vec<Vec<f32>> = fate
        .present
        .iter()
        .map(|present| if *present { direction.clone() } else { vec![0.0; d_model] })
        .collect();
    let candidates: Vec<usize> = (1..decoders.len()).filter(|variant| fate.present[*variant]).collect();
    let Some(changed) = stream.choose(&candidates).copied() else { return decoders };
    match fate.change {
        Change::Same => {}
        Change::Reweighted => {
            let factor = 1.9 + 0.7 * stream.uniform();
            let factor = if stream.below(2) == 0 { factor } else { 1.0 / factor };
            decoders[changed].iter_mut().for_each(|x| *x *= factor);
        }
        Change::Rotated => {
            let cosine = 0.4 + 0.3 * stream.uniform();
            let other = orthogonal_unit(&direction, stream);
            let sine = (1.0 - cosine * cosine).sqrt();
            decoders[changed] = direction.iter().zip(&other).map(|(a, b)| cosine * a + sine * b).collect();
        }
    }
    decoders
}

fn unit(d_model: usize, stream: &mut Stream) -> Vec<f32> {
    let drawn: Vec<f32> = (0..d_model).map(|_| stream.normal()).collect();
    let norm = drawn.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    drawn.into_iter().map(|x| x / norm).collect()
}

fn orthogonal_unit(direction: &[f32], stream: &mut Stream) -> Vec<f32> {
    let drawn = unit(direction.len(), stream);
    let along: f32 = drawn.iter().zip(direction).map(|(a, b)| a * b).sum();
    let rest: Vec<f32> = drawn.iter().zip(direction).map(|(a, b)| a - along * b).collect();
    let norm = rest.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    rest.into_iter().map(|x| x / norm).collect()
}

/// The last features are nested in, or beside, the first; the one before them is dense.
fn firing(recipe: &Recipe, index: usize, stream: &mut Stream) -> Firing {
    let [low, high] = recipe.rates;
    let rate = (low.ln() + (high.ln() - low.ln()) * stream.uniform_f64()).exp();
    let from_end = recipe.planted() - 1 - index;
    if from_end < recipe.nested {
        return Firing::Within { parent: from_end, probability: 0.3 };
    }
    let from_end = from_end - recipe.nested;
    if from_end < recipe.correlated {
        return Firing::Beside { partner: recipe.nested + from_end, probability: 0.5, rate };
    }
    let from_end = from_end - recipe.correlated;
    if from_end < recipe.dense {
        return Firing::Alone { rate: 0.6 };
    }
    Firing::Alone { rate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_easy_recipe_plants_every_class() {
        let planted = Planted::new(&Recipe::easy(), 3).unwrap();
        assert_eq!(planted.features().len(), 68);
        for class in [Class::Shared, Class::Specific, Class::Lost, Class::Partial] {
            assert!(planted.features().iter().any(|feature| feature.class() == class), "{class:?}");
        }
        for change in [Change::Same, Change::Reweighted, Change::Rotated] {
            assert!(planted.features().iter().any(|feature| feature.change == change), "{change:?}");
        }
    }

    #[test]
    fn decoders_show_the_planted_change() {
        let planted = Planted::new(&Recipe::easy(), 4).unwrap();
        let norm = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
        for feature in planted.features() {
            let here: Vec<&Vec<f32>> =
                feature.decoders.iter().zip(&feature.present).filter(|(_, p)| **p).map(|(d, _)| d).collect();
            let norms: Vec<f32> = here.iter().map(|d| norm(d)).collect();
            let ratio = norms.iter().copied().fold(0.0, f32::max) / norms.iter().copied().fold(9.0, f32::min);
            assert_eq!(ratio > 1.5, feature.change == Change::Reweighted, "{ratio}");
            for (decoder, present) in feature.decoders.iter().zip(&feature.present) {
                assert_eq!(norm(decoder) > 0.0, *present);
            }
        }
    }
}
