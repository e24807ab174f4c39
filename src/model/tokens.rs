//! Batches of token rows.

use crate::error::{Error, Result};

/// Rows of token ids, right-padded to one width. Padding is never computed.
///
/// A row may be a *branch*: it then goes on where another row of the same batch, its *trunk*, ends, and sees all of
/// it. So a prompt that many responses share is computed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBatch {
    ids: Vec<u32>,
    lengths: Vec<usize>,
    width: usize,
    /// The row that each row goes on from, if it is a branch.
    trunks: Vec<Option<usize>>,
}

impl TokenBatch {
    /// A batch of these rows, as wide as the longest.
    ///
    /// # Errors
    /// If there is no row, or none has a token.
    pub fn new(rows: &[impl AsRef<[u32]>]) -> Result<Self> {
        let lengths: Vec<usize> = rows.iter().map(|row| row.as_ref().len()).collect();
        let width = lengths.iter().copied().max().unwrap_or(0);
        if width == 0 {
            return Err(Error::request("expected at least one row with a token, found none"));
        }
        let mut ids = Vec::with_capacity(rows.len() * width);
        for row in rows.iter().map(AsRef::as_ref) {
            ids.extend_from_slice(row);
            ids.resize(ids.len() + width - row.len(), 0);
        }
        Ok(Self { ids, lengths, width, trunks: vec![None; rows.len()] })
    }

    /// A batch of families: each a trunk and the branches that go on from it, which become rows in this order.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn branching(families: Vec<(Vec<u32>, Vec<Vec<u32>>)>) -> Result<Self> {
        let (mut rows, mut trunks) = (Vec::new(), Vec::new());
        for (trunk, branches) in families {
            let at = rows.len();
            rows.push(trunk);
            trunks.push(None);
            trunks.extend(branches.iter().map(|_| Some(at)));
            rows.extend(branches);
        }
        Ok(Self { trunks, ..Self::new(&rows)? })
    }

    /// The real tokens of padded rows: those whose mask is not zero, wherever the padding stands.
    ///
    /// # Errors
    /// If the shapes differ, padding stands between real tokens, or nothing is real.
    pub fn from_mask(ids: &[Vec<u32>], mask: &[Vec<u32>]) -> Result<Self> {
        if ids.len() != mask.len() || ids.iter().zip(mask).any(|(ids, mask)| ids.len() != mask.len()) {
            return Err(Error::request("expected input_ids and attention_mask of one shape"));
        }
        let mut rows = Vec::with_capacity(ids.len());
        for (index, (ids, mask)) in ids.iter().zip(mask).enumerate() {
            let first = mask.iter().position(|real| *real != 0).unwrap_or(0);
            let end = mask.iter().rposition(|real| *real != 0).map_or(0, |last| last + 1);
            if mask[first.min(end)..end].contains(&0) {
                return Err(Error::request(format!(
                    "attention_mask row {index}: expected padding at one end, found it between tokens"
                )));
            }
            rows.push(ids[first.min(end)..end].to_vec());
        }
        Self::new(&rows)
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// The length of the longest row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of real tokens of each row.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The row that each row goes on from, if it is a branch.
    pub fn trunks(&self) -> &[Option<usize>] {
        &self.trunks
    }

    /// The real tokens of one row; none if there is no such row.
    pub fn row(&self, index: usize) -> &[u32] {
        let length = self.lengths.get(index).copied().unwrap_or(0);
        self.ids.get(index * self.width..).and_then(|row| row.get(..length)).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_may_stand_at_either_end_but_not_between() -> Result<()> {
        let batch = TokenBatch::from_mask(
            &[vec![9, 9, 1, 2], vec![3, 4, 5, 9]],
            &[vec![0, 0, 1, 1], vec![1, 1, 1, 0]],
        )?;
        assert_eq!((batch.row(0), batch.row(1), batch.width()), (&[1, 2][..], &[3, 4, 5][..], 3));
        assert!(TokenBatch::from_mask(&[vec![1, 2, 3]], &[vec![1, 0, 1]]).is_err());
        assert!(TokenBatch::new(&[vec![]]).is_err());
        Ok(())
    }
}
