//! Controls that have as little in common as there is to choose from.
//!
//! Matching favours the few features that write most, and controls that are made of the same few say little more than one
//! of them does ([`super::likeness`]).

use super::cloud::ControlSet;
use super::search::Target;
use std::collections::BTreeMap;

/// The largest share that a set may have in common with those that were taken before it, on the mean. With more it is
/// rather another copy of them than another set.
const MOST: f64 = 0.5;

/// What was taken so far.
pub(super) struct Spread<'a> {
    target: &'a Target<'a>,
    taken: Vec<ControlSet>,
    /// How many of the taken sets hold a feature.
    uses: BTreeMap<u32, f64>,
}

impl<'a> Spread<'a> {
    pub(super) fn new(target: &'a Target<'a>) -> Self {
        Self { target, taken: Vec::new(), uses: BTreeMap::new() }
    }

    /// Takes `count` of `candidates`, one after another: each time the set that writes least by features that are in use.
    /// Fewer, if the next one has more in common with those that were taken than it has of its own.
    pub(super) fn take(&mut self, candidates: &mut Vec<ControlSet>, count: usize) {
        for _ in 0..count {
            candidates.retain(|control| self.taken.iter().all(|taken| taken.features != control.features));
            let used: Vec<f64> = candidates.iter().map(|control| self.used(control)).collect();
            let least = (0..used.len()).min_by(|a, b| used[*a].total_cmp(&used[*b]));
            let Some(least) = least.filter(|least| used[*least] <= MOST) else { return };
            let control = candidates.remove(least);
            control.features.iter().for_each(|feature| *self.uses.entry(*feature).or_default() += 1.0);
            self.taken.push(control);
        }
    }

    pub(super) fn into_taken(self) -> Vec<ControlSet> {
        self.taken
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    /// The share of what a set writes, each feature by itself, that a set among the taken ones has too, on the mean.
    fn used(&self, control: &ControlSet) -> f64 {
        let (mut used, mut all) = (0.0, f64::MIN_POSITIVE);
        for feature in &control.features {
            let energy = self.target.energy(*feature);
            used += energy * self.uses.get(feature).copied().unwrap_or(0.0);
            all += energy;
        }
        used / all / self.taken.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::balance::Balance;
    use super::super::cloud::Cloud;
    use super::super::stock::tests::random_stock;
    use super::*;

    #[test]
    fn sets_that_have_nothing_in_common_are_taken_first_and_no_set_twice() {
        let (stock, deltas) = random_stock(20);
        let target = Target::new(&stock, &deltas, &[0, 1], 0.2);
        let control = |features: [u32; 2]| ControlSet {
            cloud: Cloud::Any,
            draw: 0,
            features: features.to_vec(),
            direction: None,
            balance: Balance { cells: Vec::new(), worst: 0.0 },
            matched: true,
            likeness: None,
        };
        let mut spread = Spread::new(&target);
        let mut candidates = [[2, 3], [2, 4], [5, 6], [2, 3], [5, 7], [8, 9]].map(control).to_vec();
        spread.take(&mut candidates, 4);
        let taken: Vec<[u32; 2]> =
            spread.into_taken().iter().map(|control| [control.features[0], control.features[1]]).collect();
        assert_eq!(taken[..3], [[2, 3], [5, 6], [8, 9]]);
        assert!(taken.len() == 4 && !taken[3..].contains(&[2, 3]), "{taken:?}");
    }
}
