//! Which attention heads carry the response to a group of prompts (Zhou et al. 2024).
//!
//! * **SHIPS**: KL(whole | head zeroed) of the first response token, mean over prompts.
//! * **Sahara**: a greedy search for a set. The final hidden states of the group, stacked [prompts, d_model],
//!   have a leading left singular vector; the angle between that of the whole model and that of the model
//!   with heads zeroed says how far the heads hold the group together. The head that adds most is taken, three
//!   times. (As in the published code the vector is the one over prompts, not over features.)

use super::prompts::{LabelledPrompt, labels};
use super::reading::{Predictions, kl, log_odds, predictions};
use super::rows::HeadRow;
use super::spectrum::spectrum;
use crate::error::Result;
use crate::model::{BlockPoint, HookPoint, Hooks, Model};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// Heads that the greedy search takes.
const TAKEN: usize = 3;
/// Prompts of a group that are read: the search takes the spectrum of a matrix of that size per head.
const PROMPTS: usize = 64;

/// A head by block and index.
type Head = (usize, usize);

/// Every head of every model on every label of `prompts`. `watched` are token ids, such as those that begin a
/// refusal, whose log-odds are shown; may be empty.
///
/// # Errors
/// If a prompt is not one that the models can read.
pub fn heads(
    models: &[(String, Model)],
    prompts: &[LabelledPrompt],
    watched: &[u32],
) -> Result<Vec<HeadRow>> {
    let mut rows = Vec::new();
    for (variant, model) in models {
        for group in labels(prompts) {
            let of_group = prompts.iter().filter(|prompt| prompt.label == group).take(PROMPTS);
            let of_group: Vec<LabelledPrompt> = of_group.cloned().collect();
            rows.extend(group_rows(variant, model, group, &of_group, watched)?);
        }
    }
    share(&mut rows, models.first().map_or("", |(base, _)| base));
    Ok(rows)
}

/// Fills in the shares: heads of another model do more or less altogether, so that only shares compare.
fn share(rows: &mut [HeadRow], base: &str) {
    let mut totals: BTreeMap<(String, String), f64> = BTreeMap::new();
    for row in rows.iter() {
        *totals.entry((row.variant.clone(), row.group.clone())).or_default() += row.ships;
    }
    for row in rows.iter_mut() {
        let total = totals.get(&(row.variant.clone(), row.group.clone())).copied().unwrap_or(0.0);
        row.share = if total > 0.0 { row.ships / total } else { 0.0 };
    }
    let key = |row: &HeadRow| (row.group.clone(), row.layer, row.head);
    let of_base: BTreeMap<_, f64> =
        rows.iter().filter(|row| row.variant == base).map(|row| (key(row), row.share)).collect();
    for row in rows.iter_mut().filter(|row| row.variant != base) {
        row.share_lost = of_base.get(&key(row)).map(|before| before - row.share);
    }
}

fn group_rows(
    variant: &str,
    model: &Model,
    group: &str,
    prompts: &[LabelledPrompt],
    watched: &[u32],
) -> Result<Vec<HeadRow>> {
    let config = model.config();
    let all: Vec<Head> =
        (0..config.layers()).flat_map(|layer| (0..config.heads).map(move |head| (layer, head))).collect();
    let whole = predictions(model, prompts, &|hooks| hooks)?;
    let mut rows = Vec::with_capacity(all.len());
    let mut angles = Vec::with_capacity(all.len());
    for (layer, head) in &all {
        let without = zeroed(model, prompts, &[(*layer, *head)])?;
        let count = prompts.len().max(1) as f64;
        let pairs = || whole.next.iter().zip(&without.next);
        let change = pairs().map(|(p, q)| log_odds(q, watched) - log_odds(p, watched)).sum::<f64>() / count;
        angles.push(angle(&whole, &without));
        rows.push(HeadRow {
            variant: variant.to_owned(),
            group: group.to_owned(),
            layer: *layer as u64,
            head: *head as u64,
            ships: pairs().map(|(p, q)| kl(p, q)).sum::<f64>() / count,
            share: 0.0,
            share_lost: None,
            log_odds_change: (!watched.is_empty()).then_some(change),
            sahara_rank: None,
            sahara_angle: None,
        });
    }
    let mut taken: Vec<Head> = Vec::new();
    for rank in 1..=TAKEN.min(all.len()) {
        let best = (0..all.len())
            .filter(|index| !taken.contains(&all[*index]))
            .max_by(|a, b| angles[*a].total_cmp(&angles[*b]).then(b.cmp(a)));
        let Some(best) = best else { break };
        rows[best].sahara_rank = Some(rank as u64);
        rows[best].sahara_angle = Some(angles[best]);
        taken.push(all[best]);
        if rank < TAKEN {
            for (index, head) in all.iter().enumerate().filter(|(_, head)| !taken.contains(head)) {
                let with = [&taken[..], &[*head]].concat();
                angles[index] = angle(&whole, &zeroed(model, prompts, &with)?);
            }
        }
    }
    Ok(rows)
}

/// Predictions with what some heads read from their values set to zero.
fn zeroed(model: &Model, prompts: &[LabelledPrompt], heads: &[Head]) -> Result<Predictions> {
    let count = model.config().heads;
    predictions(model, prompts, &|hooks: Hooks| {
        let mut layers: Vec<usize> = heads.iter().map(|(layer, _)| *layer).collect();
        layers.sort_unstable();
        layers.dedup();
        layers.into_iter().fold(hooks, |hooks, layer| {
            let kept = |head: usize| f32::from(u8::from(!heads.contains(&(layer, head))));
            let mask: Vec<f32> = (0..count).map(kept).collect();
            let edit = move |_: &_, value: &Tensor| {
                let mask = Tensor::from_slice(&mask, (1, 1, mask.len(), 1), value.device())?;
                Ok(value.broadcast_mul(&mask)?)
            };
            hooks.edit(HookPoint::Block(layer, BlockPoint::Mixed), Box::new(edit))
        })
    })
}

/// Degrees between the leading left singular vectors.
fn angle(whole: &Predictions, without: &Predictions) -> f64 {
    let leading = |found: &Predictions| {
        let width = found.hidden.first().map_or(0, Vec::len);
        let spectrum = spectrum(&found.hidden.concat(), found.hidden.len(), width);
        spectrum.vectors.into_iter().next().unwrap_or_default()
    };
    let cosine: f64 = leading(whole).iter().zip(leading(without)).map(|(a, b)| a * b).sum();
    cosine.abs().min(1.0).acos().to_degrees()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_head_lost_is_told_in_shares() {
        let row = |variant: &str, head: u64, ships: f64| HeadRow {
            variant: variant.to_owned(),
            group: "refusal".to_owned(),
            layer: 0,
            head,
            ships,
            share: 0.0,
            share_lost: None,
            log_odds_change: None,
            sahara_rank: None,
            sahara_angle: None,
        };
        let mut rows = [row("base", 0, 3.0), row("base", 1, 1.0), row("sft", 0, 2.0), row("sft", 1, 6.0)];
        share(&mut rows, "base");
        let found: Vec<(f64, Option<f64>)> = rows.iter().map(|row| (row.share, row.share_lost)).collect();
        assert_eq!(found, [(0.75, None), (0.25, None), (0.25, Some(0.5)), (0.75, Some(-0.5))]);
    }
}
