//! The search for one control set: nearest neighbours first, then swaps that improve the match.

use super::balance::{Balance, gap, gaps};
use super::cloud::Cloud;
use super::footprint::{CellUse, Footprints};
use super::stock::Stock;
use crate::interventions::FeatureDelta;
use crate::rng::Stream;

/// Candidates among which a swap takes the one that fits best.
const TOURNAMENT: usize = 12;
/// Swaps tried before a start is given up.
const SWAPS: usize = 150;
/// Swaps tried after all gaps are within the tolerance. A selected set is an extreme one, and most sets lie on one side of
/// it: controls that stop at the tolerance's edge write less than it on the whole, and null worlds then claim more often
/// than they may.
const POLISH: usize = 40;
/// Starts before the best found is returned as unmatched.
const STARTS: usize = 3;

/// What is to be matched, and what each feature by itself would do.
pub(super) struct Target<'a> {
    pub(super) stock: &'a Stock,
    pub(super) deltas: &'a [FeatureDelta],
    pub(super) set: Vec<u32>,
    footprints: Footprints<'a>,
    tolerance: f64,
    footprint: Vec<CellUse>,
    shift: f64,
    shift_floor: f64,
    alone: Vec<Vec<CellUse>>,
}

impl<'a> Target<'a> {
    pub(super) fn new(stock: &'a Stock, deltas: &'a [FeatureDelta], set: &[u32], tolerance: f64) -> Self {
        let footprints = Footprints::new(stock, deltas);
        let footprint = footprints.of(set);
        let alone = (0..stock.firing.len() as u32).map(|feature| footprints.of(&[feature])).collect();
        let shifts = || {
            set.iter().filter_map(|feature| stock.traits.get(*feature as usize)).map(|traits| traits.shift)
        };
        let shift_floor = 0.1 * shifts().map(f64::abs).sum::<f64>();
        Self {
            stock,
            deltas,
            set: set.to_vec(),
            footprints,
            tolerance,
            footprint,
            shift: shifts().sum(),
            shift_floor,
            alone,
        }
    }

    /// Per feature of the set, the features that may stand in its place.
    pub(super) fn pools(&self, cloud: Cloud) -> Vec<Vec<u32>> {
        let traits = |feature: u32| self.stock.traits.get(feature as usize);
        let live: Vec<u32> = (0..self.stock.firing.len() as u32)
            .filter(|feature| !self.set.contains(feature))
            .filter(|feature| {
                self.alone
                    .get(*feature as usize)
                    .is_some_and(|cells| cells.iter().any(|cell| cell.energy > 0.0))
            })
            .collect();
        let class = |feature: u32| traits(feature).map_or("", |traits| traits.class.as_str());
        self.set
            .iter()
            .map(|tested| {
                let fits = |feature: &u32| match cloud {
                    Cloud::Any | Cloud::RandomDirection | Cloud::BorrowedSet | Cloud::AnyHead => true,
                    Cloud::SameClass => class(*feature) == class(*tested),
                    Cloud::SharedShift => traits(*feature).is_some_and(|traits| traits.shared),
                };
                live.iter().copied().filter(fits).collect()
            })
            .collect()
    }

    pub(super) fn balance_with_itself(&self) -> Balance {
        Balance::new(&self.stock.cells, &self.footprint, &self.footprint)
    }

    fn shift_of(&self, set: &[u32]) -> f64 {
        set.iter()
            .filter_map(|feature| self.stock.traits.get(*feature as usize))
            .map(|traits| traits.shift)
            .sum()
    }

    fn gaps_of(&self, set: &[u32], footprint: &[CellUse], shift: bool) -> Vec<f64> {
        let mut gaps = gaps(&self.footprint, footprint);
        if shift {
            gaps.push(gap(self.shift, self.shift_of(set), self.shift_floor));
        }
        gaps
    }

    fn alone(&self, feature: u32) -> &[CellUse] {
        self.alone.get(feature as usize).map_or(&[], Vec::as_slice)
    }
}

