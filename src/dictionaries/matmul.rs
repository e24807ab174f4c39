//! The dense part of encoding: pre-activations of many features at many tokens.

use crate::ops::matmul::{Matrix, Threads, fresh_product, product};

/// `x [rows, width]` times the transpose of `encoder [features, width]` gives `[rows, features]`.
///
/// Every value depends only on its own row and feature, bit for bit: not on the number of rows, on which
/// features stand beside it, or on the number of threads.
pub(super) fn pre_activations(x: &[f32], encoder: &[f32], width: usize, into: &mut Vec<f32>) {
    let (x, encoder) = (Matrix::dense(x, width), Matrix::dense(encoder, width).transposed());
    into.resize(x.rows * encoder.columns, 0.0);
    product(into, encoder.columns, x, encoder, false, Threads::All);
}

/// The transpose of `a [rows, m]` times `b [rows, n]` gives `[m, n]`.
pub(super) fn outer_products(a: &[f32], b: &[f32], rows: usize) -> Vec<f32> {
    let (m, n) = (a.len() / rows.max(1), b.len() / rows.max(1));
    fresh_product(Matrix::dense(a, m).transposed(), Matrix::dense(b, n))
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
