//! What changed between variants.
//!
//! Per feature of a dictionary: decoder norms and their shares, cosines, latent scaling, firing rates,
//! and from these in which variants a feature is present, how it changed, and its class.

mod classes;
mod settings;

pub use classes::{Change, Class, Cuts, Estimate};
pub use settings::{ContextSettings, DiffSettings};
