//! Scores, pattern and mixing one by one, for hooks between them. Buffers are [rows, heads, width, keys],
//! where `keys` is the longest row's; what no token reaches is −∞ in scores and 0 in the pattern.

use super::kernel::{Head, normalise};
use super::memory::BLOCK;
use super::{Memory, Shape};
use crate::ops::layout::Layout;
use crate::ops::matmul::kernel::{Rows, Target};
use crate::ops::parallel::Disjoint;
use crate::ops::simd::{Portable, Vector, Wide, dot, vectorised};
use crate::ops::tape::{Tape, Value};
use rayon::prelude::*;
use std::sync::Arc;

/// The longest row, in keys.
pub(crate) fn keys(layout: &Layout) -> usize {
    layout.starts().iter().zip(layout.lengths()).map(|(start, length)| start + length).max().unwrap_or(0)
}

/// Calls `work(row, head, index, packed query, position, slice)` for every real query's row of keys.
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
            let position = layout.starts()[row] + query;
            let token = layout.offsets()[row] + query;
            work(Query { row, head, token, position }, slice);
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
    /// Absolute position.
    position: usize,
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

/// Step 1: scores, masked with −∞.
pub(crate) fn scores(
    tape: &Tape,
    shape: Shape,
    layout: &Layout,
    queries: &Value,
    keys_value: &Value,
    memory: &[Memory],
) -> Value {
    let mut out = vec![f32::NEG_INFINITY; layout.rows() * shape.heads * layout.width() * keys(layout)];
    each_query(shape, layout, &mut out, |query, slice| {
        let numbers = &queries.data()[query.at(shape)..][..shape.head_dim];
        let head = Head { shape, memory: &memory[query.row], offset: query.key_offset(shape) };
        let seen = shape.first_key(query.position)..query.position + 1;
        let blocks = seen.start / BLOCK..seen.end.div_ceil(BLOCK);
        let stride = blocks.end * BLOCK;
        let mut scratch = vec![0f32; stride];
        let numbers = Rows { numbers, row_stride: 0, inner_stride: 1 };
        vectorised(
            #[inline(always)]
            || {
                // SAFETY: `Wide` is used where the processor has it.
                unsafe {
                    if Wide::here() {
                        head.scores::<Wide>(1, numbers, blocks, &mut scratch, stride);
                    } else {
                        head.scores::<Portable>(1, numbers, blocks, &mut scratch, stride);
                    }
                }
            },
        );
        slice[seen.clone()].copy_from_slice(&scratch[seen]);
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
    let at = |query: Query| ((query.row * shape.heads + query.head) * layout.width()) * keys;
    for (row, offsets) in layout.offsets().windows(2).enumerate() {
        z[offsets[0] * width..offsets[1] * width].par_chunks_mut(shape.head_dim).enumerate().for_each(
            |(index, out)| {
                let (local, head) = (index / shape.heads, index % shape.heads);
                let position = layout.starts()[row] + local;
                let query = Query { row, head, token: offsets[0] + local, position };
                let weights = &pattern.data()[at(query) + local * keys..][..keys];
                let head = Head { shape, memory: &memory[row], offset: query.key_offset(shape) };
                let out = Disjoint::new(out);
                vectorised(
                    #[inline(always)]
                    || {
                        let target = Target { out: &out, stride: 0, add: false };
                        let tokens = 0..memory[row].tokens();
                        // SAFETY: this query's own part of `z`; `Wide` is used where the processor has it.
                        unsafe {
                            if Wide::here() {
                                head.mix::<Wide>(1, weights, 0, tokens, target, 0);
                            } else {
                                head.mix::<Portable>(1, weights, 0, tokens, target, 0);
                            }
                        }
                    },
                );
            },
        );
    }
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
                let query = Query { row, head, token: offsets[0] + local, position: start + local };
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
