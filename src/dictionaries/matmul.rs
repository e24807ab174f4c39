//! The dense part of encoding: pre-activations of many features at many tokens.

use crate::ops::matmul::{Matrix, Panels, Threads, fresh_product, times_panels_into};

/// Rows of an encoder, or other directions `[features, width]`, in the order in which products read them.
///
/// Packing reads and writes all of them, which costs as much as a product with some dozens of tokens: whoever has many
/// blocks of tokens packs once.
#[derive(Debug)]
pub(super) struct PackedRows {
    panels: Panels,
    width: usize,
}

impl PackedRows {
    pub(super) fn pack(rows: &[f32], width: usize) -> Self {
        Self { panels: Panels::pack(Matrix::dense(rows, width).transposed(), Threads::All), width }
    }

    /// As [`Self::pack`], on the calling thread alone: for who holds a lock meanwhile, and must not be given other work.
    pub(super) fn pack_alone(rows: &[f32], width: usize) -> Self {
        Self { panels: Panels::pack(Matrix::dense(rows, width).transposed(), Threads::One), width }
    }

    /// `x [tokens, width]` times the transpose of the rows gives `[tokens, features]`.
    ///
    /// Every value depends only on its own token and feature, bit for bit: not on the number of tokens, on which
    /// features stand beside it, or on the number of threads.
    pub(super) fn pre_activations(&self, x: &[f32], into: &mut Vec<f32>) {
        times_panels_into(into, Matrix::dense(x, self.width), &self.panels);
    }
}

/// The transpose of `a [rows, m]` times `b [rows, n]` gives `[m, n]`.
pub(super) fn outer_products(a: &[f32], b: &[f32], rows: usize) -> Vec<f32> {
    let (m, n) = (a.len() / rows.max(1), b.len() / rows.max(1));
    fresh_product(Matrix::dense(a, m).transposed(), Matrix::dense(b, n))
}

#[cfg(test)]
mod tests {
    use super::PackedRows;
    use crate::rng::Stream;

    #[test]
    fn a_value_does_not_depend_on_what_is_beside_it() {
        let mut stream = Stream::new(1, "test.matmul", &[]);
        for width in [24, 512, 768, 1500] {
            let mut draw = |count: usize| (0..count).map(|_| stream.normal()).collect::<Vec<f32>>();
            let (x, encoder) = (draw(70 * width), draw(300 * width));
            let mut all = Vec::new();
            PackedRows::pack(&encoder, width).pre_activations(&x, &mut all);
            for (rows, features) in [(1, 300), (2, 1), (65, 7), (70, 64), (33, 299)] {
                let mut some = Vec::new();
                PackedRows::pack(&encoder[..features * width], width)
                    .pre_activations(&x[..rows * width], &mut some);
                for row in 0..rows {
                    let (some, all) = (&some[row * features..], &all[row * 300..]);
                    assert_eq!(some[..features], all[..features], "width {width}, {rows} rows, {features}");
                }
            }
        }
    }
}
