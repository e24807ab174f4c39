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
        let rows = data.len().checked_div(columns).unwrap_or(0);
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
    if left.rows == 0 || right.columns == 0 {
        return;
    }
    assert!(
        out_stride >= right.columns && out.len() >= (left.rows - 1) * out_stride + right.columns,
        "matrix product outside of its result"
    );
    // SAFETY: every index that the strides reach is inside `out`, by the assertion above; it is borrowed
    // mutably, so it overlaps neither operand.
    unsafe { write_product(out.as_mut_ptr(), out_stride, left, right, accumulate, parallelism) }
}

/// `left · right` as a dense row-major matrix.
pub(crate) fn fresh_product(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    let length = left.rows * right.columns;
    if length == 0 || left.columns == 0 {
        return vec![0f32; length];
    }
    let mut out = Vec::with_capacity(length);
    // SAFETY: the capacity holds the whole result, and the product writes all of it without reading.
    unsafe {
        write_product(out.as_mut_ptr(), right.columns, left, right, false, Parallelism::Rayon(0));
        out.set_len(length);
    }
    out
}

/// # Safety
/// `out` is valid for writes, and for reads when accumulating, at `row * out_stride + column` for every
/// element of the result, and overlaps neither operand.
unsafe fn write_product(
    out: *mut f32,
    out_stride: usize,
    left: Matrix<'_>,
    right: Matrix<'_>,
    accumulate: bool,
    parallelism: Parallelism,
) {
    assert_eq!(left.columns, right.rows, "inner dimensions of a matrix product");
    assert!(
        left.data.len() >= left.last() && right.data.len() >= right.last(),
        "matrix product outside of its operands"
    );
    // SAFETY: the operands are in bounds by the assertion above, the result by the caller's promise.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            out,
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
    let part = |start: usize| {
        let length = PANEL.min(inner - start);
        let left = Matrix {
            data: &left[start.min(left.len())..],
            rows,
            columns: length,
            row_stride: inner,
            column_stride: 1,
        };
        (left, Matrix { data: &right.data[start * right.row_stride..], rows: length, ..right })
    };
    let (left, right) = part(0);
    let mut out = fresh_product(left, right);
    for start in (PANEL..inner).step_by(PANEL) {
        let (left, right) = part(start);
        product(&mut out, columns, left, right, true, Parallelism::Rayon(0));
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
