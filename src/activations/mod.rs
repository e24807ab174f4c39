//! Capture, the on-disk activation store, and shuffled batches.
