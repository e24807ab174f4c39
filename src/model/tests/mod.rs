//! What the decoder as a whole must hold, beside TransformerLens.

mod transformer_lens;

use candle_core::Tensor;

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference.
fn apart(left: &Tensor, right: &Tensor) -> f32 {
    assert_eq!(left.dims(), right.dims());
    numbers(left).iter().zip(numbers(right)).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}
