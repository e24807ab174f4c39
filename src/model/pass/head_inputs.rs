//! The residual stream once per head: what `hook_attn_in` and `hook_{q,k,v}_input` show.
//!
//! 1. The stream is repeated for every head, and shown.
//! 2. The norm and the projection read each head's copy, as hooks left it and as it was.
//! 3. The difference is added to what the plain pass computed, so that an edit that changes nothing leaves every bit
//!    as it was, and nothing here is computed where nobody edits or asks for a gradient.

use super::{Halt, Pass};
use crate::model::hook_point::{BlockPoint, HookPoint};
use crate::ops::attention::Shape;
use crate::ops::kernels::Kernels;
use crate::ops::linear::Linear;
use crate::ops::norm::Norm;

/// What a projection's heads read: the stream [tokens, heads · d_model] as it was, and as hooks left it.
pub(super) struct HeadInputs<V> {
    heads: usize,
    plain: V,
    shown: V,
}

impl<K: Kernels> Pass<'_, K> {
    /// What the heads of query, key and value read, where a hook changes it or wants its gradient. A point that is
    /// both for all three and for one is shown to the hooks of all three first.
    pub(super) fn head_inputs(
        &mut self,
        layer: usize,
        shape: Shape,
        x: &K::Value,
    ) -> Result<[Option<HeadInputs<K::Value>>; 3], Halt> {
        let d_model = self.config.d_model;
        let at = |point| HookPoint::Block(layer, point);
        let for_all = at(BlockPoint::AttentionIn);
        let shown_to_all = match self.hooks.asks(for_all) {
            true => {
                let copies = self.kernels.repeat_heads(x, shape.heads)?;
                Some(self.hook(for_all, copies, &[shape.heads, d_model])?)
            }
            false => None,
        };
        let points = [
            (BlockPoint::QueryInput, shape.heads),
            (BlockPoint::KeyInput, shape.key_heads),
            (BlockPoint::ValueInput, shape.key_heads),
        ];
        let mut inputs = [None, None, None];
        for ((point, heads), inputs) in points.into_iter().zip(&mut inputs) {
            let point = at(point);
            let acts = self.hooks.acts(point) || self.hooks.acts(for_all);
            if !acts && !self.hooks.asks(point) {
                continue;
            }
            let plain = self.kernels.repeat_heads(x, heads)?;
            // A value of its own: its gradient is what flows through this projection alone.
            let shown = self.kernels.scale(shown_to_all.as_ref().unwrap_or(&plain).clone(), 1.0)?;
            let shown = self.hook(point, shown, &[heads, d_model])?;
            *inputs = acts.then_some(HeadInputs { heads, plain, shown });
        }
        Ok(inputs)
    }

    /// Adds to `projected` what the hooks' change of its heads' inputs makes of it.
    pub(super) fn read_by_heads(
        &self,
        norm: Option<&Norm>,
        linear: &Linear,
        projected: K::Value,
        inputs: Option<HeadInputs<K::Value>>,
    ) -> Result<K::Value, Halt> {
        let Some(HeadInputs { heads, plain, shown }) = inputs else { return Ok(projected) };
        let project = |x: K::Value| match norm {
            Some(norm) => self.kernels.project_heads(linear, &self.kernels.norm(norm, &x)?, heads),
            None => self.kernels.project_heads(linear, &x, heads),
        };
        let taken_out = self.kernels.scale(project(plain)?, -1.0)?;
        let change = self.kernels.add(taken_out, &project(shown)?)?;
        Ok(self.kernels.add(projected, &change)?)
    }
}
