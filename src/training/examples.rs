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
use std::collections::BTreeMap;
use std::ops::Range;

/// One row of training: a prompt and the response that is learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Example {
    pub(super) tokens: Vec<u32>,
    /// The number of prompt tokens, at least one.
    pub(super) prompt: usize,
    /// Whether the end was cut off.
    pub(super) truncated: bool,
    /// Places after the prompt that are given and not learned, ascending: what others say between two answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) given: Vec<Range<usize>>,
}

impl Example {
    /// A prompt and a response that is learned to its end.
    pub(super) fn new(tokens: Vec<u32>, prompt: usize, truncated: bool) -> Self {
        Self { tokens, prompt, truncated, given: Vec::new() }
    }

    /// A document as tokens, with the end token after the response. Truncated to `max_tokens`.
    pub(super) fn encode(tokenizer: &Tokenizer, document: &Document, max_tokens: usize) -> Result<Self> {
        let lesson = document.lesson(tokenizer)?;
        let prompt = lesson.begins();
        if prompt >= max_tokens {
            return Err(Error::request(format!(
                "expected a prompt of 1 to {} tokens, found {prompt}",
                max_tokens.saturating_sub(1)
            ))
            .hint("raise `max_tokens`"))
            .at(format!("document `{}`", document.prompt.chars().take(60).collect::<String>()));
        }
        let gaps = lesson.learned().windows(2);
        let after = lesson.learned().last().map(|last| last.end..lesson.tokens().len());
        let given = gaps.map(|pair| pair[0].end..pair[1].start).chain(after).filter(|gap| !gap.is_empty());
        let given = given.collect();
        let mut tokens = lesson.tokens().to_vec();
        let truncated = tokens.len() > max_tokens;
        tokens.truncate(max_tokens);
        Ok(Self { tokens, prompt, truncated, given })
    }

    /// The prompt's tokens.
    fn prompt(&self) -> &[u32] {
        self.tokens.get(..self.prompt).unwrap_or_default()
    }

    /// The tokens after the prompt: the response, the end token included, and what else is given there.
    fn after_prompt(&self) -> &[u32] {
        self.tokens.get(self.prompt..).unwrap_or_default()
    }

    /// The places of the tokens that are learned.
    fn learned(&self) -> impl Iterator<Item = usize> + '_ {
        let is_given = |place: &usize| self.given.iter().any(|given| given.contains(place));
        (self.prompt..self.tokens.len()).filter(move |place| !is_given(place))
    }

    /// The tokens that are learned.
    pub(super) fn response(&self) -> Vec<u32> {
        self.learned().filter_map(|place| self.tokens.get(place).copied()).collect()
    }

    /// The positions whose next token is one of the response.
    fn predicting(&self) -> impl Iterator<Item = usize> + '_ {
        self.learned().map(|place| place - 1)
    }
}

/// The numbers of the documents of step `step` where only so many `different` ones are to be used: those of
/// passes over them, each in an order keyed by (seed, pass), or without a seed in their own.
pub(super) fn repeated(step: usize, batch: usize, different: usize, seed: Option<u64>) -> Vec<u64> {
    let next = (step * batch) as u64..(step * batch + batch) as u64;
    let Some(seed) = seed else { return next.map(|number| number % different.max(1) as u64).collect() };
    let order = |pass| Stream::new(seed, "training/documents", &[pass]);
    passes(different, next, order).into_iter().map(|place| place as u64).collect()
}

/// Examples that go through the model together.
pub(super) struct Part {
    /// Which examples, by index; those with the same prompt are neighbours.
    pub(super) rows: Vec<usize>,
    /// What is computed of them: a prompt that several share is there once, and their responses branch off.
    pub(super) tokens: TokenBatch,
    /// (row of `tokens`, position in it) of every prediction of a response token, example by example.
    pub(super) at: Vec<(usize, usize)>,
    /// The response tokens, in the same order.
    pub(super) targets: Vec<u32>,
    /// How many of them each example has.
    counts: Vec<usize>,
}

