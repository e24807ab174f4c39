//! Controls that differ.
//!
//! Matching favours the few features that write most, and controls that are made of the same few say little more than one
//! of them does ([`super::likeness`]). Which features they hold does not tell: two features may write the same.

use super::cloud::ControlSet;
use super::likeness::{Sketch, Sketcher};
use rayon::prelude::*;

/// The largest cosine, of either sign, that what a set writes may have with what a set writes that was taken before it.
/// Beyond it is rather another copy of that set than another set.
const MOST: f64 = 0.5;

/// What was taken so far.
pub(super) struct Spread<'a> {
    sketcher: &'a Sketcher<'a>,
    taken: Vec<(ControlSet, Sketch)>,
}

/// One that may be taken.
struct Candidate {
    control: ControlSet,
    sketch: Sketch,
    /// The largest cosine, of either sign, with what was taken.
    nearest: f64,
}

impl<'a> Spread<'a> {
    pub(super) fn new(sketcher: &'a Sketcher<'a>) -> Self {
        Self { sketcher, taken: Vec::new() }
    }

    /// Takes `count` of `candidates`, one after another: each time the one that is least like any that was taken. Fewer,
    /// if all others are copies of what was taken. Gives back what is left.
    pub(super) fn take(&mut self, candidates: Vec<ControlSet>, count: usize) -> Vec<ControlSet> {
        let candidate = |control: ControlSet| {
            let sketch = self.sketcher.of(&control);
            let nearest = self.taken.iter().map(|(_, taken)| sketch.cosine(taken).abs()).fold(0.0, f64::max);
            Candidate { control, sketch, nearest }
        };
        let mut candidates: Vec<Candidate> = candidates.into_par_iter().map(candidate).collect();
        for _ in 0..count {
            let least = (0..candidates.len())
                .min_by(|a, b| candidates[*a].nearest.total_cmp(&candidates[*b].nearest))
                .filter(|least| candidates[*least].nearest <= MOST);
            let Some(least) = least else { break };
            let Candidate { control, sketch, .. } = candidates.remove(least);
            candidates.par_iter_mut().for_each(|candidate| {
                candidate.nearest = candidate.nearest.max(candidate.sketch.cosine(&sketch).abs());
            });
            self.taken.push((control, sketch));
        }
        candidates.into_iter().map(|candidate| candidate.control).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    pub(super) fn into_taken(self) -> Vec<ControlSet> {
        self.taken.into_iter().map(|(control, _)| control).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::balance::Balance;
    use super::super::cloud::Cloud;
    use super::super::stock::tests::random_stock;
    use super::*;
    use crate::interventions::Positions;

    #[test]
    fn sets_that_have_nothing_in_common_are_taken_and_copies_are_not() {
        let (mut stock, mut deltas) = random_stock(20);
        // 4 writes what 2 does, by another name, and 3 its opposite.
        for feature in [3, 4] {
            stock.firing[feature] = stock.firing[2].clone();
            deltas[feature].slope =
                deltas[2].slope.iter().map(|x| if feature == 3 { -x } else { *x }).collect();
        }
        let sketcher = Sketcher::new(&stock, &deltas, &[0], Positions::All);
        let control = |feature: u32| ControlSet {
            cloud: Cloud::Any,
            draw: 0,
            features: vec![feature],
            direction: None,
            balance: Balance { cells: Vec::new(), worst: 0.0 },
            matched: true,
            likeness: None,
        };
        let mut spread = Spread::new(&sketcher);
        let left = spread.take([2, 2, 3, 4, 5, 6].map(control).to_vec(), 3);
        let mut taken: Vec<u32> = spread.taken.iter().map(|(control, _)| control.features[0]).collect();
        assert_eq!((taken[0], left.len(), spread.len()), (2, 3, 3));
        taken.sort_unstable();
        assert_eq!(taken, [2, 5, 6]);
        assert_eq!(spread.take(left, 3).len(), 3, "only copies are left");
    }
}
