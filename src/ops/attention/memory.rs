//! The keys and values of the tokens seen so far: of one row for the fused kernels, of all rows for the
//! composed ones.

use crate::error::{Error, Result};
use candle_core::Tensor;

use crate::ops::matmul::kernel::Columns;

/// Keys per block: one panel of a matrix product.
pub(super) const BLOCK: usize = 16;

/// Keys in transposed blocks [blocks, width, 16] and values [tokens, width]; width is all key heads. Both can
/// be read as the right operand of a product where they lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    keys: Vec<f32>,
    /// With one block of zeros at the end: the last head may be read past its end.
    values: Vec<f32>,
    width: usize,
    tokens: usize,
}

impl Memory {
    /// An empty memory for `width` numbers a token.
    pub(crate) fn new(width: usize) -> Self {
        Self { keys: Vec::new(), values: Vec::new(), width, tokens: 0 }
    }

    /// The number of tokens held.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Appends tokens: `keys` and `values` are [tokens, width].
    pub(crate) fn append(&mut self, keys: &[f32], values: &[f32]) {
        let (width, first) = (self.width, self.tokens);
        self.tokens += values.len().checked_div(width).unwrap_or(0);
        self.values.truncate(first * width);
        self.values.reserve(values.len() + BLOCK);
        self.values.extend_from_slice(values);
        self.values.resize(self.tokens * width + BLOCK, 0.0);
        self.keys.resize(self.tokens.div_ceil(BLOCK) * BLOCK * width, 0.0);
        for (token, keys) in keys.chunks_exact(width).enumerate() {
            let (block, lane) = ((first + token) / BLOCK, (first + token) % BLOCK);
            let block = &mut self.keys[block * width * BLOCK..(block + 1) * width * BLOCK];
            for (column, key) in block.iter_mut().skip(lane).step_by(BLOCK).zip(keys) {
                *column = *key;
            }
        }
    }

    /// Key blocks from `block` on as panels [head_dim, 16], for the head that starts at number `offset`.
    #[inline(always)]
    pub(super) fn key_panels(&self, block: usize, offset: usize) -> Columns<'_> {
        let numbers = &self.keys[(block * self.width + offset) * BLOCK..];
        Columns { numbers, panel_stride: self.width * BLOCK, inner_stride: BLOCK }
    }

    /// Values from `token` on as panels [tokens, 16], from number `offset` of each token on.
    #[inline(always)]
    pub(super) fn value_panels(&self, token: usize, offset: usize) -> Columns<'_> {
        let numbers = &self.values[token * self.width + offset..];
        Columns { numbers, panel_stride: BLOCK, inner_stride: self.width }
    }
}

/// Keys and values of all rows as tensors [rows, keys, width], empty before the first token. Row r holds its
/// tokens in order; places behind them hold zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceMemory(pub(crate) Option<[Tensor; 2]>);

/// The memory of one layer, in the form that one set of kernels reads.
#[derive(Clone, Debug)]
pub(crate) enum LayerMemory {
    /// Row by row, for the fused kernels.
    Host(Vec<Memory>),
    /// All rows at once, for the composed ones.
    Device(DeviceMemory),
}

impl Default for LayerMemory {
    fn default() -> Self {
        Self::Host(Vec::new())
    }
}

impl LayerMemory {
    /// The memory of the fused kernels.
    pub(crate) fn host(&self) -> Result<&[Memory]> {
        match self {
            Self::Host(rows) => Ok(rows),
            Self::Device(_) => Err(of_another_model()),
        }
    }

    /// The memory of the fused kernels, to append to.
    pub(crate) fn host_mut(&mut self) -> Result<&mut [Memory]> {
        match self {
            Self::Host(rows) => Ok(rows),
            Self::Device(_) => Err(of_another_model()),
        }
    }

    /// The memory of the composed kernels.
    pub(crate) fn device(&self) -> Result<&DeviceMemory> {
        match self {
            Self::Device(memory) => Ok(memory),
            Self::Host(_) => Err(of_another_model()),
        }
    }

    /// The memory of the composed kernels, to append to.
    pub(crate) fn device_mut(&mut self) -> Result<&mut DeviceMemory> {
        match self {
            Self::Device(memory) => Ok(memory),
            Self::Host(_) => Err(of_another_model()),
        }
    }

    /// Keeps `rows` in this order; a row may be named several times or not at all. All are in range.
    pub(crate) fn select(&mut self, rows: &[usize]) -> Result<()> {
        match self {
            Self::Host(held) => select(held, rows),
            Self::Device(DeviceMemory(held)) => {
                for tensor in held.iter_mut().flatten() {
                    let index: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
                    let index = Tensor::from_vec(index, rows.len(), tensor.device())?;
                    *tensor = tensor.index_select(&index, 0)?;
                }
            }
        }
        Ok(())
    }
}

fn select(held: &mut Vec<Memory>, rows: &[usize]) {
    let mut left = vec![0usize; held.len()];
    rows.iter().for_each(|row| left[*row] += 1);
    let mut old: Vec<Option<Memory>> = held.drain(..).map(Some).collect();
    for row in rows {
        left[*row] -= 1;
        // The last use moves the row; earlier ones copy it.
        held.extend(if left[*row] == 0 { old[*row].take() } else { old[*row].clone() });
    }
}

fn of_another_model() -> Error {
    Error::work("the cache was made for a model that computes elsewhere")
        .hint("make it with `cache` of the model that the pass runs through")
}
