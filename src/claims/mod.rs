//! Effects and controls become verdicts.
//!
//! Before anything is measured, [`Power`] says what a study needs to be able to make a claim at all.
//! Afterwards [`decide`] takes the tables `effects`, `controls` and `differences` and, for every declared
//! hypothesis (PROTOCOL 5):
//!
//! 1. p = max(p_zero, p_controls): the effect must stand out from zero, by a sign flip over problems, and
//!    from matched controls (controls outside the tolerance do not count; too few, no claim). For a set of features,
//!    controls are sets of features: random directions stand beside them. Controls that resemble each other are widened
//!    about their mean ([`crate::stats::widening`]).
//! 2. One declared correction over all declared hypotheses, of every kind of p-value.
//! 3. Intervals in one family, by a max-t bootstrap: all declared effects, those on their other axes, and the
//!    contrasts of 4 and 5.
//! 4. On the other axis (safety for transfer, and the reverse): the same p, against controls that match there;
//!    equivalence to no change within the declared margin on every suite; and the interaction, how much
//!    more the declared endpoint moves. The first endpoint of a suite, and the first suite of an axis, are
//!    the primary ones.
//! 5. The effect less that of the same edit in base. What removes a set from a post-trained model also removes what base
//!    had of it, so such a claim needs this contrast to exclude zero. And where base falls with the receiver, the contrast
//!    repeats how far apart they stood before: an edit that destroys what both can do passes it. Then the claim needs the
//!    transplant of the same set from base to move the receiver as well, in an interval of its own.
//! 6. Whether the receiver still works: else nothing is said about its safety.
//! 7. The verdict: carries transfer, carries safety loss, both, neither (equivalence on both axes), no more than in
//!    base, moves the declared suite, undecided, untestable, or not testable in this variant. A set carries something only
//!    if its effect has the sign that undoes (in a post-trained receiver) or brings (in base) what post-training
//!    did, its interval excludes zero, and exchanging the whole activation moves the endpoint the same way. Absence of significance is undecided.

pub mod calibration;
mod decide;
mod equivalent;
mod evidence;
mod fitness;
mod intervals;
mod power;
mod rows;
mod settings;
mod stability;
#[cfg(test)]
mod tests;
mod verdict;

pub use decide::decide;
pub use fitness::Fitness;
pub use power::Power;
pub use rows::{ClaimRow, Verdict};
pub use settings::{ClaimSettings, Correction};
pub use stability::{NOT_REPEATED, RepetitionRow, agreement, count_agreement};
