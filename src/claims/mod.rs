//! Effects and controls become verdicts.
//!
//! Before anything is measured, [`Power`] says what a study needs to be able to make a claim at all.
//! Afterwards [`decide`] takes the tables `effects`, `controls` and `differences` and, for every declared
//! hypothesis (PROTOCOL 5):
//!
//! 1. p = max(p_zero, p_controls): the effect must stand out from zero, by a sign flip over problems, and
//!    from matched controls (controls outside the tolerance do not count; too few, no claim).
//! 2. One declared correction over all declared hypotheses.
//! 3. Simultaneous intervals of all declared effects and of their other axes, by a max-t bootstrap.
//! 4. On the other axis (safety for transfer, and the reverse): the same p, corrected over the hypotheses;
//!    equivalence to no change within the declared margin on every suite; and the interaction, how much
//!    more the declared endpoint moves. The first endpoint of a suite, and the first suite of an axis, are
//!    the primary ones.
//! 5. The effect less that of the same edit in base, where it was measured.
//! 6. The verdict: carries transfer, carries safety loss, both, neither (equivalence on both axes),
//!    undecided, untestable, or not testable in this variant. Absence of significance is undecided.

pub mod calibration;
mod decide;
mod evidence;
mod fitness;
mod power;
mod rows;
mod settings;
mod stability;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use fitness::Fitness;
pub use power::Power;
pub use rows::{ClaimRow, Verdict};
pub use settings::{ClaimSettings, Correction};
pub use stability::{NOT_REPEATED, count_agreement};
