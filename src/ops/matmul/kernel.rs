//! The innermost loop: a tile of R rows and C panels, held in registers while the inner index runs.
//!
//! Per inner index it loads C vectors of the right operand and R numbers of the left one, and issues R · C
//! fused multiply-adds. With AVX-512, 12 x 2 keeps 24 of the 32 registers as sums, enough to hide the latency
//! of the additions, and reads 14 times for 24 multiply-adds: both units of the core stay busy. Where there
//! are only one or two rows, four panels at once keep it from waiting for each sum.

use super::LANES;
use crate::ops::parallel::Disjoint;
use crate::ops::simd::Vector;

/// The left operand of a tile: number `at` of row `row` stands at `row * row_stride + at * inner_stride`.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Rows<'a> {
    pub(in crate::ops) numbers: &'a [f32],
    pub(in crate::ops) row_stride: usize,
    pub(in crate::ops) inner_stride: usize,
}

/// The right operand of a tile: the 16 numbers `at` of panel `panel` stand from
/// `panel * panel_stride + at * inner_stride` on.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Columns<'a> {
    pub(in crate::ops) numbers: &'a [f32],
    pub(in crate::ops) panel_stride: usize,
    pub(in crate::ops) inner_stride: usize,
}

/// Where a tile's results go.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Target<'a> {
    pub(in crate::ops) out: &'a Disjoint,
    /// Distance between rows of the result.
    pub(in crate::ops) stride: usize,
    /// Whether to add to what is there.
    pub(in crate::ops) add: bool,
}

/// The product of `rows` rows, as many as [`height`] allows, with as many panels as [`panels`] allows; the
/// results, `columns` wide, start at number `at` of the target.
///
/// # Safety
/// The processor has what `V` needs, nobody else touches these results, and where they are added to they
/// hold numbers.
#[inline(always)]
pub(in crate::ops) unsafe fn tile<V: Vector>(
    rows: usize,
    inner: usize,
    left: Rows<'_>,
    right: Columns<'_>,
    target: Target<'_>,
    (at, columns): (usize, usize),
) {
    let count = columns.div_ceil(LANES);
    assert!(
        left.numbers.len() > (rows - 1) * left.row_stride + (inner - 1) * left.inner_stride
            && right.numbers.len()
                >= (count - 1) * right.panel_stride + (inner - 1) * right.inner_stride + LANES,
        "tile outside of its operands"
    );
    // One loop per tile shape, or its sums would not stay in registers.
    macro_rules! shapes {
        ($($rows:literal x $panels:literal),+) => {
            match (rows, count) {
                // SAFETY: the operands hold such a tile, by the check above; the rest is the caller's promise.
                $(($rows, $panels) => unsafe {
                    shaped::<V, $rows, $panels>(inner, left, right, target, at, columns)
                },)+
                _ => unreachable!("`height` and `panels` choose other shapes"),
            }
        };
    }
    if V::REGISTERS >= 32 {
        shapes!(12 x 1, 12 x 2, 8 x 1, 8 x 2, 4 x 1, 4 x 2, 2 x 1, 2 x 2, 2 x 4, 1 x 1, 1 x 2, 1 x 4);
    } else {
        shapes!(6 x 1, 2 x 1, 1 x 1);
    }
}

/// The tallest tile where `rows` rows are left.
#[inline(always)]
pub(in crate::ops) fn height<V: Vector>(rows: usize) -> usize {
    let heights: &[usize] = if V::REGISTERS >= 32 { &[12, 8, 4, 2] } else { &[6, 2] };
    heights.iter().copied().find(|height| *height <= rows).unwrap_or(1)
}

/// Panels per tile where `panels` are left, for tiles of at most `rows` rows.
#[inline(always)]
pub(in crate::ops) fn panels<V: Vector>(rows: usize, panels: usize) -> usize {
    match (V::REGISTERS >= 32, rows) {
        (true, ..=2) if panels >= 4 => 4,
        (true, _) => panels.min(2),
        (false, _) => 1,
    }
}

/// # Safety
/// As [`tile`]; the operands hold a tile of this shape.
#[inline(always)]
unsafe fn shaped<V: Vector, const R: usize, const C: usize>(
    inner: usize,
    left: Rows<'_>,
    right: Columns<'_>,
    target: Target<'_>,
    at: usize,
    columns: usize,
) {
    // SAFETY: all reads are within the operands, by the caller's promise.
    unsafe {
        let (rows, panels) = (left.numbers.as_ptr(), right.numbers.as_ptr());
        let mut sums = [[V::zero(); C]; R];
        for index in 0..inner {
            let mut vectors = [V::zero(); C];
            for (panel, vector) in vectors.iter_mut().enumerate() {
                *vector = V::load(panels.add(panel * right.panel_stride + index * right.inner_stride));
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                let number = V::splat(*rows.add(row * left.row_stride + index * left.inner_stride));
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    *sum = number.times_plus(vector, *sum);
                }
            }
        }
        // Loops of one instruction, which the compiler unrolls: anything more, and the sums of the loop above
        // would not stay in registers.
        let width = C * LANES;
        if columns == width {
            let place = target.out.at(at, (R - 1) * target.stride + width);
            if target.add {
                for (row, sums) in sums.iter_mut().enumerate() {
                    for (panel, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.plus(V::load(place.add(row * target.stride + panel * LANES)));
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                for (panel, sum) in sums.iter().enumerate() {
                    sum.store(place.add(row * target.stride + panel * LANES));
                }
            }
            return;
        }
        let mut found = [[[0f32; LANES]; C]; R];
        for (sums, found) in sums.iter().zip(&mut found) {
            for (sum, found) in sums.iter().zip(found) {
                sum.store(found.as_mut_ptr());
            }
        }
        for (row, found) in found.iter().enumerate() {
            let place = target.out.at(at + row * target.stride, columns);
            for (column, sum) in found.as_flattened().iter().take(columns).enumerate() {
                let place = place.add(column);
                *place = if target.add { sum + *place } else { *sum };
            }
        }
    }
}