/// One control set from `pools` (one pool per place), with its balance and whether it matches.
/// `shift` also asks for an equal sum of activation shifts. `None` if the pools are too small.
pub(super) fn search(
    target: &Target<'_>,
    pools: &[Vec<u32>],
    shift: bool,
    mut stream: Stream,
) -> Option<(Vec<u32>, Balance, bool)> {
    let footprints = &target.footprints;
    let mut best: Option<(f64, Vec<u32>, Vec<CellUse>)> = None;
    for _ in 0..STARTS {
        let Some(mut set) = start(target, pools, &mut stream) else { continue };
        let mut energies = footprints.energies(&set);
        let mut footprint = footprints.uses(&set, &energies);
        let mut gaps = target.gaps_of(&set, &footprint, shift);
        let mut polish = POLISH;
        for _ in 0..SWAPS {
            let matches = worst(&gaps) <= target.tolerance;
            if matches && polish == 0 {
                break;
            }
            polish -= usize::from(matches);
            let Some((place, feature)) = propose(target, pools, &set, &footprint, &mut stream) else { break };
            let candidate_energies = footprints.swapped(&set, &energies, place, feature);
            let old = std::mem::replace(&mut set[place], feature);
            let candidate = footprints.uses(&set, &candidate_energies);
            let candidate_gaps = target.gaps_of(&set, &candidate, shift);
            if loss(&candidate_gaps) < loss(&gaps) && (!matches || worst(&candidate_gaps) <= target.tolerance)
            {
                (energies, footprint, gaps) = (candidate_energies, candidate, candidate_gaps);
            } else {
                set[place] = old;
            }
        }
        let worst = worst(&gaps);
        if best.as_ref().is_none_or(|(other, _, _)| worst < *other) {
            best = Some((worst, set, footprint));
        }
        if worst <= target.tolerance {
            break;
        }
    }
    let (worst, mut set, footprint) = best?;
    set.sort_unstable();
    let mut balance = Balance::new(&target.stock.cells, &target.footprint, &footprint);
    balance.worst = worst;
    Some((set, balance, worst <= target.tolerance))
}

fn worst(gaps: &[f64]) -> f64 {
    gaps.iter().copied().fold(0.0, f64::max)
}

fn loss(gaps: &[f64]) -> f64 {
    gaps.iter().map(|gap| gap * gap).sum()
}

/// For each place, the best of a few random candidates by what each would do alone.
fn start(target: &Target<'_>, pools: &[Vec<u32>], stream: &mut Stream) -> Option<Vec<u32>> {
    let mut set: Vec<u32> = Vec::with_capacity(pools.len());
    for (tested, pool) in target.set.iter().zip(pools) {
        set.push(tournament(target, pool, &set, target.alone(*tested), stream)?);
    }
    Some(set)
}

/// A place, and a feature for it that, alone, would close the gap.
fn propose(
    target: &Target<'_>,
    pools: &[Vec<u32>],
    set: &[u32],
    footprint: &[CellUse],
    stream: &mut Stream,
) -> Option<(usize, u32)> {
    let place = stream.below(set.len().max(1));
    let needed: Vec<CellUse> = target
        .alone(*set.get(place)?)
        .iter()
        .zip(target.footprint.iter().zip(footprint))
        .map(|(old, (wanted, found))| CellUse {
            rate: old.rate + wanted.rate - found.rate,
            energy: old.energy + wanted.energy - found.energy,
        })
        .collect();
    Some((place, tournament(target, pools.get(place)?, set, &needed, stream)?))
}

fn tournament(
    target: &Target<'_>,
    pool: &[u32],
    taken: &[u32],
    needed: &[CellUse],
    stream: &mut Stream,
) -> Option<u32> {
    let mut best: Option<(f64, u32)> = None;
    for _ in 0..TOURNAMENT {
        let candidate = *stream.choose(pool)?;
        if taken.contains(&candidate) {
            continue;
        }
        let distance = distance(target, needed, target.alone(candidate));
        if best.is_none_or(|(other, _)| distance < other) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, feature)| feature)
}

/// Squared gaps, each relative to what the whole set does in its largest cell.
fn distance(target: &Target<'_>, needed: &[CellUse], alone: &[CellUse]) -> f64 {
    let largest =
        |value: fn(&CellUse) -> f64| target.footprint.iter().map(value).fold(f64::MIN_POSITIVE, f64::max);
    let (rate, energy) = (largest(|cell| cell.rate), largest(|cell| cell.energy));
    needed
        .iter()
        .zip(alone)
        .map(|(a, b)| ((a.rate - b.rate) / rate).powi(2) + ((a.energy - b.energy) / energy).powi(2))
        .sum()
}
