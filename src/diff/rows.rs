//! The rows of the tables `features` and `contexts`.

use super::classes::{Change, Class};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value of a column that exists once per variant or pair of variants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A number, or nothing where it is not defined.
    Number(Option<f64>),
    /// A text.
    Text(String),
}

/// One row of the table `features`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureRow {
    /// The feature's index in the dictionary.
    pub feature: u32,
    /// The variants in which it is present, joined by `+` in the dictionary's order.
    pub present: String,
    /// How it differs between them; `None` for dead features.
    pub change: Option<Change>,
    /// Its class.
    pub class: Class,
    /// Share of tokens at which it fires (joint code).
    pub rate: f64,
    /// Tokens at which it fired.
    pub firings: u64,
    /// Mean of the code where it fires.
    pub mean_active: Option<f64>,
    /// The largest code; `None` if it never fires.
    pub max_active: Option<f64>,
    /// How many of its firings lie in each of 20 equal steps from 0 to the largest code, a JSON list.
    pub histogram: String,
    /// Share of its summed activation that falls on template tokens.
    pub share_template: Option<f64>,
    /// Share of its summed activation that falls on the response.
    pub share_response: Option<f64>,
    /// Share of its summed activation that falls on the first five tokens of the response.
    pub share_first: Option<f64>,
    /// Largest decoder cosine with a feature of the same dictionary under another seed, averaged over those.
    pub stability: Option<f64>,
    /// The features that write most nearly the same, a JSON list.
    pub nearest: String,
    /// Their decoder cosines with this one, a JSON list.
    pub nearest_cosines: String,
    /// Columns per variant and per pair of variants; see the catalogue.
    #[serde(flatten)]
    pub per_variant: BTreeMap<String, Cell>,
}

impl FeatureRow {
    /// A feature of which nothing was measured.
    #[cfg(test)]
    pub(super) fn blank(feature: u32) -> Self {
        Self {
            feature,
            present: String::new(),
            change: None,
            class: Class::Dead,
            rate: 0.0,
            firings: 0,
            mean_active: None,
            max_active: None,
            histogram: "[]".to_owned(),
            share_template: None,
            share_response: None,
            share_first: None,
            stability: None,
            nearest: "[]".to_owned(),
            nearest_cosines: "[]".to_owned(),
            per_variant: BTreeMap::new(),
        }
    }

    /// The number in a per-variant column, such as `norm_base`.
    pub fn number(&self, column: &str) -> Option<f64> {
        match self.per_variant.get(column) {
            Some(Cell::Number(value)) => *value,
            _ => None,
        }
    }

    /// The text in a per-variant column, such as `promoted_base`.
    pub fn text(&self, column: &str) -> Option<&str> {
        match self.per_variant.get(column) {
            Some(Cell::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// One row of the table `contexts`: a place where a feature is strongly active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContextRow {
    /// The feature.
    pub feature: u32,
    /// 0 for the strongest.
    pub rank: u64,
    /// Its activation at the peak.
    pub peak: f64,
    /// `top`, or the quarter of its positive activations from which the place was drawn: `q1` (weakest) to `q4`.
    pub band: String,
    /// The weakest activation of the band.
    pub band_low: f64,
    /// The strongest activation of the band.
    pub band_high: f64,
    /// Who wrote the text.
    pub source: String,
    /// The part of the example in which the peak lies.
    pub part: String,
    /// The problem that the text answers; empty if there is none.
    pub problem: String,
    /// The example's index in the store.
    pub example: u32,
    /// The position of the peak in the example.
    pub position: u32,
    /// The index of the peak in `tokens`.
    pub peak_index: u64,
    /// The tokens of the window, a JSON list of strings (ids where there is no tokenizer).
    pub tokens: String,
    /// The feature's activation at each of them, a JSON list of numbers.
    pub activations: String,
}

/// A list as it stands in a column.
pub(super) fn json<T: Serialize>(values: &[T]) -> Result<String> {
    serde_json::to_string(values).map_err(|error| Error::work(format!("a list cannot be written: {error}")))
}
