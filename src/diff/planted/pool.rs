//! Recall and precision pooled over planted worlds and fits.

use super::PlantedRow;
use crate::stats::{Bootstrap, Interval};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the fits of one recipe with one k found, pooled.
#[derive(Clone, Debug, Serialize)]
pub struct Pooled {
    /// The recipe.
    pub recipe: String,
    /// Active features a token.
    pub k: u64,
    /// Planted worlds.
    pub worlds: usize,
    /// Fits in all.
    pub fits: usize,
    /// Share of planted features that are hit and rightly classed; interval by bootstrap over worlds.
    pub recall: Interval,
    /// Share of classed features that are hits rightly classed; interval by bootstrap over worlds.
    pub precision: Interval,
    /// Of the classed features, the share that is misclassed, a duplicate, a split or a mixture.
    pub false_classes: BTreeMap<&'static str, f64>,
    /// Share of live features left undecided.
    pub undecided: f64,
    /// Per fate: planted, hit, and rightly classed.
    pub fates: BTreeMap<String, [u64; 3]>,
}

/// Pools the rows of trials by recipe and k, in order of name and k.
pub fn pool(rows: &[PlantedRow], seed: u64) -> Vec<Pooled> {
    let mut keys: Vec<(&str, u64)> = rows.iter().map(|row| (row.recipe.as_str(), row.k)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .map(|(recipe, k)| {
            let of_key = || rows.iter().filter(|row| row.recipe == recipe && row.k == k);
            pool_one(recipe, k, &of_key().collect::<Vec<_>>(), seed)
        })
        .collect()
}

fn pool_one(recipe: &str, k: u64, rows: &[&PlantedRow], seed: u64) -> Pooled {
    let mut worlds: BTreeMap<u64, [u64; 3]> = BTreeMap::new();
    let mut fates: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut fits = 0;
    for row in rows {
        if row.fate != "all" {
            let fate = fates.entry(row.fate.clone()).or_default();
            *fate = [fate[0] + row.planted, fate[1] + row.hits, fate[2] + row.right];
            continue;
        }
        fits += 1;
        let classed = row.classed.unwrap_or(0);
        let world = worlds.entry(row.seed).or_default();
        *world = [world[0] + row.planted, world[1] + classed, world[2] + row.right];
        for (name, count) in [
            ("classed", row.classed),
            ("undecided", row.undecided),
            ("misclassed", row.misclassed),
            ("duplicate", row.duplicates),
            ("split", row.splits),
            ("mixture", row.mixtures),
        ] {
            *counts.entry(name).or_default() += count.unwrap_or(0);
        }
    }
    let worlds: Vec<[u64; 3]> = worlds.into_values().collect();
    let share = |of: usize| {
        let ratio = |drawn: &[usize]| {
            let sum = |part: usize| drawn.iter().map(|world| worlds[*world][part]).sum::<u64>() as f64;
            (sum(of) > 0.0).then(|| sum(2) / sum(of))
        };
        Bootstrap::new(seed).interval(worlds.len(), ratio)
    };
    let count = |name: &str| counts.get(name).copied().unwrap_or(0) as f64;
    Pooled {
        recipe: recipe.to_owned(),
        k,
        worlds: worlds.len(),
        fits,
        recall: share(0),
        precision: share(1),
        false_classes: ["misclassed", "duplicate", "split", "mixture"]
            .map(|name| (name, count(name) / count("classed").max(1.0)))
            .into(),
        undecided: count("undecided") / (count("undecided") + count("classed")).max(1.0),
        fates,
    }
}
