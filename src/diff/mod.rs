//! What changed between variants.
//!
//! Per feature of a dictionary ([`features`]): decoder norms and their shares, cosines, latent scaling,
//! firing rates, and from these in which variants a feature is present, how it changed, and its class.
//! [`readouts()`] says what reading a variant's own activations alone is worth, and [`Reading`] does it.
//! [`planted`] makes activations whose features and changes are known, to measure how far that can be
//! trusted.

mod alphabet;
mod classes;
mod contexts;
mod decoders;
mod dynamics;
mod features;
mod lens;
pub mod models;
mod neuronpedia;
pub mod planted;
mod readouts;
mod rows;
mod scaling;
mod settings;

pub use classes::{Change, Class, Cuts, Estimate};
pub use dynamics::{DynamicsRow, dynamics};
pub use features::{FeatureDiff, add_stability, features, features_pair};
pub use lens::{LensTokens, add_lens, lens_tokens};
pub use neuronpedia::neuronpedia;
pub(crate) use readouts::swap_view;
pub use readouts::{LEAST_F1, ReadoutRow, readouts};

pub use crate::interventions::{Reading, View};
pub use rows::{Cell, ContextRow, FeatureRow};
pub use settings::{ContextSettings, DiffSettings};
