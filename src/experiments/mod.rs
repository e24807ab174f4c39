//! Experiments: edit x receiver x suite x controls become outcomes and effects.

mod rows;

pub use rows::{ControlRow, DifferenceRow, EffectRow};
