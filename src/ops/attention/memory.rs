//! The keys and values of the tokens seen so far: of one row for the fused kernels, of all rows for the
//! composed ones.

use crate::error::{Error, Result};
use candle_core::Tensor;

/// Keys per block.
pub(super) const BLOCK: usize = 16;

/// Keys in transposed blocks [blocks, width, 16] and values [tokens, width]; width is all key heads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    keys: Vec<f32>,
    values: Vec<f32>,
    width: usize,
}

impl Memory {
    /// An empty memory for `width` numbers a token.
    pub(crate) fn new(width: usize) -> Self {
        Self { keys: Vec::new(), values: Vec::new(), width }
    }

    /// The number of tokens held.
    pub(crate) fn tokens(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Appends tokens: `keys` and `values` are [tokens, width].
    pub(crate) fn append(&mut self, keys: &[f32], values: &[f32]) {
        let width = self.width;
        let first = self.tokens();
        self.values.extend_from_slice(values);
        self.keys.resize(self.tokens().div_ceil(BLOCK) * BLOCK * width, 0.0);
        for (token, keys) in keys.chunks_exact(width).enumerate() {
            let (block, lane) = ((first + token) / BLOCK, (first + token) % BLOCK);
            let block = &mut self.keys[block * width * BLOCK..(block + 1) * width * BLOCK];
            for (column, key) in block.iter_mut().skip(lane).step_by(BLOCK).zip(keys) {
                *column = *key;
            }
        }
    }

    /// Block `block` of the head that starts at number `offset`: [head_dim, 16].
    #[inline(always)]
    pub(super) fn key_block(&self, block: usize, offset: usize, head_dim: usize) -> &[[f32; BLOCK]] {
        let start = (block * self.width + offset) * BLOCK;
        self.keys[start..start + head_dim * BLOCK].as_chunks().0
    }

    /// The value of `token`, from number `offset` on.
    #[inline(always)]
    pub(super) fn value(&self, token: usize, offset: usize) -> &[f32] {
        &self.values[token * self.width + offset..]
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
