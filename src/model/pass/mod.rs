//! The one forward pass, in the order in which it is computed:
//!
//! 1. embed tokens (and positions, where they are learned);
//! 2. per block: norm, query/key/value, query and key norm, rotation, attention, output, add; norm, MLP,
//!    add (or both from one stream, for a parallel residual);
//! 3. the final norm.
//!
//! Every hook point is passed through [`Pass::hook`], which does nothing where no hook waits.

mod head_inputs;
mod norms;

use crate::error::{Error, Result};
use crate::model::build::{Block, Decoder};
use crate::model::cache::KvCache;
use crate::model::config::{Config, Residual};
use crate::model::hook_point::{BlockPoint, HookPoint};
use crate::model::hooks::{HookSite, Hooks};
use crate::model::tokens::TokenBatch;
use crate::ops::Parameter;
use crate::ops::attention::{self, Shape};
use crate::ops::kernels::{Attended, Kernels};
use crate::ops::layout::{Frame, Layout};
use crate::ops::norm::Norm;
use crate::ops::rope::Rotation;
use candle_core::Tensor;
use norms::{AROUND_ATTENTION, AROUND_MLP};
use std::sync::PoisonError;

/// Why a pass ended before its end.
pub(in crate::model) enum Halt {
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

/// One forward pass in progress, on one set of kernels.
pub(in crate::model) struct Pass<'a, K> {
    pub(in crate::model) config: &'a Config,
    pub(in crate::model) decoder: &'a Decoder,
    pub(in crate::model) rotations: &'a [Option<Rotation>],
    pub(in crate::model) kernels: K,
    pub(in crate::model) layout: Layout,
    pub(in crate::model) hooks: &'a mut Hooks,
    pub(in crate::model) cache: Option<&'a mut KvCache>,
    /// The tokens that are read, and the one that begins texts.
    pub(in crate::model) read: (&'a TokenBatch, Option<u32>),
}

impl<K: Kernels> Pass<'_, K> {
    /// Runs the pass over packed token ids; the hidden states after the final norm.
    pub(in crate::model) fn run(&mut self, ids: Vec<usize>) -> Result<Tensor, Halt> {
        let decoder = self.decoder;
        let (first, mut x) = match self.hooks.start() {
            Some((layer, residual)) => (layer, self.begin(layer, &residual)?),
            None => (0, self.embed(ids)?),
        };
        for (layer, block) in decoder.blocks.iter().enumerate().skip(first) {
            x = self.block(layer, block, x)?;
        }
        let points = [HookPoint::FinalScale, HookPoint::FinalNormalized];
        let hidden = self.stream_norm(&decoder.final_norm, &x, points)?;
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
        let norm = block.attention_norm.as_ref();
        let [for_query, for_key, for_value] = self.head_inputs(layer, shape, x)?;
        let input = self.before(layer, norm, x, &AROUND_ATTENTION)?;
        let (heads, key_heads) = ([shape.heads, shape.head_dim], [shape.key_heads, shape.head_dim]);
        let query = self.kernels.linear(&block.query, &input)?;
        let query = self.read_by_heads(norm, &block.query, query, for_query)?;
        let query = self.hook(at(BlockPoint::Query), query, &heads)?;
        let key = self.kernels.linear(&block.key, &input)?;
        let key = self.read_by_heads(norm, &block.key, key, for_key)?;
        let key = self.hook(at(BlockPoint::Key), key, &key_heads)?;
        let value = self.kernels.linear(&block.value, &input)?;
        drop(input);
        let value = self.read_by_heads(norm, &block.value, value, for_value)?;
        let value = self.hook(at(BlockPoint::Value), value, &key_heads)?;
        let points = [BlockPoint::QueryNormScale, BlockPoint::QueryNormNormalized].map(at);
        let query = self.position(layer, (block.query_norm.as_ref(), points), query, heads)?;
        let query = self.hook(at(BlockPoint::RotatedQuery), query, &heads)?;
        let points = [BlockPoint::KeyNormScale, BlockPoint::KeyNormNormalized].map(at);
        let key = self.position(layer, (block.key_norm.as_ref(), points), key, key_heads)?;
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
        if !self.hooks.asks(point) {
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

    /// Query or key norm with its points, then rotation, of heads [heads, head_dim].
    fn position(
        &mut self,
        layer: usize,
        (norm, points): (Option<&Norm>, [HookPoint; 2]),
        value: K::Value,
        heads: [usize; 2],
    ) -> Result<K::Value, Halt> {
        let value = match norm {
            Some(norm) => {
                // One scale a head, or one for all of them.
                let scales = heads.iter().product::<usize>() / norm.weight.elements().max(1);
                self.norm(norm, &value, points, [&[scales, 1], &heads])?
            }
            None => value,
        };
        Ok(match self.rotations.get(layer).and_then(Option::as_ref) {
            Some(rotation) => self.kernels.rotate(rotation, value, heads[1])?,
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
        if !self.hooks.asks(scores_at) && !self.hooks.asks(pattern_at) {
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
        // A value of its own: its gradient is what flows through the MLP alone.
        let x = match self.hooks.asks(at(BlockPoint::MlpIn)) {
            true => &self.kernels.scale(x.clone(), 1.0)?,
            false => x,
        };
        let x = &self.hook(at(BlockPoint::MlpIn), x.clone(), &[self.config.d_model])?;
        let input = self.before(layer, block.mlp_norm.as_ref(), x, &AROUND_MLP)?;
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
                let site = HookSite {
                    point,
                    starts: self.layout.starts().to_vec(),
                    lengths: self.layout.lengths().to_vec(),
                    tokens: self.read.0.clone(),
                    begin: self.read.1,
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
