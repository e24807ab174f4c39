//! What each kind of dictionary finds of planted features, at its own settings.
//!
//! 1. A kind reads what it is made for: an SAE the last variant, a difference the last minus the first, a crosscoder
//!    all. Transcoders are left out: what they should find is a function, not features.
//! 2. A planted feature counts where what is read holds it: where its decoder, or the difference of its decoders, is
//!    not zero.
//! 3. Its score with a feature of the dictionary is the smallest of their activation correlation on held-out tokens
//!    and of their decoder cosines at each output where it writes, as in `score.rs`. .8 is a hit.
//! 4. **Recall**: the share of planted features that some feature hits. **Precision**: the share of live features
//!    that hit some planted one; live are those that fire as often as `diff` asks of a feature that it classes. **Of
//!    firings**: the share of all activations that are of features that hit, however rare a feature is. Classes play
//!    no part: most kinds cannot give any.

use super::score::{HIT, correlations};
use super::{PlantedFeature, PlantedStore};
use crate::dictionaries::{Dictionary, FitSettings, Kind, Site, fit, judge};
use crate::diff::Cuts;
use crate::diff::decoders::dot;
use crate::error::{Error, Result};
use crate::progress::Observer;
use serde::{Deserialize, Serialize};

/// One row of the table `planted_kinds`: what one fit of one kind found of one planted world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindRow {
    /// The recipe.
    pub recipe: String,
    /// The seed of the planted world.
    pub seed: u64,
    /// The seed of the fit.
    pub fit_seed: u64,
    /// The kind of dictionary.
    pub kind: String,
    /// Active features a token, for the kinds that keep the largest.
    pub k: Option<u64>,
    /// Planted features in what is read.
    pub planted: u64,
    /// Of these, how many some feature hits.
    pub found: u64,
    /// Features that fire on at least [`Cuts::minimum_firings`] held-out tokens.
    pub live: u64,
    /// Of these, how many hit a planted feature.
    pub hits: u64,
    /// The share of all firings that are of features, live or not, that hit a planted one.
    pub hit_firings: f64,
    /// Fraction of variance explained, the smallest over what is written.
    pub fve: f64,
    /// Mean number of active features per token.
    pub l0: f64,
    /// Mean number of planted features of what is read that are active per token.
    pub planted_l0: f64,
}

impl KindRow {
    /// Share of planted features that some feature hits.
    pub fn recall(&self) -> f64 {
        self.found as f64 / self.planted.max(1) as f64
    }

    /// Share of live features that hit some planted one.
    pub fn precision(&self) -> f64 {
        self.hits as f64 / self.live.max(1) as f64
    }
}

impl PlantedStore {
    /// Fits a dictionary of the kind that `settings` name and scores it. What it reads, and its size, are the recipe's.
    ///
    /// # Errors
    /// If the kind is a transcoder, settings are not sound, or a stop was asked for.
    pub fn kind_trial(&self, settings: &FitSettings, fit_seed: u64, observer: &Observer) -> Result<KindRow> {
        let (recipe, store) = (self.planted().recipe(), self.store());
        let settings = FitSettings {
            variants: read_by(settings.kind, &recipe.variants)?,
            features: recipe.features,
            ..settings.clone()
        };
        let dictionary = fit(store, &settings, fit_seed, None, observer)?;
        let range = store.held_out();
        let judgement = judge(&dictionary, store, store, range.clone())?;
        let codes = dictionary.codes(&dictionary.inputs_of(store, &store.read(range)?)?)?;
        let (features, truth) = (self.planted().features(), &self.held_out().truth);
        let correlations = correlations(truth, features.len(), &codes, dictionary.features());
        let decoders = features.iter().map(|feature| written(feature, &dictionary, &recipe.variants));
        let decoders = decoders.collect::<Result<Vec<_>>>()?;
        let mut hit = vec![false; dictionary.features()];
        let (mut planted, mut found) = (vec![false; features.len()], 0);
        for (index, (decoders, correlations)) in decoders.iter().zip(&correlations).enumerate() {
            planted[index] = decoders.iter().any(|decoder| norm(decoder) > 0.0);
            if !planted[index] {
                continue;
            }
            let hits = (0..dictionary.features()).filter(|other| {
                let there = decoders.iter().enumerate().filter(|(_, decoder)| norm(decoder) > 0.0);
                let cosines =
                    there.map(|(output, decoder)| cosine(decoder, dictionary.decoder(*other, output)));
                cosines.fold(correlations[*other], f64::min) >= HIT
            });
            let hits: Vec<usize> = hits.collect();
            found += u64::from(!hits.is_empty());
            hits.into_iter().for_each(|other| hit[other] = true);
        }
        let active = truth.features.iter().filter(|feature| planted[**feature as usize]).count();
        let least = Cuts::default().minimum_firings;
        let live = judgement.firings.iter().map(|firings| *firings as u64 >= least);
        let firings = |of: &dyn Fn(bool) -> bool| -> f64 {
            let pairs = judgement.firings.iter().zip(&hit);
            pairs.filter(|(_, hit)| of(**hit)).map(|(firings, _)| *firings as f64).sum()
        };
        let rows = &judgement.rows;
        Ok(KindRow {
            recipe: recipe.name.clone(),
            seed: self.planted().seed(),
            fit_seed,
            kind: settings.kind.name().to_owned(),
            k: settings.kind.keeps_the_largest().then_some(settings.k as u64),
            planted: planted.iter().filter(|planted| **planted).count() as u64,
            found,
            live: live.clone().filter(|live| *live).count() as u64,
            hits: live.zip(&hit).filter(|(live, hit)| *live && **hit).count() as u64,
            hit_firings: firings(&|hit| hit) / firings(&|_| true).max(1.0),
            fve: rows.iter().map(|row| row.fve).fold(f64::INFINITY, f64::min),
            l0: rows.first().map_or(0.0, |row| row.l0),
            planted_l0: active as f64 / truth.tokens().max(1) as f64,
        })
    }
}

