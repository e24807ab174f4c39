//! The one forward pass, in the order in which it is computed:
//!
//! 1. embed tokens (and positions, where they are learned);
//! 2. per block: norm, query/key/value, query and key norm, rotation, attention, output, add; norm, MLP,
//!    add (or both from one stream, for a parallel residual);
//! 3. the final norm.
//!
//! Every hook point is passed through [`Pass::hook`], which does nothing where no hook waits.

use super::build::{Block, Decoder};
use super::cache::KvCache;
use super::config::{Config, Residual};
use super::hook_point::{BlockPoint, HookPoint};
use super::hooks::{Hooks, Site};
use crate::error::{Error, Result};
use crate::ops::attention::{self, Shape};
use crate::ops::kernels::{Attended, Kernels};
use crate::ops::layout::{Frame, Layout};
use crate::ops::norm::Norm;
use crate::ops::rope::Rotation;
use crate::ops::{NormKind, Parameter};
use candle_core::Tensor;
use std::sync::PoisonError;

/// Why a pass ended before its end.
pub(super) enum Halt {
    /// A hook asked for it.
    Stopped,
    /// It failed.
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Where the norms around a sublayer are shown.
struct NormPoints {
    scale: BlockPoint,
    normalized: BlockPoint,
    post_normalized: BlockPoint,
}

const AROUND_ATTENTION: NormPoints = NormPoints {
    scale: BlockPoint::Norm1Scale,
    normalized: BlockPoint::Norm1Normalized,
    post_normalized: BlockPoint::Norm1PostNormalized,
};

const AROUND_MLP: NormPoints = NormPoints {
    scale: BlockPoint::Norm2Scale,
    normalized: BlockPoint::Norm2Normalized,
    post_normalized: BlockPoint::Norm2PostNormalized,
};

/// One forward pass in progress, on one set of kernels.
pub(super) struct Pass<'a, K> {
    pub(super) config: &'a Config,
    pub(super) decoder: &'a Decoder,
    pub(super) rotations: &'a [Option<Rotation>],
    pub(super) kernels: K,
    pub(super) layout: Layout,
    pub(super) hooks: &'a mut Hooks,
    pub(super) cache: Option<&'a mut KvCache>,
}

