//! One decoder for all families.
