//! What changed between variants.
