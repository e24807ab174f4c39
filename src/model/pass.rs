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
use crate::ops::attention::{self, Memory};
use crate::ops::embedding::lookup;
use crate::ops::layout::{Frame, Layout};
use crate::ops::norm::Norm;
use crate::ops::rope::Rotation;
use crate::ops::tape::{Tape, Value};
use crate::ops::{NormKind, Parameter};
use candle_core::Tensor;
use rayon::prelude::*;
use std::sync::{Arc, PoisonError};

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

/// One forward pass in progress.
pub(super) struct Pass<'a> {
    pub(super) config: &'a Config,
    pub(super) decoder: &'a Decoder,
    pub(super) rotations: &'a [Option<Rotation>],
    pub(super) tape: Tape,
    pub(super) layout: Layout,
    pub(super) positions: Arc<Vec<usize>>,
    pub(super) hooks: &'a mut Hooks,
    pub(super) cache: Option<&'a mut KvCache>,
}

impl Pass<'_> {
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
        Ok(self.tape.export(&hidden, &self.frame(&[self.config.d_model]))?)
    }

    /// Takes in the residual stream that the caller brings.
    fn begin(&mut self, layer: usize, residual: &Tensor) -> Result<Value, Halt> {
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
        Ok(self.tape.import(residual, &frame, self.config.d_model)?)
    }

    fn embed(&mut self, ids: Vec<usize>) -> Result<Value, Halt> {
        let width = [self.config.d_model];
        let mut x = lookup(&self.tape, &self.decoder.embedding, ids)?;
        if self.config.embedding_scale != 1.0 {
            x = self.tape.scale(x, self.config.embedding_scale);
        }
        x = self.hook(HookPoint::Embed, x, &width)?;
        if let Some(table) = &self.decoder.positions {
            let added = self.embed_positions(table)?;
            x = self.tape.add(x, &added);
        }
        Ok(x)
    }

    fn embed_positions(&mut self, table: &Parameter) -> Result<Value, Halt> {
        let added = lookup(&self.tape, table, self.positions.to_vec())?;
        self.hook(HookPoint::PositionEmbed, added, &[self.config.d_model])
    }

    fn block(&mut self, layer: usize, block: &Block, x: Value) -> Result<Value, Halt> {
        let width = [self.config.d_model];
        let at = |point| HookPoint::Block(layer, point);
        let x = self.hook(at(BlockPoint::ResidPre), x, &width)?;
        let attended = self.attention(layer, block, &x)?;
        let out = match self.config.residual {
            Residual::Sequential => {
                let mid = self.tape.add(x, &attended);
                let mid = self.hook(at(BlockPoint::ResidMid), mid, &width)?;
                let transformed = self.mlp(layer, block, &mid)?;
                self.tape.add(mid, &transformed)
            }
            Residual::Parallel => {
                let transformed = self.mlp(layer, block, &x)?;
                let both = self.tape.add(attended, &transformed);
                self.tape.add(x, &both)
            }
        };
        self.hook(at(BlockPoint::ResidPost), out, &width)
    }

    fn attention(&mut self, layer: usize, block: &Block, x: &Value) -> Result<Value, Halt> {
        let shape = block.shape;
        let at = |point| HookPoint::Block(layer, point);
        let input = match &block.attention_norm {
            Some(norm) => {
                self.scale_hook(at(BlockPoint::Norm1Scale), norm, x)?;
                self.norm(norm, x, at(BlockPoint::Norm1Normalized))?
            }
            None => x.clone(),
        };
        let (heads, key_heads) = ([shape.heads, shape.head_dim], [shape.key_heads, shape.head_dim]);
        let query = block.query.forward(&self.tape, &input)?;
        let query = self.hook(at(BlockPoint::Query), query, &heads)?;
        let key = block.key.forward(&self.tape, &input)?;
        let key = self.hook(at(BlockPoint::Key), key, &key_heads)?;
        let value = block.value.forward(&self.tape, &input)?;
        drop(input);
        let value = self.hook(at(BlockPoint::Value), value, &key_heads)?;
        let query = self.position(layer, block.query_norm.as_ref(), query, shape.head_dim)?;
        let query = self.hook(at(BlockPoint::RotatedQuery), query, &heads)?;
        let key = self.position(layer, block.key_norm.as_ref(), key, shape.head_dim)?;
        let key = self.hook(at(BlockPoint::RotatedKey), key, &key_heads)?;
        let mixed = self.mix(layer, shape, &query, &key, &value)?;
        let mixed = self.hook(at(BlockPoint::Mixed), mixed, &heads)?;
        let mut out = block.output.forward(&self.tape, &mixed)?;
        if let Some(norm) = &block.attention_post_norm {
            let point = match block.attention_norm {
                Some(_) => BlockPoint::Norm1PostNormalized,
                None => {
                    self.scale_hook(at(BlockPoint::Norm1Scale), norm, &out)?;
                    BlockPoint::Norm1Normalized
                }
            };
            out = self.norm(norm, &out, at(point))?;
        }
        self.hook(at(BlockPoint::AttentionOut), out, &[self.config.d_model])
    }

    /// Query or key norm, then rotation.
    fn position(
        &mut self,
        layer: usize,
        norm: Option<&Norm>,
        value: Value,
        head_dim: usize,
    ) -> Result<Value, Halt> {
        let value = match norm {
            Some(norm) => norm.forward(&self.tape, &value)?,
            None => value,
        };
        Ok(match self.rotations.get(layer).and_then(Option::as_ref) {
            Some(rotation) => rotation.forward(&self.tape, value, head_dim, &self.positions),
            None => value,
        })
    }

    /// Attention over the cache, or over this pass's own keys and values.
    fn mix(
        &mut self,
        layer: usize,
        shape: attention::Shape,
        query: &Value,
        key: &Value,
        value: &Value,
    ) -> Result<Value, Halt> {
        let fresh;
        // The cache is taken out for the time of the call, so that hooks can be called meanwhile.
        let mut held = self.cache.as_mut().and_then(|cache| cache.layers.get_mut(layer)).map(std::mem::take);
        let memory: &[Memory] = match &mut held {
            Some(memory) => {
                let width = shape.key_heads * shape.head_dim;
                memory.par_iter_mut().zip(self.layout.offsets().par_windows(2)).for_each(
                    |(memory, range)| {
                        let range = range[0] * width..range[1] * width;
                        memory.append(&key.data()[range.clone()], &value.data()[range]);
                    },
                );
                memory
            }
            None => {
                fresh = attention::fresh_memory(shape, &self.layout, key, value);
                &fresh
            }
        };
        let mixed = self.attend(layer, shape, query, key, value, memory);
        if let (Some(memory), Some(cache)) = (held, self.cache.as_mut())
            && let Some(slot) = cache.layers.get_mut(layer)
        {
            *slot = memory;
        }
        mixed
    }

    fn attend(
        &mut self,
        layer: usize,
        shape: attention::Shape,
        query: &Value,
        key: &Value,
        value: &Value,
        memory: &[Memory],
    ) -> Result<Value, Halt> {
        let [scores_at, pattern_at] =
            [BlockPoint::Scores, BlockPoint::Pattern].map(|point| HookPoint::Block(layer, point));
        let stops = self.hooks.stops_after(scores_at) || self.hooks.stops_after(pattern_at);
        if !stops && !self.hooks.wants(scores_at) && !self.hooks.wants(pattern_at) {
            return Ok(attention::forward(&self.tape, shape, &self.layout, query, key, value, memory));
        }
        let keys = attention::keys(&self.layout);
        let frame = Frame::Dense(vec![self.layout.rows(), shape.heads, self.layout.width(), keys]);
        let scores = attention::scores(&self.tape, shape, &self.layout, query, key, memory);
        let scores = self.hook_in(scores_at, scores, &frame)?;
        let pattern = attention::softmax(&self.tape, &scores);
        let pattern = self.hook_in(pattern_at, pattern, &frame)?;
        Ok(attention::mix(&self.tape, shape, &self.layout, &pattern, value, memory))
    }

    fn mlp(&mut self, layer: usize, block: &Block, x: &Value) -> Result<Value, Halt> {
        let at = |point| HookPoint::Block(layer, point);
        let input = match &block.mlp_norm {
            Some(norm) => {
                self.scale_hook(at(BlockPoint::Norm2Scale), norm, x)?;
                self.norm(norm, x, at(BlockPoint::Norm2Normalized))?
            }
            None => x.clone(),
        };
        let width = [self.config.d_mlp];
        let (pre, linear) = match &block.gate {
            Some(gate) => {
                let pre = gate.forward(&self.tape, &input)?;
                let pre = self.hook(at(BlockPoint::MlpPre), pre, &width)?;
                let linear = block.up.forward(&self.tape, &input)?;
                (pre, Some(self.hook(at(BlockPoint::MlpPreLinear), linear, &width)?))
            }
            None => {
                let pre = block.up.forward(&self.tape, &input)?;
                (self.hook(at(BlockPoint::MlpPre), pre, &width)?, None)
            }
        };
        drop(input);
        let post = self.config.activation.forward(&self.tape, &pre, linear.as_ref());
        let post = self.hook(at(BlockPoint::MlpPost), post, &width)?;
        let mut out = block.down.forward(&self.tape, &post)?;
        if let Some(norm) = &block.mlp_post_norm {
            let point = match block.mlp_norm {
                Some(_) => BlockPoint::Norm2PostNormalized,
                None => {
                    self.scale_hook(at(BlockPoint::Norm2Scale), norm, &out)?;
                    BlockPoint::Norm2Normalized
                }
            };
            out = self.norm(norm, &out, at(point))?;
        }
        self.hook(at(BlockPoint::MlpOut), out, &[self.config.d_model])
    }

    /// A norm with its hook: before the weight for RMSNorm, at the end for LayerNorm.
    fn norm(&mut self, norm: &Norm, x: &Value, point: HookPoint) -> Result<Value, Halt> {
        let width = [self.config.d_model];
        if norm.kind == NormKind::Layer {
            let y = norm.forward(&self.tape, x)?;
            return self.hook(point, y, &width);
        }
        if !self.hooks.wants(point) && !self.hooks.stops_after(point) {
            return Ok(norm.forward(&self.tape, x)?);
        }
        let normalised = norm.normalise(&self.tape, x);
        let normalised = self.hook(point, normalised, &width)?;
        Ok(norm.rescale(&self.tape, &normalised)?)
    }

    /// Shows what a norm divides by.
    fn scale_hook(&mut self, point: HookPoint, norm: &Norm, x: &Value) -> Result<(), Halt> {
        if self.hooks.wants(point) {
            let scales = self.tape.value(norm.scales(x), 1);
            self.hook(point, scales, &[1])?;
        } else if self.hooks.stops_after(point) {
            return Err(Halt::Stopped);
        }
        Ok(())
    }

    fn hook(&mut self, point: HookPoint, value: Value, shape: &[usize]) -> Result<Value, Halt> {
        if self.hooks.is_empty() {
            return Ok(value);
        }
        let frame = self.frame(shape);
        self.hook_in(point, value, &frame)
    }

    /// Edits, then captures, then the gradient and the stop.
    fn hook_in(&mut self, point: HookPoint, mut value: Value, frame: &Frame) -> Result<Value, Halt> {
        if self.hooks.wants(point) {
            let mut tensor = self.tape.export(&value, frame)?;
            let site = Site {
                point,
                starts: self.layout.starts().to_vec(),
                lengths: self.layout.lengths().to_vec(),
            };
            if let Some(edited) = self.hooks.run_edits(&site, &tensor)? {
                value = self.tape.import(&edited, frame, value.width())?;
                tensor = edited;
            }
            if self.hooks.captures(point) {
                self.hooks.keep(point, tensor);
            }
            if let (Some(slot), Some(from)) = (self.hooks.gradient_slot(point), value.slot()) {
                let frame = frame.clone();
                self.tape.push(move |slots| {
                    if let Some(gradient) = slots.get(from) {
                        let tensor = frame.tensor(gradient)?;
                        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(tensor);
                    }
                    Ok(())
                });
            }
        }
        if self.hooks.stops_after(point) { Err(Halt::Stopped) } else { Ok(value) }
    }

    fn frame(&self, shape: &[usize]) -> Frame {
        Frame::Tokens { layout: self.layout.clone(), shape: shape.to_vec() }
    }
}