impl Part {
    /// One value per target, as (example, the values of its response).
    pub(super) fn by_example<'a, T>(
        &'a self,
        mut values: &'a [T],
    ) -> impl Iterator<Item = (usize, &'a [T])> + 'a {
        self.rows.iter().zip(&self.counts).map(move |(row, count)| {
            let (own, rest) = values.split_at((*count).min(values.len()));
            values = rest;
            (*row, own)
        })
    }
}

/// Whether examples come in groups that answer one prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompts {
    /// Every example is a row of its own: documents, whose prompts are equal by chance at most.
    Own,
    /// A prompt is computed once for all examples of a part that begin with it.
    Shared,
}

/// Cuts `examples`, shortest first, into parts of about equally many tokens (but at least one example), an even
/// number where there are examples enough. Two parts hold at most `limit` tokens, but for single longer examples.
/// Examples that share a prompt stand together.
pub(super) fn parts(examples: &[Example], prompts: Prompts, limit: usize) -> Result<Vec<Part>> {
    let key = |index: usize| match prompts {
        Prompts::Own => (index, &[][..]),
        Prompts::Shared => (0, examples[index].prompt()),
    };
    let mut groups: BTreeMap<(usize, &[u32]), Group> = BTreeMap::new();
    for (index, example) in examples.iter().enumerate() {
        let group = groups.entry(key(index)).or_insert(Group { longest: 0, first: index });
        group.longest = group.longest.max(example.tokens.len());
    }
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|index| (groups.get(&key(*index)), examples[*index].tokens.len()));
    let prompt_tokens: usize = groups.values().map(|group| examples[group.first].prompt).sum();
    let total = prompt_tokens + examples.iter().map(|example| example.after_prompt().len()).sum::<usize>();
    let count = LANES * total.div_ceil(limit).max(1);
    let mut parts = Vec::new();
    let mut rows: Vec<usize> = Vec::new();
    let (mut seen, mut held, mut before) = (0, 0, None);
    for index in order {
        let example = &examples[index];
        let length = match before == Some(key(index)) {
            true => example.after_prompt().len(),
            false => example.tokens.len(),
        };
        // The part that the middle of this row falls into, were all of them equal.
        let place = (2 * seen + length) * count / (2 * total).max(1);
        seen += length;
        if !rows.is_empty() && (place > parts.len() || held + length > limit.div_ceil(LANES)) {
            parts.push(part(examples, std::mem::take(&mut rows), key)?);
            held = example.tokens.len();
        } else {
            held += length;
        }
        rows.push(index);
        before = Some(key(index));
    }
    if !rows.is_empty() {
        parts.push(part(examples, rows, key)?);
    }
    Ok(parts)
}

/// The examples with one prompt, by what they are ordered by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    /// Tokens of the longest.
    longest: usize,
    /// The index of the first: groups of equal length keep their order.
    first: usize,
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

