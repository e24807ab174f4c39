//! How far next-token predictions are from base's, token by token.

use super::prompts::{LabelledPrompt, labels};
use super::reading::{batches, kl, log_softmax};
use super::rows::DivergenceRow;
use crate::error::{Error, Result};
use crate::model::{Gradients, Hooks, Model};
use std::collections::BTreeMap;

#[derive(Default)]
struct Sums {
    kl: f64,
    reverse: f64,
    largest: f64,
    at: String,
    disagree: u64,
    tokens: u64,
}

/// KL in both directions between every later model and the first, at every token of every text, summed up
/// by label and over all.
///
/// # Errors
/// If there is no base, or a text is not one that the models can read.
pub fn divergence(models: &[(String, Model)], texts: &[LabelledPrompt]) -> Result<Vec<DivergenceRow>> {
    let Some(((_, base), others)) = models.split_first() else {
        return Err(Error::request("expected a base and its variants, found no model"));
    };
    let mut groups = labels(texts);
    groups.retain(|label| !label.is_empty() && *label != "all");
    groups.push("all");
    let mut rows = Vec::new();
    for (variant, model) in others {
        let mut sums: BTreeMap<&str, Sums> = BTreeMap::new();
        batches(texts, |range, tokens| {
            let ours = model.hidden(tokens, None, &mut Hooks::none(), Gradients::Off)?;
            let bases = base.hidden(tokens, None, &mut Hooks::none(), Gradients::Off)?;
            for (row, length) in tokens.lengths().iter().enumerate() {
                let text = range.start + row;
                let label = texts.get(text).map_or("", |text| text.label.as_str());
                for position in 0..*length {
                    let p = log_softmax(&model.logits(&ours.get(row)?.get(position)?)?.to_vec1::<f32>()?);
                    let q = log_softmax(&base.logits(&bases.get(row)?.get(position)?)?.to_vec1::<f32>()?);
                    if p.len() != q.len() {
                        return Err(Error::request(format!(
                            "`{variant}` has another vocabulary than the base: {} and {}",
                            p.len(),
                            q.len()
                        )));
                    }
                    let (here, reverse) = (kl(&p, &q), kl(&q, &p));
                    let differ = largest(&p) != largest(&q);
                    for group in groups.iter().filter(|group| **group == label || **group == "all") {
                        let sums = sums.entry(group).or_default();
                        sums.kl += here;
                        sums.reverse += reverse;
                        sums.disagree += u64::from(differ);
                        sums.tokens += 1;
                        if here > sums.largest {
                            sums.largest = here;
                            sums.at = format!("{text}:{position}");
                        }
                    }
                }
            }
            Ok(())
        })?;
        for group in &groups {
            let Some(sums) = sums.remove(group) else { continue };
            let count = sums.tokens as f64;
            rows.push(DivergenceRow {
                variant: variant.clone(),
                group: (*group).to_owned(),
                kl: sums.kl / count,
                kl_reverse: sums.reverse / count,
                kl_max: sums.largest,
                at: sums.at,
                disagree: sums.disagree as f64 / count,
                tokens: sums.tokens,
            });
        }
    }
    Ok(rows)
}

fn largest(values: &[f32]) -> Option<usize> {
    (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b]).then(b.cmp(a)))
}
