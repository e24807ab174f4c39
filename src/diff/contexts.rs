//! The table `contexts`: where in the text a feature is most active, and a few weaker places.
//!
//! Top places alone make a feature look cleaner than it is, so one place from each quarter of its
//! positive activations stands beside them. Two places of one example are not both shown.

use super::rows::{ContextRow, json};
use super::scaling::ByFeature;
use super::settings::ContextSettings;
use crate::activations::{ActivationStore, Part, TokenMeta};
use crate::dictionaries::Codes;
use crate::error::Result;

/// The codes of a run of tokens, with what is known of each.
pub(super) struct Peaks<'a> {
    pub(super) codes: &'a Codes,
    /// The same by feature.
    pub(super) by_feature: &'a ByFeature,
    pub(super) places: &'a [usize],
    pub(super) metas: &'a [TokenMeta],
}

/// A place that was chosen, and why.
#[derive(Clone, Debug, PartialEq)]
struct Place {
    band: &'static str,
    /// The weakest and the strongest activation of the band.
    range: [f32; 2],
    token: usize,
    peak: f32,
}

impl Peaks<'_> {
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
        let mut rows = Vec::new();
        for feature in 0..self.by_feature.features() {
            let mut entries = self.by_feature.of(feature).to_vec();
            entries.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            for (rank, place) in self.choose(&entries, settings).into_iter().enumerate() {
                let row = self.context(store, settings, token_text, feature, place.token)?;
                let [low, high] = place.range.map(f64::from);
                rows.push(ContextRow {
                    rank: rank as u64,
                    band: place.band.to_owned(),
                    band_low: low,
                    band_high: high,
                    peak: f64::from(place.peak),
                    ..row
                });
            }
        }
        Ok(rows)
    }

    /// Strongest first, one place an example, then the middle of each quarter (strongest quarter first).
    fn choose(&self, sorted: &[(usize, f32)], settings: &ContextSettings) -> Vec<Place> {
        let mut used: Vec<u32> = Vec::new();
        let mut chosen = Vec::new();
        let mut take = |band: &'static str, of: &[(usize, f32)], skipped: usize, count: usize| {
            let (Some(first), Some(last)) = (of.first(), of.last()) else { return };
            let mut left = count;
            for (token, peak) in &of[skipped..] {
                if left == 0 {
                    break;
                }
                let example = self.metas[*token].example;
                if !used.contains(&example) {
                    used.push(example);
                    chosen.push(Place { band, range: [last.1, first.1], token: *token, peak: *peak });
                    left -= 1;
                }
            }
        };
        take("top", sorted, 0, settings.top);
        let quarter = sorted.len() / 4;
        for (index, name) in ["q4", "q3", "q2", "q1"].into_iter().enumerate() {
            take(name, &sorted[index * quarter..(index + 1) * quarter], quarter / 2, settings.per_quarter);
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
            band_low: 0.0,
            band_high: 0.0,
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
