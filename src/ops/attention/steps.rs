//! Scores, pattern and mixing one by one, for hooks between them. Buffers are [rows, heads, width, keys],
//! where `keys` is the longest row's; what no token reaches is −∞ in scores and 0 in the pattern.

use super::kernel::{Head, QUERIES, normalise};
use super::memory::BLOCK;
use super::{Memory, Shape};
use crate::ops::layout::Layout;
use crate::ops::matmul::kernel::{Rows, Target, height};
use crate::ops::parallel::Disjoint;
use crate::ops::simd::{Portable, Vector, Wide, dot, vectorised};
use crate::ops::tape::{Tape, Value};
use rayon::prelude::*;
use std::sync::Arc;

/// The longest row, in keys.
pub(crate) fn keys(layout: &Layout) -> usize {
    layout.starts().iter().zip(layout.lengths()).map(|(start, length)| start + length).max().unwrap_or(0)
}

/// Calls `work(query, slice)` for every real query's row of keys.
fn each_query(
    shape: Shape,
    layout: &Layout,
    buffer: &mut [f32],
    work: impl Fn(Query, &mut [f32]) + Send + Sync,
) {
    let keys = keys(layout);
    if keys == 0 {
        return;
    }
    buffer.par_chunks_mut(keys).enumerate().for_each(|(index, slice)| {
        let (outer, query) = (index / layout.width(), index % layout.width());
        let (row, head) = (outer / shape.heads, outer % shape.heads);
        if query < layout.lengths()[row] {
            work(Query { row, head, token: layout.offsets()[row] + query }, slice);
        }
    });
}

/// One query of one head.
#[derive(Clone, Copy)]
struct Query {
    row: usize,
    head: usize,
    /// Packed index.
    token: usize,
}

impl Query {
    /// Where this query's numbers start in a packed buffer of all heads.
    fn at(self, shape: Shape) -> usize {
        (self.token * shape.heads + self.head) * shape.head_dim
    }

    /// Where its key head starts within a token.
    fn key_offset(self, shape: Shape) -> usize {
        self.head / shape.group() * shape.head_dim
    }
}

/// What is done for all queries of one head in one row, tile by tile.
trait ByHead {
    /// # Safety
    /// Nobody else touches these results; the processor has what `V` needs.
    unsafe fn run<V: Vector>(self, head: Head<'_>);
}

/// Runs `work` on query head `head` of one row's memory.
fn with_head(shape: Shape, head: usize, memory: &Memory, work: impl ByHead) {
    let head = Head { shape, memory, offset: head / shape.group() * shape.head_dim };
    vectorised(
        #[inline(always)]
        || {
            // SAFETY: every task writes one head of one row; `Wide` is used where the processor has it.
            unsafe { if Wide::here() { work.run::<Wide>(head) } else { work.run::<Portable>(head) } }
        },
    );
}

/// (first, count) of the tiles of `length` queries.
fn tiles<V: Vector>(length: usize) -> impl Iterator<Item = (usize, usize)> {
    let next = move |first: usize| {
        let left = length - first;
        (left > 0).then(|| (first, height::<V>(left.min(QUERIES))))
    };
    std::iter::successors(next(0), move |(first, count)| next(first + count))
}

/// The scores of one head in one row, into `out` [width, keys].
struct Scores<'a> {
    layout: &'a Layout,
    row: usize,
    head: usize,
    queries: &'a [f32],
    out: &'a mut [f32],
}

