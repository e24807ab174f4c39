//! The controls of a set of features.

use super::balance::Balance;
use super::borrowed::borrowed;
use super::cloud::{Cloud, ControlSet};
use super::drawing::drawn;
use super::footprint::Footprints;
use super::likeness::{Sketcher, compare};
use super::search::Target;
use super::spread::Spread;
use super::stock::Stock;
use crate::error::{Error, Result};
use crate::interventions::{FeatureDelta, Positions};
use crate::rng::Stream;

/// Feature sets for every control that stands beside them without counting.
const BESIDE: usize = 16;

/// Directions of other sets among which one that is missing is chosen.
const TRIES: usize = 2;

/// Controls beside `count` that count: enough to show what they do.
fn beside(count: usize) -> usize {
    count.div_ceil(BESIDE)
}

/// What controls are drawn for, beside the set.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Controls that count.
    pub count: usize,
    /// Relative gap to the set that a matched control may have.
    pub tolerance: f64,
    /// Where the edit acts.
    pub positions: Positions,
    /// Seed of all draws.
    pub seed: u64,
    /// Which draws of that seed.
    pub key: u64,
}

/// Draws control sets for `set`, dealt over the clouds of features in turn, and a few random directions beside them, which
/// are the weaker null and do not count.
///
/// Of those that match the ones are taken that differ most. A cloud that cannot be matched passes its places to the others.
/// Where too few sets match, or all are copies of one another, the directions of other sets with the tested one's own gate
/// and norm take their places; of those that do not match the nearest stay, to show how near they come.
///
/// # Errors
/// If the set is empty.
pub fn draw(stock: &Stock, deltas: &[FeatureDelta], set: &[u32], wanted: Wanted) -> Result<Vec<ControlSet>> {
    if set.is_empty() {
        return Err(Error::work("there is no feature in the set, so nothing to match controls to"));
    }
    let Wanted { count, tolerance, positions, seed, key } = wanted;
    let target = Target::new(stock, deltas, set, tolerance);
    let sketcher = Sketcher::new(stock, deltas, set, positions);
    let clouds = Cloud::OF_FEATURES;
    let (matched, unmatched): (Vec<_>, Vec<_>) =
        clouds.into_iter().map(|cloud| drawn(&target, cloud, count, seed, key)).unzip();
    let mut spread = Spread::new(&sketcher);
    let mut spare = Vec::new();
    for (place, candidates) in matched.into_iter().enumerate() {
        let quota = (count + clouds.len() - 1 - place) / clouds.len();
        spare.extend(spread.take(candidates, quota));
    }
    spread.take(spare, count - spread.len());
    let mut nearest: Vec<ControlSet> = Vec::new();
    if spread.len() < count {
        nearest.extend(unmatched.into_iter().flatten());
        nearest.sort_by(|a, b| a.balance.worst.total_cmp(&b.balance.worst));
        nearest.truncate(beside(count));
        spread.take(borrowed(&target, TRIES * count, seed, key), count - spread.len());
    }
    let mut controls = spread.into_taken();
    compare(&sketcher, set, &mut controls);
    controls.append(&mut nearest);
    controls.sort_by_key(|control| (control.cloud, control.draw));
    let directions = random_directions(beside(count), sketcher.width, seed, key).into_iter().zip(0..);
    controls.extend(directions.map(|(direction, draw)| ControlSet {
        cloud: Cloud::RandomDirection,
        draw,
        features: set.to_vec(),
        direction: Some(direction),
        balance: target.balance_with_itself(),
        matched: true,
        likeness: None,
    }));
    Ok(controls)
}

