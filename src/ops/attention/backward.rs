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
pub(super) fn gradients<'a>(
    shape: Shape,
    layout: &Layout,
    inputs: Inputs<'a>,
    dz: &'a [f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let mut dq = vec![0f32; inputs.queries.len()];
    let mut dk = vec![0f32; inputs.keys.len()];
    let mut dv = vec![0f32; inputs.values.len()];
    let (shared_q, shared_k, shared_v) =
        (Disjoint::new(&mut dq), Disjoint::new(&mut dk), Disjoint::new(&mut dv));
    let families = layout.families();
    let (heads, key_heads, head_dim) = (shape.heads, shape.key_heads, shape.head_dim);
    (0..families.len() * key_heads).into_par_iter().for_each(|task| {
        let (family, key_head) = (families[task / key_heads].clone(), task % key_heads);
        let trunk = layout.offsets()[family.start];
        let common = layout.lengths()[family.start] * head_dim;
        // What the keys and values of the trunk got so far: every branch adds to it.
        let (mut trunk_k, mut trunk_v) = (Vec::new(), Vec::new());
        for row in family {
            let (start, length, first) = (layout.starts()[row], layout.lengths()[row], layout.offsets()[row]);
            let keys = &seen(shape, layout, row, key_head, inputs.keys);
            let values = &seen(shape, layout, row, key_head, inputs.values);
            trunk_k.resize(keys.len(), 0f32);
            trunk_v.resize(values.len(), 0f32);
            let mut local_q = vec![0f32; length * head_dim];
            for head in key_head * shape.group()..(key_head + 1) * shape.group() {
                let view = |data: &'a [f32]| Matrix {
                    // A last row without tokens begins where the numbers end.
                    data: data.get((first * heads + head) * head_dim..).unwrap_or_default(),
                    rows: length,
                    columns: head_dim,
                    row_stride: heads * head_dim,
                    column_stride: 1,
                };
                let one = Head { queries: view(inputs.queries), dz: view(dz), keys, values, start };
                one_head(shape, one, &mut local_q, &mut trunk_k, &mut trunk_v);
                store(&shared_q, &local_q, first, heads, head, head_dim);
            }
            let own = start * head_dim;
            store(&shared_k, &trunk_k[own..], first, key_heads, key_head, head_dim);
            store(&shared_v, &trunk_v[own..], first, key_heads, key_head, head_dim);
            trunk_k.truncate(common);
            trunk_v.truncate(common);
        }
        store(&shared_k, &trunk_k, trunk, key_heads, key_head, head_dim);
        store(&shared_v, &trunk_v, trunk, key_heads, key_head, head_dim);
    });
    (dq, dk, dv)
}

/// One key head of all tokens that a row sees, those of its trunk first: [tokens, head_dim].
fn seen(shape: Shape, layout: &Layout, row: usize, key_head: usize, data: &[f32]) -> Vec<f32> {
    let tokens = layout.starts()[row] + layout.lengths()[row];
    let mut all = Vec::with_capacity(tokens * shape.head_dim);
    for position in 0..tokens {
        let at = (layout.packed(row, position) * shape.key_heads + key_head) * shape.head_dim;
        all.extend_from_slice(&data[at..at + shape.head_dim]);
    }
    all
}

/// Copies one head's [tokens, head_dim] into the packed buffer of all heads.
fn store(to: &Disjoint, from: &[f32], first: usize, heads: usize, head: usize, head_dim: usize) {
    for (token, numbers) in from.chunks_exact(head_dim).enumerate() {
        let at = ((first + token) * heads + head) * head_dim;
        // SAFETY: each (row, head) is written by one task, and the buffer outlives the tasks.
        unsafe { to.part(at, head_dim) }.copy_from_slice(numbers);
    }
}

/// One query head of one row.
struct Head<'a> {
    /// [tokens, head_dim], as are their gradients `dz`.
    queries: Matrix<'a>,
    dz: Matrix<'a>,
    /// Of all tokens that the row sees, dense.
    keys: &'a [f32],
    values: &'a [f32],
    /// The position of the first query.
    start: usize,
}

fn one_head(shape: Shape, head: Head<'_>, dq: &mut [f32], dk: &mut [f32], dv: &mut [f32]) {
    let head_dim = shape.head_dim;
    let mut from = 0;
    while from < head.queries.rows {
        let to = (from + TILE).min(head.queries.rows);
        let low = shape.first_key(head.start + from);
        let end = head.start + to;
        let keys = end - low;
        let [q, dz] = [head.queries, head.dz].map(|all| Matrix {
            data: &all.data[from * all.row_stride..],
            rows: to - from,
            ..all
        });
        let [k, v] =
            [head.keys, head.values].map(|all| Matrix::dense(&all[low * head_dim..end * head_dim], head_dim));
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
                    let position = head.start + from + index;
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
        let part = low * head_dim..end * head_dim;
        product(&mut dv[part.clone()], head_dim, pattern.transposed(), dz, true, Threads::One);
        product(&mut dk[part], head_dim, gradient.transposed(), q, true, Threads::One);
        let part = from * head_dim..to * head_dim;
        product(&mut dq[part], head_dim, gradient, k, false, Threads::One);
        from = to;
    }
}
