//! What a fit is told, and what it refuses.

use super::super::spec::Kind;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How activations are brought to a common scale before the fit. The change is folded into the saved
/// weights, so that a dictionary always reads and writes raw activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Each input is centred and divided by one number: the root mean square of its deviations.
    #[default]
    Rms,
    /// Each dimension of each input is centred and divided by its own standard deviation.
    Standard,
    /// Only centred.
    Centre,
}

/// The sparsity penalty of JumpReLU dictionaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sparsity {
    /// The number of active features, differentiated straight through.
    #[default]
    L0,
    /// tanh(4 x activation x decoder norm), differentiated, at the threshold straight through.
    Tanh,
}

/// Settings of [`super::fit`]. The defaults are for crosscoders of small models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitSettings {
    /// The kind of dictionary.
    pub kind: Kind,
    /// The variants it reads, in order; empty means all of the store. A difference takes two, base first.
    pub variants: Vec<String>,
    /// The number of features.
    pub features: usize,
    /// Active features per token, for the kinds that keep the largest; the others are made sparse by `penalty`.
    ///
    /// Choose the smallest k beyond which the FVE, of differences above all, no longer rises. Too small a k misses
    /// features and confuses whose they are; one several times too large splits them. `deltascope check
    /// planted --k 2,4,8` says how much, on planted features.
    pub k: usize,
    /// The number of optimiser steps.
    pub steps: usize,
    /// Tokens per step.
    pub batch: usize,
    /// Adam's step size at its peak, in normalised units. Absent, it is .06 / sqrt(width of all outputs): 6 % of
    /// a fresh decoder entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// The share of steps over which the step size rises from zero.
    pub warm_up: f64,
    /// The share of steps, at the end, over which it falls to zero.
    pub decay: f64,
    /// The share of steps over which k falls to its final value.
    pub k_anneal: f64,
    /// How many times k the fit starts with.
    pub k_start: f64,
    /// How many times features that fire together and in proportion are merged into one, for the kinds that keep
    /// the largest of a batch. After all but the last, features that do nothing start anew from a badly
    /// reconstructed token.
    pub merges: usize,
    /// The weight of the kind's sparsity penalty; it rises with `warm_up`. Absent, it is the kind's own: .03 for
    /// those that keep the largest of a batch (their toll is explained in `kinds/batch_topk.rs`), 5 for gated ones,
    /// 4 for JumpReLU with `l0`, else 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty: Option<f64>,
    /// Which penalty, for JumpReLU.
    pub sparsity: Sparsity,
    /// The weight of the loss that dead features get for reconstructing what the others miss, for the kinds that keep
    /// the k largest, of a token or of a batch. The others (L1, gated, JumpReLU) have no such loss: nothing competes
    /// there, and a feature that is dead stays so.
    pub auxiliary: f64,
    /// A feature is dead after so many tokens without firing.
    pub dead_after: usize,
    /// How activations are brought to a common scale.
    pub normalise: Normalise,
    /// The weight of each variant's reconstruction, in the order of `variants`; empty means 1 for all.
    pub weights: Vec<f64>,
    /// Prefix sizes of a Matryoshka dictionary, ascending, the last being `features`; empty means a
    /// sixteenth, a quarter, and all. A prefix that is smaller than the number of features in the data must blend
    /// them, the more the larger k is: of 51 planted features without a hierarchy, 1.7 of them active per token, it finds
    /// .89 with k = 2 and .39 with k = 4, where BatchTopK finds .98 and .92 (`reports/planted/kinds`). The packages of the
    /// field have no default.
    pub widths: Vec<usize>,
    /// Crosscoders: so many features, the first ones, have one decoder for all variants (Anthropic 2025). One, that is,
    /// in normalised units: in raw units its norms are as the variants' scales, so that where these differ much `diff`
    /// classes such a feature as reweighted. `normalise = "centre"` leaves the scales alone.
    pub shared_features: usize,
    /// Their penalty, or cost in competing for a place among the k largest, relative to other features.
    pub shared_penalty: f64,
    /// Crosscoders: so many features per variant, the next ones, write that variant only (DFC).
    pub exclusive_features: usize,
    /// Tokens in the shuffle buffer, fewer where they would take more than 512 MiB.
    pub buffer: usize,
    /// Steps between saved states. Does not change the result.
    pub save_every: usize,
}

/// More tokens per step than this are a slip.
const MOST_TOKENS: usize = 1 << 20;
/// More features than this are a slip.
const MOST_FEATURES: usize = 1 << 24;

impl Default for FitSettings {
    fn default() -> Self {
        Self {
            kind: Kind::BatchTopkCrosscoder,
            variants: Vec::new(),
            features: 2048,
            k: 32,
            steps: 800,
            batch: 2048,
            learning_rate: None,
            warm_up: 0.05,
            decay: 0.2,
            k_anneal: 0.3,
            k_start: 4.0,
            merges: 4,
            penalty: None,
            sparsity: Sparsity::L0,
            auxiliary: 1.0 / 32.0,
            dead_after: 100_000,
            normalise: Normalise::Rms,
            weights: Vec::new(),
            widths: Vec::new(),
            shared_features: 0,
            shared_penalty: 0.1,
            exclusive_features: 0,
            buffer: 65_536,
            save_every: 200,
        }
    }
}

