//! Post-training: supervised fine-tuning, rejection sampling, preferences and policy gradient, with exact
//! resume. [`PostTraining`] is the list of methods.
//!
//! Every method is a step that the loop in `run` repeats:
//!
//! 1. `examples`: documents and rollouts become token rows, in parts of similar length.
//! 2. The method ([`train_sft`], [`rl::train_rl`]) turns log-probabilities of response tokens into a weight
//!    per token; the gradient is that of `sum(weight * log_probability)`, part by part.
//! 3. [`AdamW`] makes one update at the rate of the [`Schedule`].
//! 4. `run` adds a row to the tables, `watch` warns of what goes wrong, checkpoints are HF repositories, and
//!    `checkpoint` saves what a resume needs.
//!
//! What is equal between variants of a study: the base, the seed, and the list of training problems. All methods go
//! through it from the start in the order of its numbers, documents and rollouts alike; how far depends on how many
//! each uses. Only dynamic sampling draws others beside them, and a file of documents has its own order.
//!
//! A run that is stopped or killed at any moment and started again gives the same bytes as one that is not:
//! random numbers are keyed by (seed, step), and everything else is in the checkpoint.

mod checkpoint;
mod divergence;
mod dpo;
mod examples;
mod fit;
mod lora;
mod moments;
mod optimiser;
mod or_none;
mod post_training;
mod preferences;
mod rft;
pub mod rl;
mod rows;
mod run;
mod schedule;
mod scoring;
mod settings;
mod sft;
#[cfg(test)]
mod tests;
mod watch;

pub use dpo::{Pairs, Sampled, train_dpo};
pub use lora::{BaseName, LoraSettings};
pub use optimiser::AdamW;
pub use post_training::{PostTraining, Preferences};
pub use preferences::own_pairs;
pub use rft::train_rft;
pub use rl::{RlSettings, train_rl};
pub use rows::{TimingRow, TrainingRow};
pub use run::{TrainingRun, log_spaced};
pub use schedule::Schedule;
pub use settings::{DpoSettings, OptimiserSettings, RftSettings, SftSettings, TokenWeighting};
pub use sft::{Documents, train_sft, train_sft_under};
pub use watch::{Warning, warnings};
