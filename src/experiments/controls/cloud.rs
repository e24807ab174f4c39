//! The clouds from which controls are drawn.

use super::balance::Balance;
use super::footprint::Footprints;
use super::search::{Target, search};
use super::stock::Stock;
use crate::error::{Error, Result};
use crate::interventions::FeatureDelta;
use crate::rng::Stream;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A kind of control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Any live feature that was not selected.
    Any,
    /// Features of the same classes as the set's, not selected.
    SameClass,
    /// Shared features whose activation shifted as much on the suite.
    SharedShift,
    /// A random direction with the set's own gate and norm at every token.
    RandomDirection,
    /// The direction in which as many other features write, with the set's own gate and norm at every token.
    BorrowedSet,
    /// As many other attention heads, for a set of heads.
    AnyHead,
}

impl Cloud {
    /// The clouds of a set of features, in the order in which draws are dealt.
    pub const ALL: [Self; 4] = [Self::Any, Self::SameClass, Self::SharedShift, Self::RandomDirection];

    /// The name in the table `controls`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::SameClass => "same_class",
            Self::SharedShift => "shared_shift",
            Self::RandomDirection => "random_direction",
            Self::BorrowedSet => "borrowed_set",
            Self::AnyHead => "any_head",
        }
    }
}

/// One control: what is edited in the place of the tested set.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlSet {
    /// Where it was drawn from.
    pub cloud: Cloud,
    /// Which draw of that cloud.
    pub draw: u64,
    /// The features; for a random direction, those of the tested set, whose gate and norm it borrows.
    pub features: Vec<u32>,
    /// The unit direction, for [`Cloud::RandomDirection`] and [`Cloud::BorrowedSet`].
    pub direction: Option<Vec<f32>>,
    /// How well it matches.
    pub balance: Balance,
    /// Whether every gap is within the tolerance.
    pub matched: bool,
}

/// Rounds of draws from a cloud at most.
const ROUNDS: u64 = 8;
/// Feature sets for every control that stands beside them without counting.
const BESIDE: usize = 8;

/// Controls beside `count` that count: enough to show what they do.
pub fn beside(count: usize) -> usize {
    count.div_ceil(BESIDE)
}

/// Draws `count` control sets for `set`, dealt over the clouds of features in turn, and a few random directions
/// beside them, which are the weaker null and do not count.
///
/// A cloud that cannot be matched passes its places to the others. What is still missing is filled with the best
/// unmatched draws, marked as such.
///
/// # Errors
/// If the set is empty.
pub fn draw(
    stock: &Stock,
    deltas: &[FeatureDelta],
    set: &[u32],
    count: usize,
    tolerance: f64,
    seed: u64,
    key: u64,
) -> Result<Vec<ControlSet>> {
    if set.is_empty() {
        return Err(Error::work("there is no feature in the set, so nothing to match controls to"));
    }
    let width = deltas.iter().map(|delta| delta.slope.len().max(delta.constant.len())).max().unwrap_or(0);
    let target = Target::new(stock, deltas, set, tolerance);
    let features: Vec<Cloud> =
        Cloud::ALL.into_iter().filter(|cloud| *cloud != Cloud::RandomDirection).collect();
    let quota = |cloud: usize| (count + features.len() - 1 - cloud) / features.len();
    let mut found: Vec<Vec<ControlSet>> =
        features.iter().map(|cloud| draw_features(&target, *cloud, count, seed, key)).collect();
    let mut controls: Vec<ControlSet> = Vec::new();
    for (cloud, drawn) in found.iter_mut().enumerate() {
        let matched = drawn.iter().take_while(|control| control.matched).count();
        controls.extend(drawn.drain(..matched.min(quota(cloud))));
    }
    let mut spare: Vec<ControlSet> = found.into_iter().flatten().collect();
    spare.sort_by(|a, b| {
        b.matched.cmp(&a.matched).then_with(|| {
            if a.matched { std::cmp::Ordering::Equal } else { a.balance.worst.total_cmp(&b.balance.worst) }
        })
    });
    controls.extend(spare.into_iter().take(count.saturating_sub(controls.len())));
    controls.sort_by_key(|control| (control.cloud, control.draw));
    let directions = random_directions(beside(count), width, seed, key).into_iter().zip(0..);
    controls.extend(directions.map(|(direction, draw)| ControlSet {
        cloud: Cloud::RandomDirection,
        draw,
        features: set.to_vec(),
        direction: Some(direction),
        balance: target.balance_with_itself(),
        matched: true,
    }));
    Ok(controls)
}

