//! The keys and values of tokens already seen, so that only new tokens are computed.

use crate::error::{Error, Result};
use crate::ops::attention::Memory;

/// Per layer and row, keys and values. Rows may have different lengths.
#[derive(Clone)]
pub struct KvCache {
    pub(super) layers: Vec<Vec<Memory>>,
}

impl KvCache {
    /// Empty rows for `layers` layers with `width` numbers a token.
    pub(super) fn new(layers: usize, rows: usize, width: usize) -> Self {
        Self { layers: vec![vec![Memory::new(width); rows]; layers] }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.layers.first().map_or(0, Vec::len)
    }

    /// The number of tokens seen in each row.
    pub fn lengths(&self) -> Vec<usize> {
        self.layers.first().map_or_else(Vec::new, |rows| rows.iter().map(Memory::tokens).collect())
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