impl FitSettings {
    /// Checks every field by itself and against the others.
    ///
    /// # Errors
    /// Names the first field that cannot be used.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("features", self.features),
            ("k", self.k),
            ("steps", self.steps),
            ("batch", self.batch),
            ("buffer", self.buffer),
            ("save_every", self.save_every),
            ("dead_after", self.dead_after),
        ];
        for (name, value) in positive {
            if value == 0 {
                return Err(Error::request(format!("field `{name}`: expected at least 1, found 0")));
            }
        }
        for (name, value, most) in
            [("features", self.features, MOST_FEATURES), ("batch", self.batch, MOST_TOKENS)]
        {
            if value > most {
                return Err(Error::request(format!(
                    "field `{name}`: expected at most {most}, found {value}"
                )));
            }
        }
        if self.k > self.features {
            return Err(Error::request(format!(
                "field `k`: expected at most the number of features, {}, found {}",
                self.features, self.k
            ))
            .hint("k is how many features may fire per token; lower it or raise `features`"));
        }
        for (name, value) in [("warm_up", self.warm_up), ("decay", self.decay), ("k_anneal", self.k_anneal)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::request(format!(
                    "field `{name}`: expected a share of 0 to 1, found {value}"
                )));
            }
        }
        let ranges = [
            ("learning_rate", self.learning_rate.unwrap_or(1.0), 0.0),
            ("k_start", self.k_start, 1.0),
            ("penalty", self.penalty.unwrap_or(1.0), 0.0),
            ("auxiliary", self.auxiliary, 0.0),
            ("shared_penalty", self.shared_penalty, f64::MIN_POSITIVE),
        ];
        for (name, value, least) in ranges {
            if !value.is_finite() || value < least {
                return Err(Error::request(format!(
                    "field `{name}`: expected at least {least}, found {value}"
                )));
            }
        }
        if let Some(weight) = self.weights.iter().find(|weight| !weight.is_finite() || **weight < 0.0) {
            return Err(Error::request(format!("field `weights`: expected numbers from 0, found {weight}")));
        }
        if !self.weights.is_empty() && self.weights.iter().all(|weight| *weight == 0.0) {
            return Err(Error::request("field `weights`: expected one above 0, found none")
                .hint("with all at 0 nothing is reconstructed"));
        }
        self.check_kind()
    }

    fn check_kind(&self) -> Result<()> {
        let ascending = self.widths.is_sorted_by(|a, b| a < b) && self.widths.first() != Some(&0);
        if !self.widths.is_empty() && (!ascending || self.widths.last() != Some(&self.features)) {
            return Err(Error::request(format!(
                "field `widths`: expected ascending sizes that end with features = {}, found {:?}",
                self.features, self.widths
            )));
        }
        self.check_used()?;
        if !self.kind.is_crosscoder() && self.shared_features + self.exclusive_features > 0 {
            return Err(Error::request(format!(
                "fields `shared_features` and `exclusive_features` are for crosscoders, found kind `{}`",
                self.kind
            )));
        }
        Ok(())
    }

    /// Refuses settings that were changed though the kind does not use them. `k` and how it falls are left alone:
    /// one command may fit several kinds.
    fn check_used(&self) -> Result<()> {
        let usual = Self::default();
        let (kind, merging) = (self.kind, self.kind.keeps_the_largest_of_a_batch());
        let unused = [
            ("penalty", self.penalty.is_some() && kind == Kind::Topk),
            ("sparsity", self.sparsity != usual.sparsity && kind != Kind::Jumprelu),
            ("widths", !self.widths.is_empty() && kind != Kind::Matryoshka),
            ("merges", self.merges != usual.merges && !merging),
            ("auxiliary", self.auxiliary != usual.auxiliary && !kind.keeps_the_largest()),
            ("shared_penalty", self.shared_penalty != usual.shared_penalty && self.shared_features == 0),
        ];
        match unused.into_iter().find(|(_, unused)| *unused) {
            Some(("shared_penalty", _)) => {
                Err(Error::request("field `shared_penalty` is for designated shared features, found none")
                    .hint("set `shared_features`, or leave it out"))
            }
            Some((name, _)) => Err(Error::request(format!("field `{name}` does nothing for kind `{kind}`"))
                .hint("leave it out, or choose a kind that uses it")),
            None => Ok(()),
        }
    }

    /// The prefixes that must reconstruct alone: one, unless the kind is Matryoshka.
    pub(in crate::dictionaries) fn prefixes(&self) -> Vec<usize> {
        if self.kind != Kind::Matryoshka {
            return vec![self.features];
        }
        if !self.widths.is_empty() {
            return self.widths.clone();
        }
        let mut widths: Vec<usize> = [16, 4, 1].map(|part| self.features / part).into();
        widths.retain(|width| *width > 0);
        widths.dedup();
        widths
    }
}
