//! How a planted world is made up: the easy set that is gated and the hard one that is reported.

use super::super::classes::{Change, Class};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What post-training did to some of the planted features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fate {
    /// In which variants they are present.
    pub present: Vec<bool>,
    /// How they differ between these.
    pub change: Change,
    /// How many features share the fate.
    pub count: usize,
}

/// A recipe for planted activations, and for the dictionary that is fitted to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its name in tables.
    pub name: String,
    /// Names of the variants, base first.
    pub variants: Vec<String>,
    /// Width of an activation.
    pub d_model: usize,
    /// Tokens; the last tenth is held out of every fit.
    pub tokens: usize,
    /// Smallest and largest firing rate; rates are uniform in their logarithm.
    pub rates: [f64; 2],
    /// Standard deviation of the noise per coordinate, drawn for each variant by itself.
    pub noise: f64,
    /// The planted features.
    pub fates: Vec<Fate>,
    /// How many features fire beside another half of the time that it fires.
    pub correlated: usize,
    /// How many features fire only where another does.
    pub nested: usize,
    /// How many features fire on most tokens.
    pub dense: usize,
    /// Features of the dictionary.
    pub features: usize,
    /// Active features a token of the dictionary: one fit for each.
    pub k: Vec<usize>,
}

impl Recipe {
    /// Every class, rates of 2-6 %, little noise: what a sound fit and a sound diff must get right.
    pub fn easy() -> Self {
        let fate = |present: [u8; 3], change, count| Fate {
            present: present.iter().map(|here| *here == 1).collect(),
            change,
            count,
        };
        Self {
            name: "easy".into(),
            variants: ["base", "sft", "rl"].map(str::to_owned).to_vec(),
            d_model: 32,
            tokens: 120_000,
            rates: [0.02, 0.06],
            noise: 0.02,
            fates: vec![
                fate([1, 1, 1], Change::Same, 18),
                fate([1, 1, 1], Change::Reweighted, 8),
                fate([1, 1, 1], Change::Rotated, 8),
                fate([0, 1, 0], Change::Same, 6),
                fate([0, 0, 1], Change::Same, 6),
                fate([0, 1, 1], Change::Same, 6),
                fate([1, 0, 0], Change::Same, 6),
                fate([1, 1, 0], Change::Same, 5),
                fate([1, 0, 1], Change::Same, 5),
            ],
            correlated: 0,
            nested: 0,
            dense: 0,
            features: 96,
            k: vec![4],
        }
    }

    /// Rare, noisy, correlated and nested features and a dense one: reported, not gated.
    pub fn hard() -> Self {
        Self {
            name: "hard".into(),
            rates: [0.002, 0.1],
            noise: 0.2,
            correlated: 8,
            nested: 8,
            dense: 1,
            k: vec![3, 4, 6],
            ..Self::easy()
        }
    }

    /// The number of planted features.
    pub fn planted(&self) -> usize {
        self.fates.iter().map(|fate| fate.count).sum()
    }

    /// # Errors
    /// If a field is out of its range; the message names it.
    pub fn check(&self) -> Result<()> {
        let wrong = |field: &str, expected: &str| {
            Err(Error::request(format!("recipe `{}`, field `{field}`: expected {expected}", self.name)))
        };
        let [low, high] = self.rates;
        if self.variants.len() < 2 {
            return wrong("variants", "at least two");
        }
        if self.d_model < 2 {
            return wrong("d_model", "at least 2");
        }
        if !(low > 0.0 && low <= high && high < 1.0) {
            return wrong("rates", "0 < low <= high < 1");
        }
        if !(self.noise >= 0.0 && self.noise.is_finite()) {
            return wrong("noise", "zero or more");
        }
        if self.tokens < 100 {
            return wrong("tokens", "at least 100: some to fit to and a tenth to judge on");
        }
        if self.planted() == 0 || 2 * (self.nested + self.correlated) + self.dense > self.planted() {
            return wrong("fates", "enough features for the nested, correlated and dense ones");
        }
        if self.fates.iter().any(|fate| fate.present.len() != self.variants.len()) {
            return wrong("fates", "one presence for each variant");
        }
        if self.fates.iter().any(|fate| Class::of(&fate.present) == Class::Dead) {
            return wrong("fates", "every feature present somewhere");
        }
        Ok(())
    }
}
