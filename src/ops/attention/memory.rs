//! The keys and values of one row in one layer.

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
