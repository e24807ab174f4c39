//! What each kind of dictionary does differently while it is trained: which pre-activations become
//! activations, and how the loss changes with them. Everything else is the one trainer's.
//!
//! With h the target, h^ = sum_j f_j d_j + b, pre = W x + b_enc, and sums over the outputs v:
//!
//! | kind | reads, writes | f and the loss beside \|\|h - h^\|\|^2 | file | source |
//! |---|---|---|---|---|
//! | standard | h, h | ReLU(pre); lambda sum f_j \|\|d_j\|\| | `standard.rs` | Conerly et al. 2024 |
//! | crosscoder | all h_v, all h_v | ReLU(pre); lambda sum f_j sum_v \|\|d_j^v\|\| | `standard.rs` | Lindsey et al. 2024 |
//! | gated | h, h | gate and strength | `gated.rs` | Rajamanoharan et al. 2024, arXiv 2404.16014 |
//! | jumprelu | h, h | pre where above theta_j; L0 or tanh | `jumprelu.rs` | Rajamanoharan et al. 2024, arXiv 2407.14435 |
//! | topk | h, h | the k largest of a token | `topk.rs` | Gao et al. 2024, arXiv 2406.04093 |
//! | batch_topk | h, h | the k N largest of a batch | `batch_topk.rs` | Bussmann et al. 2024, arXiv 2412.06410 |
//! | batch_topk_crosscoder | all h_v, all h_v | as batch_topk, by f_j sum_v \|\|d_j^v\|\| | `batch_topk.rs` | Minder et al. 2025, arXiv 2504.02922 |
//! | matryoshka | h, h | as batch_topk; + sum_m \|\|h - h^_m\|\|^2, h^_m of the first m features, over nested widths m | `batch_topk.rs` | Bussmann et al. 2025, arXiv 2503.17547 |
//! | transcoder | x at one hook, y at another | as batch_topk, of \|\|y - y^\|\|^2 | `batch_topk.rs` | Dunefsky et al. 2024, arXiv 2406.11944 |
//! | skip_transcoder | x, y | the same with y^ + W_skip x | `batch_topk.rs` | Paulo et al. 2025, arXiv 2501.18823 |
//! | difference | h_v - h_base, itself | as batch_topk | `batch_topk.rs` | Aranguri, Drori and Nanda 2025 |

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
        | Kind::Difference => Box::new(batch_topk::BatchTopk { prefixes: settings.prefixes() }),
    }
}
