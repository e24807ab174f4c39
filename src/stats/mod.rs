//! Bootstrap, sign flips, multiple testing, equivalence.
//!
//! The unit of everything here is the problem: one value a problem, never one a sample.

mod controls;
mod equivalence;
mod multiple;
mod sign_flip;
mod simultaneous;

pub use controls::p_controls;
pub use equivalence::equivalence;
pub use multiple::{benjamini_hochberg, benjamini_yekutieli, holm};
pub use sign_flip::{Alternative, sign_flip};
pub use simultaneous::{Estimand, Interval, simultaneous_intervals};
