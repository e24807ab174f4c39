//! Differentiable kernels: one file each, forward and backward together.
//!
//! `kernels` says what a forward pass is made of. There are two sets. `composed` is made of tensor operations
//! that candle differentiates, and runs on any device. The fused set is for the CPU: a pass works on packed
//! `Value`s, [tokens, width] without padding, and records each kernel's backward on a `Tape`; candle's
//! autograd sees the tape as a chain of few nodes. Kernels hold their weights and add into `Parameter`
//! gradients, so frozen weights cost nothing.
//!
//! Every fused kernel keeps two promises. A token's result has the same bits whatever tokens are computed
//! beside it, and a result has the same bits whatever the number of threads. That is why sums run in fixed
//! lanes (`simd`), reductions over tokens in fixed chunks (`parallel`), and matrix products in an order of
//! their own (`matmul`).

pub(crate) mod activation;
pub(crate) mod allocation;
pub(crate) mod attention;
pub(crate) mod composed;
pub(crate) mod embedding;
pub(crate) mod fused;
pub(crate) mod heads;
pub(crate) mod kernels;
pub(crate) mod lanes;
pub(crate) mod layout;
pub(crate) mod likelihood;
pub(crate) mod linear;
pub(crate) mod matmul;
pub(crate) mod norm;
mod norm_scale;
pub(crate) mod parallel;
pub(crate) mod parameter;
mod path;
pub(crate) mod rope;
pub(crate) mod simd;
pub(crate) mod tape;

pub use activation::Nonlinearity;
pub use likelihood::TokenLogProbabilities;
pub use norm::NormKind;
pub use parameter::Parameter;
pub(crate) use path::path;
pub use tape::Gradients;
