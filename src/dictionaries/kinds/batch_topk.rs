//! BatchTopK (Bussmann et al. 2024), for SAEs and, with the cost of Minder et al. 2025, for crosscoders.
//!
//! Of all pre-activations of a batch of N tokens, the k N largest by f_j sum_v ||d_j^v|| are kept; the
//! value stays f_j. At inference there is no batch: a feature fires where f_j sum_v ||d_j^v|| exceeds the
//! running mean of the smallest one that was kept (as SAELens), that is where f_j exceeds the feature's own
//! threshold.
//!
//! k is a budget that a batch spends whether it needs it or not, and what is left over goes to features that
//! split another one between them at no cost: on planted data with 2.7 active features a token and k = 4, one
//! feature in eight was split and half of the spare features stayed alive. So each active feature pays a toll,
//! lambda log(1 + c / cut), c being its cost and `cut` the smallest one that was kept. It weighs on the weaker
//! of two that share the work, and hardly bends strong activations. lambda is in units of the variance that one
//! of k features explains on average. A feature of a Matryoshka dictionary explains it once for every prefix that
//! holds the feature, and pays as often.

use super::{Candidate, Chosen, Entry, Recipe, Side, Slopes, View};
use crate::dictionaries::spec::Activation;

/// How far below the last step's cut the scan looks.
const SLACK: f32 = 0.7;

pub(super) struct BatchTopk {
    /// Where each prefix that must reconstruct alone ends; the last holds all features.
    pub(super) prefixes: Vec<usize>,
}

impl BatchTopk {
    /// How many prefixes hold a feature.
    fn held(&self, feature: u32) -> usize {
        self.prefixes.len() - self.prefixes.partition_point(|end| *end <= feature as usize)
    }
}

impl Recipe for BatchTopk {
    fn activation(&self, _: usize) -> Activation {
        Activation::Threshold
    }

    fn bounds(&self, view: &View<'_>, patient: bool) -> Vec<f32> {
        bounds(view, if patient { 0.0 } else { SLACK * view.last_cut })
    }

    fn choose(&self, view: &View<'_>, rows: Vec<Vec<Candidate>>, patient: bool) -> Option<Chosen> {
        let wanted = view.k * rows.len();
        let cost = |candidate: &Candidate| {
            let feature = candidate.feature as usize;
            (candidate.product + view.bias[feature]) * view.cost[feature]
        };
        let mut costs: Vec<f32> = rows.iter().flatten().map(cost).filter(|cost| *cost > 0.0).collect();
        let cut = if costs.len() > wanted {
            *costs.select_nth_unstable_by(wanted - 1, |a, b| b.total_cmp(a)).1
        } else {
            costs.iter().copied().fold(f32::INFINITY, f32::min)
        };
        // Bounds are rounded: a cut so near to what was searched may have lost a candidate.
        if !patient && (costs.len() <= wanted || cut < 1.01 * SLACK * view.last_cut) {
            return None;
        }
        // Ties at the cut are kept in order until the budget is spent.
        let mut ties = wanted.saturating_sub(costs.iter().filter(|cost| **cost > cut).count());
        let mut keep = |candidate: &Candidate| {
            let cost = cost(candidate);
            let tie = cost == cut && cost > 0.0 && ties > 0;
            ties -= usize::from(tie);
            cost > cut || tie
        };
        let rows = rows
            .iter()
            .map(|row| row.iter().filter(|candidate| keep(candidate)).map(|kept| entry(view, kept)).collect())
            .collect();
        Some(Chosen { rows, cut: if cut.is_finite() { cut } else { 0.0 } })
    }

    fn slopes(&self, view: &View<'_>, entry: &Entry, slope: f32) -> Slopes {
        if entry.side {
            return Slopes::through(slope);
        }
        let cost = view.cost[entry.feature as usize];
        let penalty = view.penalty * self.held(entry.feature) as f32;
        let toll = penalty / (view.last_cut + entry.value * cost).max(f32::MIN_POSITIVE);
        Slopes { norm: toll * entry.value, ..Slopes::through(slope + toll * cost) }
    }

    fn usual_penalty(&self) -> f64 {
        0.03
    }

    fn penalty_unit(&self, width: usize, k: usize) -> f64 {
        width as f64 / k as f64
    }

    fn side(&self) -> Option<Side> {
        Some(Side::Residual)
    }

    fn merges_twins(&self) -> bool {
        true
    }
}

/// The products at which activation times cost reaches `cut`.
pub(super) fn bounds(view: &View<'_>, cut: f32) -> Vec<f32> {
    let bound = |(bias, cost): (&f32, &f32)| if *cost > 0.0 { cut / cost - bias } else { f32::INFINITY };
    view.bias.iter().zip(view.cost).map(bound).collect()
}

/// A candidate whose activation is its pre-activation.
pub(super) fn entry(view: &View<'_>, candidate: &Candidate) -> Entry {
    let pre = candidate.product + view.bias[candidate.feature as usize];
    Entry { feature: candidate.feature, side: false, value: pre, pre }
}
