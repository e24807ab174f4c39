//! Work over rows, on all cores, in chunks whose bounds depend on the shapes alone.

use super::lanes;
use rayon::prelude::*;

/// Work below this many numbers is done on the calling thread: waking another costs more.
const SERIAL: usize = 1 << 14;

/// Numbers per chunk, so that a chunk of input and output stays in a core's cache.
const CHUNK: usize = 1 << 13;

/// Runs `work` on a thread of the pool, on the caller's lane. From outside of it, every parallel loop would be
/// handed over and waited for; from inside, the thread takes part in its own loops.
pub(crate) fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    super::allocation::keep_freed_memory();
    match rayon::current_thread_index() {
        Some(_) => work(),
        None => {
            let lane = lanes::current();
            rayon::scope(|_| lanes::lane(lane, work))
        }
    }
}

/// Rows per chunk for rows of `width` numbers.
pub(crate) fn rows_per_chunk(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

/// Calls `work(first_row, chunk)` for consecutive chunks of rows of `out`.
pub(crate) fn rows(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Send + Sync) {
    if width == 0 || out.is_empty() {
        return;
    }
    let count = rows_per_chunk(width);
    if out.len() <= SERIAL {
        for (index, chunk) in out.chunks_mut(count * width).enumerate() {
            work(index * count, chunk);
        }
    } else {
        out.par_chunks_mut(count * width).enumerate().for_each(|(index, chunk)| work(index * count, chunk));
    }
}

/// Sums over rows: `work(first_row, end_row, partial)` adds the rows of one chunk into a `partial` of
/// `length` zeros; the partial sums are then added in the order of the chunks.
pub(crate) fn reduce_rows(
    count: usize,
    width: usize,
    length: usize,
    work: impl Fn(usize, usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let chunk = rows_per_chunk(width) * 4;
    let partials: Vec<Vec<f32>> = (0..count.div_ceil(chunk))
        .into_par_iter()
        .map(|index| {
            let mut partial = vec![0f32; length];
            work(index * chunk, ((index + 1) * chunk).min(count), &mut partial);
            partial
        })
        .collect();
    let mut partials = partials.into_iter();
    let mut total = partials.next().unwrap_or_else(|| vec![0f32; length]);
    for partial in partials {
        add(&mut total, &partial);
    }
    total
}

/// `total += other`, element by element.
pub(crate) fn add(total: &mut [f32], other: &[f32]) {
    let piece = |start: usize, chunk: &mut [f32]| {
        super::simd::vectorised(
            #[inline(always)]
            || {
                for (total, other) in chunk.iter_mut().zip(&other[start..]) {
                    *total += other;
                }
            },
        );
    };
    rows(total, 1, piece);
}

/// Shares a buffer between tasks that write to disjoint parts of it.
#[derive(Clone, Copy)]
pub(crate) struct Disjoint {
    start: *mut f32,
    length: usize,
}

// SAFETY: the caller of `part` promises that no two live parts overlap.
unsafe impl Send for Disjoint {}
// SAFETY: as above.
unsafe impl Sync for Disjoint {}

impl Disjoint {
    /// Shares `buffer`, which must outlive every part.
    pub(crate) fn new(buffer: &mut [f32]) -> Self {
        Self { start: buffer.as_mut_ptr(), length: buffer.len() }
    }

    /// Shares room for `length` numbers after the end of `buffer`, which must have the capacity and outlive
    /// every part. They are not numbers yet: write them through [`Self::at`].
    pub(crate) fn spare(buffer: &mut Vec<f32>, length: usize) -> Self {
        let spare = &mut buffer.spare_capacity_mut()[..length];
        Self { start: spare.as_mut_ptr().cast(), length }
    }

    /// The place of `length` numbers from `offset`.
    pub(crate) fn at(&self, offset: usize, length: usize) -> *mut f32 {
        assert!(offset + length <= self.length, "part outside of its buffer");
        // SAFETY: in bounds by the assertion.
        unsafe { self.start.add(offset) }
    }

    /// `length` numbers from `offset`.
    ///
    /// # Safety
    /// The buffer is alive, and no other live part overlaps this one.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, offset: usize, length: usize) -> &mut [f32] {
        // SAFETY: in bounds by the check in `at`, alive and unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset, length), length) }
    }
}
