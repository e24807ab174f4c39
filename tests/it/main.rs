//! All integration tests, one binary: linking once is the larger part of their cost.

mod adapters;
mod bare;
mod cli;
mod composed;
mod dictionaries;
mod goldens;
mod hub;
mod interruption;
mod invariance;
mod methods;
mod mutation;
mod notebooks;
mod objectives;
mod peer;
mod report;
mod studies;
mod tasks;
