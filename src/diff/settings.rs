//! The `[diff]` of a study.

use super::classes::Cuts;
use crate::error::{Error, Result};
use crate::model::HookPoint;
use serde::{Deserialize, Serialize};

/// What `diff` measures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiffSettings {
    /// At most this many tokens of the range are read, from its start.
    pub tokens: usize,
    /// Where the lines between the classes are drawn.
    pub cuts: Cuts,
    /// Which contexts are kept for each feature.
    pub contexts: ContextSettings,
    /// Tokens in each `promoted_…` and `suppressed_…` column.
    pub lens_tokens: usize,
    /// Also compares the models beyond features: divergence by suite, mean differences, directions, probes, heads,
    /// weights, activation shifts and the dynamics of features along checkpoints.
    pub models: bool,
    /// Hooks at which that comparison reads probes and mean differences, beside the captured one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookPoint>,
}

impl Default for DiffSettings {
    fn default() -> Self {
        Self {
            tokens: 100_000,
            cuts: Cuts::default(),
            contexts: ContextSettings::default(),
            lens_tokens: 8,
            models: false,
            hooks: Vec::new(),
        }
    }
}

impl DiffSettings {
    /// # Errors
    /// If a field is out of its range; the message names it.
    pub fn check(&self) -> Result<()> {
        if self.tokens == 0 {
            return Err(Error::request("`tokens`: expected at least 1, found 0"));
        }
        self.cuts.check()
    }
}

/// Which contexts are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContextSettings {
    /// Strongest places per feature, from different examples.
    pub top: usize,
    /// Places drawn from each quarter of the positive activations.
    pub per_quarter: usize,
    /// Tokens shown before the peak.
    pub before: usize,
    /// Tokens shown after the peak.
    pub after: usize,
}

impl Default for ContextSettings {
    fn default() -> Self {
        Self { top: 4, per_quarter: 1, before: 12, after: 4 }
    }
}
