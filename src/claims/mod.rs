//! Effects and controls become verdicts.
//!
//! Before anything is measured, [`Power`] says what a study needs to be able to make a claim at all.

mod power;
mod settings;

pub use power::{Power, minimum_detectable_effect};
pub use settings::{ClaimSettings, Correction};
