//! Documents become token rows, and rows become parts of similar length, two of which are worked on at a
//! time.
//!
//! A part is small enough that one thread runs it from end to end with its numbers in cache. That spares the
//! threads from meeting after every kernel, which takes longer than the kernels of a small model.

use crate::error::{At, Error, Result};
use crate::model::{TokenBatch, Tokenizer};
use crate::ops::lanes::{LANES, lane};
use crate::rng::{Stream, passes};
use crate::tasks::Document;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// One row of training: a prompt and the response that is learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Example {
    pub(super) tokens: Vec<u32>,
    /// The number of prompt tokens, at least one.
    pub(super) prompt: usize,
    /// Whether the end was cut off.
    pub(super) truncated: bool,
}

impl Example {
    /// A document as tokens, with the end token after the response. Truncated to `max_tokens`.
    pub(super) fn encode(tokenizer: &Tokenizer, document: &Document, max_tokens: usize) -> Result<Self> {
        let end = tokenizer.eos().ok_or_else(|| {
            Error::request("the tokenizer has no end token, so a response cannot be closed")
                .hint("set `eos_token` in tokenizer_config.json")
        })?;
        let mut tokens = tokenizer.encode(&document.prompt)?;
        let prompt = tokens.len();
        if prompt == 0 || prompt >= max_tokens {
            return Err(Error::request(format!(
                "expected a prompt of 1 to {} tokens, found {prompt}",
                max_tokens - 1
            ))
            .hint("raise `max_tokens`"))
            .at(format!("document `{}`", document.prompt.chars().take(60).collect::<String>()));
        }
        tokens.extend(tokenizer.encode(&document.response)?);
        tokens.push(end);
        let truncated = tokens.len() > max_tokens;
        tokens.truncate(max_tokens);
        Ok(Self { tokens, prompt, truncated })
    }

    /// The response's tokens, the end token included.
    pub(super) fn response(&self) -> &[u32] {
        self.tokens.get(self.prompt..).unwrap_or_default()
    }

    /// The positions whose next token is one of the response.
    fn predicting(&self) -> Range<usize> {
        self.prompt - 1..self.tokens.len() - 1
    }
}

/// The numbers of the documents of step `step` where only so many `different` ones are to be used: those of
/// passes over them, each in an order keyed by (seed, pass).
pub(super) fn repeated(step: usize, batch: usize, different: usize, seed: u64) -> Vec<u64> {
    let next = (step * batch) as u64..(step * batch + batch) as u64;
    let order = |pass| Stream::new(seed, "training/documents", &[pass]);
    passes(different, next, order).into_iter().map(|place| place as u64).collect()
}

/// Rows that go through the model together.
pub(super) struct Part {
    /// Which examples, by index.
    pub(super) rows: Vec<usize>,
    pub(super) tokens: TokenBatch,
    /// (row, position) of every prediction of a response token, row by row.
    pub(super) at: Vec<(usize, usize)>,
    /// The response tokens, in the same order.
    pub(super) targets: Vec<u32>,
}

/// Cuts `examples`, shortest first, into parts of about equally many tokens (but at least one row), an even
/// number where there are rows enough. Two parts hold at most `limit` tokens, but for single longer rows.
pub(super) fn parts(examples: &[Example], limit: usize) -> Result<Vec<Part>> {
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|index| examples[*index].tokens.len());
    let total: usize = examples.iter().map(|example| example.tokens.len()).sum();
    let count = LANES * total.div_ceil(limit).max(1);
    let mut parts = Vec::new();
    let mut rows: Vec<usize> = Vec::new();
    let (mut seen, mut held) = (0, 0);
    for index in order {
        let length = examples[index].tokens.len();
        // The part that the middle of this row falls into, were all of them equal.
        let place = (2 * seen + length) * count / (2 * total).max(1);
        if !rows.is_empty() && (place > parts.len() || held + length > limit.div_ceil(LANES)) {
            parts.push(part(examples, std::mem::take(&mut rows))?);
            held = 0;
        }
        rows.push(index);
        seen += length;
        held += length;
    }
    if !rows.is_empty() {
        parts.push(part(examples, rows)?);
    }
    Ok(parts)
}

/// Calls `work` for every part, [`LANES`] of them at a time, and returns the results in order. Gradients add
/// up in an order that the number of threads does not change.
pub(super) fn each_part<R: Send>(parts: &[Part], work: impl Fn(&Part) -> Result<R> + Sync) -> Result<Vec<R>> {
    let mut results = Vec::with_capacity(parts.len());
    for together in parts.chunks(LANES) {
        let found: Vec<Result<R>> = together
            .par_iter()
            .enumerate()
            .with_max_len(1)
            .map(|(index, part)| lane(index, || work(part)))
            .collect();
        for result in found {
            results.push(result?);
        }
    }
    Ok(results)
}

fn part(examples: &[Example], rows: Vec<usize>) -> Result<Part> {
    let chosen = || rows.iter().map(|row| &examples[*row]);
    let tokens = TokenBatch::new(&chosen().map(|example| example.tokens.clone()).collect::<Vec<_>>())?;
    let at = chosen()
        .enumerate()
        .flat_map(|(row, example)| example.predicting().map(move |position| (row, position)))
        .collect();
    let targets = chosen().flat_map(|example| example.response().iter().copied()).collect();
    Ok(Part { rows, tokens, at, targets })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(length: usize) -> Example {
        Example { tokens: (0..length as u32).collect(), prompt: 2, truncated: false }
    }

    #[test]
    fn few_documents_are_repeated_pass_by_pass() {
        let pass = |first: usize| {
            let numbers: Vec<u64> = (first..first + 3).flat_map(|step| repeated(step, 2, 6, 1)).collect();
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
            numbers
        };
        assert_ne!(pass(0), pass(3));
    }

    #[test]
    fn parts_hold_every_row_once_within_the_limit() {
        let examples: Vec<Example> = (0..100).map(|index| example(5 + index * 37 % 50)).collect();
        for limit in [100, 1000, 100_000] {
            let parts = parts(&examples, limit).unwrap();
            let mut rows: Vec<usize> = parts.iter().flat_map(|part| part.rows.clone()).collect();
            rows.sort_unstable();
            assert_eq!(rows, (0..100).collect::<Vec<_>>());
            for part in &parts {
                let tokens: usize = part.tokens.lengths().iter().sum();
                assert!(tokens <= limit / 2 || part.rows.len() == 1, "{tokens} of {limit}");
                assert_eq!(part.at.len(), part.targets.len());
                for (&(row, position), &target) in part.at.iter().zip(&part.targets) {
                    assert_eq!(part.tokens.row(row)[position + 1], target);
                }
            }
        }
        let halves = parts(&examples, 100_000).unwrap();
        let sizes: Vec<usize> = halves.iter().map(|part| part.tokens.lengths().iter().sum()).collect();
        assert!(sizes.len() == 2 && sizes[0].abs_diff(sizes[1]) < 60, "{sizes:?}");
    }

    #[test]
    fn results_come_in_the_order_of_the_parts_and_the_first_failure_stops() {
        let examples: Vec<Example> = (0..20).map(|_| example(10)).collect();
        let parts = parts(&examples, 40).unwrap();
        let rows = each_part(&parts, |part| Ok(part.rows.clone())).unwrap();
        assert_eq!(rows.concat(), (0..20).collect::<Vec<_>>());
        let failed = each_part(&parts, |part| match part.rows.contains(&7) {
            true => Err(Error::work("row 7")),
            false => Ok(()),
        });
        assert!(failed.unwrap_err().to_string().contains("row 7"));
    }
}
