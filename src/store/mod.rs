//! Content-addressed artifacts, written atomically.
