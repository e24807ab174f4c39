//! What changed between variants.
//!
//! Per feature of a dictionary ([`features`]): decoder norms and their shares, cosines, latent scaling,
//! firing rates, and from these in which variants a feature is present, how it changed, and its class.
//! [`planted`] makes activations whose features and changes are known, to measure how far that can be
//! trusted.

mod classes;
mod contexts;
mod decoders;
mod features;
mod lens;
pub mod models;
mod neuronpedia;
pub mod planted;
mod rows;
mod scaling;
mod settings;

pub use classes::{Change, Class, Cuts, Estimate};
pub use features::{FeatureDiff, add_stability, features};
pub use lens::{LensTokens, add_lens, lens_tokens};
pub use neuronpedia::neuronpedia;
pub use rows::{Cell, ContextRow, FeatureRow};
pub use settings::{ContextSettings, DiffSettings};
