//! Tokens of a planted world: which features fire, and the activations of every variant.

use super::{Firing, Planted};
use crate::dictionaries::Codes;
use crate::rng::Stream;
use rayon::prelude::*;
use std::ops::Range;

/// Planted tokens with the truth behind them.
#[derive(Clone, Debug)]
pub struct PlantedTokens {
    /// Which planted features fire on each token, and how strongly.
    pub truth: Codes,
    /// `[tokens, variants, d_model]`, row-major.
    pub activations: Vec<f32>,
}

/// One token: the firing features with their strengths, and the activations of all variants.
struct Token {
    active: Vec<(u32, f32)>,
    row: Vec<f32>,
}

impl Planted {
    /// The tokens of `range`. A token is the same whichever range it is read in.
    pub fn tokens(&self, range: Range<usize>) -> PlantedTokens {
        let tokens: Vec<Token> = range.into_par_iter().map(|token| self.token(token as u64)).collect();
        let mut truth = Codes { starts: vec![0], features: Vec::new(), values: Vec::new() };
        let mut activations = Vec::with_capacity(tokens.len() * self.row());
        for Token { active, row } in tokens {
            for (feature, strength) in active {
                truth.features.push(feature);
                truth.values.push(strength);
            }
            truth.starts.push(truth.features.len());
            activations.extend_from_slice(&row);
        }
        PlantedTokens { truth, activations }
    }

    fn row(&self) -> usize {
        self.recipe().variants.len() * self.recipe().d_model
    }

    fn token(&self, token: u64) -> Token {
        let mut stream = Stream::new(self.seed, "planted token", &[token]);
        let mut fires = vec![false; self.features.len()];
        for (index, feature) in self.features.iter().enumerate() {
            let uniform = stream.uniform_f64();
            fires[index] = match feature.firing {
                Firing::Alone { rate } => uniform < rate,
                Firing::Within { parent, probability } => fires[parent] && uniform < probability,
                Firing::Beside { partner, probability, rate } => {
                    uniform < if fires[partner] { probability } else { rate }
                }
            };
        }
        let noise = self.recipe.noise as f32;
        let mut row: Vec<f32> = (0..self.row()).map(|_| noise * stream.normal()).collect();
        let mut active = Vec::new();
        for (index, feature) in self.features.iter().enumerate().filter(|(index, _)| fires[*index]) {
            let strength = (1.0 + 0.3 * stream.normal()).max(0.3);
            active.push((index as u32, strength));
            for (part, decoder) in row.chunks_exact_mut(self.recipe.d_model).zip(&feature.decoders) {
                part.iter_mut().zip(decoder).for_each(|(x, d)| *x += strength * d);
            }
        }
        Token { active, row }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Planted, Recipe};

    #[test]
    fn tokens_do_not_depend_on_the_range_they_are_read_in() {
        let planted = Planted::new(&Recipe::hard(), 5).unwrap();
        let (all, tail) = (planted.tokens(0..50), planted.tokens(20..50));
        assert_eq!(all.activations[20 * 96..], tail.activations);
    }

    #[test]
    fn features_fire_at_their_rates_and_nested_ones_inside_their_parents() {
        let recipe = Recipe::hard();
        let planted = Planted::new(&recipe, 6).unwrap();
        let count = 20_000;
        let tokens = planted.tokens(0..count);
        let mut firings = vec![0.0; recipe.planted()];
        let mut outside = 0;
        for window in tokens.truth.starts.windows(2) {
            let active = &tokens.truth.features[window[0]..window[1]];
            active.iter().for_each(|feature| firings[*feature as usize] += 1.0);
            let child = recipe.planted() as u32 - 1;
            outside += usize::from(active.contains(&child) && !active.contains(&0));
        }
        assert_eq!(outside, 0, "a nested feature fires only where its parent does");
        let dense = recipe.planted() - 1 - recipe.nested - recipe.correlated;
        assert!((firings[dense] / count as f64 - 0.6).abs() < 0.02);
        assert!(firings.iter().all(|fired| *fired > 0.0));
    }
}
