//! The few vector operations that sparse work is made of.
//!
//! Each sums in a fixed order: 16 partial sums, then their sum. The compiler may take wider registers for
//! them but never another order, so results are the same on every processor.

const LANES: usize = 16;

/// The inner product of two vectors of equal length.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (x, y) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

/// `target += factor * vector`.
pub(super) fn add_scaled(target: &mut [f32], factor: f32, vector: &[f32]) {
    for (target, value) in target.iter_mut().zip(vector) {
        *target += factor * value;
    }
}

/// The Euclidean norm.
pub(super) fn norm(vector: &[f32]) -> f32 {
    dot(vector, vector).sqrt()
}
