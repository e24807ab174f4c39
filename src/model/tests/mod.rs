//! What the decoder as a whole must hold, beside TransformerLens.

mod change;
mod transformer_lens;

use super::{Config, LlamaShape, Model};
use candle_core::{Device, Tensor};

/// A small model with fresh weights.
fn tiny() -> Model {
    let shape = LlamaShape {
        vocabulary: 11,
        d_model: 12,
        layers: 2,
        heads: 3,
        d_mlp: 16,
        max_positions: 32,
        bos: None,
        eos: None,
        pad: None,
    };
    Model::initialise(&Config::llama(&shape).unwrap(), 5, &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference.
fn apart(left: &Tensor, right: &Tensor) -> f32 {
    assert_eq!(left.dims(), right.dims());
    numbers(left).iter().zip(numbers(right)).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}