/// The variants that a kind reads.
fn read_by(kind: Kind, variants: &[String]) -> Result<Vec<String>> {
    let ends = (variants.first(), variants.last());
    match (kind, ends) {
        _ if kind.is_transcoder() => {
            Err(Error::request(format!("kind `{kind}`: what a transcoder should find is not planted"))
                .hint("choose a kind that writes what it reads"))
        }
        (Kind::Difference, (Some(first), Some(last))) => Ok(vec![first.clone(), last.clone()]),
        _ if kind.is_crosscoder() => Ok(variants.to_vec()),
        (_, (_, last)) => Ok(last.cloned().into_iter().collect()),
    }
}

/// What a planted feature writes to each output of a dictionary.
fn written(feature: &PlantedFeature, dictionary: &Dictionary, variants: &[String]) -> Result<Vec<Vec<f32>>> {
    let decoder = |name: &str| {
        let place = variants.iter().position(|variant| variant == name);
        let decoder = place.map(|place| &feature.decoders[place]);
        decoder.ok_or_else(|| Error::work(format!("the recipe has no variant `{name}`")))
    };
    let of_site = |site: &Site| {
        let own = decoder(&site.variant)?.clone();
        Ok(match &site.minus {
            Some(minus) => own.iter().zip(decoder(minus)?).map(|(a, b)| a - b).collect(),
            None => own,
        })
    };
    dictionary.spec().outputs.iter().map(of_site).collect()
}

fn norm(vector: &[f32]) -> f64 {
    dot(vector, vector).sqrt()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let norms = norm(a) * norm(b);
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::Recipe;
    use super::*;

    #[test]
    fn a_small_world_is_found_by_the_kinds_that_keep_the_largest() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe { tokens: 20_000, ..Recipe::easy() };
        let store = PlantedStore::new(&recipe, 3, &folder.path().join("tokens.safetensors")).unwrap();
        let trial = |kind, steps| {
            let settings = FitSettings { kind, k: 4, steps, batch: 512, ..FitSettings::default() };
            store.kind_trial(&settings, 1, &Observer::silent())
        };
        // All but those of base alone are in the last variant, or changed there.
        let row = trial(Kind::BatchTopk, 400).unwrap();
        let within = |count: &dyn Fn(&PlantedFeature) -> bool| {
            store.planted().features().iter().filter(|feature| count(feature)).count() as u64
        };
        assert_eq!(row.planted, within(&|feature| feature.present[2]));
        assert!(row.recall() > 0.8 && row.precision() > 0.5, "{row:?}");
        // Without a fit, nothing is found.
        let row = trial(Kind::Difference, 1).unwrap();
        assert_eq!(row.planted, within(&|feature| feature.decoders[2] != feature.decoders[0]));
        assert!(row.recall() < 0.2, "{row:?}");
        assert!(trial(Kind::Transcoder, 1).unwrap_err().to_string().contains("transcoder"));
    }
}
