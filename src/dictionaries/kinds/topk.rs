//! TopK (Gao et al. 2024): each token keeps its k largest positive pre-activations. Decoder rows have norm 1.

use super::batch_topk::{bounds, entry};
use super::{Candidate, Chosen, Entry, Recipe, Side, Slopes, View};
use crate::dictionaries::spec::Activation;
use rayon::prelude::*;

/// How far below the last step's smallest kept activation the scan looks.
const SLACK: f32 = 0.5;

pub(super) struct Topk;

impl Recipe for Topk {
    fn activation(&self, k: usize) -> Activation {
        Activation::Topk { k }
    }

    fn bounds(&self, view: &View<'_>, patient: bool) -> Vec<f32> {
        bounds(view, if patient { 0.0 } else { SLACK * view.last_cut })
    }

    fn choose(&self, view: &View<'_>, rows: Vec<Vec<Candidate>>, patient: bool) -> Option<Chosen> {
        if !patient && rows.iter().any(|row| row.len() < view.k) {
            return None;
        }
        let rows: Vec<Vec<Entry>> = rows
            .par_iter()
            .map(|row| {
                let mut entries: Vec<Entry> = row
                    .iter()
                    .map(|candidate| entry(view, candidate))
                    .filter(|entry| entry.value > 0.0)
                    .collect();
                if entries.len() > view.k {
                    let order =
                        |a: &Entry, b: &Entry| b.value.total_cmp(&a.value).then(a.feature.cmp(&b.feature));
                    entries.select_nth_unstable_by(view.k, order);
                    entries.truncate(view.k);
                    entries.sort_unstable_by_key(|entry| entry.feature);
                }
                entries
            })
            .collect();
        let cost = |entry: &Entry| entry.value * view.cost[entry.feature as usize];
        let cut = rows.iter().flatten().map(cost).fold(f32::INFINITY, f32::min);
        Some(Chosen { rows, cut: if cut.is_finite() { cut } else { 0.0 } })
    }

    fn slopes(&self, _: &View<'_>, _: &Entry, slope: f32) -> Slopes {
        Slopes::through(slope)
    }

    fn side(&self) -> Option<Side> {
        Some(Side::Residual)
    }

    fn unit_decoder(&self) -> bool {
        true
    }
}
