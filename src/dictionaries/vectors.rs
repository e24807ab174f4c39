//! The few vector operations that sparse work is made of.

use crate::ops::simd::{self, vectorised};

/// The inner product of two vectors of equal length.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    vectorised(
        #[inline(always)]
        || simd::dot(a, b),
    )
}

/// `target += factor * vector`.
pub(super) fn add_scaled(target: &mut [f32], factor: f32, vector: &[f32]) {
    vectorised(
        #[inline(always)]
        || {
            for (target, value) in target.iter_mut().zip(vector) {
                *target = factor.mul_add(*value, *target);
            }
        },
    );
}

/// `target += factor * vector` in f64: a sum of thousands of terms keeps every bit of an f32 result.
pub(super) fn add_scaled_f64(target: &mut [f64], factor: f32, vector: &[f32]) {
    let factor = f64::from(factor);
    vectorised(
        #[inline(always)]
        || {
            for (target, value) in target.iter_mut().zip(vector) {
                *target = factor.mul_add(f64::from(*value), *target);
            }
        },
    );
}

/// The Euclidean norm.
pub(super) fn norm(vector: &[f32]) -> f32 {
    dot(vector, vector).sqrt()
}
