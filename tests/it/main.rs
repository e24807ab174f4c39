//! All integration tests, one binary: linking once is the larger part of their cost.

// Rows of made-up tables are one `json!` each, as wide as the table.
#![recursion_limit = "256"]

mod adapters;
mod bare;
mod cli;
mod composed;
mod current;
mod dictionaries;
mod differences;
mod goldens;
mod guarded;
mod hub;
mod interruption;
mod invariance;
mod judge;
mod methods;
mod mutation;
mod notebooks;
mod objectives;
mod peer;
mod pins;
mod report;
mod reports;
mod said;
mod studies;
mod tasks;
