//! Which row stands under which condition, how far it has come, and what was written into it.

use super::super::conditions::Condition;
use crate::error::{Error, Result};
use crate::interventions::{Tallies, TextPart};
use crate::model::Tokenizer;
use std::sync::Arc;

/// A row as it begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The index of its condition.
    pub condition: usize,
    /// The key of its problem, for draws of `resample`.
    pub key: u64,
    /// Tokens of the prompt; what follows is the response.
    pub prompt: usize,
}

/// A row on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) start: Start,
    /// Which of the starts that is.
    origin: usize,
    pub(super) sample: u64,
    pub(super) length: usize,
}

/// The rows of a batch with their conditions.
pub(super) struct Rows {
    pub(super) conditions: Arc<[Condition]>,
    first: Vec<Row>,
    pub(super) now: Vec<Row>,
    /// What was written into the rows of each start.
    tallies: Vec<Tallies>,
    beginning: Option<u32>,
    ending: Vec<u32>,
}

impl Rows {
    /// # Errors
    /// If a condition is for another receiver, or a row names a condition that is not there.
    pub(super) fn new(
        conditions: Arc<[Condition]>,
        starts: &[Start],
        receiver: usize,
        tokenizer: &Tokenizer,
    ) -> Result<Self> {
        if let Some(other) =
            conditions.iter().filter_map(Condition::receiver).find(|other| *other != receiver)
        {
            return Err(Error::work(format!(
                "an edit made for variant {other} was given to variant {receiver}"
            )));
        }
        if let Some(start) = starts.iter().find(|start| start.condition >= conditions.len()) {
            return Err(Error::work(format!("there is no condition {}", start.condition)));
        }
        let first: Vec<Row> = starts
            .iter()
            .enumerate()
            .map(|(origin, start)| Row { start: *start, origin, sample: 0, length: 0 })
            .collect();
        Ok(Self {
            now: first.clone(),
            first,
            tallies: vec![Tallies::default(); starts.len()],
            conditions,
            beginning: tokenizer.bos(),
            ending: tokenizer.stop_tokens().to_vec(),
        })
    }

    pub(super) fn tallies(&self) -> &[Tallies] {
        &self.tallies
    }

    /// The condition of a row.
    pub(super) fn condition(&self, row: &Row) -> Option<&Condition> {
        self.conditions.get(row.start.condition)
    }

    /// The part of the text that `token`, the row's next but `column`, is in, if its condition may act there.
    pub(super) fn part(&self, row: &Row, column: usize, token: u32) -> Option<TextPart> {
        let part = if row.length + column < row.start.prompt { TextPart::Prompt } else { TextPart::Response };
        // The sampler feeds rows that ended their stop token again until it drops them.
        let ended = part == TextPart::Response && self.ending.contains(&token);
        let intervention = self.condition(row)?.intervention.as_ref()?;
        let is_begin = Some(token) == self.beginning;
        let acts = !ended && intervention.acts_at(part, row.length + column, is_begin);
        acts.then_some(part)
    }

    /// The key of a row's draws at its next token but `column`.
    pub(super) fn key(row: &Row, column: usize) -> [u64; 3] {
        [row.start.key, row.sample, (row.length + column) as u64]
    }

    /// Adds what was written into each row.
    pub(super) fn count(&mut self, written: &[Tallies]) {
        for (row, written) in self.now.iter().zip(written) {
            if let Some(sum) = self.tallies.get_mut(row.origin) {
                sum.add(written);
            }
        }
    }

    /// Every row has read its new tokens.
    pub(super) fn advance(&mut self, lengths: &[usize]) {
        for (row, length) in self.now.iter_mut().zip(lengths) {
            row.length += length;
        }
    }

    /// Keeps rows in the order of `rows`; the copies of one are its samples.
    ///
    /// # Errors
    /// If there is no such row.
    pub(super) fn select(&mut self, rows: &[usize]) -> Result<()> {
        let mut copies = vec![0; self.now.len()];
        self.now = rows
            .iter()
            .map(|index| {
                let row =
                    self.now.get(*index).ok_or_else(|| Error::work(format!("there is no row {index}")))?;
                let copy = copies[*index];
                copies[*index] += 1;
                Ok(Row { sample: row.sample + copy, ..*row })
            })
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// Back to the beginning. What was counted is kept.
    pub(super) fn reset(&mut self) {
        self.now.clone_from(&self.first);
    }
}
