//! Experiments: edit x receiver x suite x controls become outcomes and effects.

pub mod controls;
mod rows;

pub use rows::{ControlRow, DifferenceRow, EffectRow};
