//! How far next-token predictions are from each other's, token by token: every variant against base, and against
//! every other.

use super::prompts::{LabelledPrompt, labels};
use super::reading::{batches, kl, log_softmax};
use super::rows::{DivergenceRow, DivergentTokenRow};
use crate::diff::lens::token_name;
use crate::error::{Error, Result};
use crate::model::{Gradients, Hooks, Model};
use std::collections::{BTreeMap, BTreeSet};

/// Tokens of each pair that are kept for reading.
const SHOWN: usize = 20;
/// Tokens of context shown before the prediction.
const CONTEXT: usize = 16;

/// The tables `divergences` and `divergent_tokens`.
#[derive(Clone, Debug, Default)]
pub struct Divergences {
    /// A row for each pair of models and label.
    pub groups: Vec<DivergenceRow>,
    /// The tokens of each pair at which it is largest, one of each text and of each beginning.
    pub tokens: Vec<DivergentTokenRow>,
}

#[derive(Default)]
struct Sums {
    kl: f64,
    reverse: f64,
    largest: f64,
    at: String,
    disagree: u64,
    tokens: u64,
}

/// Where one text's predictions of a pair differ most.
#[derive(Clone, Copy)]
struct Peak {
    kl: f64,
    text: usize,
    position: usize,
    expected: usize,
    expected_against: usize,
}

/// What is known of one pair of models.
#[derive(Default)]
struct Pair<'a> {
    sums: BTreeMap<&'a str, Sums>,
    peaks: Vec<Peak>,
}

/// KL in both directions between every model and every earlier one, base being the first, at every token of every
/// text: summed up by label and over all, and the tokens where it is largest.
///
/// # Errors
/// If there is no base, two vocabularies differ, or a text is not one that the models can read.
pub fn divergence(models: &[(String, Model)], texts: &[LabelledPrompt]) -> Result<Divergences> {
    if models.is_empty() {
        return Err(Error::request("expected a base and its variants, found no model"));
    }
    let mut groups = labels(texts);
    groups.retain(|label| !label.is_empty() && *label != "all");
    groups.push("all");
    let order: Vec<(usize, usize)> = (0..models.len())
        .flat_map(|against| (against + 1..models.len()).map(move |own| (own, against)))
        .collect();
    let mut pairs: Vec<Pair<'_>> = order.iter().map(|_| Pair::default()).collect();
    batches(texts, |range, tokens| {
        let hidden = models
            .iter()
            .map(|(_, model)| model.hidden(tokens, None, &mut Hooks::none(), Gradients::Off))
            .collect::<Result<Vec<_>>>()?;
        for (row, length) in tokens.lengths().iter().enumerate() {
            let text = range.start + row;
            let label = texts.get(text).map_or("", |text| text.label.as_str());
            let own: Vec<&str> =
                groups.iter().copied().filter(|group| *group == label || *group == "all").collect();
            let mut peaks: Vec<Option<Peak>> = vec![None; pairs.len()];
            for position in 0..*length {
                let next = models
                    .iter()
                    .zip(&hidden)
                    .map(|((_, model), hidden)| {
                        Ok(log_softmax(&model.logits(&hidden.get(row)?.get(position)?)?.to_vec1::<f32>()?))
                    })
                    .collect::<Result<Vec<_>>>()?;
                for (((own_place, against), pair), peak) in order.iter().zip(&mut pairs).zip(&mut peaks) {
                    let (p, q) = (&next[*own_place], &next[*against]);
                    if p.len() != q.len() {
                        return Err(vocabularies(models, (*own_place, p.len()), (*against, q.len())));
                    }
                    let found = Peak {
                        kl: kl(p, q),
                        text,
                        position,
                        expected: largest(p),
                        expected_against: largest(q),
                    };
                    pair.add(&own, found, kl(q, p));
                    if peak.is_none_or(|peak| found.kl > peak.kl) {
                        *peak = Some(found);
                    }
                }
            }
            for (pair, peak) in pairs.iter_mut().zip(peaks) {
                pair.peaks.extend(peak);
            }
        }
        Ok(())
    })?;
    let mut found = Divergences::default();
    for ((own, against), mut pair) in order.into_iter().zip(pairs) {
        let names = (models[own].0.as_str(), models[against].0.as_str());
        found.tokens.extend(pair.shown(names, &models[own].1, texts));
        found.groups.extend(pair.rows(names, &groups));
    }
    Ok(found)
}