impl<K: Kernels> Pass<'_, K> {
    /// Runs the pass over packed token ids; the hidden states after the final norm.
    pub(super) fn run(&mut self, ids: Vec<usize>) -> Result<Tensor, Halt> {
        let decoder = self.decoder;
        let (first, mut x) = match self.hooks.start() {
            Some((layer, residual)) => (layer, self.begin(layer, &residual)?),
            None => (0, self.embed(ids)?),
        };
        for (layer, block) in decoder.blocks.iter().enumerate().skip(first) {
            x = self.block(layer, block, x)?;
        }
        self.scale_hook(HookPoint::FinalScale, &decoder.final_norm, &x)?;
        let hidden = self.norm(&decoder.final_norm, &x, HookPoint::FinalNormalized)?;
        Ok(self.kernels.export(&hidden, &self.frame(&[self.config.d_model]))?)
    }

    /// Takes in the residual stream that the caller brings.
    fn begin(&mut self, layer: usize, residual: &Tensor) -> Result<K::Value, Halt> {
        let expected = [self.layout.rows(), self.layout.width(), self.config.d_model];
        if layer > self.config.layers() || residual.dims() != expected {
            return Err(Halt::Failed(Error::request(format!(
                "start at block {layer}: expected a block from 0 to {} and a residual stream {expected:?}, \
                 found {:?}",
                self.config.layers(),
                residual.dims()
            ))));
        }
        let frame = self.frame(&[self.config.d_model]);
        Ok(self.kernels.import(residual, &frame)?)
    }

    fn embed(&mut self, ids: Vec<usize>) -> Result<K::Value, Halt> {
        let width = [self.config.d_model];
        let mut x = self.kernels.lookup(&self.decoder.embedding, ids)?;
        if self.config.embedding_scale != 1.0 {
            x = self.kernels.scale(x, self.config.embedding_scale)?;
        }
        x = self.hook(HookPoint::Embed, x, &width)?;
        if let Some(table) = &self.decoder.positions {
            let added = self.embed_positions(table)?;
            x = self.kernels.add(x, &added)?;
        }
        Ok(x)
    }

    fn embed_positions(&mut self, table: &Parameter) -> Result<K::Value, Halt> {
        let added = self.kernels.lookup(table, self.layout.positions())?;
        self.hook(HookPoint::PositionEmbed, added, &[self.config.d_model])
    }

    fn block(&mut self, layer: usize, block: &Block, x: K::Value) -> Result<K::Value, Halt> {
        let width = [self.config.d_model];
        let at = |point| HookPoint::Block(layer, point);
        let x = self.hook(at(BlockPoint::ResidPre), x, &width)?;
        let attended = self.attention(layer, block, &x)?;
        let out = match self.config.residual {
            Residual::Sequential => {
                let mid = self.kernels.add(x, &attended)?;
                let mid = self.hook(at(BlockPoint::ResidMid), mid, &width)?;
                let transformed = self.mlp(layer, block, &mid)?;
                self.kernels.add(mid, &transformed)?
            }
            Residual::Parallel => {
                let transformed = self.mlp(layer, block, &x)?;
                let both = self.kernels.add(attended, &transformed)?;
                self.kernels.add(x, &both)?
            }
        };
        self.hook(at(BlockPoint::ResidPost), out, &width)
    }

    fn attention(&mut self, layer: usize, block: &Block, x: &K::Value) -> Result<K::Value, Halt> {
        let shape = block.shape;
        let at = |point| HookPoint::Block(layer, point);
        let input = match &block.attention_norm {
            Some(norm) => self.shown_norm(layer, norm, x, &AROUND_ATTENTION)?,
            None => x.clone(),
        };
        let (heads, key_heads) = ([shape.heads, shape.head_dim], [shape.key_heads, shape.head_dim]);
        let query = self.kernels.linear(&block.query, &input)?;
        let query = self.hook(at(BlockPoint::Query), query, &heads)?;
        let key = self.kernels.linear(&block.key, &input)?;
        let key = self.hook(at(BlockPoint::Key), key, &key_heads)?;
        let value = self.kernels.linear(&block.value, &input)?;
        drop(input);
        let value = self.hook(at(BlockPoint::Value), value, &key_heads)?;
        let query = self.position(layer, block.query_norm.as_ref(), query, shape.head_dim)?;
        let query = self.hook(at(BlockPoint::RotatedQuery), query, &heads)?;
        let key = self.position(layer, block.key_norm.as_ref(), key, shape.head_dim)?;
        let key = self.hook(at(BlockPoint::RotatedKey), key, &key_heads)?;
        let mixed = self.mix(layer, shape, &query, &key, &value)?;
        let mixed = self.hook(at(BlockPoint::Mixed), mixed, &heads)?;
        let out = self.kernels.linear(&block.output, &mixed)?;
        let out = self.head_results(layer, block, &mixed, out)?;
        let norms = (block.attention_norm.as_ref(), block.attention_post_norm.as_ref());
        let out = self.after(layer, norms, out, &AROUND_ATTENTION)?;
        self.hook(at(BlockPoint::AttentionOut), out, &[self.config.d_model])
    }

    /// Shows what each head adds to `out`, where somebody looks. An edit's difference is added to `out`, so that one
    /// that changes nothing leaves every bit as it was.
    fn head_results(
        &mut self,
        layer: usize,
        block: &Block,
        mixed: &K::Value,
        out: K::Value,
    ) -> Result<K::Value, Halt> {
        let point = HookPoint::Block(layer, BlockPoint::Result);
        if !self.hooks.wants(point) && !self.hooks.stops_after(point) {
            return Ok(out);
        }
        let heads = block.shape.heads;
        let result = self.kernels.head_results(&block.output, mixed, heads)?;
        // Before the hook: going back, the gradient shown there is then that of the edited results alone.
        let taken_out = self.kernels.scale(result.clone(), -1.0)?;
        let shown = self.hook(point, result, &[heads, self.config.d_model])?;
        let change = self.kernels.add(taken_out, &shown)?;
        let change = self.kernels.sum_heads(&change, heads)?;
        Ok(self.kernels.add(out, &change)?)
    }

    /// Query or key norm, then rotation.
    fn position(
        &mut self,
        layer: usize,
        norm: Option<&Norm>,
        value: K::Value,
        head_dim: usize,
    ) -> Result<K::Value, Halt> {
        let value = match norm {
            Some(norm) => self.kernels.norm(norm, &value)?,
            None => value,
        };
        Ok(match self.rotations.get(layer).and_then(Option::as_ref) {
            Some(rotation) => self.kernels.rotate(rotation, value, head_dim)?,
            None => value,
        })
    }

    /// Attention over the cache, or over this pass's own keys and values.
    fn mix(
        &mut self,
        layer: usize,
        shape: Shape,
        queries: &K::Value,
        keys: &K::Value,
        values: &K::Value,
    ) -> Result<K::Value, Halt> {
        // The cache is taken out for the time of the call, so that hooks can be called meanwhile.
        let held = self.cache.as_mut().and_then(|cache| cache.layers.get_mut(layer)).map(std::mem::take);
        let mut memory = held.unwrap_or_else(|| self.kernels.memory(shape.key_heads * shape.head_dim));
        let mixed = match self.kernels.remember(&mut memory, keys, values) {
            Ok(()) => self.attend(layer, shape, Attended { queries, keys, values, memory: &memory }),
            Err(error) => Err(Halt::Failed(error)),
        };
        if let Some(slot) = self.cache.as_mut().and_then(|cache| cache.layers.get_mut(layer)) {
            *slot = memory;
        }
        mixed
    }

    fn attend(&mut self, layer: usize, shape: Shape, now: Attended<'_, K::Value>) -> Result<K::Value, Halt> {
        let [scores_at, pattern_at] =
            [BlockPoint::Scores, BlockPoint::Pattern].map(|point| HookPoint::Block(layer, point));
        let stops = self.hooks.stops_after(scores_at) || self.hooks.stops_after(pattern_at);
        if !stops && !self.hooks.wants(scores_at) && !self.hooks.wants(pattern_at) {
            return Ok(self.kernels.attend(shape, now)?);
        }
        let keys = attention::keys(&self.layout);
        let frame = Frame::Dense(vec![self.layout.rows(), shape.heads, self.layout.width(), keys]);
        let scores = self.kernels.scores(shape, now)?;
        let scores = self.hook_in(scores_at, scores, &frame)?;
        let pattern = self.kernels.softmax(&scores)?;
        let pattern = self.hook_in(pattern_at, pattern, &frame)?;
        Ok(self.kernels.mix(shape, &pattern, now)?)
    }

    fn mlp(&mut self, layer: usize, block: &Block, x: &K::Value) -> Result<K::Value, Halt> {
        let at = |point| HookPoint::Block(layer, point);
        let input = match &block.mlp_norm {
            Some(norm) => self.shown_norm(layer, norm, x, &AROUND_MLP)?,
            None => x.clone(),
        };
        let width = [self.config.d_mlp];
        let (pre, linear) = match &block.gate {
            Some(gate) => {
                let pre = self.kernels.linear(gate, &input)?;
                let pre = self.hook(at(BlockPoint::MlpPre), pre, &width)?;
                let linear = self.kernels.linear(&block.up, &input)?;
                (pre, Some(self.hook(at(BlockPoint::MlpPreLinear), linear, &width)?))
            }
            None => {
                let pre = self.kernels.linear(&block.up, &input)?;
                (self.hook(at(BlockPoint::MlpPre), pre, &width)?, None)
            }
        };
        drop(input);
        let post = self.kernels.activate(self.config.activation, &pre, linear.as_ref())?;
        let post = self.hook(at(BlockPoint::MlpPost), post, &width)?;
        let out = self.kernels.linear(&block.down, &post)?;
        let norms = (block.mlp_norm.as_ref(), block.mlp_post_norm.as_ref());
        let out = self.after(layer, norms, out, &AROUND_MLP)?;
        self.hook(at(BlockPoint::MlpOut), out, &[self.config.d_model])
    }

    /// The norm of a sublayer's output, where there is one. In a block that has no norm before the sublayer it is
    /// shown as that one (OLMo 2).
    fn after(
        &mut self,
        layer: usize,
        (before, after): (Option<&Norm>, Option<&Norm>),
        out: K::Value,
        points: &NormPoints,
    ) -> Result<K::Value, Halt> {
        match (before, after) {
            (_, None) => Ok(out),
            (None, Some(norm)) => self.shown_norm(layer, norm, &out, points),
            (Some(_), Some(norm)) => self.norm(norm, &out, HookPoint::Block(layer, points.post_normalized)),
        }
    }

    /// A norm of the residual stream with both of its hooks.
    fn shown_norm(
        &mut self,
        layer: usize,
        norm: &Norm,
        x: &K::Value,
        points: &NormPoints,
    ) -> Result<K::Value, Halt> {
        self.scale_hook(HookPoint::Block(layer, points.scale), norm, x)?;
        self.norm(norm, x, HookPoint::Block(layer, points.normalized))
    }

    /// A norm with its hook: before the weight for RMSNorm, at the end for LayerNorm.
    fn norm(&mut self, norm: &Norm, x: &K::Value, point: HookPoint) -> Result<K::Value, Halt> {
        let width = [self.config.d_model];
        if norm.kind == NormKind::Layer {
            let y = self.kernels.norm(norm, x)?;
            return self.hook(point, y, &width);
        }
        if !self.hooks.wants(point) && !self.hooks.stops_after(point) {
            return Ok(self.kernels.norm(norm, x)?);
        }
        let normalised = self.kernels.normalise(norm, x)?;
        let normalised = self.hook(point, normalised, &width)?;
        Ok(self.kernels.rescale(norm, &normalised)?)
    }

    /// Shows what a norm divides by.
    fn scale_hook(&mut self, point: HookPoint, norm: &Norm, x: &K::Value) -> Result<(), Halt> {
        if self.hooks.wants(point) {
            let scales = self.kernels.norm_scales(norm, x)?;
            self.hook(point, scales, &[1])?;
        } else if self.hooks.stops_after(point) {
            return Err(Halt::Stopped);
        }
        Ok(())
    }

    fn hook(&mut self, point: HookPoint, value: K::Value, shape: &[usize]) -> Result<K::Value, Halt> {
        if self.hooks.is_empty() {
            return Ok(value);
        }
        let frame = self.frame(shape);
        self.hook_in(point, value, &frame)
    }

    /// Edits, then the gradient, the capture and the stop.
    fn hook_in(&mut self, point: HookPoint, mut value: K::Value, frame: &Frame) -> Result<K::Value, Halt> {
        if self.hooks.wants(point) {
            let mut shown = None;
            if self.hooks.edits(point) {
                let before = self.kernels.export(&value, frame)?;
                let site = Site {
                    point,
                    starts: self.layout.starts().to_vec(),
                    lengths: self.layout.lengths().to_vec(),
                };
                let edited = self.hooks.run_edits(&site, before)?;
                value = self.kernels.import(&edited, frame)?;
                shown = Some(edited);
            }
            if let Some(slot) = self.hooks.gradient_slot(point) {
                value = self.kernels.watch(value, frame, move |gradient| {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(gradient);
                })?;
            }
            if self.hooks.captures(point) {
                let tensor = match shown {
                    Some(edited) => edited,
                    None => self.kernels.export(&value, frame)?,
                };
                self.hooks.keep(point, tensor);
            }
        }
        if self.hooks.stops_after(point) { Err(Halt::Stopped) } else { Ok(value) }
    }

    fn frame(&self, shape: &[usize]) -> Frame {
        Frame::Tokens { layout: self.layout.clone(), shape: shape.to_vec() }
    }
}
