//! The forward tile: a few queries of one head against all their keys.

use super::Shape;
use super::memory::{BLOCK, Memory};
use crate::ops::layout::Layout;
use crate::ops::parallel::Disjoint;
use crate::ops::simd::{LANES, exp, fold, max, tanh, vectorised};

/// Queries per tile.
const TILE: usize = 8;

/// Computes `z` of one row for all query heads that share `key_head`.
pub(super) fn attend(
    shape: Shape,
    layout: &Layout,
    row: usize,
    key_head: usize,
    queries: &[f32],
    memory: &Memory,
    z: &Disjoint,
) {
    let (start, length) = (layout.starts()[row], layout.lengths()[row]);
    let first_token = layout.offsets()[row];
    let width = shape.heads * shape.head_dim;
    let keys = (start + length).div_ceil(BLOCK) * BLOCK;
    let mut scratch = vec![0f32; TILE * keys];
    let head = Head { shape, memory, offset: key_head * shape.head_dim };
    for query_head in key_head * shape.group()..(key_head + 1) * shape.group() {
        let mut query = 0;
        while query < length {
            let is_whole = query + TILE <= length;
            let tile = first_token + query;
            let at = |index: usize| (tile + index) * width + query_head * shape.head_dim;
            // SAFETY: tasks differ in row or head, so these parts are disjoint; `z` outlives the call.
            let out = |index: usize| unsafe { z.part(at(index), shape.head_dim) };
            vectorised(
                #[inline(always)]
                || {
                    if is_whole {
                        head.tile::<TILE, 1>(queries, at, out, start + query, &mut scratch, keys);
                    } else {
                        head.tile::<1, 4>(queries, at, out, start + query, &mut scratch, keys);
                    }
                },
            );
            query += if is_whole { TILE } else { 1 };
        }
    }
}

/// One key head of one row.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) shape: Shape,
    pub(super) memory: &'a Memory,
    /// Where the head's numbers start within a token.
    pub(super) offset: usize,
}

