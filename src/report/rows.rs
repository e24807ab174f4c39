//! The columns that the page reads of each table; the others stay for the reader of the Parquet files.

use serde::Deserialize;
use std::collections::BTreeMap;

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

/// One feature of the dictionary (table `features`), its columns per variant by name.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Feature {
    pub(super) feature: u64,
    pub(super) present: Option<String>,
    pub(super) change: Option<String>,
    pub(super) class: String,
    #[serde(flatten)]
    pub(super) columns: BTreeMap<String, serde_json::Value>,
}

impl Feature {
    /// A numeric column such as `norm_base`.
    pub(super) fn number(&self, column: &str) -> Option<f64> {
        self.columns.get(column).and_then(serde_json::Value::as_f64)
    }

    /// A text column such as `promoted_base`.
    pub(super) fn words(&self, column: &str) -> Option<&str> {
        self.columns.get(column).and_then(serde_json::Value::as_str)
    }
}

/// One passage on which a feature is active (table `contexts`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Context {
    pub(super) feature: u64,
    pub(super) rank: u64,
    pub(super) peak: Option<f64>,
    pub(super) source: Option<String>,
    /// A JSON list of token texts.
    pub(super) tokens: String,
    /// A JSON list of as many activations.
    pub(super) activations: String,
}

/// One decided hypothesis (table `claims`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Claim {
    pub(super) hypothesis: String,
    pub(super) verdict: String,
    pub(super) kind: Option<String>,
    pub(super) effect: Option<f64>,
    pub(super) ci_low: Option<f64>,
    pub(super) ci_high: Option<f64>,
    pub(super) p: Option<f64>,
    pub(super) p_corrected: Option<f64>,
    pub(super) stability: Option<String>,
}

/// What a stage cost (table `timings`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Timing {
    pub(super) stage: String,
    pub(super) seconds: Option<f64>,
}
