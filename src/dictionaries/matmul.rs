//! The dense part of encoding: pre-activations of many features at many tokens.

use crate::ops::matmul::{Matrix, product};
use gemm::Parallelism;

/// With a single row, or with no more than 16 x 16 results, gemm takes paths that sum in another order.
const LEAST_FEATURES: usize = 129;

/// `x [rows, width]` times the transpose of `encoder [features, width]` gives `[rows, features]`.
///
/// Every value depends only on its own row and feature, bit for bit: not on the number of rows, on which
/// features stand beside it, or on the number of threads. (gemm splits the sum over `width` by `width`
/// alone, except for tiny products and single rows, which are padded away here.)
pub(super) fn pre_activations(x: &[f32], encoder: &[f32], width: usize, into: &mut Vec<f32>) {
    let (rows, features) = (x.len() / width, encoder.len() / width);
    into.resize(rows * features, 0.0);
    if rows == 0 || features == 0 {
        return;
    }
    if rows == 1 || features < LEAST_FEATURES {
        let (padded_rows, padded_features) = (rows.max(2), features.max(LEAST_FEATURES));
        let mut x = x.to_vec();
        let mut encoder = encoder.to_vec();
        x.resize(padded_rows * width, 0.0);
        encoder.resize(padded_features * width, 0.0);
        let mut padded = vec![0.0; padded_rows * padded_features];
        multiply(&x, &encoder, width, &mut padded);
        for (row, from) in into.chunks_exact_mut(features).zip(padded.chunks_exact(padded_features)) {
            row.copy_from_slice(&from[..features]);
        }
    } else {
        multiply(x, encoder, width, into);
    }
}

fn multiply(x: &[f32], encoder: &[f32], width: usize, into: &mut [f32]) {
    let (x, encoder) = (Matrix::dense(x, width), Matrix::dense(encoder, width).transposed());
    product(into, encoder.columns, x, encoder, false, Parallelism::Rayon(0));
}

/// The transpose of `a [rows, m]` times `b [rows, n]` gives `[m, n]`.
pub(super) fn outer_products(a: &[f32], b: &[f32], rows: usize) -> Vec<f32> {
    let (m, n) = (a.len() / rows.max(1), b.len() / rows.max(1));
    let mut into = vec![0.0; m * n];
    product(
        &mut into,
        n,
        Matrix::dense(a, m).transposed(),
        Matrix::dense(b, n),
        false,
        Parallelism::Rayon(0),
    );
    into
}

#[cfg(test)]
mod tests {
    use super::pre_activations;
    use crate::rng::Stream;

    #[test]
    fn a_value_does_not_depend_on_what_is_beside_it() {
        let mut stream = Stream::new(1, "test.matmul", &[]);
        for width in [24, 512, 768, 1500] {
            let mut draw = |count: usize| (0..count).map(|_| stream.normal()).collect::<Vec<f32>>();
            let (x, encoder) = (draw(70 * width), draw(300 * width));
            let mut all = Vec::new();
            pre_activations(&x, &encoder, width, &mut all);
            for (rows, features) in [(1, 300), (2, 1), (65, 7), (70, 64), (33, 299)] {
                let mut some = Vec::new();
                pre_activations(&x[..rows * width], &encoder[..features * width], width, &mut some);
                for row in 0..rows {
                    let (some, all) = (&some[row * features..], &all[row * 300..]);
                    assert_eq!(some[..features], all[..features], "width {width}, {rows} rows, {features}");
                }
            }
        }
    }
}
