//! Causal attention over rows of different lengths, with or without a cache.
//!
//! For query i at absolute position p, over keys j with `p − window < j ≤ p`:
//!
//! 1. `s_ij = scale · q_i·k_j`, and where there is a soft cap, `cap · tanh(s_ij / cap)`;
//! 2. `p_ij = exp(s_ij − max) / Σ exp(s_ij − max)` over the whole row;
//! 3. `z_i = Σ_j p_ij v_j`.
//!
//! [`forward`] does this tile by tile ([`kernel`]); hooks on scores or pattern use the same three steps one
//! by one ([`steps`]), with the same bits. Backward recomputes the pattern ([`backward`]).
//!
//! Keys lie in blocks of 16, transposed, so that a score is one running sum per key: the bits of a row do
//! not depend on the tile it is computed in. A cache holds its keys in the same form.

mod backward;
mod kernel;
mod memory;
mod steps;

pub(crate) use memory::{DeviceMemory, LayerMemory, Memory};
pub(crate) use steps::{keys, mix, scores, softmax};

use super::layout::Layout;
use super::parallel::Disjoint;
use super::tape::{Tape, Value};
use rayon::prelude::*;

/// What distinguishes one attention layer from another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    /// Query heads.
    pub(crate) heads: usize,
    /// Key and value heads; each serves `heads / key_heads` query heads.
    pub(crate) key_heads: usize,
    /// Numbers per head.
    pub(crate) head_dim: usize,
    /// The factor on scores.
    pub(crate) scale: f32,
    /// Scores are squashed into ± this.
    pub(crate) soft_cap: Option<f32>,
    /// A query sees this many keys at most, itself included.
    pub(crate) window: Option<usize>,
}

impl Shape {
    /// Query heads per key head.
    pub(crate) fn group(&self) -> usize {
        self.heads / self.key_heads
    }

    /// The first key that the query at `position` sees.
    pub(crate) fn first_key(&self, position: usize) -> usize {
        self.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }
}

/// Attention of the new tokens' `queries` over `memory`, which holds the keys and values of all tokens of
/// each row, the new ones included. Returns `z` [tokens, heads · head_dim].
pub(crate) fn forward(
    tape: &Tape,
    shape: Shape,
    layout: &Layout,
    queries: &Value,
    keys: &Value,
    values: &Value,
    memory: &[Memory],
) -> Value {
    let width = shape.heads * shape.head_dim;
    let mut z = vec![0f32; layout.tokens() * width];
    let shared = Disjoint::new(&mut z);
    let run = |task: usize| {
        let (row, key_head) = (task / shape.key_heads, task % shape.key_heads);
        kernel::attend(shape, layout, row, key_head, queries.data(), &memory[row], &shared);
    };
    let tasks = layout.rows() * shape.key_heads;
    (0..tasks).into_par_iter().for_each(run);
    let z = tape.value(z, width);
    if let (Some(to_q), Some(to_k), Some(to_v), Some(from)) =
        (queries.slot(), keys.slot(), values.slot(), z.slot())
    {
        let (queries, keys, values) = (queries.share(), keys.share(), values.share());
        let layout: Layout = layout.clone();
        tape.push(move |slots| {
            let Some(gradient) = slots.take(from) else { return Ok(()) };
            let inputs = backward::Inputs { queries: &queries, keys: &keys, values: &values };
            let (dq, dk, dv) = backward::gradients(shape, &layout, inputs, &gradient);
            slots.add(to_q, dq);
            slots.add(to_k, dk);
            slots.add(to_v, dv);
            Ok(())
        });
    }
    z
}

/// Appends the new tokens' keys and values to the memory of every row, those of its trunk first.
pub(crate) fn remember(layout: &Layout, memory: &mut [Memory], keys: &Value, values: &Value) {
    let width = keys.width();
    memory.par_iter_mut().enumerate().for_each(|(row, memory)| {
        for part in layout.trunk(row).into_iter().chain([row]) {
            let range = layout.offsets()[part] * width..layout.offsets()[part + 1] * width;
            memory.append(&keys.data()[range.clone()], &values.data()[range]);
        }
    });
}