fn part<K: PartialEq>(examples: &[Example], rows: Vec<usize>, key: impl Fn(usize) -> K) -> Result<Part> {
    let (mut families, mut at, mut next) = (Vec::new(), Vec::new(), 0);
    for alike in rows.chunk_by(|one, other| key(*one) == key(*other)) {
        let members = || alike.iter().map(|row| &examples[*row]);
        let trunk = next;
        match alike {
            [only] => {
                families.push((examples[*only].tokens.clone(), Vec::new()));
                at.extend(examples[*only].predicting().map(|position| (trunk, position)));
            }
            _ => {
                let branches = members().map(|example| example.after_prompt().to_vec()).collect();
                families.push((examples[alike[0]].prompt().to_vec(), branches));
                for (branch, example) in members().enumerate() {
                    at.extend(example.predicting().map(
                        |position| match position.checked_sub(example.prompt) {
                            None => (trunk, position),
                            Some(since) => (trunk + 1 + branch, since),
                        },
                    ));
                }
                next += alike.len();
            }
        }
        next += 1;
    }
    let chosen = || rows.iter().map(|row| &examples[*row]);
    let targets = chosen().flat_map(Example::response).collect();
    let counts = chosen().map(|example| example.response().len()).collect();
    Ok(Part { tokens: TokenBatch::branching(families)?, at, targets, counts, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(length: usize) -> Example {
        Example::new((0..length as u32).collect(), 2, false)
    }

    #[test]
    fn few_documents_are_repeated_pass_by_pass() {
        let pass = |first: usize| {
            let numbers: Vec<u64> =
                (first..first + 3).flat_map(|step| repeated(step, 2, 6, Some(1))).collect();
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
            numbers
        };
        assert_ne!(pass(0), pass(3));
        assert_eq!(repeated(2, 4, 6, None), [2, 3, 4, 5]);
        assert_eq!(repeated(1, 4, 6, None), [4, 5, 0, 1]);
    }

    #[test]
    fn what_is_given_between_two_answers_is_not_learned() {
        let example = Example { given: vec![4..6], ..example(8) };
        assert_eq!(example.response(), [2, 3, 6, 7]);
        let parts = parts(std::slice::from_ref(&example), Prompts::Own, 100).unwrap();
        assert_eq!(parts[0].at, [(0, 1), (0, 2), (0, 5), (0, 6)]);
        assert_eq!((&parts[0].targets, parts[0].by_example(&parts[0].at).count()), (&vec![2, 3, 6, 7], 1));
        assert_eq!(parts[0].tokens.row(0), example.tokens);
    }

    /// An example whose tokens begin with its prompt's number.
    fn of_prompt(prompt: u32, length: usize) -> Example {
        Example { tokens: std::iter::once(prompt).chain(1..length as u32).collect(), ..example(0) }
    }

    #[test]
    fn parts_hold_every_row_once_within_the_limit() {
        for prompts in [1, 7, 100] {
            let examples: Vec<Example> =
                (0..100).map(|index| of_prompt(index % prompts, 5 + index as usize * 37 % 50)).collect();
            for limit in [100, 1000, 100_000] {
                let parts = parts(&examples, Prompts::Shared, limit).unwrap();
                let mut rows: Vec<usize> = parts.iter().flat_map(|part| part.rows.clone()).collect();
                rows.sort_unstable();
                assert_eq!(rows, (0..100).collect::<Vec<_>>());
                for part in &parts {
                    let tokens: usize = part.tokens.lengths().iter().sum();
                    assert!(tokens <= limit / 2 || part.rows.len() == 1, "{tokens} of {limit}");
                    each_prediction_sees_its_example(part, &examples);
                }
            }
            let halves = parts(&examples, Prompts::Shared, 100_000).unwrap();
            let sizes: Vec<usize> = halves.iter().map(|part| part.tokens.lengths().iter().sum()).collect();
            assert!(sizes.len() == 2 && sizes[0].abs_diff(sizes[1]) < 60, "{sizes:?}");
            let whole: usize = examples.iter().map(|example| example.tokens.len()).sum();
            assert_eq!(sizes.iter().sum::<usize>() < whole, prompts < 100, "{prompts} prompts");
            let own = parts(&examples, Prompts::Own, 1000).unwrap();
            assert_eq!(own.iter().flat_map(|part| part.tokens.lengths()).sum::<usize>(), whole);
        }
    }

    fn each_prediction_sees_its_example(part: &Part, examples: &[Example]) {
        assert_eq!(part.at.len(), part.targets.len());
        for ((row, at), (_, targets)) in part.by_example(&part.at).zip(part.by_example(&part.targets)) {
            assert_eq!(targets, examples[row].response());
            for (index, (line, position)) in at.iter().enumerate() {
                let trunk = part.tokens.trunks()[*line].map_or(&[][..], |trunk| part.tokens.row(trunk));
                let seen = [trunk, &part.tokens.row(*line)[..=*position]].concat();
                assert_eq!(seen, examples[row].tokens[..examples[row].prompt + index]);
            }
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_parts_and_the_first_failure_stops() {
        let examples: Vec<Example> = (0..20).map(|_| example(10)).collect();
        let parts = parts(&examples, Prompts::Own, 40).unwrap();
        let rows = each_part(&parts, |part| Ok(part.rows.clone())).unwrap();
        assert_eq!(rows.concat(), (0..20).collect::<Vec<_>>());
        let failed = each_part(&parts, |part| match part.rows.contains(&7) {
            true => Err(Error::work("row 7")),
            false => Ok(()),
        });
        assert!(failed.unwrap_err().to_string().contains("row 7"));
    }
}
