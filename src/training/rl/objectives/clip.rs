//! The clipped probability ratio of PPO (arXiv 1707.06347), with separate bounds (DAPO,
//! arXiv 2503.14476) and the dual clip (arXiv 1912.09729).
//!
//! With `r = exp(new - old)`: `loss = max(-A r, -A clamp(r, 1 - low, 1 + high))`, and where `A < 0`,
//! `min(loss, -A c)`. The slope is `-A r` where the first term decides and zero where a clip does.

use super::{Responses, TokenLosses};
use crate::error::{Error, Result};
use crate::training::or_none::or_none;
use serde::{Deserialize, Serialize};

/// Log-ratios beyond this are cut, as in verl.
pub(super) const LOG_RATIO_LIMIT: f64 = 20.0;

/// The bounds of the ratio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clip {
    /// The ratio may fall to `1 - low`.
    pub low: f64,
    /// The ratio may rise to `1 + high`.
    pub high: f64,
    /// With a negative advantage the loss is at most `-A dual`; `None` (in TOML `"none"`) for no dual clip.
    #[serde(deserialize_with = "or_none")]
    pub dual: Option<f64>,
}

impl Default for Clip {
    fn default() -> Self {
        Self { low: 0.2, high: 0.2, dual: None }
    }
}

impl Clip {
    pub(super) fn check(&self) -> Result<()> {
        let distance = |name: &str, value: f64| match value >= 0.0 && value.is_finite() {
            true => Ok(()),
            false => Err(Error::request(format!("clip: `{name}` must not be negative, found {value}"))),
        };
        distance("low", self.low)?;
        distance("high", self.high)?;
        match self.dual.is_none_or(|dual| dual > 1.0) {
            true => Ok(()),
            false => Err(Error::request(format!("clip: `dual` must be over 1, found {:?}", self.dual))),
        }
    }
}

/// What decided a token's loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decided {
    Ratio,
    High,
    Low,
    Dual,
}

/// The loss of one token and its slope, for a ratio whose derivative by log-probability is itself.
pub(super) fn token(advantage: f64, ratio: f64, clip: &Clip) -> (f64, f64, Decided) {
    let plain = -advantage * ratio;
    let clipped = -advantage * ratio.clamp(1.0 - clip.low, 1.0 + clip.high);
    if let Some(limit) = clip.dual.filter(|_| advantage < 0.0).map(|dual| -advantage * dual)
        && plain.max(clipped) > limit
    {
        return (limit, 0.0, Decided::Dual);
    }
    match clipped > plain {
        true if advantage > 0.0 => (clipped, 0.0, Decided::High),
        true => (clipped, 0.0, Decided::Low),
        false => (plain, plain, Decided::Ratio),
    }
}

pub(super) fn token_losses(batch: &Responses, advantages: &[f64], clip: &Clip) -> TokenLosses {
    let mut output = TokenLosses {
        losses: vec![0.0; batch.mask.len()],
        slopes: vec![0.0; batch.mask.len()],
        watched: batch.watched(),
    };
    for index in (0..batch.mask.len()).filter(|index| batch.mask[*index]) {
        let log_ratio = batch.new[index] - batch.old[index];
        let ratio = log_ratio.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp();
        output.set(index, token(advantages[index], ratio, clip), log_ratio);
    }
    output
}

impl TokenLosses {
    /// Stores one token's loss and counts what decided it. A cut log-ratio has no slope.
    pub(super) fn set(&mut self, index: usize, token: (f64, f64, Decided), log_ratio: f64) {
        let (loss, slope, decided) = token;
        self.losses[index] = loss;
        self.slopes[index] = if log_ratio.abs() > LOG_RATIO_LIMIT { 0.0 } else { slope };
        match decided {
            Decided::Ratio => {}
            Decided::High => self.watched.clipped_high += 1,
            Decided::Low => self.watched.clipped_low += 1,
            Decided::Dual => self.watched.clipped_dual += 1,
        }
    }
}
