//! Sparse feature dictionaries: encode, decode, fit, judge.
