//! All integration tests, one binary: linking once is the larger part of their cost.

mod goldens;
mod invariance;
mod report;
mod tasks;
