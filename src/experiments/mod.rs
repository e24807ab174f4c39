//! Experiments: edit x receiver x suite x controls become outcomes and effects.
//!
//! 1. [`Hypothesis`]: what a study declares. [`ExperimentSettings`]: how everything is done.
//! 2. `choose` (on the selection half): attribution proposes features, real edits choose the size of the set, and
//!    [`controls`] draws control sets that match it.
//! 3. [`Lockstep`]: the receiver under many edits at once, with all variants of the dictionary reading
//!    along on its tokens ([`Readout`]).
//! 4. `measure` (on the measuring half): every suite under the set, its controls, both ceilings and the doses, with
//!    common random numbers; `effects` turns values by problem into rows.
//! 5. [`run`] does it all, and an exploratory grid that supports no claim.

mod attribution;
mod choose;
pub mod controls;
mod effects;
mod hypothesis;
mod inputs;
mod lockstep;
mod measure;
mod readout;
mod rows;
mod run;
mod settings;
#[cfg(test)]
mod small;
mod texts;

pub use hypothesis::{Axis, Direction, Hypothesis, SetRule};
pub use inputs::ExperimentInputs;
pub use lockstep::{Condition, Lockstep};
pub use readout::Readout;
pub use rows::{ControlRow, DifferenceRow, EffectRow, SetRow};
pub use run::{ExperimentTables, run};
pub use settings::{ExperimentSettings, ReadoutKind};
