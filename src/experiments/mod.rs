//! Experiments: edit x receiver x suite x controls become outcomes and effects.
//!
//! 1. [`Hypothesis`]: what a study declares, of features, a direction or heads ([`SetRule`]).
//!    [`ExperimentSettings`]: how everything is done.
//! 2. `choose` (on the selection half): attribution proposes features, real edits choose the size of the set, and
//!    [`controls`] draws control sets that match it; `directions` and `heads` do so for what is no feature.
//! 3. [`source`]: the receiver under many [`Condition`]s at once, with the variants that are read running
//!    along on its tokens ([`Readout`]).
//! 4. `measure` (on the measuring half): every suite under the set, its controls, both ceilings and the doses, with
//!    common random numbers, once more without chance (`greedy`), and neutral text (`neutral`); `effects` turns values by problem into rows, `trend`
//!    tests dose series.
//! 5. [`run`] does it all, and an exploratory grid that supports no claim. [`say`] lets one read what a model
//!    says under an edit; `beside` does so by hand. `published` runs a published protocol on the same data.

mod attribution;
mod beside;
mod choose;
mod conditions;
pub mod controls;
mod declared;
mod directions;
mod effects;
mod explore;
mod greedy;
mod heads;
mod hypothesis;
mod inputs;
mod kind;
mod lockstep;
mod measure;
mod neutral;
mod outcomes;
mod percentiles;
mod prepared;
mod published;
mod readout;
mod rows;
mod run;
mod said;
mod say;
mod set_rule;
mod settings;
mod shifts;
mod single;
#[cfg(test)]
mod small;
mod texts;
mod trend;

pub use conditions::{BASELINE, Condition};
pub use hypothesis::{Axis, Expected, Hypothesis};
pub use inputs::ExperimentInputs;
pub use lockstep::{GivenText, Source, Start, source};
pub use measure::CUT_OFF;
pub use neutral::neutral_texts;
pub use outcomes::beside_control;
pub use published::{Protocol, PublishedRow};
pub use readout::Readout;
pub use rows::{ControlRow, DifferenceRow, EffectRow, SetRow, TrendRow};
pub use run::{ExperimentTables, run};
pub use say::{EditEntry, EditFile, Said, say};
pub use set_rule::SetRule;
pub use settings::{ExperimentSettings, ReadoutKind};
pub use shifts::{OwnTexts, ShiftRow, own_texts};
