//! Dictionaries on disk.

pub(super) mod native;
