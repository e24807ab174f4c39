//! The forward tile: a few queries of one head against all their keys, as two small products with a softmax
//! between them. Both read the memory in place, and the scores never leave the first cache.

use super::Shape;
use super::memory::{BLOCK, Memory};
use crate::ops::layout::Layout;
use crate::ops::matmul::kernel::{Rows, Target, height, panels, tile};
use crate::ops::parallel::Disjoint;
use crate::ops::simd::{LANES, Portable, Vector, Wide, exp, fold, max, tanh, vectorised};

/// Queries per tile at most.
pub(super) const QUERIES: usize = 12;

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
    let head = Head { shape, memory, offset: key_head * shape.head_dim };
    let mut scratch = vec![0f32; QUERIES.min(layout.lengths()[row]) * padded_keys(layout, row)];
    for query_head in key_head * shape.group()..(key_head + 1) * shape.group() {
        vectorised(
            #[inline(always)]
            || {
                // SAFETY: tasks differ in row or head, so they write to disjoint parts of `z`, which outlives
                // the call; `Wide` is used where the processor has it.
                unsafe {
                    if Wide::here() {
                        head.attend::<Wide>(layout, row, query_head, queries, z, &mut scratch);
                    } else {
                        head.attend::<Portable>(layout, row, query_head, queries, z, &mut scratch);
                    }
                }
            },
        );
    }
}

/// The keys of a row, up to the end of the last block.
fn padded_keys(layout: &Layout, row: usize) -> usize {
    (layout.starts()[row] + layout.lengths()[row]).next_multiple_of(BLOCK)
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
    /// Attention of all queries of one row and head.
    ///
    /// # Safety
    /// Nobody else touches these results; the processor has what `V` needs.
    #[inline(always)]
    unsafe fn attend<V: Vector>(
        &self,
        layout: &Layout,
        row: usize,
        query_head: usize,
        queries: &[f32],
        z: &Disjoint,
        scratch: &mut [f32],
    ) {
        let (start, length) = (layout.starts()[row], layout.lengths()[row]);
        let keys = padded_keys(layout, row);
        let width = self.shape.heads * self.shape.head_dim;
        let mut query = 0;
        while query < length {
            let rows = height::<V>((length - query).min(QUERIES));
            let first = start + query;
            let at = (layout.offsets()[row] + query) * width + query_head * self.shape.head_dim;
            let tile = Rows { numbers: &queries[at..], row_stride: width, inner_stride: 1 };
            let blocks = self.shape.first_key(first) / BLOCK..(first + rows - 1) / BLOCK + 1;
            // SAFETY: the caller's promise.
            unsafe { self.scores::<V>(rows, tile, blocks.clone(), scratch, keys) };
            let seen = blocks.start * BLOCK..blocks.end * BLOCK;
            for (index, scores) in scratch.chunks_exact_mut(keys).take(rows).enumerate() {
                let position = first + index;
                normalise(&mut scores[seen.clone()], |key| {
                    let key = seen.start + key;
                    key <= position && key >= self.shape.first_key(position)
                });
            }
            let tokens = seen.start..seen.end.min(self.memory.tokens());
            let target = Target { out: z, stride: width, add: false };
            // SAFETY: the caller's promise.
            unsafe { self.mix::<V>(rows, scratch, keys, tokens, target, at) };
            query += rows;
        }
    }

    /// Scores of `rows` queries against key blocks, scaled and capped, into rows of `stride` numbers.
    ///
    /// # Safety
    /// The processor has what `V` needs.
    #[inline(always)]
    pub(super) unsafe fn scores<V: Vector>(
        &self,
        rows: usize,
        queries: Rows<'_>,
        blocks: std::ops::Range<usize>,
        scratch: &mut [f32],
        stride: usize,
    ) {
        let out = Disjoint::new(scratch);
        let target = Target { out: &out, stride, add: false };
        let mut block = blocks.start;
        while block < blocks.end {
            let count = panels::<V>(rows, blocks.end - block);
            let keys = self.memory.key_panels(block, self.offset);
            let place = (block * BLOCK, count * BLOCK);
            // SAFETY: `scratch` is borrowed mutably; the rest is the caller's promise.
            unsafe { tile::<V>(rows, self.shape.head_dim, queries, keys, target, place) };
            block += count;
        }
        for scores in scratch.chunks_mut(stride).take(rows) {
            for score in &mut scores[blocks.start * BLOCK..blocks.end * BLOCK] {
                *score = finish(self.shape, *score);
            }
        }
    }

    /// The sums of the values of `tokens` by the weights of `rows` rows, from number `at` of the target on.
    ///
    /// # Safety
    /// Nobody else touches these results; the processor has what `V` needs.
    #[inline(always)]
    pub(super) unsafe fn mix<V: Vector>(
        &self,
        rows: usize,
        weights: &[f32],
        stride: usize,
        tokens: std::ops::Range<usize>,
        target: Target<'_>,
        at: usize,
    ) {
        let head_dim = self.shape.head_dim;
        let weights = Rows { numbers: &weights[tokens.start..], row_stride: stride, inner_stride: 1 };
        let mut start = 0;
        while start < head_dim {
            let count = panels::<V>(rows, (head_dim - start).div_ceil(LANES));
            let values = self.memory.value_panels(tokens.start, self.offset + start);
            let place = (at + start, (count * LANES).min(head_dim - start));
            // SAFETY: the caller's promise.
            unsafe { tile::<V>(rows, tokens.len(), weights, values, target, place) };
            start += count * LANES;
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
