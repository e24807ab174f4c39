//! Bootstrap, sign flips, multiple testing, equivalence.
