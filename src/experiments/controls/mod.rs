//! Matched control sets (PROTOCOL 4).
//!
//! A set is selected for what it does, so it also fires often and deltas much; a control must do so too.
//!
//! 1. [`Stock`] knows, on tokens of the selection half, where every feature fires, how strongly, and to
//!    which cell (suite x prompt/response) each token belongs.
//! 2. The `footprint` is what a set does there under an edit: per cell the share of tokens at which
//!    it acts, and its mean squared delta. [`Balance`] compares two footprints.
//! 3. A cloud's draws start from features that resemble the set's one by one, then swap features as long as that brings
//!    the footprint closer, until every cell is within the tolerance (`search`, `drawing`).
//! 4. [`draw`] takes of those that match the ones that differ most (`spread`). How much each still writes of what the others
//!    write, and of what the set does (`likeness`), is what the p-value widens them by ([`crate::stats::widening`]).
//!
//! Three clouds of features (any; the same classes; shared features whose activation shifted as much) and
//! one of random directions, which borrow the set's own gate and norm and so match by construction.
//! A cloud that cannot be matched says so in its balance, and its draws support no claim. Where too few sets match
//! because none edits as strongly, or all that do are copies of one another, the directions of other sets with the tested
//! one's gate and norm take their places (`borrowed`).

mod balance;
mod borrowed;
mod cloud;
mod draw;
mod drawing;
mod footprint;
mod likeness;
mod search;
mod spread;
mod stock;

pub use balance::{Balance, CellBalance};
pub use cloud::{Cloud, ControlSet};
pub use draw::{Wanted, balance, draw, random_directions};
pub use stock::{Cell, FeatureTraits, Stock};
