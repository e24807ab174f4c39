//! Feature dynamics (Shi et al., arXiv 2604.25011): which of a variant's specific features are there already at
//! its earlier checkpoints.
//!
//! A checkpoint stands in its variant's place in the joint activation; the rise of a feature is its mean code
//! there less its mean code with base in that place. The features that rise most are the specific ones, and
//! their overlap with those of the last checkpoint says when they came about. (The published crosscoders are
//! fitted anew at every checkpoint; here one dictionary reads them all, so that features keep their numbers.)

use crate::activations::{ActivationStore, Part};
use crate::dictionaries::Dictionary;
use crate::error::{Error, Result};
use crate::model::{Gradients, HookPoint, Hooks, Model, TokenBatch};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Range;

/// Features that are compared.
const TOP: usize = 50;
/// Tokens that are read, at most.
const TOKENS: usize = 6000;
/// Examples that are run at once.
const ROWS: usize = 64;

/// One row of the table `dynamics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DynamicsRow {
    /// The variant.
    pub variant: String,
    /// The checkpoint's step.
    pub checkpoint: u64,
    /// Features compared: those that rise most, at most 50.
    pub top: u64,
    /// Share of them that are also among the final ones.
    pub overlap: f64,
    /// Summed rise of the final ones here over their final rise. `None` where they do not rise.
    pub rise: Option<f64>,
    /// Tokens read.
    pub tokens: u64,
}

/// The checkpoints of the variant called `variant` (name in tables and name in the dictionary), in order, the
/// last one being that of the dictionary, on whole examples of `range` of `store`.
///
/// # Errors
/// If the dictionary does not read such a variant, a model lacks the hook, or the disk fails.
pub fn dynamics(
    dictionary: &Dictionary,
    store: &ActivationStore,
    range: Range<usize>,
    (variant, spanned): (&str, &str),
    hook: HookPoint,
    checkpoints: &[(u64, Model)],
) -> Result<Vec<DynamicsRow>> {
    let place = dictionary
        .variants()
        .iter()
        .position(|name| name == spanned)
        .filter(|_| dictionary.spec().inputs == dictionary.spec().outputs);
    let Some(place) = place else {
        return Err(Error::request(format!("the dictionary does not read the variant `{spanned}`"))
            .hint(format!("it reads {}", dictionary.variants().join(", "))));
    };
    let (texts, joint) = examples(dictionary, store, range)?;
    let d = dictionary.d_model();
    let width = dictionary.variants().len() * d;
    let means = |slot: &dyn Fn(usize, &mut [f32])| -> Result<Vec<f64>> {
        let mut input = joint.clone();
        input
            .chunks_exact_mut(width)
            .enumerate()
            .for_each(|(token, row)| slot(token, &mut row[place * d..(place + 1) * d]));
        let codes = dictionary.codes(&input)?;
        let mut sums = vec![0.0; dictionary.features()];
        for token in 0..codes.tokens() {
            codes.token(token).for_each(|(feature, value)| sums[feature] += f64::from(value));
        }
        Ok(sums.into_iter().map(|sum| sum / codes.tokens().max(1) as f64).collect())
    };
    let base = means(&|token, row| row.copy_from_slice(&joint[token * width..token * width + d]))?;
    let mut rises = Vec::new();
    for (step, model) in checkpoints {
        let hidden = read(model, hook, &texts)?;
        let found = means(&|token, row| row.copy_from_slice(&hidden[token * d..(token + 1) * d]))?;
        rises.push((*step, found.iter().zip(&base).map(|(here, base)| here - base).collect::<Vec<f64>>()));
    }
    let Some((_, last)) = rises.last() else { return Ok(Vec::new()) };
    let final_set = risen(last);
    let total: f64 = final_set.iter().map(|feature| last[*feature]).sum();
    let tokens = (joint.len() / width) as u64;
    Ok(rises
        .iter()
        .map(|(step, rise)| {
            let here = risen(rise);
            let both = here.intersection(&final_set).count() as f64;
            DynamicsRow {
                variant: variant.to_owned(),
                checkpoint: *step,
                top: here.len() as u64,
                overlap: both / here.len().max(1) as f64,
                rise: (total > 0.0)
                    .then(|| final_set.iter().map(|feature| rise[*feature]).sum::<f64>() / total),
                tokens,
            }
        })
        .collect())
}

/// The features that rise most.
fn risen(rises: &[f64]) -> BTreeSet<usize> {
    let mut order: Vec<usize> = (0..rises.len()).filter(|feature| rises[*feature] > 0.0).collect();
    order.sort_by(|a, b| rises[*b].total_cmp(&rises[*a]).then(a.cmp(b)));
    order.into_iter().take(TOP).collect()
}

/// Whole examples of the range with the joint activations of their tokens, first tokens left out.
fn examples(
    dictionary: &Dictionary,
    store: &ActivationStore,
    range: Range<usize>,
) -> Result<(Vec<Vec<u32>>, Vec<f32>)> {
    let metas = store.tokens_meta(range.clone())?;
    let mut texts: Vec<Vec<u32>> = Vec::new();
    let mut kept: Vec<f32> = Vec::new();
    let width = store.variants().len() * store.d_model();
    let (mut start, mut count) = (0, 0);
    for example in metas.chunk_by(|a, b| a.example == b.example) {
        let whole = store
            .examples()
            .get(example[0].example as usize)
            .is_some_and(|meta| meta.tokens == example.len());
        if whole && count + example.len() <= TOKENS {
            let first = range.start + start;
            let values = store.read(first..first + example.len())?;
            let rows = values.chunks_exact(width).zip(example).filter(|(_, meta)| meta.part != Part::First);
            kept.extend(rows.flat_map(|(row, _)| row));
            texts.push(example.iter().map(|meta| meta.token).collect());
            count += example.len();
        }
        start += example.len();
    }
    Ok((texts, dictionary.inputs_of(store, &kept)?))
}

/// A model's activations at the hook on the texts, first tokens left out.
fn read(model: &Model, hook: HookPoint, texts: &[Vec<u32>]) -> Result<Vec<f32>> {
    let mut found = Vec::new();
    for chunk in texts.chunks(ROWS) {
        let batch = TokenBatch::new(chunk)?;
        let mut hooks = Hooks::none().capture(hook).stop_after(hook);
        model.forward(&batch, None, &mut hooks, Gradients::Off)?;
        hooks.finish()?;
        let value = hooks.take(hook).ok_or_else(|| Error::work(format!("`{hook}` did not fire")))?;
        for (row, length) in batch.lengths().iter().enumerate() {
            found.extend(
                value.get(row)?.narrow(0, 1, length.saturating_sub(1))?.flatten_all()?.to_vec1::<f32>()?,
            );
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_rises_is_specific_and_the_most_risen_come_first() {
        let mut rises = vec![0.0; 80];
        (0..60).for_each(|feature| rises[feature] = f64::from(feature as u32));
        rises[70] = -5.0;
        let found = risen(&rises);
        assert_eq!((found.len(), found.first(), found.last()), (50, Some(&10), Some(&59)));
        assert_eq!(risen(&[-1.0, 0.0, 0.5]).into_iter().collect::<Vec<_>>(), [2]);
    }
}
