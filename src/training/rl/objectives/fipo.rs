//! FIPO: advantages re-weighted by the KL that is still to come in the response.
//!
//! 1. `D_k = clamp(new - old, -20, 20)`; tokens whose ratio is over `dual` do not take part.
//! 2. `F_t = sum over k >= t of gamma^(k - t) D_k`, with `gamma = 2^(-1 / half_life)`.
//! 3. `f_t = clamp(exp F_t, 1 - below, 1 + above)`, without gradient; where `A < 0` and the ratio is over
//!    `safety`, f is further cut to [0.8, 1].
//! 4. The clipped loss of PPO with advantage `A f`.
//! 5. A response with more than one dual-clipped token is dropped, also from the token mean.
//!
//! Source: `compute_policy_loss_future_kl` of FIPO's release; its defaults differ from its published
//! script, whose 32B settings are the default here.

use super::clip::{Clip, Decided, LOG_RATIO_LIMIT, token};
use super::{Influence, Responses, TokenLosses};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// FIPO's settings; the default is the published 32B run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fipo {
    /// The ratio's bounds. `dual` also decides which tokens take part in the future KL.
    pub clip: Clip,
    /// Tokens after which a future token's weight has halved.
    pub half_life: f64,
    /// The influence weight may fall to `1 - below`.
    pub below: f64,
    /// The influence weight may rise to `1 + above`.
    pub above: f64,
    /// With a negative advantage, ratios over this have their weight cut to [0.8, 1].
    pub safety: f64,
}

impl Default for Fipo {
    fn default() -> Self {
        let clip = Clip { low: 0.2, high: 0.28, dual: Some(10.0) };
        Self { clip, half_life: 32.0, below: 0.0, above: 0.2, safety: 10.0 }
    }
}

impl Fipo {
    pub(super) fn check(&self) -> Result<()> {
        self.clip.check()?;
        let fields = [
            ("half_life", self.half_life > 0.0, self.half_life, "positive"),
            ("below", (0.0..=1.0).contains(&self.below), self.below, "from 0 to 1"),
            ("above", self.above >= 0.0, self.above, "at least 0"),
            ("safety", self.safety > 0.0, self.safety, "positive"),
        ];
        match fields.into_iter().find(|(_, sound, ..)| !sound) {
            None => Ok(()),
            Some((name, _, found, expected)) => {
                Err(Error::request(format!("fipo: `{name}` must be {expected}, found {found}")))
            }
        }
    }
}

/// What a negative advantage's weight is cut to when its ratio is over `safety`.
const SAFE: (f64, f64) = (0.8, 1.0);

pub(super) fn token_losses(batch: &Responses, advantages: &[f64], fipo: &Fipo) -> TokenLosses {
    let size = batch.mask.len();
    let mut output =
        TokenLosses { losses: vec![0.0; size], slopes: vec![0.0; size], watched: batch.watched() };
    let gamma = (-1.0 / fipo.half_life).exp2();
    let takes_part = fipo.clip.dual.map_or(f64::INFINITY, f64::ln);
    let mut influence = Influence { sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY };
    for row in 0..batch.rows {
        let mut future = 0.0;
        let mut dual = 0;
        for index in batch.range(row).rev() {
            future *= gamma;
            if !batch.mask[index] {
                continue;
            }
            let raw = batch.new[index] - batch.old[index];
            let log_ratio = raw.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT);
            if log_ratio <= takes_part {
                future += log_ratio;
            }
            let ratio = log_ratio.exp();
            let mut weight = future.exp().clamp(1.0 - fipo.below, 1.0 + fipo.above);
            if advantages[index] < 0.0 && ratio > fipo.safety {
                weight = weight.clamp(SAFE.0, SAFE.1);
            }
            influence.sum += weight;
            influence.min = influence.min.min(weight);
            influence.max = influence.max.max(weight);
            let result = token(advantages[index] * weight, ratio, &fipo.clip);
            dual += usize::from(result.2 == Decided::Dual);
            output.set(index, result, raw);
        }
        if dual > 1 {
            output.watched.dropped += batch.length(row);
            output.losses[batch.range(row)].fill(0.0);
            output.slopes[batch.range(row)].fill(0.0);
        }
    }
    output.watched.influence = (output.watched.tokens > 0).then_some(influence);
    output
}
