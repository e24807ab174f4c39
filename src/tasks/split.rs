//! What is held out: decided by a hash of the problem alone, so that no task, stage or seed can
//! train on it.

use crate::rng::stable_hash;

/// One problem in this many is held out.
const ONE_IN: u64 = 4;

/// Whether the problem described by `what` is held out of all training. Card problems are described by
/// their sorted values and target (so one decision covers every rule and order), requests by their
/// object, skills by their letters, chains by their text, card readings by their sorted cards.
pub(super) fn held_out(what: &str) -> bool {
    stable_hash(&format!("held out: {what}")).is_multiple_of(ONE_IN)
}

/// [`held_out`] for a card problem.
pub(super) fn pair_held_out(values: [i64; 3], target: i64) -> bool {
    let [a, b, c] = values;
    held_out(&format!("{a} {b} {c} to {target}"))
}
