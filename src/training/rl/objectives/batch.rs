//! Responses side by side: what every objective is computed from.

use super::Watched;
use crate::error::{Error, Result};

/// Log-probabilities of sampled tokens, `[rows, width]` row-major, one response a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Responses {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    /// True on response tokens.
    pub(crate) mask: Vec<bool>,
    /// Under the policy that sampled them.
    pub(crate) old: Vec<f64>,
    /// Under the policy that is trained.
    pub(crate) new: Vec<f64>,
}

impl Responses {
    /// Checks that all three buffers are `[rows * width]`.
    ///
    /// # Errors
    /// If one is not.
    pub fn new(rows: usize, width: usize, mask: Vec<bool>, old: Vec<f64>, new: Vec<f64>) -> Result<Self> {
        let batch = Self { rows, width, mask, old, new };
        batch.expect_size("the mask", batch.mask.len())?;
        batch.expect_size("old log-probabilities", batch.old.len())?;
        batch.expect_size("new log-probabilities", batch.new.len())?;
        Ok(batch)
    }

    pub(crate) fn expect_size(&self, what: &str, found: usize) -> Result<()> {
        let expected = self.rows * self.width;
        if found == expected {
            return Ok(());
        }
        Err(Error::request(format!(
            "{what}: expected {} x {} = {expected} numbers, found {found}",
            self.rows, self.width
        )))
    }

    /// The number of response tokens of one row.
    pub(super) fn length(&self, row: usize) -> usize {
        self.mask[self.range(row)].iter().filter(|masked| **masked).count()
    }

    pub(super) fn range(&self, row: usize) -> std::ops::Range<usize> {
        row * self.width..(row + 1) * self.width
    }

    /// The counts that do not depend on the loss.
    pub(super) fn watched(&self) -> Watched {
        let tokens = (0..self.mask.len()).filter(|index| self.mask[*index]);
        let moved = tokens.clone().map(|index| self.old[index] - self.new[index]).sum();
        Watched { tokens: tokens.count(), moved, ..Watched::default() }
    }
}

/// What the averages of a minibatch are taken over. A part of it needs the whole's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Responses in the minibatch.
    pub rows: usize,
    /// Response tokens in the minibatch.
    pub tokens: usize,
    /// The length that [`super::Aggregation::SequenceMeanTokenSumNorm`] divides by: the padded width in
    /// verl, the token budget of a response here.
    pub width: usize,
}

impl Totals {
    /// Those of a batch that is a whole minibatch.
    pub fn of(batch: &Responses) -> Self {
        let tokens = batch.mask.iter().filter(|masked| **masked).count();
        Self { rows: batch.rows, tokens, width: batch.width }
    }
}
