//! The trunk: rows with equal tokens are run up to the hook once, each by the variants that some condition on it reads.

use super::super::readout::Readout;
use crate::error::{Error, Result};
use crate::model::{HookPoint, KvCache, TokenBatch};
use std::collections::BTreeMap;

/// One trunk row for each distinct text so far.
pub(super) struct Trunk {
    readout: Readout,
    hook: HookPoint,
    /// What each variant has read.
    read: Vec<Read>,
    /// The trunk row of every row; none before the first tokens.
    of_row: Vec<usize>,
}

/// The trunk rows that one variant has read, with its memory of them.
#[derive(Default)]
struct Read {
    /// Ascending; row `i` of the cache is trunk row `rows[i]`.
    rows: Vec<usize>,
    cache: Option<KvCache>,
}

/// What the trunk has read.
pub(super) struct Shared {
    /// The trunk row of every row.
    pub(super) of_row: Vec<usize>,
    /// The trunk's new tokens.
    pub(super) tokens: TokenBatch,
    /// The activations at the hook, packed without padding: `[tokens, variants, d_model]`; zero where no condition on
    /// the row reads the variant.
    pub(super) joint: Vec<f32>,
}

impl Shared {
    /// The place in `joint` of the first new token of every trunk row, and the end.
    pub(super) fn places(&self) -> Vec<usize> {
        let lengths = self.tokens.lengths().iter();
        let ends = lengths.scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        std::iter::once(0).chain(ends).collect()
    }
}

impl Trunk {
    pub(super) fn new(readout: &Readout, hook: HookPoint) -> Self {
        Self { readout: readout.clone(), hook, read: Vec::new(), of_row: Vec::new() }
    }

    /// Reads the next tokens of every row; `wanted` says of every row which variants must read it. A row keeps its
    /// wants from pass to pass: what a variant did not read before, it cannot go on from.
    pub(super) fn extend(&mut self, tokens: &TokenBatch, wanted: &[&[bool]]) -> Result<Shared> {
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
        let variants = self.readout.variants().len();
        let readers = readers(&of_row, wanted, texts.len(), variants);
        self.read.resize_with(variants, Read::default);
        for (read, rows) in self.read.iter_mut().zip(&readers) {
            read.go_on(rows, (!first).then_some(&parents))?;
        }
        self.of_row.clone_from(&of_row);
        let mut shared = Shared { of_row, tokens: TokenBatch::new(&texts)?, joint: Vec::new() };
        let (places, d_model) = (shared.places(), self.readout.d_model());
        shared.joint = vec![0.0; places.last().copied().unwrap_or(0) * variants * d_model];
        for (variant, read) in self.read.iter_mut().enumerate().filter(|(_, read)| !read.rows.is_empty()) {
            let texts: Vec<&[u32]> = read.rows.iter().map(|row| shared.tokens.row(*row)).collect();
            let model = self.readout.model(variant)?;
            let cache = read.cache.get_or_insert_with(|| model.cache(texts.len()));
            let found =
                self.readout.activations(variant, self.hook, &TokenBatch::new(&texts)?, Some(cache))?;
            let tokens = read.rows.iter().flat_map(|row| places[*row]..places[*row + 1]);
            for (token, found) in tokens.zip(found.chunks_exact(d_model)) {
                let at = (token * variants + variant) * d_model;
                shared.joint[at..at + d_model].copy_from_slice(found);
            }
        }
        Ok(shared)
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
        self.read.clear();
        self.of_row.clear();
    }
}

/// The trunk rows that each variant reads: those with a row that wants it.
fn readers(of_row: &[usize], wanted: &[&[bool]], rows: usize, variants: usize) -> Vec<Vec<usize>> {
    let mut of_trunk = vec![vec![false; rows]; variants];
    for (row, wanted) in of_row.iter().zip(wanted) {
        for (of_trunk, wanted) in of_trunk.iter_mut().zip(*wanted) {
            of_trunk[*row] |= *wanted;
        }
    }
    of_trunk.iter().map(|of_trunk| (0..rows).filter(|row| of_trunk[*row]).collect()).collect()
}

impl Read {
    /// Keeps the memory of the trunk rows that `rows` go on from. Without `parents` nothing was read before.
    fn go_on(&mut self, rows: &[usize], parents: Option<&Vec<usize>>) -> Result<()> {
        if let (Some(parents), Some(cache)) = (parents, &mut self.cache) {
            let held = |row: &usize| {
                self.rows
                    .binary_search(&parents[*row])
                    .map_err(|_| Error::work("a row goes on from what its variant has not read"))
            };
            let from: Vec<usize> = rows.iter().map(held).collect::<Result<_>>()?;
            if !from.iter().copied().eq(0..self.rows.len()) {
                cache.select(&from)?;
            }
        }
        rows.clone_into(&mut self.rows);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows share a text; one of them wants the first variant, the other the second, a third row the first alone.
    #[test]
    fn a_variant_reads_what_some_row_on_the_text_wants_and_no_more() {
        let wanted: [&[bool]; 3] = [&[true, false, false], &[false, true, false], &[true, false, false]];
        assert_eq!(readers(&[0, 0, 1], &wanted, 2, 3), [vec![0, 1], vec![0], vec![]]);
    }

    #[test]
    fn a_row_cannot_go_on_from_what_was_not_read() {
        let model = crate::experiments::small::readout(0).model(0).unwrap().clone();
        let mut read = Read { rows: vec![0, 2], cache: Some(model.cache(2)) };
        read.go_on(&[0, 1], Some(&vec![2, 2])).unwrap();
        assert_eq!((read.rows.as_slice(), read.cache.as_ref().unwrap().rows()), (&[0, 1][..], 2));
        assert!(read.go_on(&[0], Some(&vec![5])).is_err());
    }
}
