//! Which tokens of which rows a forward pass computes.
//!
//! Rows are right-padded for the reader and packed for the kernels: padding is never computed. Packed
//! values are `[tokens, width]`, the real tokens of row 0, then those of row 1, and so on.

use crate::error::Result;
use candle_core::{Device, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// The rows of one forward pass. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Layout(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    starts: Vec<usize>,
    lengths: Vec<usize>,
    offsets: Vec<usize>,
    width: usize,
    trunks: Vec<Option<usize>>,
}

impl Layout {
    /// Row r brings `lengths[r]` new tokens, the first of them at absolute position `starts[r]`.
    pub(crate) fn new(starts: Vec<usize>, lengths: Vec<usize>, width: usize) -> Self {
        let trunks = vec![None; lengths.len()];
        Self::with(starts, lengths, width, trunks)
    }

    /// Row r goes on from the end of row `trunks[r]` of this same pass, or starts at position 0. A trunk starts at 0,
    /// and its branches are the rows behind it.
    pub(crate) fn branching(trunks: Vec<Option<usize>>, lengths: Vec<usize>, width: usize) -> Self {
        let starts = trunks.iter().map(|trunk| trunk.map_or(0, |trunk| lengths[trunk])).collect();
        Self::with(starts, lengths, width, trunks)
    }

    fn with(starts: Vec<usize>, lengths: Vec<usize>, width: usize, trunks: Vec<Option<usize>>) -> Self {
        let mut offsets = Vec::with_capacity(lengths.len() + 1);
        let mut total = 0;
        offsets.push(0);
        for length in &lengths {
            total += length;
            offsets.push(total);
        }
        Self(Arc::new(Inner { starts, lengths, offsets, width, trunks }))
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.0.lengths.len()
    }

    /// The width that rows are padded to.
    pub(crate) fn width(&self) -> usize {
        self.0.width
    }

    /// The number of real tokens of all rows.
    pub(crate) fn tokens(&self) -> usize {
        self.0.offsets.last().copied().unwrap_or(0)
    }

    /// Absolute position of each row's first new token.
    pub(crate) fn starts(&self) -> &[usize] {
        &self.0.starts
    }

    /// Real new tokens of each row.
    pub(crate) fn lengths(&self) -> &[usize] {
        &self.0.lengths
    }

    /// The packed index of each row's first token, and at the end their number.
    pub(crate) fn offsets(&self) -> &[usize] {
        &self.0.offsets
    }

    /// The row of this pass that row `row` goes on from.
    pub(crate) fn trunk(&self, row: usize) -> Option<usize> {
        self.0.trunks[row]
    }

    /// Whether some row goes on from another.
    pub(crate) fn branches(&self) -> bool {
        self.0.trunks.iter().any(Option::is_some)
    }

    /// The rows that stand alone, and those that share a trunk, as ranges that begin with it.
    pub(crate) fn families(&self) -> Vec<Range<usize>> {
        let mut firsts: Vec<usize> = (0..self.rows()).filter(|row| self.trunk(*row).is_none()).collect();
        firsts.push(self.rows());
        firsts.windows(2).map(|pair| pair[0]..pair[1]).collect()
    }

    /// The packed index of the token at an absolute position of a row, on its trunk or its own. The position is one
    /// of this pass.
    pub(crate) fn packed(&self, row: usize, position: usize) -> usize {
        let start = self.0.starts[row];
        match self.0.trunks[row] {
            Some(trunk) if position < start => self.0.offsets[trunk] + position,
            _ => self.0.offsets[row] + position - start,
        }
    }

    /// The absolute position of every packed token.
    pub(crate) fn positions(&self) -> Vec<usize> {
        self.0.starts.iter().zip(&self.0.lengths).flat_map(|(start, length)| *start..start + length).collect()
    }

    /// Whether no row is padded.
    pub(crate) fn is_full(&self) -> bool {
        self.0.lengths.iter().all(|length| *length == self.0.width)
    }

    /// Packed numbers as a padded buffer [rows, width, columns], zeros where there is no token.
    pub(crate) fn pad(&self, packed: &[f32], columns: usize) -> Vec<f32> {
        if self.is_full() {
            return packed.to_vec();
        }
        let mut padded = vec![0f32; self.rows() * self.0.width * columns];
        for (row, offsets) in self.0.offsets.windows(2).enumerate() {
            let source = &packed[offsets[0] * columns..offsets[1] * columns];
            let at = row * self.0.width * columns;
            padded[at..at + source.len()].copy_from_slice(source);
        }
        padded
    }

    /// The packed numbers of a padded buffer.
    pub(crate) fn pack(&self, padded: &[f32], columns: usize) -> Vec<f32> {
        if self.is_full() {
            return padded.to_vec();
        }
        let mut packed = Vec::with_capacity(self.tokens() * columns);
        for (row, length) in self.0.lengths.iter().enumerate() {
            let at = row * self.0.width * columns;
            packed.extend_from_slice(&padded[at..at + length * columns]);
        }
        packed
    }
}

/// The shape in which a value is shown to hooks and callers.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// Packed tokens, padded to [rows, width, ...shape].
    Tokens {
        /// Which tokens.
        layout: Layout,
        /// Axes after the first two.
        shape: Vec<usize>,
    },
    /// A dense buffer with these axes.
    Dense(Vec<usize>),
}

impl Frame {
    /// All axes.
    pub(crate) fn dims(&self) -> Vec<usize> {
        match self {
            Self::Tokens { layout, shape } => {
                [layout.rows(), layout.width()].iter().chain(shape).copied().collect()
            }
            Self::Dense(dims) => dims.clone(),
        }
    }

    /// Numbers per token, or per row of a dense buffer.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Tokens { shape, .. } => shape.iter().product(),
            Self::Dense(dims) => dims.last().copied().unwrap_or(0),
        }
    }

    /// A value's numbers as a tensor.
    pub(crate) fn tensor(&self, data: &[f32]) -> Result<Tensor> {
        let padded = match self {
            Self::Tokens { layout, shape } => layout.pad(data, shape.iter().product()),
            Self::Dense(_) => data.to_vec(),
        };
        Ok(Tensor::from_vec(padded, self.dims(), &Device::Cpu)?)
    }

    /// A tensor's numbers as a value's.
    pub(crate) fn pack(&self, data: &[f32]) -> Vec<f32> {
        match self {
            Self::Tokens { layout, shape } => layout.pack(data, shape.iter().product()),
            Self::Dense(_) => data.to_vec(),
        }
    }
}
