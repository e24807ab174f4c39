//! ReLU with an L1 penalty weighted by decoder norm (Conerly et al. 2024; for crosscoders Lindsey et al. 2024):
//! loss = sum_v ||h_v - h^_v||^2 + lambda sum_j f_j sum_v ||d_j^v||.

use super::batch_topk::{bounds, entry};
use super::{Candidate, Chosen, Entry, Recipe, Slopes, View};
use crate::dictionaries::spec::Activation;

pub(super) struct Standard;

impl Recipe for Standard {
    fn activation(&self, _: usize) -> Activation {
        Activation::Relu
    }

    fn bounds(&self, view: &View<'_>, _: bool) -> Vec<f32> {
        bounds(view, 0.0)
    }

    fn choose(&self, view: &View<'_>, rows: Vec<Vec<Candidate>>, _: bool) -> Option<Chosen> {
        let entries = |row: &Vec<Candidate>| row.iter().map(|candidate| entry(view, candidate)).collect();
        Some(Chosen { rows: rows.iter().map(entries).collect(), cut: 0.0 })
    }

    fn slopes(&self, view: &View<'_>, entry: &Entry, slope: f32) -> Slopes {
        let through = Slopes::through(slope + view.penalty * view.cost[entry.feature as usize]);
        Slopes { norm: view.penalty * entry.value, ..through }
    }
}
