//! deltascope: a mechanistic interpretability toolkit for post-training diffs.
//!
//! A lab fine-tunes a model and gets a new one. deltascope trains such variants (or loads them),
//! captures their activations, fits sparse feature dictionaries across them, intervenes on the
//! features that differ, and reports which features carry reasoning transfer and which carry the loss
//! of safety, with the controls that make the answer defensible.
//!
//! The modules are floors of one house, listed here from the top down; each uses only floors below it.
//!
//! * [`cli`]: one file a verb; parses, calls the library, prints a short answer.
//! * [`study`]: a study file becomes a graph of stages; plan, run, resume, verify.
//! * [`report`]: tables in, one self-contained HTML page out.
//! * [`claims`]: effects and controls become verdicts.
//! * [`experiments`]: edits x receivers x suites x controls become outcomes and effects.
//! * [`diff`]: what changed between variants, per feature and beyond.
//! * [`interventions`]: what is written into a forward pass.
//! * [`dictionaries`]: sparse feature dictionaries: encode, decode, fit, judge.
//! * [`activations`]: capture, the on-disk store, shuffled batches.
//! * [`training`]: SFT and policy gradient, optimiser, schedules, checkpoints.
//! * [`evaluation`]: sample, verify, and tabulate with honest error bars.
//! * [`tasks`]: problems, verifiers, suites, the built-in microcosm.
//! * [`model`]: one decoder for all families; hooks, caches, weights, tokenizer, sampler.
//! * [`ops`]: differentiable kernels, forward and backward together.
//! * [`store`]: content-addressed artifacts, written atomically.
//! * [`tables`]: Parquet tables with documented columns.
//! * [`stats`]: bootstrap, sign flips, multiple testing, equivalence.
//! * `foreign`: the one door for files that somebody else made.
//! * `fingerprint`: what the program is made of, for the keys of artifacts.
//! * [`compute`], [`progress`], [`rng`], [`error`]: what every floor stands on.

pub mod activations;
pub mod claims;
pub mod cli;
pub mod compute;
pub mod dictionaries;
pub mod diff;
pub mod error;
pub mod evaluation;
pub mod experiments;
mod fingerprint;
mod foreign;
pub mod interventions;
pub mod model;
pub mod ops;
pub mod progress;
pub mod report;
pub mod rng;
pub mod stats;
pub mod store;
pub mod study;
pub mod tables;
pub mod tasks;
pub mod training;

pub use error::{Error, Result};
