//! What a forward pass is made of. The pass is written once, against [`Kernels`]; there are two sets:
//!
//! * [`super::fused`]: own kernels with analytic backward on packed numbers in the CPU's memory;
//! * [`super::composed`]: the same formulas in plain tensor operations, which candle differentiates and runs
//!   on any device. It is what a GPU computes, and the reference that the fused kernels are tested against.
//!
//! The choice is made once, by [`crate::compute::Compute`]; no kernel makes it.

use super::attention::{LayerMemory, Shape};
use super::layout::Frame;
use super::linear::Linear;
use super::norm::Norm;
use super::parameter::Parameter;
use super::rope::Rotation;
use crate::error::Result;
use crate::ops::Nonlinearity;
use candle_core::Tensor;

/// One set of kernels, with what one pass needs to know and to record.
pub(crate) trait Kernels {
    /// Packed numbers [tokens, width], or a dense buffer of attention scores. Clones share them.
    type Value: Clone;

    /// The rows `ids` of an embedding table. Ids are within the table.
    fn lookup(&self, table: &Parameter, ids: Vec<usize>) -> Result<Self::Value>;

    /// `value * factor`.
    fn scale(&self, value: Self::Value, factor: f32) -> Result<Self::Value>;

    /// `left + right`.
    fn add(&self, left: Self::Value, right: &Self::Value) -> Result<Self::Value>;

    /// A projection of every token.
    fn linear(&self, linear: &Linear, x: &Self::Value) -> Result<Self::Value>;

    /// What each head adds to a projection that reads all of them, without its bias: from `x` [tokens, inputs] to
    /// [tokens, heads · outputs].
    fn head_results(&self, linear: &Linear, x: &Self::Value, heads: usize) -> Result<Self::Value>;

    /// The sum over heads: from [tokens, heads · width] to [tokens, width].
    fn sum_heads(&self, results: &Self::Value, heads: usize) -> Result<Self::Value>;

    /// A value once for every head: from [tokens, width] to [tokens, heads · width].
    fn repeat_heads(&self, x: &Self::Value, heads: usize) -> Result<Self::Value>;

    /// A projection, without its bias, in which every head of what comes out reads an input of its own: from `x`
    /// [tokens, heads · inputs] to [tokens, outputs].
    fn project_heads(&self, linear: &Linear, x: &Self::Value, heads: usize) -> Result<Self::Value>;

    /// A norm of every group of numbers as long as its weight.
    fn norm(&self, norm: &Norm, x: &Self::Value) -> Result<Self::Value>;

    /// The norm before its weight and bias.
    fn normalise(&self, norm: &Norm, x: &Self::Value) -> Result<Self::Value>;

    /// The weight and bias of the norm, applied to what [`Self::normalise`] returned.
    fn rescale(&self, norm: &Norm, normalised: &Self::Value) -> Result<Self::Value>;

    /// What a norm divides by, [tokens, groups].
    fn norm_scales(&self, norm: &Norm, x: &Self::Value) -> Result<Self::Value>;

    /// Numbers that were divided by `scales` [tokens, groups], divided by `others` instead: times `scales / others`,
    /// which is 1 where they are the same.
    fn divide_instead(
        &self,
        normalised: &Self::Value,
        scales: &Self::Value,
        others: &Self::Value,
    ) -> Result<Self::Value>;

    /// The rotation of every head by its token's position.
    fn rotate(&self, rotation: &Rotation, value: Self::Value, head_dim: usize) -> Result<Self::Value>;

    /// The nonlinearity, times `linear` where the MLP is gated.
    fn activate(
        &self,
        activation: Nonlinearity,
        pre: &Self::Value,
        linear: Option<&Self::Value>,
    ) -> Result<Self::Value>;

    /// A memory without tokens, for one layer with `width` numbers a token.
    fn memory(&self, width: usize) -> LayerMemory;

    /// Appends the keys and values of the new tokens of every row.
    ///
    /// # Errors
    /// If the memory belongs to the other set of kernels.
    fn remember(&self, memory: &mut LayerMemory, keys: &Self::Value, values: &Self::Value) -> Result<()>;

    /// Attention of the new tokens over a memory that holds them already.
    fn attend(&self, shape: Shape, now: Attended<'_, Self::Value>) -> Result<Self::Value>;

    /// Step 1 of attention: scores [rows, heads, width, keys], −∞ where a query does not see.
    fn scores(&self, shape: Shape, now: Attended<'_, Self::Value>) -> Result<Self::Value>;

    /// Step 2: the pattern, 0 where a query does not see.
    fn softmax(&self, scores: &Self::Value) -> Result<Self::Value>;

    /// Step 3: values mixed by the pattern.
    fn mix(&self, shape: Shape, pattern: &Self::Value, now: Attended<'_, Self::Value>)
    -> Result<Self::Value>;

    /// The value as an f32 tensor, shaped by `frame`, zero at padding. Tracked when recording.
    fn export(&self, value: &Self::Value, frame: &Frame) -> Result<Tensor>;

    /// A hook's tensor, shaped by `frame`, as a value. What stands at padding is dropped.
    fn import(&mut self, tensor: &Tensor, frame: &Frame) -> Result<Self::Value>;

    /// The same value; its gradient, shaped by `frame`, is handed to `keep` in the backward pass.
    fn watch(
        &self,
        value: Self::Value,
        frame: &Frame,
        keep: impl Fn(Tensor) + Send + Sync + 'static,
    ) -> Result<Self::Value>;
}

/// What attention reads in one layer.
pub(crate) struct Attended<'a, V> {
    /// Queries of the new tokens.
    pub(crate) queries: &'a V,
    /// Keys of the new tokens.
    pub(crate) keys: &'a V,
    /// Values of the new tokens.
    pub(crate) values: &'a V,
    /// Keys and values of all tokens, the new ones included.
    pub(crate) memory: &'a LayerMemory,
}

impl<V> Clone for Attended<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Attended<'_, V> {}
