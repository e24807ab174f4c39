//! The keys and values of tokens already seen, so that only new tokens are computed.

use crate::error::{Error, Result};
use crate::ops::attention::LayerMemory;

/// Per layer and row, keys and values. Rows may have different lengths.
///
/// A pass that stops early or starts late fills only the layers that it runs. Clones share nothing.
#[derive(Clone)]
pub struct KvCache {
    pub(super) layers: Vec<LayerMemory>,
    /// Tokens of each row in the passes so far.
    seen: Vec<usize>,
}

impl KvCache {
    /// `rows` rows, each layer with this memory of them, which holds no token yet.
    pub(super) fn new(layers: usize, rows: usize, empty: LayerMemory) -> Self {
        Self { layers: vec![empty; layers], seen: vec![0; rows] }
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
        self.layers.iter_mut().try_for_each(|layer| layer.select(rows))
    }
}
