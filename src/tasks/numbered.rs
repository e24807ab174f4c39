//! Which training problem a number means. Every suite has one endless list of them under a seed, and whatever trains
//! reads it: document `n` of an arm and problem `n` of a rollout ask the same.

use crate::rng::{Stream, stable_hash};

/// The random numbers that draw training problem `number` of the suite called `name`.
pub(super) fn stream(seed: u64, name: &str, number: u64) -> Stream {
    Stream::new(seed, "tasks/training problems", &[stable_hash(name), number])
}
