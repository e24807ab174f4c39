//! The trunk: rows with equal tokens are run up to the hook once, by every variant that is read.

use super::super::readout::Readout;
use crate::error::{Error, Result};
use crate::model::{HookPoint, KvCache, TokenBatch};
use std::collections::BTreeMap;

/// One trunk row for each distinct text so far.
pub(super) struct Trunk {
    readout: Readout,
    hook: HookPoint,
    wanted: Vec<bool>,
    caches: Vec<KvCache>,
    /// The trunk row of every row; none before the first tokens.
    of_row: Vec<usize>,
}

/// What the trunk has read.
pub(super) struct Shared {
    /// The trunk row of every row.
    pub(super) of_row: Vec<usize>,
    /// The trunk's new tokens.
    pub(super) tokens: TokenBatch,
    /// The activations at the hook, packed without padding: `[tokens, variants, d_model]`.
    pub(super) joint: Vec<f32>,
}

impl Shared {
    /// The place in `joint` of the first new token of every trunk row.
    pub(super) fn first_places(&self) -> Vec<usize> {
        let lengths = self.tokens.lengths().iter();
        lengths.scan(0, |start, length| Some(std::mem::replace(start, *start + length))).collect()
    }
}

impl Trunk {
    /// `wanted` says which variants are run; the others stay zero.
    pub(super) fn new(readout: &Readout, hook: HookPoint, wanted: Vec<bool>) -> Self {
        Self { readout: readout.clone(), hook, wanted, caches: Vec::new(), of_row: Vec::new() }
    }

    /// Reads the next tokens of every row.
    pub(super) fn extend(&mut self, tokens: &TokenBatch) -> Result<Shared> {
        let first = self.of_row.is_empty();
        let mut places: BTreeMap<(usize, &[u32]), usize> = BTreeMap::new();
        let (mut parents, mut texts) = (Vec::new(), Vec::new());
        let of_row: Vec<usize> = (0..tokens.rows())
            .map(|row| {
                let (parent, text) = (self.of_row.get(row).copied().unwrap_or(0), tokens.row(row));
                *places.entry((parent, text)).or_insert_with(|| {
                    parents.push(parent);
                    texts.push(text.to_vec());
                    texts.len() - 1
                })
            })
            .collect();
        if first {
            self.caches = self.readout.caches(texts.len());
        } else if !parents.iter().copied().eq(0..self.caches.first().map_or(0, KvCache::rows)) {
            for cache in &mut self.caches {
                cache.select(&parents)?;
            }
        }
        let tokens = TokenBatch::new(&texts)?;
        let joint = self.readout.joint(self.hook, &tokens, Some(&mut self.caches), &self.wanted)?;
        self.of_row.clone_from(&of_row);
        Ok(Shared { of_row, tokens, joint })
    }

    /// Keeps rows in the order of `rows`.
    pub(super) fn select(&mut self, rows: &[usize]) -> Result<()> {
        if self.of_row.is_empty() {
            return Ok(());
        }
        let of = |row: &usize| {
            self.of_row.get(*row).copied().ok_or_else(|| Error::work(format!("there is no row {row}")))
        };
        self.of_row = rows.iter().map(of).collect::<Result<_>>()?;
        Ok(())
    }

    /// Back to the beginning.
    pub(super) fn reset(&mut self) {
        self.caches.clear();
        self.of_row.clear();
    }
}
