//! Experiments: edit x receiver x suite x controls become outcomes and effects.

pub mod controls;
mod hypothesis;
mod rows;
mod settings;

pub use hypothesis::{Axis, Direction, Hypothesis, SetRule};
pub use rows::{ControlRow, DifferenceRow, EffectRow};
pub use settings::{ExperimentSettings, ReadoutKind};
