//! What each kind of dictionary does differently while it is trained: which pre-activations become
//! activations, and how the loss changes with them. Everything else is the one trainer's.

mod batch_topk;
mod gated;
mod jumprelu;
mod standard;
mod topk;

use super::spec::{Activation, Kind};
use crate::dictionaries::fit::FitSettings;

/// A pre-activation that the scan let through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) feature: u32,
    /// The encoder's product with the input, without bias.
    pub(super) product: f32,
}

/// A feature that takes part in reconstructing one token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) feature: u32,
    /// Whether it reconstructs in the side task instead of the main one.
    pub(super) side: bool,
    /// Its activation.
    pub(super) value: f32,
    /// Its pre-activation.
    pub(super) pre: f32,
}

/// The second reconstruction that a step may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Dead features reconstruct what the others missed.
    Residual,
    /// The gate's pre-activations reconstruct the target through a frozen decoder.
    Gate,
}

/// How the loss changes with an entry, beyond its activation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slopes {
    /// With the encoder's product (so the encoder's gradient is this times the input).
    pub(super) product: f32,
    /// With the encoder's bias.
    pub(super) bias: f32,
    /// With the kind's own parameters of this feature.
    pub(super) extras: [f32; 2],
    /// With the norm of each output's decoder.
    pub(super) norm: f32,
}

impl Slopes {
    /// The slope passes through to product and bias.
    pub(super) fn through(slope: f32) -> Self {
        Self { product: slope, bias: slope, ..Self::default() }
    }
}

/// What a kind sees of the trainer's state at one step.
pub(super) struct View<'a> {
    /// Active features per token at this step.
    pub(super) k: usize,
    /// The weight of the penalty at this step, divided by the number of tokens.
    pub(super) penalty: f32,
    /// The encoder's bias, per feature.
    pub(super) bias: &'a [f32],
    /// What multiplies an activation to give its cost: the sum of its decoder norms, reduced for
    /// designated shared features.
    pub(super) cost: &'a [f32],
    /// The kind's own parameters, per feature.
    pub(super) extras: [&'a [f32]; 2],
    /// The cut of the step before, in units of activation times cost.
    pub(super) last_cut: f32,
}

/// What a kind makes of the candidates of a batch.
pub(super) struct Chosen {
    /// The entries of each token, ascending by feature.
    pub(super) rows: Vec<Vec<Entry>>,
    /// The smallest activation times cost that was kept, for the kinds that keep the largest.
    pub(super) cut: f32,
}

/// What a kind does differently.
pub(super) trait Recipe: Send + Sync {
    /// How a fitted dictionary encodes.
    fn activation(&self, k: usize) -> Activation;

    /// Products below this cannot matter, per feature. The scan skips them. `patient` asks for a bound
    /// that surely holds, after one that did not.
    fn bounds(&self, view: &View<'_>, patient: bool) -> Vec<f32>;

    /// Turns candidates into entries. `None` if the bounds hid what is needed; never when `patient`.
    fn choose(&self, view: &View<'_>, rows: Vec<Vec<Candidate>>, patient: bool) -> Option<Chosen>;

    /// The slopes of an entry, given the slope of the loss with its activation.
    fn slopes(&self, view: &View<'_>, entry: &Entry, slope: f32) -> Slopes;

    /// The penalty where the settings name none.
    fn usual_penalty(&self) -> f64 {
        1.0
    }

    /// What a penalty of 1 is worth, in squared error per token of normalised activations.
    fn penalty_unit(&self, _width: usize, _k: usize) -> f64 {
        1.0
    }

    /// Starting values of the kind's own parameters.
    fn extras(&self) -> Vec<f32> {
        Vec::new()
    }

    /// The second reconstruction, if any.
    fn side(&self) -> Option<Side> {
        None
    }

    /// Whether features that fire in proportion are merged: decoders must be free to grow, and activations to be
    /// their own.
    fn merges_twins(&self) -> bool {
        false
    }

    /// Whether decoder rows are held at norm 1, with the gradient projected onto the sphere.
    fn unit_decoder(&self) -> bool {
        false
    }
}

/// The recipe of a kind.
pub(super) fn recipe(settings: &FitSettings) -> Box<dyn Recipe> {
    match settings.kind {
        Kind::Standard | Kind::Crosscoder => Box::new(standard::Standard),
        Kind::Gated => Box::new(gated::Gated),
        Kind::Topk => Box::new(topk::Topk),
        Kind::Jumprelu => Box::new(jumprelu::JumpRelu(settings.sparsity)),
        Kind::BatchTopk
        | Kind::Matryoshka
        | Kind::Transcoder
        | Kind::SkipTranscoder
        | Kind::BatchTopkCrosscoder
        | Kind::Difference => Box::new(batch_topk::BatchTopk),
    }
}
