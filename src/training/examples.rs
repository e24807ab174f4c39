//! Documents become token rows, and rows become parts of similar length.

use crate::error::{At, Error, Result};
use crate::model::{TokenBatch, Tokenizer};
use crate::rng::{Stream, passes};
use crate::tasks::Document;
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

/// Cuts `examples`, shortest first, into parts of at most `limit` places each (but at least one row).
pub(super) fn parts(examples: &[Example], limit: usize) -> Result<Vec<Part>> {
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|index| examples[*index].tokens.len());
    let mut parts = Vec::new();
    let mut rows: Vec<usize> = Vec::new();
    for index in order {
        if !rows.is_empty() && (rows.len() + 1) * examples[index].tokens.len() > limit {
            parts.push(part(examples, std::mem::take(&mut rows))?);
        }
        rows.push(index);
    }
    if !rows.is_empty() {
        parts.push(part(examples, rows)?);
    }
    Ok(parts)
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
        let parts = parts(&examples, 1000).unwrap();
        let mut rows: Vec<usize> = parts.iter().flat_map(|part| part.rows.clone()).collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..100).collect::<Vec<_>>());
        for part in &parts {
            assert!(part.tokens.rows() * part.tokens.width() <= 1000);
            assert_eq!(part.at.len(), part.targets.len());
            for (&(row, position), &target) in part.at.iter().zip(&part.targets) {
                assert_eq!(part.tokens.row(row)[position + 1], target);
            }
        }
    }
}
