//! Which training problem a number means. Every suite has one endless list of them under a seed, and whatever trains
//! reads it: document `n` of an arm and problem `n` of a rollout ask the same, and so
//! do document `n` and problem `n` of a file whose rows all train.

use crate::rng::{Stream, passes, stable_hash};

/// The random numbers that draw training problem `number` of the suite called `name`.
pub(super) fn stream(seed: u64, name: &str, number: u64) -> Stream {
    Stream::new(seed, "tasks/training problems", &[stable_hash(name), number])
}

/// The items of a list with these numbers, ascending, where the list is gone through in passes, each in an order of its
/// own.
pub(super) fn of_list<T: Clone>(items: &[T], seed: u64, numbers: impl Iterator<Item = u64>) -> Vec<T> {
    let order = |pass| Stream::new(seed, "training/dataset", &[pass]);
    let places = passes(items.len(), numbers, order);
    places.into_iter().filter_map(|place| items.get(place).cloned()).collect()
}