fn vocabularies(
    models: &[(String, Model)],
    (own, of_own): (usize, usize),
    (other, of_other): (usize, usize),
) -> Error {
    let name = |place: usize| models.get(place).map_or("", |(name, _)| name.as_str());
    Error::request(format!(
        "`{}` has another vocabulary than `{}`: {of_own} and {of_other} tokens",
        name(own),
        name(other)
    ))
    .hint("only models of one tokenizer can be compared token by token")
}

impl<'a> Pair<'a> {
    fn add(&mut self, groups: &[&'a str], found: Peak, reverse: f64) {
        for group in groups {
            let sums = self.sums.entry(group).or_default();
            sums.kl += found.kl;
            sums.reverse += reverse;
            sums.disagree += u64::from(found.expected != found.expected_against);
            sums.tokens += 1;
            if found.kl > sums.largest {
                sums.largest = found.kl;
                sums.at = format!("{}:{}", found.text, found.position);
            }
        }
    }

    fn rows(mut self, (variant, against): (&str, &str), groups: &[&str]) -> Vec<DivergenceRow> {
        let row = |group: &&str| {
            let sums = self.sums.remove(*group)?;
            let count = sums.tokens as f64;
            Some(DivergenceRow {
                variant: variant.to_owned(),
                against: against.to_owned(),
                group: (*group).to_owned(),
                kl: sums.kl / count,
                kl_reverse: sums.reverse / count,
                kl_max: sums.largest,
                at: sums.at,
                disagree: sums.disagree as f64 / count,
                tokens: sums.tokens,
            })
        };
        groups.iter().filter_map(row).collect()
    }

    /// The strongest places, largest first: one of each text, and one of those that read the same before.
    fn shown(
        &mut self,
        (variant, against): (&str, &str),
        model: &Model,
        texts: &[LabelledPrompt],
    ) -> Vec<DivergentTokenRow> {
        self.peaks.retain(|peak| peak.kl > 0.0);
        self.peaks.sort_by(|a, b| b.kl.total_cmp(&a.kl).then(a.text.cmp(&b.text)));
        let name = |id: usize| {
            let id = u32::try_from(id).unwrap_or(u32::MAX);
            model.tokenizer().map_or_else(|_| id.to_string(), |tokenizer| token_name(tokenizer, id))
        };
        let mut seen: BTreeSet<&[u32]> = BTreeSet::new();
        let mut rows: Vec<DivergentTokenRow> = Vec::new();
        for peak in &self.peaks {
            let Some(text) = texts.get(peak.text) else { continue };
            let read = text.tokens.get(..=peak.position).unwrap_or_default();
            if rows.len() >= SHOWN || !seen.insert(read) {
                continue;
            }
            let context: Vec<String> = read
                .get(read.len().saturating_sub(CONTEXT)..)
                .unwrap_or_default()
                .iter()
                .map(|id| name(*id as usize))
                .collect();
            rows.push(DivergentTokenRow {
                variant: variant.to_owned(),
                against: against.to_owned(),
                rank: rows.len() as u64 + 1,
                group: text.label.clone(),
                at: format!("{}:{}", peak.text, peak.position),
                kl: peak.kl,
                context: serde_json::json!(context).to_string(),
                expected: name(peak.expected),
                expected_against: name(peak.expected_against),
            });
        }
        rows
    }
}

fn largest(values: &[f32]) -> usize {
    (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b]).then(b.cmp(a))).unwrap_or(0)
}
