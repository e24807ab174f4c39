//! Gradients of attention: the pattern is recomputed tile by tile instead of being kept.
//!
//! With `p` the pattern and `dz` the gradient of `z`, per query tile:
//! `dV += pᵀ dz`, `dp = dz Vᵀ`, `ds = p ∘ (dp − Σ_j p dp) · cap' · scale`, `dQ = ds K`, `dK += dsᵀ Q`.

use super::Shape;
use super::kernel::{finish, normalise};
use crate::ops::layout::Layout;
use crate::ops::matmul::{Matrix, Threads, product};
use crate::ops::parallel::Disjoint;
use crate::ops::simd::{dot, vectorised};
use rayon::prelude::*;

/// Queries per tile.
const TILE: usize = 64;

/// Packed queries, keys and values.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) queries: &'a [f32],
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
}

/// (dQ, dK, dV), packed.
pub(super) fn gradients(
    shape: Shape,
    layout: &Layout,
    inputs: Inputs<'_>,
    dz: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let mut dq = vec![0f32; inputs.queries.len()];
    let mut dk = vec![0f32; inputs.keys.len()];
    let mut dv = vec![0f32; inputs.values.len()];
    let (shared_q, shared_k, shared_v) =
        (Disjoint::new(&mut dq), Disjoint::new(&mut dk), Disjoint::new(&mut dv));
    (0..layout.rows() * shape.key_heads).into_par_iter().for_each(|task| {
        let (row, key_head) = (task / shape.key_heads, task % shape.key_heads);
        let length = layout.lengths()[row];
        let head_dim = shape.head_dim;
        let mut local_k = vec![0f32; length * head_dim];
        let mut local_v = vec![0f32; length * head_dim];
        let mut local_q = vec![0f32; length * head_dim];
        let first = layout.offsets()[row];
        for head in key_head * shape.group()..(key_head + 1) * shape.group() {
            one_head(
                shape,
                Head { inputs, dz, first, length, head, key_head },
                &mut local_q,
                &mut local_k,
                &mut local_v,
            );
            store(&shared_q, &local_q, first, shape.heads, head, head_dim);
        }
        store(&shared_k, &local_k, first, shape.key_heads, key_head, head_dim);
        store(&shared_v, &local_v, first, shape.key_heads, key_head, head_dim);
    });
    (dq, dk, dv)
}

/// Copies one head's [tokens, head_dim] into the packed buffer of all heads.
fn store(to: &Disjoint, from: &[f32], first: usize, heads: usize, head: usize, head_dim: usize) {
    for (token, numbers) in from.chunks_exact(head_dim).enumerate() {
        let at = ((first + token) * heads + head) * head_dim;
        // SAFETY: each (row, head) is written by one task, and the buffer outlives the tasks.
        unsafe { to.part(at, head_dim) }.copy_from_slice(numbers);
    }
}

struct Head<'a> {
    inputs: Inputs<'a>,
    dz: &'a [f32],
    first: usize,
    length: usize,
    head: usize,
    key_head: usize,
}

impl<'a> Head<'a> {
    /// Rows `from..to` of one head of a packed buffer.
    fn view(
        &self,
        data: &'a [f32],
        heads: usize,
        head: usize,
        head_dim: usize,
        from: usize,
        to: usize,
    ) -> Matrix<'a> {
        Matrix {
            data: &data[((self.first + from) * heads + head) * head_dim..],
            rows: to - from,
            columns: head_dim,
            row_stride: heads * head_dim,
            column_stride: 1,
        }
    }
}

fn one_head(shape: Shape, head: Head<'_>, dq: &mut [f32], dk: &mut [f32], dv: &mut [f32]) {
    let head_dim = shape.head_dim;
    let mut from = 0;
    while from < head.length {
        let to = (from + TILE).min(head.length);
        let low = shape.first_key(from);
        let keys = to - low;
        let q = head.view(head.inputs.queries, shape.heads, head.head, head_dim, from, to);
        let dz = head.view(head.dz, shape.heads, head.head, head_dim, from, to);
        let k = head.view(head.inputs.keys, shape.key_heads, head.key_head, head_dim, low, to);
        let v = head.view(head.inputs.values, shape.key_heads, head.key_head, head_dim, low, to);
        let mut pattern = vec![0f32; (to - from) * keys];
        let mut gradient = vec![0f32; (to - from) * keys];
        product(&mut pattern, keys, q, k.transposed(), false, Threads::One);
        product(&mut gradient, keys, dz, v.transposed(), false, Threads::One);
        let mut slopes = vec![shape.scale; keys];
        vectorised(
            #[inline(always)]
            || {
                let rows = pattern.chunks_exact_mut(keys).zip(gradient.chunks_exact_mut(keys));
                for (index, (pattern, gradient)) in rows.enumerate() {
                    let position = from + index;
                    pattern.iter_mut().for_each(|score| *score = finish(shape, *score));
                    if let Some(cap) = shape.soft_cap {
                        for (slope, score) in slopes.iter_mut().zip(&*pattern) {
                            *slope = shape.scale * (1.0 - (score / cap) * (score / cap));
                        }
                    }
                    normalise(pattern, |key| low + key <= position && low + key >= shape.first_key(position));
                    let along = dot(pattern, gradient);
                    for key in 0..keys {
                        gradient[key] = pattern[key] * (gradient[key] - along) * slopes[key];
                    }
                }
            },
        );
        let pattern = Matrix::dense(&pattern, keys);
        let gradient = Matrix::dense(&gradient, keys);
        let part = low * head_dim..to * head_dim;
        product(&mut dv[part.clone()], head_dim, pattern.transposed(), dz, true, Threads::One);
        product(&mut dk[part], head_dim, gradient.transposed(), q, true, Threads::One);
        let part = from * head_dim..to * head_dim;
        product(&mut dq[part], head_dim, gradient, k, false, Threads::One);
        from = to;
    }
}
