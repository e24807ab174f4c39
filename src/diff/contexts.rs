//! The table `contexts`: where in the text a feature is most active, and a few weaker places.
//!
//! Top places alone make a feature look cleaner than it is, so one place from each quarter of its
//! positive activations stands beside them. Two places of one example are not both shown.

use super::rows::ContextRow;
use super::scaling::transpose;
use super::settings::ContextSettings;
use crate::activations::{ActivationStore, Part, TokenMeta};
use crate::dictionaries::Codes;
use crate::error::{Error, Result};
use serde::Serialize;

/// The codes of a run of tokens, with what is known of each.
pub(super) struct Peaks<'a> {
    codes: &'a Codes,
    places: &'a [usize],
    metas: &'a [TokenMeta],
    features: usize,
}

impl<'a> Peaks<'a> {
    pub(super) fn new(
        codes: &'a Codes,
        places: &'a [usize],
        metas: &'a [TokenMeta],
        features: usize,
    ) -> Self {
        Self { codes, places, metas, features }
    }

    /// The contexts of every feature that fires, by feature and rank. Imported activations have no text
    /// and so no contexts.
    pub(super) fn rows(
        &self,
        store: &ActivationStore,
        settings: &ContextSettings,
        token_text: &dyn Fn(u32) -> String,
    ) -> Result<Vec<ContextRow>> {
        if store.examples().is_empty() {
            return Ok(Vec::new());
        }
        let by_feature = transpose(self.codes, self.features);
        let mut rows = Vec::new();
        for feature in 0..self.features {
            let mut entries =
                by_feature.entries[by_feature.starts[feature]..by_feature.starts[feature + 1]].to_vec();
            entries.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            for (rank, (band, token, peak)) in self.choose(&entries, settings).into_iter().enumerate() {
                let mut row = self.context(store, settings, token_text, feature, token)?;
                row.rank = rank as u64;
                row.band = band;
                row.peak = f64::from(peak);
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// Strongest first, one place an example, then the middle of each quarter (strongest quarter first).
    fn choose(&self, sorted: &[(usize, f32)], settings: &ContextSettings) -> Vec<(String, usize, f32)> {
        let mut used: Vec<u32> = Vec::new();
        let mut chosen = Vec::new();
        let mut take = |band: &str, entries: &mut dyn Iterator<Item = &(usize, f32)>, count: usize| {
            let mut left = count;
            for (token, value) in entries {
                if left == 0 {
                    break;
                }
                let example = self.metas[*token].example;
                if !used.contains(&example) {
                    used.push(example);
                    chosen.push((band.to_owned(), *token, *value));
                    left -= 1;
                }
            }
        };
        take("top", &mut sorted.iter(), settings.top);
        let quarter = sorted.len() / 4;
        for (index, name) in ["q4", "q3", "q2", "q1"].into_iter().enumerate() {
            let entries = &sorted[index * quarter..(index + 1) * quarter];
            take(name, &mut entries[entries.len() / 2..].iter(), settings.per_quarter);
        }
        chosen
    }

    fn context(
        &self,
        store: &ActivationStore,
        settings: &ContextSettings,
        token_text: &dyn Fn(u32) -> String,
        feature: usize,
        token: usize,
    ) -> Result<ContextRow> {
        let meta = self.metas[token];
        let place = self.places[token];
        let example = store.examples().get(meta.example as usize);
        let length = example.map_or(0, |example| example.tokens);
        let before = settings.before.min(meta.position as usize);
        let after = settings.after.min(length.saturating_sub(meta.position as usize + 1));
        let window = store.tokens_meta(place - before.min(place)..(place + after + 1).min(store.tokens()))?;
        let texts: Vec<String> = window.iter().map(|meta| token_text(meta.token)).collect();
        let activations: Vec<f32> = (0..window.len())
            .map(|index| {
                let place = place - before + index;
                self.places.binary_search(&place).map_or(0.0, |token| self.value(token, feature))
            })
            .collect();
        Ok(ContextRow {
            feature: feature as u32,
            rank: 0,
            peak: 0.0,
            band: String::new(),
            source: example.map(|example| example.source.clone()).unwrap_or_default(),
            part: part_name(meta.part).to_owned(),
            problem: example.map(|example| example.problem.clone()).unwrap_or_default(),
            example: meta.example,
            position: meta.position,
            peak_index: before as u64,
            tokens: json(&texts)?,
            activations: json(&activations)?,
        })
    }

    fn value(&self, token: usize, feature: usize) -> f32 {
        self.codes.token(token).find(|(active, _)| *active == feature).map_or(0.0, |(_, value)| value)
    }
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::First => "first",
        Part::Prompt => "prompt",
        Part::Template => "template",
        Part::Response => "response",
    }
}

fn json<T: Serialize>(values: &[T]) -> Result<String> {
    serde_json::to_string(values)
        .map_err(|error| Error::work(format!("a context cannot be written: {error}")))
}
