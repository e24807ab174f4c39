//! What a model says under an edit, beside what it says without and under the full patch.
//!
//! An edit can move a number by breaking the text: refusals whose first word is right and whose rest is of no model's
//! making, or one answer to every prompt. So of every condition is told how likely its completions are to the unedited
//! receiver and to base, how many of them differ, and how often they are those of the full patch, for the same prompt
//! and the same random numbers.

use super::inputs::Selection;
use super::measure::{Measured, Said, Sampled};
use crate::error::Result;
use crate::model::{Gradients, Hooks, Model, TokenBatch};
use crate::tasks::Problem;
use std::collections::{BTreeMap, BTreeSet};

/// One for each of the first `conditions`, of which `patched` is the full patch.
///
/// # Errors
/// If a pass fails.
pub(super) fn said(
    selection: &Selection<'_>,
    problems: &[Problem],
    receiver: usize,
    (conditions, patched): (usize, Option<usize>),
    measured: &Measured,
) -> Result<Vec<Said>> {
    let readout = selection.readout;
    // Base need not be one of the models.
    let base = readout.variant(&selection.inputs.base).ok();
    let of = |condition: usize| {
        measured.completions.iter().filter(move |completion| completion.condition == condition)
    };
    let all = || measured.completions.iter().filter(|completion| completion.condition < conditions);
    let batch = (selection.settings.batch_rows / 4).max(1);
    let of_receiver = Likelihoods::of(readout.model(receiver)?, problems, all(), batch)?;
    let other = base.filter(|base| *base != receiver);
    let of_other =
        other.map(|base| Likelihoods::of(readout.model(base)?, problems, all(), batch)).transpose()?;
    let of_base = of_other.as_ref().or_else(|| base.map(|_| &of_receiver));
    let patched: Option<Vec<&Sampled>> = patched.map(|patched| of(patched).collect());
    Ok((0..conditions)
        .map(|condition| Said {
            as_patched: patched.as_ref().map(|patched| {
                let pairs = of(condition).zip(patched);
                mean(pairs.map(|(one, other)| f64::from(u8::from(one.tokens == other.tokens))))
            }),
            distinct: distinct(of(condition)),
            likelihood: of_receiver.mean(of(condition)),
            base_likelihood: of_base.map(|found| found.mean(of(condition))),
        })
        .collect())
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    sum / count.max(1) as f64
}

/// The mean over prompts of different completions over completions.
fn distinct<'a>(completions: impl Iterator<Item = &'a Sampled>) -> f64 {
    let mut by_prompt: BTreeMap<usize, (BTreeSet<&[u32]>, usize)> = BTreeMap::new();
    for completion in completions {
        let (different, count) = by_prompt.entry(completion.problem).or_default();
        different.insert(&completion.tokens);
        *count += 1;
    }
    mean(by_prompt.values().map(|(different, count)| different.len() as f64 / *count as f64))
}

/// The log-probability of every completion under one model: its sum over the response.
struct Likelihoods<'a>(BTreeMap<(usize, &'a [u32]), f64>);

impl<'a> Likelihoods<'a> {
    /// Each different completion of a prompt is read once.
    fn of(
        model: &Model,
        problems: &[Problem],
        completions: impl Iterator<Item = &'a Sampled>,
        batch: usize,
    ) -> Result<Self> {
        let texts: BTreeSet<(usize, &[u32])> =
            completions.map(|said| (said.problem, said.tokens.as_slice())).collect();
        let texts: Vec<(usize, &[u32])> = texts.into_iter().filter(|(_, said)| !said.is_empty()).collect();
        let tokenizer = model.tokenizer()?;
        let mut found = BTreeMap::new();
        for texts in texts.chunks(batch) {
            let mut rows: Vec<Vec<u32>> = Vec::with_capacity(texts.len());
            let (mut at, mut targets) = (Vec::new(), Vec::new());
            for (row, (problem, said)) in texts.iter().enumerate() {
                let mut tokens = match problems.get(*problem) {
                    Some(problem) => problem.tokens(tokenizer)?,
                    None => Vec::new(),
                };
                let prompt = tokens.len().max(1);
                tokens.extend_from_slice(said);
                at.extend((prompt..tokens.len()).map(|position| (row, position - 1)));
                targets.extend_from_slice(&tokens[prompt..]);
                rows.push(tokens);
            }
            let hidden = model.hidden(&TokenBatch::new(&rows)?, None, &mut Hooks::none(), Gradients::Off)?;
            let log_p = model.token_log_probabilities(&hidden, &at, &targets)?.log_probabilities;
            for ((row, _), log_p) in at.iter().zip(log_p.to_vec1::<f32>()?) {
                *found.entry(texts[*row]).or_insert(0.0) += f64::from(log_p);
            }
        }
        Ok(Self(found))
    }

    /// The mean over the response tokens of all these completions.
    fn mean<'b>(&self, completions: impl Iterator<Item = &'b Sampled>) -> f64 {
        let (mut sum, mut tokens) = (0.0, 0_usize);
        for said in completions {
            sum += self.0.get(&(said.problem, said.tokens.as_slice())).copied().unwrap_or(0.0);
            tokens += said.tokens.len();
        }
        sum / tokens.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(problem: usize, tokens: &[u32]) -> Sampled {
        let tokens = tokens.to_vec();
        Sampled { condition: 0, problem, sample: 0, tokens, scores: Vec::new(), truncated: false }
    }

    #[test]
    fn one_answer_to_every_sample_is_seen() {
        let all = [sampled(0, &[1, 2]), sampled(0, &[1, 2]), sampled(1, &[3]), sampled(1, &[4])];
        assert_eq!(distinct(all.iter()), 0.75);
    }

    #[test]
    fn the_mean_is_by_token() {
        let (short, long) = (sampled(0, &[1]), sampled(0, &[2, 3, 4]));
        let found = Likelihoods([((0, &[1][..]), -1.0), ((0, &[2, 3, 4][..]), -9.0)].into_iter().collect());
        assert_eq!(found.mean([&short, &long].into_iter()), -2.5);
    }
}
