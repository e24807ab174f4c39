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
    for head in key_head * shape.group()..(key_head + 1) * shape.group() {
        let mut query = 0;
        while query < length {
            let count = TILE.min(length - query);
            let tile = first_token + query;
            let offset = |index: usize| (tile + index) * width + head * shape.head_dim;
            let task = Task { shape, memory, key_offset: key_head * shape.head_dim, first: start + query };
            // SAFETY: tasks differ in row or head, so these parts are disjoint; `z` outlives the call.
            let out = |index: usize| unsafe { z.part(offset(index), shape.head_dim) };
            vectorised(
                #[inline(always)]
                || {
                    if count == TILE {
                        task.tile::<TILE, 1>(queries, offset, out, &mut scratch, keys);
                    } else {
                        task.tile::<1, 4>(queries, offset, out, &mut scratch, keys);
                    }
                },
            );
            query += if count == TILE { TILE } else { 1 };
        }
    }
}

struct Task<'a> {
    shape: Shape,
    memory: &'a Memory,
    key_offset: usize,
    /// Absolute position of the first query of the tile.
    first: usize,
}

impl Task<'_> {
    /// `Q` queries, `B` key blocks at a time.
    #[inline(always)]
    fn tile<'z, const Q: usize, const B: usize>(
        &self,
        queries: &[f32],
        offset: impl Fn(usize) -> usize,
        out: impl Fn(usize) -> &'z mut [f32],
        scratch: &mut [f32],
        stride: usize,
    ) {
        let head_dim = self.shape.head_dim;
        let queries: [&[f32]; Q] = std::array::from_fn(|index| &queries[offset(index)..][..head_dim]);
        let first_block = self.shape.first_key(self.first) / BLOCK;
        let end_block = (self.first + Q - 1) / BLOCK + 1;
        let mut block = first_block;
        while block < end_block {
            if block + B <= end_block {
                self.score::<Q, B>(&queries, block, scratch, stride);
                block += B;
            } else {
                self.score::<Q, 1>(&queries, block, scratch, stride);
                block += 1;
            }
        }
        for query in 0..Q {
            let position = self.first + query;
            let row = &mut scratch[query * stride..][..stride];
            normalise(&mut row[first_block * BLOCK..end_block * BLOCK], |index| {
                let key = first_block * BLOCK + index;
                key <= position && key >= self.shape.first_key(position)
            });
        }
        let tokens = first_block * BLOCK..(end_block * BLOCK).min(self.memory.tokens());
        let mut at = 0;
        while at + LANES <= head_dim {
            let mut sums = [[0f32; LANES]; Q];
            for token in tokens.clone() {
                let value = &self.memory.value(token, self.key_offset + at)[..LANES];
                for query in 0..Q {
                    let weight = scratch[query * stride + token];
                    for lane in 0..LANES {
                        sums[query][lane] = weight.mul_add(value[lane], sums[query][lane]);
                    }
                }
            }
            for query in 0..Q {
                out(query)[at..at + LANES].copy_from_slice(&sums[query]);
            }
            at += LANES;
        }
        if at < head_dim {
            for query in 0..Q {
                let out = &mut out(query)[at..];
                out.fill(0.0);
                for token in tokens.clone() {
                    let weight = scratch[query * stride + token];
                    let value = self.memory.value(token, self.key_offset + at);
                    for (out, value) in out.iter_mut().zip(value) {
                        *out = weight.mul_add(*value, *out);
                    }
                }
            }
        }
    }

    /// Scores of `Q` queries against `B` blocks, scaled and capped.
    #[inline(always)]
    fn score<const Q: usize, const B: usize>(
        &self,
        queries: &[&[f32]; Q],
        block: usize,
        scratch: &mut [f32],
        stride: usize,
    ) {
        let head_dim = self.shape.head_dim;
        let keys: [&[[f32; BLOCK]]; B] =
            std::array::from_fn(|index| self.memory.key_block(block + index, self.key_offset, head_dim));
        let mut sums = [[[0f32; BLOCK]; B]; Q];
        for at in 0..head_dim {
            for query in 0..Q {
                let number = queries[query][at];
                for index in 0..B {
                    let keys = &keys[index][at];
                    for lane in 0..BLOCK {
                        sums[query][index][lane] = number.mul_add(keys[lane], sums[query][index][lane]);
                    }
                }
            }
        }
        for query in 0..Q {
            for index in 0..B {
                let row = &mut scratch[query * stride + (block + index) * BLOCK..][..BLOCK];
                for lane in 0..BLOCK {
                    row[lane] = finish(self.shape, sums[query][index][lane]);
                }
            }
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
