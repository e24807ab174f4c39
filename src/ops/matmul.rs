//! Matrix products on the CPU, on top of the `gemm` crate.
//!
//! [`rows_times`] is for activations: a row of its result has the same bits whatever stands beside it.
//! `gemm` adds along the inner dimension in one running sum per panel, but takes other paths for very
//! small results and splits long inner dimensions by the whole shape; so small results are padded and
//! long inner dimensions split here. [`product`] is for gradients, where only repeatability counts.

use gemm::Parallelism;

/// Inner panels of at most this length, which `gemm` never splits.
const PANEL: usize = 512;

/// `gemm` sums results of at most this many elements in another order.
const SMALL: usize = 256;

/// A matrix in memory: element (i, j) is at `i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    /// The numbers, starting at element (0, 0).
    pub(crate) data: &'a [f32],
    /// Number of rows.
    pub(crate) rows: usize,
    /// Number of columns.
    pub(crate) columns: usize,
    /// Distance between rows.
    pub(crate) row_stride: usize,
    /// Distance between columns.
    pub(crate) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A dense row-major matrix with `columns` columns.
    pub(crate) fn dense(data: &'a [f32], columns: usize) -> Self {
        let rows = if columns == 0 { 0 } else { data.len() / columns };
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transposed view.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    fn last(&self) -> usize {
        match (self.rows, self.columns) {
            (0, _) | (_, 0) => 0,
            (rows, columns) => (rows - 1) * self.row_stride + (columns - 1) * self.column_stride + 1,
        }
    }
}

/// `out (+)= left · right`, with `out` row-major and `out_stride` numbers between its rows.
pub(crate) fn product(
    out: &mut [f32],
    out_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    accumulate: bool,
    parallelism: Parallelism,
) {
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(inner, right.rows, "inner dimensions of a matrix product");
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(
        out_stride >= columns
            && out.len() >= (rows - 1) * out_stride + columns
            && left.data.len() >= left.last()
            && right.data.len() >= right.last(),
        "matrix product outside of its buffers"
    );
    // SAFETY: every index that the strides reach is inside the slices, by the assertion above; `out` is
    // borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            accumulate,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `left · right` for dense `left` [rows, inner]; each row of the result [rows, columns] depends on that
/// row of `left` alone, bit for bit.
pub(crate) fn rows_times(left: &[f32], right: Matrix<'_>) -> Vec<f32> {
    let (inner, columns) = (right.rows, right.columns);
    let rows = left.len() / inner.max(1);
    // One row alone would take the matrix-vector path.
    let least = (SMALL / columns.max(1) + 1).max(2);
    if rows < least {
        let mut padded = left.to_vec();
        padded.resize(least * inner, 0.0);
        let mut out = in_panels(&padded, right);
        out.truncate(rows * columns);
        return out;
    }
    in_panels(left, right)
}

fn in_panels(left: &[f32], right: Matrix<'_>) -> Vec<f32> {
    let (inner, columns) = (right.rows, right.columns);
    let rows = left.len() / inner.max(1);
    let mut out = vec![0f32; rows * columns];
    let mut start = 0;
    while start < inner {
        let length = PANEL.min(inner - start);
        let left = Matrix {
            data: &left[start.min(left.len())..],
            rows,
            columns: length,
            row_stride: inner,
            column_stride: 1,
        };
        let right = Matrix { data: &right.data[start * right.row_stride..], rows: length, ..right };
        product(&mut out, columns, left, right, start > 0, Parallelism::Rayon(0));
        start += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut stream = crate::rng::Stream::new(seed, "matmul", &[]);
        (0..count).map(|_| stream.normal()).collect()
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_in_any_batch() {
        for (inner, columns) in [(8, 4), (32, 16), (80, 32), (128, 344), (1100, 64), (3, 2)] {
            let weights = numbers(inner * columns, 1);
            let left = numbers(65 * inner, 2);
            for right in [Matrix::dense(&weights, columns), Matrix::dense(&weights, inner).transposed()] {
                let all = rows_times(&left, right);
                for rows in 1..65 {
                    let part = rows_times(&left[(65 - rows) * inner..], right);
                    assert!(part == all[(65 - rows) * columns..], "{rows} rows of {inner} x {columns}");
                }
            }
        }
    }

    #[test]
    fn one_thread_and_two_agree() {
        let (inner, columns) = (700, 384);
        let (left, weights) = (numbers(300 * inner, 1), numbers(inner * columns, 2));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| rows_times(&left, Matrix::dense(&weights, columns)))
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(3));
    }
}
