//! Draws from one cloud.

use super::cloud::{Cloud, ControlSet};
use super::search::{Target, search};
use crate::rng::Stream;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// Rounds of draws at most.
const ROUNDS: u64 = 8;

/// Distinct draws of one cloud, first those that match and then the others. Draws on until `wanted` match, or a round
/// brings no further match.
pub(super) fn drawn(
    target: &Target<'_>,
    cloud: Cloud,
    wanted: usize,
    seed: u64,
    key: u64,
) -> (Vec<ControlSet>, Vec<ControlSet>) {
    let pools = target.pools(cloud);
    if pools.iter().any(Vec::is_empty) {
        return (Vec::new(), Vec::new());
    }
    let one = |draw: u64| {
        let stream = Stream::new(seed, "control", &[key, cloud as u64, draw]);
        let (features, balance, matched) = search(target, &pools, cloud == Cloud::SharedShift, stream)?;
        Some(ControlSet { cloud, draw, features, direction: None, balance, matched, likeness: None })
    };
    let (mut seen, mut distinct) = (BTreeSet::new(), Vec::new());
    let mut matched = 0;
    for round in 0..ROUNDS {
        let draws = round * wanted as u64..(round + 1) * wanted as u64;
        let found: Vec<ControlSet> = draws.into_par_iter().filter_map(one).collect();
        distinct.extend(found.into_iter().filter(|control| seen.insert(control.features.clone())));
        let before = std::mem::replace(&mut matched, distinct.iter().filter(|set| set.matched).count());
        if matched >= wanted || matched == before {
            break;
        }
    }
    tracing::debug!("{}: {matched} of {} distinct draws match", cloud.name(), distinct.len());
    distinct.into_iter().partition(|control| control.matched)
}
