//! Sparse feature dictionaries: encode, decode, fit, judge.
//!
//! A dictionary reads the activations of one or several variants at a token, x (all inputs joined), and writes
//! reconstructions of one or several:
//!
//! 1. Pre-activations: pre = W x + b, one per feature.
//! 2. Activations f: pre where positive (ReLU), the k largest, those above a threshold per feature (JumpReLU,
//!    and BatchTopK at inference), or gated.
//! 3. Reconstructions: h^_v = sum_j f_j d_j^v + b_v (+ a linear path around the features).
//!
//! A crosscoder (Lindsey et al. 2024) reads all variants and has one decoder d_j^v per variant, so that the same
//! feature can be compared between them. Which kind is which is data ([`Spec`]) and one small file in `kinds/`;
//! the trainer in `fit/` is one for all. Weights always apply to raw activations: every normalisation is folded
//! into them.

mod codes;
mod dictionary;
mod encode;
mod fit;
mod formats;
mod golden;
mod kinds;
mod matmul;
mod metrics;
mod neighbours;
mod own;
mod reading;
mod releases;
mod sites;
mod spec;
mod splice;
mod stability;
mod tensors;
mod vectors;
mod weights;

pub use codes::Codes;
pub use dictionary::{Dictionary, FeatureReader};
pub use fit::{FitSettings, Job, Normalise, STATE_FILE, Sparsity, fit, fit_jobs};
pub use formats::Format;
pub use golden::{Golden, GoldenReport, TOLERANCE};
pub use metrics::{DictionaryRow, Judgement, NoteRow, OVERALL, check_judge, judge, metrics};
pub use neighbours::neighbours;
pub(crate) use own::slot;
pub use own::{Fidelity, fidelity, own_encoder};
pub use reading::{Declared, FileReading};
pub use spec::{Activation, Kind, Site, Spec, TokenScale};
pub use splice::{SpliceCost, add_splice_costs, check_splice, splice_cost};
pub use stability::{add_stability, matches, mean_of_live, mean_stability, stability};
pub(crate) use weights::Weights;
