//! The keys and values of tokens already seen, so that only new tokens are computed.

use crate::error::{Error, Result};
use crate::ops::attention::Memory;

/// Per layer and row, keys and values. Rows may have different lengths.
///
/// A pass that stops early or starts late fills only the layers that it runs. Clones share nothing.
#[derive(Clone)]
pub struct KvCache {
    pub(super) layers: Vec<Vec<Memory>>,
    /// Tokens of each row in the passes so far.
    seen: Vec<usize>,
}

impl KvCache {
    /// Empty rows for `layers` layers with `width` numbers a token.
    pub(super) fn new(layers: usize, rows: usize, width: usize) -> Self {
        Self { layers: vec![vec![Memory::new(width); rows]; layers], seen: vec![0; rows] }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.seen.len()
    }

    /// The number of tokens seen in each row.
    pub fn lengths(&self) -> Vec<usize> {
        self.seen.clone()
    }

    /// A pass has added these many tokens to the rows.
    pub(super) fn advance(&mut self, lengths: &[usize]) {
        self.seen.iter_mut().zip(lengths).for_each(|(seen, length)| *seen += length);
    }

    /// Keeps `rows` in this order. A row may be named several times (to share a prefix) or not at all.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn select(&mut self, rows: &[usize]) -> Result<()> {
        let count = self.rows();
        if let Some(row) = rows.iter().find(|row| **row >= count) {
            return Err(Error::work(format!("cache: expected a row below {count}, found {row}")));
        }
        self.seen = rows.iter().map(|row| self.seen[*row]).collect();
        let mut uses = vec![0usize; count];
        rows.iter().for_each(|row| uses[*row] += 1);
        for layer in &mut self.layers {
            let mut left = uses.clone();
            let mut held: Vec<Option<Memory>> = layer.drain(..).map(Some).collect();
            for row in rows {
                left[*row] -= 1;
                // The last use moves the row; earlier ones copy it.
                let memory = if left[*row] == 0 { held[*row].take() } else { held[*row].clone() };
                layer.extend(memory);
            }
        }
        Ok(())
    }
}
