//! Matrix products on the CPU.
//!
//! An element of a product is a sum of fused multiply-adds in the order of the inner index, in blocks of at
//! most [`BLOCK`] that depend on the length of that index alone. So it has the same bits whatever stands
//! beside it, however many threads there are, and whichever instructions the processor has: what the rows of
//! a batch must not know of each other, they cannot.
//!
//! How it is fast, from the inside out (the scheme of GotoBLAS and BLIS):
//!
//! 1. A tile of 12 x 32 results stays in registers ([`kernel`]).
//! 2. The right operand is packed into panels of 16 columns ([`panels`]); two of them, over one block of the
//!    inner index, take 32 KiB and stay in the first cache while the rows of a task pass by.
//! 3. A task is [`ROWS`] rows, whose left operand stays in the second cache while all panels pass by. It is
//!    read in place where its rows are contiguous; else the task packs it.
//! 4. Weights keep their panels from call to call ([`WeightPanels`]).

pub(super) mod kernel;
mod panels;

pub(crate) use panels::{Panels, SMALL_WEIGHT, WeightPanels};

use super::parallel::Disjoint;
use super::simd::{Portable, Vector, Wide, vectorised};
use kernel::{Rows, Target};
use rayon::prelude::*;
use std::cell::RefCell;

/// Columns per panel: one vector.
const LANES: usize = super::simd::LANES;

/// Inner indices per block at most.
const BLOCK: usize = 256;

/// Rows per task.
const ROWS: usize = 96;

/// Products of fewer multiply-adds than this are not worth waking another thread.
const SERIAL: usize = 1 << 19;

/// Rows this far apart (4 KiB) share the lines of the first cache, and would drive each other out.
const ALIASED: usize = 1024;

/// Who computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling thread.
    One,
    /// All threads, where the product is large enough.
    All,
}

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
    threads: Threads,
) {
    if left.rows == 0 || right.columns == 0 {
        return;
    }
    assert_eq!(left.columns, right.rows, "inner dimensions of a matrix product");
    assert!(
        right.data.len() >= right.last() && out_stride >= right.columns,
        "matrix product outside of its operands"
    );
    let threads = if work(left, right.columns) < SERIAL { Threads::One } else { threads };
    let panels = Panels::pack(right, threads);
    let target = Target { out: &Disjoint::new(out), stride: out_stride, add: accumulate };
    // SAFETY: `out` is borrowed mutably for the time of the call.
    unsafe { multiply(target, left, &panels, threads) }
}

/// `left · right` as a dense row-major matrix.
pub(crate) fn fresh_product(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    assert_eq!(left.columns, right.rows, "inner dimensions of a matrix product");
    assert!(right.data.len() >= right.last(), "matrix product outside of its operands");
    let threads = if work(left, right.columns) < SERIAL { Threads::One } else { Threads::All };
    times_panels(left, &Panels::pack(right, threads))
}

/// `left · right`, on top of `sum` where there is one: dense, row-major.
pub(crate) fn added_product(sum: Option<Vec<f32>>, left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    match sum {
        None => fresh_product(left, right),
        Some(mut sum) => {
            product(&mut sum, right.columns, left, right, true, Threads::All);
            sum
        }
    }
}

/// `left · right` as a dense row-major matrix, the right operand packed before.
pub(crate) fn times_panels(left: Matrix<'_>, right: &Panels) -> Vec<f32> {
    let mut out = Vec::new();
    times_panels_into(&mut out, left, right);
    out
}

/// As [`times_panels`], in place of what `out` held.
pub(crate) fn times_panels_into(out: &mut Vec<f32>, left: Matrix<'_>, right: &Panels) {
    let length = left.rows * right.width;
    out.clear();
    out.reserve_exact(length);
    let shared = Disjoint::spare(out, length);
    let target = Target { out: &shared, stride: right.width, add: false };
    // SAFETY: the capacity holds the whole result, and the product writes all of it without reading.
    unsafe {
        multiply(target, left, right, Threads::All);
        out.set_len(length);
    }
}

/// The number of multiply-adds.
fn work(left: Matrix<'_>, columns: usize) -> usize {
    left.rows * left.columns * columns
}

