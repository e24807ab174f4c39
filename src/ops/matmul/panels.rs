//! Operands in the order in which the kernel reads them.

use super::kernel::Columns;
use super::{LANES, Matrix, Threads};
use crate::error::Result;
use crate::ops::parallel::Disjoint;
use crate::ops::parameter::{Parameter, with_slice};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// Weights of more numbers than this are not kept as panels: it would double their memory.
pub(crate) const SMALL_WEIGHT: usize = 1 << 22;

/// A right operand [inner, columns] as panels [inner, 16] of 16 columns each; the last is filled up with
/// zeros. A tile then reads memory in order, and a panel stays in the first cache while rows pass by.
#[derive(Debug)]
pub(crate) struct Panels {
    numbers: Vec<f32>,
    pub(super) inner: usize,
    pub(super) width: usize,
}

impl Panels {
    /// Packs a matrix.
    pub(crate) fn pack(right: Matrix<'_>, threads: Threads) -> Self {
        let (inner, columns) = (right.rows, right.columns);
        let length = inner * LANES;
        let count = columns.div_ceil(LANES);
        let mut numbers = Vec::with_capacity(count * length);
        let room = Disjoint::spare(&mut numbers, count * length);
        let work = |panel: usize| {
            // SAFETY: each panel is written by one task, all of it, and `numbers` outlives the tasks.
            let to = unsafe { room.part(panel * length, length) };
            pack_panel(right, panel * LANES, to);
        };
        match threads {
            Threads::One => (0..count).for_each(work),
            Threads::All => (0..count).into_par_iter().for_each(work),
        }
        // SAFETY: all panels are written.
        unsafe { numbers.set_len(count * length) };
        Self { numbers, inner, width: columns }
    }

    /// The number of panels.
    pub(super) fn count(&self) -> usize {
        self.width.div_ceil(LANES)
    }

    /// The panels from `panel` on, from inner index `start` on.
    #[inline(always)]
    pub(super) fn columns(&self, panel: usize, start: usize) -> Columns<'_> {
        let panel_stride = self.inner * LANES;
        let numbers = &self.numbers[panel * panel_stride + start * LANES..];
        Columns { numbers, panel_stride, inner_stride: LANES }
    }
}

/// Writes all of a panel.
fn pack_panel(right: Matrix<'_>, first: usize, panel: &mut [f32]) {
    let width = LANES.min(right.columns - first);
    if right.column_stride == 1 {
        for (row, packed) in panel.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let from = &right.data[row * right.row_stride + first..];
            match from.first_chunk::<LANES>() {
                Some(from) if width == LANES => *packed = *from,
                _ => {
                    *packed = [0.0; LANES];
                    packed[..width].copy_from_slice(&from[..width]);
                }
            }
        }
        return;
    }
    if width < LANES {
        panel.fill(0.0);
    }
    // A transposed view: read along its rows, 16 numbers at a time, so that both sides stay in cache.
    for (block, packed) in panel.chunks_mut(LANES * LANES).enumerate() {
        for column in 0..width {
            let start = (first + column) * right.column_stride + block * LANES * right.row_stride;
            let from = right.data[start..].iter().step_by(right.row_stride);
            packed.iter_mut().skip(column).step_by(LANES).zip(from).for_each(|(to, from)| *to = *from);
        }
    }
}

/// Panels, and the version of the weight that they were made from.
type Made = (u64, Arc<Panels>);

/// The panels of a projection of a weight, made anew only when the weight has changed. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct WeightPanels(Arc<Mutex<Option<Made>>>);

impl WeightPanels {
    /// The panels that `pack` makes of the weight's numbers, unless they are at hand.
    pub(crate) fn of(
        &self,
        weight: &Parameter,
        pack: impl FnOnce(&[f32], Threads) -> Panels,
    ) -> Result<Arc<Panels>> {
        if weight.elements() > SMALL_WEIGHT {
            return Ok(Arc::new(with_slice(&weight.value(), |numbers| pack(numbers, Threads::All))?));
        }
        let version = weight.version();
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, panels)) = held.as_ref().filter(|(made, _)| *made == version) {
            return Ok(panels.clone());
        }
        // On this thread alone: while it waited for others, it might be given work that wants the lock.
        let panels = Arc::new(with_slice(&weight.value(), |numbers| pack(numbers, Threads::One))?);
        *held = Some((version, panels.clone()));
        Ok(panels)
    }
}