/// How well one set's footprint matches another's on a stock.
pub fn balance(stock: &Stock, deltas: &[FeatureDelta], set: &[u32], control: &[u32]) -> Balance {
    let footprints = Footprints::new(stock, deltas);
    Balance::new(&stock.cells, &footprints.of(set), &footprints.of(control))
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
    use super::super::balance::CellBalance;
    use super::super::stock::tests::random_stock;
    use super::*;

    fn wanted(count: usize) -> Wanted {
        Wanted { count, tolerance: 0.2, positions: Positions::All, seed: 7, key: 1 }
    }

    #[test]
    fn controls_match_the_set_in_size_rate_and_energy_and_never_contain_it() {
        let (stock, deltas) = random_stock(200);
        let set = [3, 8, 15, 100];
        let controls = draw(&stock, &deltas, &set, wanted(59)).unwrap();
        assert_eq!(controls.len(), 59 + 4);
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
        let clouds: Vec<usize> = Cloud::OF_FEATURES
            .iter()
            .map(|cloud| controls.iter().filter(|control| control.cloud == *cloud).count())
            .collect();
        assert_eq!(clouds.iter().sum::<usize>(), 59, "{clouds:?}");
        assert_eq!(controls, draw(&stock, &deltas, &set, wanted(59)).unwrap(), "the seed decides every draw");
    }

    #[test]
    fn what_a_set_writes_on_the_whole_its_controls_write() {
        // The set is an extreme one: of the features that write most.
        let (stock, deltas) = random_stock(200);
        let energy = |feature: u32| {
            let codes: f32 = stock.firing[feature as usize].iter().map(|(_, code)| code * code).sum();
            codes * deltas[feature as usize].slope.iter().map(|x| x * x).sum::<f32>()
        };
        let mut features: Vec<u32> = (0..200).collect();
        features.sort_by(|a, b| energy(*b).total_cmp(&energy(*a)));
        let set = [features[4], features[9], features[14], features[19]];
        let controls = draw(&stock, &deltas, &set, wanted(59)).unwrap();
        let counted = || controls.iter().filter(|control| control.matched && control.direction.is_none());
        let ratio = |control: &ControlSet| {
            let sum = |value: fn(&CellBalance) -> f64| control.balance.cells.iter().map(value).sum::<f64>();
            sum(|cell| cell.control_energy) / sum(|cell| cell.set_energy)
        };
        let mean = counted().map(ratio).sum::<f64>() / counted().count() as f64;
        assert!(counted().count() > 20 && (0.94..1.06).contains(&mean), "{}: {mean}", counted().count());
    }

    #[test]
    fn a_set_that_nothing_resembles_gets_the_directions_of_others_and_says_how_near_they_come() {
        let (mut stock, deltas) = random_stock(50);
        stock.firing[3].iter_mut().for_each(|(_, code)| *code *= 100.0);
        let controls = draw(&stock, &deltas, &[3], wanted(20)).unwrap();
        let of = |cloud: Cloud| controls.iter().filter(move |control| control.cloud == cloud);
        assert_eq!(of(Cloud::BorrowedSet).count(), 20);
        assert!(of(Cloud::BorrowedSet).all(|control| control.matched && control.likeness.is_some()));
        assert!(of(Cloud::RandomDirection).all(|control| control.matched && control.likeness.is_none()));
        let nearest: Vec<&ControlSet> = controls.iter().filter(|control| !control.matched).collect();
        assert_eq!(nearest.len(), 2);
        assert!(nearest.iter().all(|control| control.balance.worst > 0.9 && control.direction.is_none()));
    }

    #[test]
    fn copies_of_one_set_are_one_control() {
        // Two features write nearly all: whatever matches the set of the one holds the other.
        let (mut stock, mut deltas) = random_stock(80);
        stock.firing[20] = stock.firing[3].clone();
        for feature in [3, 20] {
            stock.firing[feature].iter_mut().for_each(|(_, code)| *code *= 30.0);
        }
        deltas[20].slope = deltas[3].slope.iter().rev().copied().collect();
        let controls = draw(&stock, &deltas, &[3, 40, 41], wanted(19)).unwrap();
        let sets = controls.iter().filter(|control| control.matched && control.direction.is_none());
        let sets: Vec<&ControlSet> = sets.collect();
        assert_eq!(sets.len(), 1, "{sets:?}");
        assert!(sets[0].features.contains(&20));
        assert_eq!(controls.iter().filter(|control| control.cloud == Cloud::BorrowedSet).count(), 18);
    }
}