/// How well one set's footprint matches another's on a stock.
pub fn balance(stock: &Stock, deltas: &[FeatureDelta], set: &[u32], control: &[u32]) -> Balance {
    let footprints = Footprints::new(stock, deltas);
    Balance::new(&stock.cells, &footprints.of(set), &footprints.of(control))
}

/// Distinct draws of one cloud: the matched ones first, then the others by their balance. Draws on until `wanted` match,
/// or a round brings no further match.
fn draw_features(target: &Target<'_>, cloud: Cloud, wanted: usize, seed: u64, key: u64) -> Vec<ControlSet> {
    let pools = target.pools(cloud);
    if pools.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let one = |draw: u64| {
        let stream = Stream::new(seed, "control", &[key, cloud as u64, draw]);
        let (features, balance, matched) = search(target, &pools, cloud == Cloud::SharedShift, stream)?;
        Some(ControlSet { cloud, draw, features, direction: None, balance, matched })
    };
    let (mut seen, mut distinct) = (BTreeSet::new(), Vec::new());
    let mut matched = 0;
    for round in 0..ROUNDS {
        let draws = round * wanted as u64..(round + 1) * wanted as u64;
        let drawn: Vec<ControlSet> = draws.into_par_iter().filter_map(one).collect();
        distinct.extend(drawn.into_iter().filter(|control| seen.insert(control.features.clone())));
        let before = std::mem::replace(&mut matched, distinct.iter().filter(|set| set.matched).count());
        if matched >= wanted || matched == before {
            break;
        }
    }
    tracing::debug!("{}: {matched} of {} distinct draws match", cloud.name(), distinct.len());
    distinct.sort_by(|a, b| {
        b.matched.cmp(&a.matched).then_with(|| {
            if a.matched { a.draw.cmp(&b.draw) } else { a.balance.worst.total_cmp(&b.balance.worst) }
        })
    });
    distinct
}

/// Unit directions of `width`, uniform over the sphere.
pub fn random_directions(count: usize, width: usize, seed: u64, key: u64) -> Vec<Vec<f32>> {
    let unit = |draw: u64| {
        let mut stream = Stream::new(seed, "control", &[key, Cloud::RandomDirection as u64, draw]);
        let direction: Vec<f32> = (0..width).map(|_| stream.normal()).collect();
        let norm = direction.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        direction.into_iter().map(|x| (f64::from(x) / norm) as f32).collect()
    };
    (0..count as u64).map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::super::stock::tests::random_stock;
    use super::*;

    #[test]
    fn controls_match_the_set_in_size_rate_and_energy_and_never_contain_it() {
        let (stock, deltas) = random_stock(200);
        let set = [3, 8, 15, 100];
        let controls = draw(&stock, &deltas, &set, 59, 0.2, 7, 1).unwrap();
        assert_eq!(controls.len(), 59 + 8);
        for control in &controls {
            assert_eq!(control.features.len(), set.len());
            assert!(control.matched && control.balance.worst <= 0.2, "{control:?}");
            let disjoint = control.features.iter().all(|feature| !set.contains(feature));
            assert_eq!(disjoint, control.cloud != Cloud::RandomDirection);
            if control.cloud == Cloud::SameClass {
                let specific = control.features.iter().filter(|feature| *feature % 2 == 1).count();
                assert_eq!(specific, 2, "the classes are those of the set");
            }
            if control.cloud == Cloud::SharedShift {
                assert!(control.features.iter().all(|feature| feature % 2 == 0));
            }
        }
        let clouds: Vec<usize> = Cloud::ALL
            .iter()
            .map(|cloud| controls.iter().filter(|control| control.cloud == *cloud).count())
            .collect();
        assert_eq!(clouds[..3].iter().sum::<usize>(), 59);
        assert_eq!(clouds[3], 8, "{clouds:?}");
        assert_eq!(
            controls,
            draw(&stock, &deltas, &set, 59, 0.2, 7, 1).unwrap(),
            "the seed decides every draw"
        );
    }

    #[test]
    fn a_set_that_nothing_resembles_gets_unmatched_controls_that_say_so() {
        let (mut stock, deltas) = random_stock(50);
        stock.firing[3].iter_mut().for_each(|(_, code)| *code *= 100.0);
        let controls = draw(&stock, &deltas, &[3], 20, 0.2, 7, 1).unwrap();
        let (directions, features): (Vec<_>, Vec<_>) =
            controls.iter().partition(|control| control.cloud == Cloud::RandomDirection);
        assert!(directions.iter().all(|control| control.matched));
        assert!(
            !features.is_empty()
                && features.iter().all(|control| !control.matched && control.balance.worst > 0.9)
        );
    }
}