/// # Safety
/// The target outlives the call, nobody else touches it, and where it is added to it holds numbers.
unsafe fn multiply(target: Target<'_>, left: Matrix<'_>, right: &Panels, threads: Threads) {
    assert_eq!(left.columns, right.inner, "inner dimensions of a matrix product");
    assert!(left.data.len() >= left.last(), "matrix product outside of its operands");
    if left.columns == 0 {
        return clear(target, left.rows, right.width);
    }
    let (row_tasks, panels) = (left.rows.div_ceil(ROWS), right.count());
    let serial = threads == Threads::One || work(left, right.width) < SERIAL;
    // Few rows: share the columns out as well, in pairs of panels.
    let wanted = if serial { 1 } else { 4 * rayon::current_num_threads() };
    let column_tasks = wanted.div_ceil(row_tasks.max(1)).clamp(1, panels.div_ceil(2).max(1));
    let width = panels.div_ceil(column_tasks).next_multiple_of(2);
    let task = |index: usize| {
        let (rows, columns) = (index % row_tasks, index / row_tasks);
        let rows = rows * ROWS..((rows + 1) * ROWS).min(left.rows);
        let panels = columns * width..((columns + 1) * width).min(panels);
        PACKED.with_borrow_mut(|packed| {
            vectorised(
                #[inline(always)]
                || {
                    // SAFETY: tasks write to disjoint results; `Wide` is used where the processor has it.
                    unsafe {
                        if Wide::here() {
                            part::<Wide>(target, left, right, rows, panels, packed);
                        } else {
                            part::<Portable>(target, left, right, rows, panels, packed);
                        }
                    }
                },
            );
        });
    };
    let tasks = row_tasks * column_tasks;
    if serial {
        (0..tasks).for_each(task);
    } else {
        (0..tasks).into_par_iter().for_each(task);
    }
}

thread_local! {
    /// Holds a task's rows of the left operand, one block of the inner index at a time.
    static PACKED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A sum over nothing.
fn clear(target: Target<'_>, rows: usize, columns: usize) {
    for row in (0..rows).filter(|_| !target.add) {
        // SAFETY: in bounds by `at`, and nobody else touches the target.
        unsafe { target.out.at(row * target.stride, columns).write_bytes(0, columns) };
    }
}

/// The product of some rows with some panels.
///
/// # Safety
/// As [`multiply`], for these results; the processor has what `V` needs.
#[inline(always)]
unsafe fn part<V: Vector>(
    target: Target<'_>,
    left: Matrix<'_>,
    right: &Panels,
    rows: std::ops::Range<usize>,
    panels: std::ops::Range<usize>,
    packed: &mut Vec<f32>,
) {
    let length = left.columns.div_ceil(left.columns.div_ceil(BLOCK));
    let in_place = left.column_stride == 1 && !left.row_stride.is_multiple_of(ALIASED);
    let mut start = 0;
    while start < left.columns {
        let inner = length.min(left.columns - start);
        if !in_place {
            pack::<V>(left, rows.clone(), start..start + inner, packed);
        }
        let target = Target { add: target.add || start > 0, ..target };
        let mut panel = panels.start;
        while panel < panels.end {
            let count = kernel::panels::<V>(rows.len(), panels.end - panel);
            let columns = (count * LANES).min(right.width - panel * LANES);
            let mut row = rows.start;
            while row < rows.end {
                let height = kernel::height::<V>(rows.end - row);
                let tile = if in_place {
                    let numbers = &left.data[row * left.row_stride + start..];
                    Rows { numbers, row_stride: left.row_stride, inner_stride: 1 }
                } else {
                    let numbers = &packed[(row - rows.start) * inner..];
                    Rows { numbers, row_stride: 1, inner_stride: height }
                };
                let at = row * target.stride + panel * LANES;
                // SAFETY: the caller's promise.
                unsafe {
                    kernel::tile::<V>(
                        height,
                        inner,
                        tile,
                        right.columns(panel, start),
                        target,
                        (at, columns),
                    );
                }
                row += height;
            }
            panel += count;
        }
        start += inner;
    }
}

/// Copies rows of the left operand, tile by tile, each tile [inner, height].
#[inline(always)]
fn pack<V: Vector>(
    left: Matrix<'_>,
    rows: std::ops::Range<usize>,
    inner: std::ops::Range<usize>,
    packed: &mut Vec<f32>,
) {
    packed.resize(rows.len() * inner.len(), 0.0);
    let mut row = rows.start;
    while row < rows.end {
        let height = kernel::height::<V>(rows.end - row);
        let tile = &mut packed[(row - rows.start) * inner.len()..][..height * inner.len()];
        for (index, packed) in inner.clone().zip(tile.chunks_exact_mut(height)) {
            let from = &left.data[row * left.row_stride + index * left.column_stride..];
            if left.row_stride != 1 {
                packed
                    .iter_mut()
                    .zip(from.iter().step_by(left.row_stride))
                    .for_each(|(to, from)| *to = *from);
            } else if let (Some(packed), Some(from)) = (packed.first_chunk_mut::<12>(), from.first_chunk()) {
                // The usual height, known to the compiler: three moves.
                *packed = *from;
            } else {
                packed.copy_from_slice(&from[..height]);
            }
        }
        row += height;
    }
}

#[cfg(test)]
mod tests;