impl ByHead for Scores<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self, head: Head<'_>) {
        let (shape, layout) = (head.shape, self.layout);
        let (start, length) = (layout.starts()[self.row], layout.lengths()[self.row]);
        let width = shape.heads * shape.head_dim;
        let (stride, total) = ((start + length).next_multiple_of(BLOCK), keys(layout));
        let mut scratch = vec![0f32; QUERIES * stride];
        for (query, count) in tiles::<V>(length) {
            let at = (layout.offsets()[self.row] + query) * width + self.head * shape.head_dim;
            let tile = Rows { numbers: &self.queries[at..], row_stride: width, inner_stride: 1 };
            let first = start + query;
            let blocks = shape.first_key(first) / BLOCK..(first + count - 1) / BLOCK + 1;
            // SAFETY: the caller's promise.
            unsafe { head.scores::<V>(count, tile, blocks, &mut scratch, stride) };
            let rows = self.out.chunks_exact_mut(total).skip(query).zip(scratch.chunks_exact(stride));
            for (index, (out, scores)) in rows.take(count).enumerate() {
                let seen = shape.first_key(first + index)..first + index + 1;
                out[seen.clone()].copy_from_slice(&scores[seen]);
            }
        }
    }
}

/// The values of one head in one row, mixed by its `pattern` [width, keys].
struct Mixed<'a> {
    layout: &'a Layout,
    row: usize,
    head: usize,
    pattern: &'a [f32],
    z: &'a Disjoint,
}

impl ByHead for Mixed<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self, head: Head<'_>) {
        let (keys, width) = (keys(self.layout), head.shape.heads * head.shape.head_dim);
        let target = Target { out: self.z, stride: width, add: false };
        for (query, count) in tiles::<V>(self.layout.lengths()[self.row]) {
            let at = (self.layout.offsets()[self.row] + query) * width + self.head * head.shape.head_dim;
            let weights = &self.pattern[query * keys..];
            // SAFETY: the caller's promise.
            unsafe { head.mix::<V>(count, weights, keys, 0..head.memory.tokens(), target, at) };
        }
    }
}

/// Step 1: scores, masked with −∞.
pub(crate) fn scores(
    tape: &Tape,
    shape: Shape,
    layout: &Layout,
    queries: &Value,
    keys_value: &Value,
    memory: &[Memory],
) -> Value {
    let total = keys(layout);
    let mut out = vec![f32::NEG_INFINITY; layout.rows() * shape.heads * layout.width() * total];
    let each = layout.width() * total;
    out.par_chunks_mut(each.max(1)).enumerate().for_each(|(index, out)| {
        let (row, head) = (index / shape.heads, index % shape.heads);
        with_head(shape, head, &memory[row], Scores { layout, row, head, queries: queries.data(), out });
    });
    let out = tape.value(out, keys(layout));
    if let (Some(to_q), Some(to_k), Some(from)) = (queries.slot(), keys_value.slot(), out.slot()) {
        let (queries, keys_data, scores) = (queries.share(), keys_value.share(), out.share());
        let layout = layout.clone();
        tape.push(move |slots| {
            let Some(mut gradient) = slots.take(from) else { return Ok(()) };
            for (gradient, score) in gradient.iter_mut().zip(scores.iter()) {
                let slope = match shape.soft_cap {
                    _ if *score == f32::NEG_INFINITY => 0.0,
                    Some(cap) => 1.0 - (score / cap) * (score / cap),
                    None => 1.0,
                };
                *gradient = if slope == 0.0 { 0.0 } else { *gradient * slope * shape.scale };
            }
            let mut dq = vec![0f32; queries.len()];
            let mut dk = vec![0f32; keys_data.len()];
            let width = shape.key_heads * shape.head_dim;
            backward_pairs(shape, &layout, &gradient, |query, token, weight| {
                let at = token * width + query.key_offset(shape);
                for index in 0..shape.head_dim {
                    dq[query.at(shape) + index] += weight * keys_data[at + index];
                    dk[at + index] += weight * queries[query.at(shape) + index];
                }
            });
            slots.add(to_q, dq);
            slots.add(to_k, dk);
            Ok(())
        });
    }
    out
}

