//! One planted world, one fit: plant, fit, class, score.

use super::{Planted, PlantedTokens, Recipe, Score, score};
use crate::activations::{ActivationStore, import};
use crate::dictionaries::{FitSettings, fit};
use crate::diff::{DiffSettings, features};
use crate::error::{Error, Result, io};
use crate::progress::Observer;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A planted world on disk, ready for any number of fits.
#[derive(Clone, Debug)]
pub struct PlantedStore {
    planted: Planted,
    store: ActivationStore,
    held_out: PlantedTokens,
}

/// One row of the table `planted`: what one fit found of one planted world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlantedRow {
    /// The recipe.
    pub recipe: String,
    /// The seed of the planted world.
    pub seed: u64,
    /// The seed of the fit.
    pub fit_seed: u64,
    /// Active features a token.
    pub k: u64,
    /// Planted features with this fate; the fates are listed one a row, `all` sums them up.
    pub fate: String,
    /// How many were planted.
    pub planted: u64,
    /// How many are hit.
    pub hits: u64,
    /// How many are hit and rightly classed.
    pub right: u64,
    /// Live features that were given a class (`all` only, as all below).
    pub classed: Option<u64>,
    /// Of these: hits wrongly classed.
    pub misclassed: Option<u64>,
    /// Of these: duplicates.
    pub duplicates: Option<u64>,
    /// Of these: splits.
    pub splits: Option<u64>,
    /// Of these: mixtures.
    pub mixtures: Option<u64>,
    /// Live features left undecided.
    pub undecided: Option<u64>,
}

impl PlantedStore {
    /// Plants `recipe` under `seed` and writes its tokens to `file` as plain safetensors.
    ///
    /// # Errors
    /// If the recipe is not sound or the file cannot be written.
    pub fn new(recipe: &Recipe, seed: u64, file: &Path) -> Result<Self> {
        let planted = Planted::new(recipe, seed)?;
        let tokens = planted.tokens(0..recipe.tokens);
        let bytes: Vec<u8> = tokens.activations.iter().flat_map(|x| x.to_le_bytes()).collect();
        let shape = vec![recipe.tokens, recipe.variants.len(), recipe.d_model];
        let view = TensorView::new(Dtype::F32, shape, &bytes)
            .map_err(|error| Error::work(format!("planted activations have a wrong shape: {error}")))?;
        safetensors::serialize_to_file([("activations", view)], None, file)
            .map_err(|error| io("write", file, std::io::Error::other(error)))?;
        let store = import(file, &recipe.variants)?;
        let held_out = planted.tokens(store.held_out());
        Ok(Self { planted, store, held_out })
    }

    /// The planted world.
    pub fn planted(&self) -> &Planted {
        &self.planted
    }

    /// The tokens that no fit sees.
    pub(super) fn held_out(&self) -> &PlantedTokens {
        &self.held_out
    }

    /// The activations.
    pub fn store(&self) -> &ActivationStore {
        &self.store
    }

    /// Fits a dictionary with `k` active features a token under `fit_seed`, classes its features on the
    /// tokens that no fit sees, and scores them. The size of the dictionary is the recipe's.
    ///
    /// # Errors
    /// If settings are not sound, or a stop was asked for.
    pub fn trial(
        &self,
        fit_settings: &FitSettings,
        diff_settings: &DiffSettings,
        k: usize,
        fit_seed: u64,
        observer: &Observer,
    ) -> Result<Score> {
        let features_wanted = self.planted.recipe().features;
        let settings = FitSettings { features: features_wanted, k, ..fit_settings.clone() };
        let dictionary = fit(&self.store, &settings, fit_seed, None, observer)?;
        let range = self.store.held_out();
        let found = features(&dictionary, &self.store, range, diff_settings, &|id| id.to_string(), observer)?;
        score(&self.planted, &self.held_out, &dictionary, &found.features)
    }

    /// The rows of one trial's score: one per fate, and `all`.
    pub fn rows(&self, score: &Score, k: usize, fit_seed: u64) -> Vec<PlantedRow> {
        let mut fates: Vec<&str> = score.planted.iter().map(|outcome| outcome.fate.as_str()).collect();
        fates.sort_unstable();
        fates.dedup();
        let row = |fate: &str| {
            let of_fate = || score.planted.iter().filter(|outcome| fate == "all" || outcome.fate == fate);
            let summary = |count: usize| (fate == "all").then_some(count as u64);
            PlantedRow {
                recipe: self.planted.recipe().name.clone(),
                seed: self.planted.seed(),
                fit_seed,
                k: k as u64,
                fate: fate.to_owned(),
                planted: of_fate().count() as u64,
                hits: of_fate().filter(|outcome| outcome.hit).count() as u64,
                right: of_fate().filter(|outcome| outcome.right).count() as u64,
                classed: summary(score.classed),
                misclassed: summary(score.misclassed),
                duplicates: summary(score.duplicates),
                splits: summary(score.splits),
                mixtures: summary(score.mixtures),
                undecided: summary(score.undecided),
            }
        };
        fates.into_iter().chain(["all"]).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gates of `check planted` on one world of the easy set: what is found, and what is said of it.
    #[test]
    fn an_easy_world_is_found_and_rightly_classed() {
        let folder = tempfile::tempdir().unwrap();
        let store = PlantedStore::new(&Recipe::easy(), 7, &folder.path().join("tokens.safetensors")).unwrap();
        let (fitting, diff) = (FitSettings::default(), DiffSettings::default());
        let score = store.trial(&fitting, &diff, 4, 0, &Observer::silent()).unwrap();
        assert!(score.recall() >= 0.9, "recall {}", score.recall());
        assert!(score.precision() >= 0.95, "precision {}", score.precision());
        let rows = store.rows(&score, 4, 0);
        let (all, fates) = rows.split_last().unwrap();
        assert_eq!((all.fate.as_str(), all.planted), ("all", 68));
        assert_eq!(fates.len(), Recipe::easy().fates.len(), "one row a fate");
        assert_eq!(fates.iter().map(|row| row.right).sum::<u64>(), all.right);
    }
}
