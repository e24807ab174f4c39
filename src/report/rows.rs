//! The columns that the page reads of each table; the others stay for the reader of the Parquet files.

use serde::Deserialize;

/// One step of one variant's training (table `training`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Training {
    pub(super) variant: String,
    pub(super) step: u64,
    pub(super) loss: Option<f64>,
    pub(super) reward: Option<f64>,
    pub(super) kl_to_base: Option<f64>,
    pub(super) gradient_norm: Option<f64>,
    pub(super) entropy: Option<f64>,
    pub(super) response_length: Option<f64>,
}

/// What a stage cost (table `timings`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Timing {
    pub(super) stage: String,
    pub(super) seconds: Option<f64>,
}