/// Step 2: softmax of every row of keys.
pub(crate) fn softmax(tape: &Tape, scores: &Value) -> Value {
    let keys = scores.width();
    let mut pattern = scores.data().to_vec();
    pattern.par_chunks_mut(keys.max(1)).for_each(|row| {
        vectorised(
            #[inline(always)]
            || normalise(row, |_| true),
        );
    });
    let pattern = tape.value(pattern, keys);
    if let (Some(to), Some(from)) = (scores.slot(), pattern.slot()) {
        let saved: Arc<Vec<f32>> = pattern.share();
        tape.push(move |slots| {
            let Some(mut gradient) = slots.take(from) else { return Ok(()) };
            for (gradient, pattern) in gradient.chunks_mut(keys.max(1)).zip(saved.chunks(keys.max(1))) {
                let along = dot(gradient, pattern);
                for (gradient, pattern) in gradient.iter_mut().zip(pattern) {
                    *gradient = pattern * (*gradient - along);
                }
            }
            slots.add(to, gradient);
            Ok(())
        });
    }
    pattern
}

/// Step 3: `z` [tokens, heads · head_dim] from a pattern.
pub(crate) fn mix(
    tape: &Tape,
    shape: Shape,
    layout: &Layout,
    pattern: &Value,
    values: &Value,
    memory: &[Memory],
) -> Value {
    let width = shape.heads * shape.head_dim;
    let keys = keys(layout);
    let mut z = vec![0f32; layout.tokens() * width];
    let shared = Disjoint::new(&mut z);
    (0..layout.rows() * shape.heads).into_par_iter().for_each(|index| {
        let (row, head) = (index / shape.heads, index % shape.heads);
        let pattern = &pattern.data()[index * layout.width() * keys..][..layout.width() * keys];
        with_head(shape, head, &memory[row], Mixed { layout, row, head, pattern, z: &shared });
    });
    let z = tape.value(z, width);
    if let (Some(to_pattern), Some(to_v), Some(from)) = (pattern.slot(), values.slot(), z.slot()) {
        let (pattern, values, layout) = (pattern.share(), values.share(), layout.clone());
        tape.push(move |slots| {
            let Some(gradient) = slots.take(from) else { return Ok(()) };
            let width = shape.key_heads * shape.head_dim;
            let mut to_weights = vec![0f32; pattern.len()];
            each_query(shape, &layout, &mut to_weights, |query, slice| {
                let gradient = &gradient[query.at(shape)..][..shape.head_dim];
                let seen = layout.starts()[query.row] + layout.lengths()[query.row];
                for (key, slice) in slice.iter_mut().enumerate().take(seen) {
                    let at = layout.packed(query.row, key) * width + query.key_offset(shape);
                    *slice = dot(gradient, &values[at..at + shape.head_dim]);
                }
            });
            let mut dv = vec![0f32; values.len()];
            backward_pairs(shape, &layout, &pattern, |query, token, weight| {
                let at = token * width + query.key_offset(shape);
                for index in 0..shape.head_dim {
                    dv[at + index] += weight * gradient[query.at(shape) + index];
                }
            });
            slots.add(to_pattern, to_weights);
            slots.add(to_v, dv);
            Ok(())
        });
    }
    z
}

/// Calls `work(query, packed key token, weight)` for every pair whose weight is not zero. All keys are those of this
/// pass: one with a cache is never run backward.
fn backward_pairs(shape: Shape, layout: &Layout, weights: &[f32], mut work: impl FnMut(Query, usize, f32)) {
    let keys = keys(layout);
    for (row, offsets) in layout.offsets().windows(2).enumerate() {
        let start = layout.starts()[row];
        for head in 0..shape.heads {
            for local in 0..offsets[1] - offsets[0] {
                let query = Query { row, head, token: offsets[0] + local };
                let at = ((row * shape.heads + head) * layout.width() + local) * keys;
                let seen = start + offsets[1] - offsets[0];
                for (key, weight) in weights[at..at + seen].iter().enumerate() {
                    if *weight != 0.0 {
                        work(query, layout.packed(row, key), *weight);
                    }
                }
            }
        }
    }
}