impl Head<'_> {
    /// Attention of `Q` consecutive queries, the first at position `first`.
    #[inline(always)]
    fn tile<'z, const Q: usize, const B: usize>(
        &self,
        queries: &[f32],
        at: impl Fn(usize) -> usize,
        out: impl Fn(usize) -> &'z mut [f32],
        first: usize,
        scratch: &mut [f32],
        stride: usize,
    ) {
        let head_dim = self.shape.head_dim;
        let queries: [&[f32]; Q] = std::array::from_fn(|index| &queries[at(index)..][..head_dim]);
        let blocks = self.shape.first_key(first) / BLOCK..(first + Q - 1) / BLOCK + 1;
        self.scores::<Q, B>(&queries, blocks.clone(), scratch, stride);
        for query in 0..Q {
            let position = first + query;
            let row = &mut scratch[query * stride..][..stride];
            normalise(&mut row[blocks.start * BLOCK..blocks.end * BLOCK], |index| {
                let key = blocks.start * BLOCK + index;
                key <= position && key >= self.shape.first_key(position)
            });
        }
        let tokens = blocks.start * BLOCK..(blocks.end * BLOCK).min(self.memory.tokens());
        self.mix::<Q>(scratch, stride, tokens, out);
    }

    /// Scores of `Q` queries against key blocks, `B` blocks at a time, scaled and capped, into rows of
    /// `stride` numbers.
    #[inline(always)]
    pub(super) fn scores<const Q: usize, const B: usize>(
        &self,
        queries: &[&[f32]; Q],
        blocks: std::ops::Range<usize>,
        scratch: &mut [f32],
        stride: usize,
    ) {
        let head_dim = self.shape.head_dim;
        assert!(queries.iter().all(|query| query.len() == head_dim), "queries of one head");
        let mut block = blocks.start;
        while block < blocks.end {
            // Past the end the last block is computed again: cheaper than another loop for the rest.
            let keys: [&[[f32; BLOCK]]; B] = std::array::from_fn(|index| {
                self.memory.key_block((block + index).min(blocks.end - 1), self.offset, head_dim)
            });
            assert!(keys.iter().all(|keys| keys.len() == head_dim), "keys of one head");
            let mut sums = [[[0f32; BLOCK]; B]; Q];
            for at in 0..head_dim {
                for query in 0..Q {
                    // SAFETY: all of these have `head_dim` entries, by the assertions above.
                    let number = unsafe { *queries[query].get_unchecked(at) };
                    for index in 0..B {
                        // SAFETY: as above.
                        let keys = unsafe { keys[index].get_unchecked(at) };
                        for lane in 0..BLOCK {
                            sums[query][index][lane] = number.mul_add(keys[lane], sums[query][index][lane]);
                        }
                    }
                }
            }
            for query in 0..Q {
                for index in 0..B.min(blocks.end - block) {
                    let row = &mut scratch[query * stride + (block + index) * BLOCK..][..BLOCK];
                    for lane in 0..BLOCK {
                        row[lane] = finish(self.shape, sums[query][index][lane]);
                    }
                }
            }
            block += B;
        }
    }

    /// The sum of the values of `tokens` by the weights of `Q` rows.
    #[inline(always)]
    pub(super) fn mix<'z, const Q: usize>(
        &self,
        weights: &[f32],
        stride: usize,
        tokens: std::ops::Range<usize>,
        out: impl Fn(usize) -> &'z mut [f32],
    ) {
        let head_dim = self.shape.head_dim;
        let mut at = 0;
        // One query alone would wait for each sum: keep four going.
        if Q == 1 {
            while at + 4 * LANES <= head_dim {
                self.mix_part::<Q, 4>(weights, stride, tokens.clone(), at, &out);
                at += 4 * LANES;
            }
            while at + 2 * LANES <= head_dim {
                self.mix_part::<Q, 2>(weights, stride, tokens.clone(), at, &out);
                at += 2 * LANES;
            }
        }
        while at + LANES <= head_dim {
            self.mix_part::<Q, 1>(weights, stride, tokens.clone(), at, &out);
            at += LANES;
        }
        if at < head_dim {
            for query in 0..Q {
                let out = &mut out(query)[at..];
                out.fill(0.0);
                for token in tokens.clone() {
                    let weight = weights[query * stride + token];
                    let value = self.memory.value(token, self.offset + at);
                    for (out, value) in out.iter_mut().zip(value) {
                        *out = weight.mul_add(*value, *out);
                    }
                }
            }
        }
    }

    /// Numbers `at..at + C · 16` of the sum.
    #[inline(always)]
    fn mix_part<'z, const Q: usize, const C: usize>(
        &self,
        weights: &[f32],
        stride: usize,
        tokens: std::ops::Range<usize>,
        at: usize,
        out: &impl Fn(usize) -> &'z mut [f32],
    ) {
        let mut sums = [[[0f32; LANES]; C]; Q];
        let rows: [&[f32]; Q] =
            std::array::from_fn(|query| &weights[query * stride + tokens.start..][..tokens.len()]);
        for (index, token) in tokens.enumerate() {
            let (values, _) = self.memory.value(token, self.offset + at)[..C * LANES].as_chunks::<LANES>();
            for query in 0..Q {
                // SAFETY: each row has as many entries as there are tokens.
                let weight = unsafe { *rows[query].get_unchecked(index) };
                for (sums, values) in sums[query].iter_mut().zip(values) {
                    for lane in 0..LANES {
                        sums[lane] = weight.mul_add(values[lane], sums[lane]);
                    }
                }
            }
        }
        for (query, sums) in sums.iter().enumerate() {
            out(query)[at..at + C * LANES].copy_from_slice(sums.as_flattened());
        }
    }
}

/// From the sum of products to the score: scale and cap.
#[inline(always)]
pub(super) fn finish(shape: Shape, sum: f32) -> f32 {
    let score = sum * shape.scale;
    match shape.soft_cap {
        Some(cap) => cap * tanh(score / cap),
        None => score,
    }
}

/// Softmax of one whole score row in place; keys that `seen` rejects get exactly zero. The row starts at a
/// block boundary, so that its sums run in the same lanes whatever the tile.
#[inline(always)]
pub(super) fn normalise(row: &mut [f32], seen: impl Fn(usize) -> bool) {
    for (index, score) in row.iter_mut().enumerate() {
        *score = if seen(index) { *score } else { f32::NEG_INFINITY };
    }
    let most = max(row);
    if most == f32::NEG_INFINITY {
        row.fill(0.0);
        return;
    }
    let mut lanes = [0f32; LANES];
    let (blocks, rest) = row.as_chunks_mut::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            block[lane] = exp(block[lane] - most);
            lanes[lane] += block[lane];
        }
    }
    for (lane, score) in rest.iter_mut().enumerate() {
        *score = exp(*score - most);
        lanes[lane] += *score;
    }
    let inverse = 1.0 / fold(lanes);
    row.iter_mut().for_each(|score| *score *= inverse);
}
