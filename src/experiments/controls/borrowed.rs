//! Controls for a set that no other set edits as strongly as.
//!
//! Where post-training concentrated a change in a few features, every other set of that size writes less, and none can
//! match, or all that do are made of those same few. What remains to be asked is whether it matters *which* features are
//! edited: the directions of other sets are given the tested set's own gate and norm, token by token, so that size, rate
//! and strength match by construction. Unlike a random direction, such a one is a direction in which the edit of real
//! features writes.

use super::cloud::{Cloud, ControlSet};
use super::search::Target;
use super::stock::Stock;
use crate::interventions::FeatureDelta;
use crate::rng::Stream;
use std::collections::BTreeSet;

/// Draws tried for every control that is wanted.
const TRIES: u64 = 8;

/// Distinct sets of as many live features as `set` has, none of them in it, with the direction of their mean delta
/// where they fire: `constant + sum_j mean(f_j where > 0) slope_j`, of length one. Fewer than `count` if there are not
/// as many.
pub(super) fn borrowed(target: &Target<'_>, count: usize, seed: u64, key: u64) -> Vec<ControlSet> {
    let Target { stock, deltas, set, .. } = target;
    let pools = target.pools(Cloud::BorrowedSet);
    let Some(live) = pools.into_iter().next().filter(|live| live.len() >= set.len()) else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    let sets = (0..TRIES * count as u64).filter_map(|draw| {
        let mut pool = live.clone();
        Stream::new(seed, "control", &[key, Cloud::BorrowedSet as u64, draw]).shuffle(&mut pool);
        pool.truncate(set.len());
        pool.sort_unstable();
        let direction = Some(direction(stock, deltas, &pool)?);
        let balance = target.balance_with_itself();
        seen.insert(pool.clone()).then_some(ControlSet {
            cloud: Cloud::BorrowedSet,
            draw,
            features: pool,
            direction,
            balance,
            matched: true,
            likeness: None,
        })
    });
    sets.take(count).collect()
}

/// The unit direction in which a set writes where it fires; `None` where it writes nothing.
fn direction(stock: &Stock, deltas: &[FeatureDelta], set: &[u32]) -> Option<Vec<f32>> {
    let mut sum: Vec<f64> = Vec::new();
    let mut add = |vector: &[f32], factor: f64| {
        sum.resize(sum.len().max(vector.len()), 0.0);
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += factor * f64::from(*x));
    };
    for feature in set {
        let (delta, firing) = (deltas.get(*feature as usize)?, stock.firing.get(*feature as usize)?);
        let codes = firing.iter().map(|(_, code)| f64::from(*code)).sum::<f64>();
        add(&delta.constant, 1.0);
        add(&delta.slope, codes / firing.len().max(1) as f64);
    }
    let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    (norm > 0.0).then(|| sum.iter().map(|x| (x / norm) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::super::stock::tests::random_stock;
    use super::*;

    #[test]
    fn directions_are_those_of_other_sets_and_the_seed_decides_them() {
        let (stock, deltas) = random_stock(50);
        let set = [3, 8];
        let found = borrowed(&Target::new(&stock, &deltas, &set, 0.2), 20, 7, 1);
        assert_eq!(found.len(), 20);
        let distinct: BTreeSet<&Vec<u32>> = found.iter().map(|control| &control.features).collect();
        assert_eq!(distinct.len(), 20);
        for control in &found {
            assert!(control.matched && control.features.len() == 2);
            assert!(control.features.iter().all(|feature| !set.contains(feature)));
            let direction = control.direction.as_ref().unwrap();
            assert!((direction.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
            // It lies in the plane of the two slopes.
            let [a, b] = [0, 1].map(|place| &deltas[control.features[place] as usize].slope);
            let along = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            let (aa, bb, ab) = (along(a, a), along(b, b), along(a, b));
            let (da, db) = (along(direction, a), along(direction, b));
            let inside = (bb * da * da - 2.0 * ab * da * db + aa * db * db) / (aa * bb - ab * ab);
            assert!((inside - 1.0).abs() < 1e-3, "{inside}");
        }
        assert_eq!(found, borrowed(&Target::new(&stock, &deltas, &set, 0.2), 20, 7, 1));
        assert!(
            borrowed(&Target::new(&stock, &deltas, &(0..40).collect::<Vec<u32>>(), 0.2), 20, 7, 1).is_empty(),
            "too few others"
        );
    }
}
