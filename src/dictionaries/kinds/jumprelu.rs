//! JumpReLU (Rajamanoharan et al. 2024): f = pre where pre > theta, and theta is learned straight through a
//! rectangle of width epsilon around it:
//! d f / d theta = -(theta / epsilon) K((pre - theta) / epsilon), d L0 / d theta = -(1 / epsilon) K(...).
//! The tanh penalty (Anthropic, January 2025) is lambda tanh(c f ||d||), and at the threshold the same.

use super::batch_topk::entry;
use super::{Candidate, Chosen, Entry, Recipe, Slopes, View};
use crate::dictionaries::fit::Sparsity;
use crate::dictionaries::spec::Activation;

const BANDWIDTH: f32 = 0.05;
const FIRST_THRESHOLD: f32 = 0.01;
const TANH_SCALE: f32 = 4.0;

pub(super) struct JumpRelu(pub(super) Sparsity);

impl Recipe for JumpRelu {
    fn activation(&self, _: usize) -> Activation {
        Activation::Threshold
    }

    fn bounds(&self, view: &View<'_>, _: bool) -> Vec<f32> {
        let reach = |log: &f32| (log.exp() - BANDWIDTH / 2.0).max(0.0);
        view.extras[0].iter().zip(view.bias).map(|(log, bias)| reach(log) - bias).collect()
    }

    fn choose(&self, view: &View<'_>, rows: Vec<Vec<Candidate>>, _: bool) -> Option<Chosen> {
        let gate = |candidate: &Candidate| {
            let entry = entry(view, candidate);
            let open = entry.pre > view.extras[0][candidate.feature as usize].exp();
            Entry { value: if open { entry.pre } else { 0.0 }, ..entry }
        };
        Some(Chosen { rows: rows.iter().map(|row| row.iter().map(gate).collect()).collect(), cut: 0.0 })
    }

    fn slopes(&self, view: &View<'_>, entry: &Entry, slope: f32) -> Slopes {
        let feature = entry.feature as usize;
        let threshold = view.extras[0][feature].exp();
        let (open, near) = (entry.value > 0.0, (entry.pre - threshold).abs() < BANDWIDTH / 2.0);
        let norm = view.cost[feature];
        let (price, price_slope) = match self.0 {
            Sparsity::L0 => (1.0, 0.0),
            Sparsity::Tanh => {
                let bend = (TANH_SCALE * entry.pre * norm).tanh();
                ((TANH_SCALE * threshold * norm).tanh(), TANH_SCALE * (1.0 - bend * bend))
            }
        };
        let mut slopes = Slopes::default();
        if open {
            slopes = Slopes::through(slope + view.penalty * price_slope * norm);
            slopes.norm = view.penalty * price_slope * entry.value;
        }
        if near {
            // The parameter is the threshold's logarithm, whence the last factor.
            slopes.extras[0] = -(threshold * slope + view.penalty * price) / BANDWIDTH * threshold;
        }
        slopes
    }

    /// L0: a feature that explains less than 4 of the squared error of a token, which is 1 per dimension, is not worth
    /// its place. At 1, as SAELens, noise is: on planted sets of four shapes (32 to 128 wide, 1.7 to 8 active a token,
    /// noise of 2 to 40 % of the variance) 4 found .80 to 1 of the features, and 1 .10 to 1. The tanh penalty also pulls
    /// activations down, and at 4 all of them.
    fn usual_penalty(&self) -> f64 {
        match self.0 {
            Sparsity::L0 => 4.0,
            Sparsity::Tanh => 1.0,
        }
    }

    fn extras(&self) -> Vec<f32> {
        vec![FIRST_THRESHOLD.ln()]
    }

    fn unit_decoder(&self) -> bool {
        true
    }
}
