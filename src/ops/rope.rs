//! Rotary position embedding, half-split as in the HF implementations: the first `2 · pairs` numbers of a
//! head are rotated, number i together with number i + pairs, by `position · frequency_i`.
//!
//! `(a, b) → (a cos − b sin, b cos + a sin) · factor`. Backward is the rotation by the negative angle.

use super::parallel;
use super::simd::vectorised;
use super::tape::{Tape, Value};
use candle_core::{Device, Tensor};
use std::sync::{Arc, Mutex, PoisonError};

/// Cosines and sines of all positions, grown on demand by the caller.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    /// [positions, pairs], already multiplied by the attention factor of yarn.
    cosines: Arc<Vec<f32>>,
    sines: Arc<Vec<f32>>,
    pairs: usize,
    /// Both as tensors, once composed kernels have asked for them.
    tables: Arc<Mutex<Option<(Tensor, Tensor)>>>,
}

impl Rotation {
    /// The table for `positions` positions. Angles are rounded to f32 as transformers rounds them.
    pub(crate) fn new(frequencies: &[f32], factor: f32, positions: usize) -> Self {
        let angles = (0..positions)
            .flat_map(|position| frequencies.iter().map(move |frequency| position as f32 * frequency));
        let (cosines, sines) = angles.map(|angle| (angle.cos() * factor, angle.sin() * factor)).unzip();
        Self {
            cosines: Arc::new(cosines),
            sines: Arc::new(sines),
            pairs: frequencies.len(),
            tables: Arc::default(),
        }
    }

    /// Cosines and sines [positions, pairs] as tensors on `device`, the one where the model is.
    pub(crate) fn tables(&self, device: &Device) -> candle_core::Result<(Tensor, Tensor)> {
        let mut held = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tables) = &*held {
            return Ok(tables.clone());
        }
        let table = |numbers: &[f32]| Tensor::from_slice(numbers, (self.positions(), self.pairs), device);
        let tables = (table(&self.cosines)?, table(&self.sines)?);
        *held = Some(tables.clone());
        Ok(tables)
    }

    /// The number of positions in the table.
    pub(crate) fn positions(&self) -> usize {
        self.cosines.len() / self.pairs.max(1)
    }

    /// Rotates every head of every token; `positions` are the tokens' absolute positions.
    pub(crate) fn forward(
        &self,
        tape: &Tape,
        value: Value,
        head_dim: usize,
        positions: &Arc<Vec<usize>>,
    ) -> Value {
        let (slot, width) = (value.slot(), value.width());
        let mut data = value.into_data();
        self.rotate(&mut data, width, head_dim, positions, 1.0);
        let out = tape.value(data, width);
        if let (Some(from), Some(to)) = (slot, out.slot()) {
            let (this, positions) = (self.clone(), positions.clone());
            tape.push(move |slots| {
                if let Some(mut gradient) = slots.take(to) {
                    this.rotate(&mut gradient, width, head_dim, &positions, -1.0);
                    slots.add(from, gradient);
                }
                Ok(())
            });
        }
        out
    }

    fn rotate(&self, data: &mut [f32], width: usize, head_dim: usize, positions: &[usize], sign: f32) {
        let pairs = self.pairs;
        parallel::rows(data, width, |first, chunk| {
            vectorised(
                #[inline(always)]
                || {
                    for (row, token) in chunk.chunks_exact_mut(width).enumerate() {
                        let at = positions[first + row] * pairs;
                        let cosines = &self.cosines[at..at + pairs];
                        let sines = &self.sines[at..at + pairs];
                        for head in token.chunks_exact_mut(head_dim) {
                            let (low, high) = head.split_at_mut(pairs);
                            for index in 0..pairs {
                                let (a, b) = (low[index], high[index]);
                                let (cosine, sine) = (cosines[index], sines[index] * sign);
                                low[index] = a * cosine - b * sine;
                                high[index] = b * cosine + a * sine;
                            }
                        }
                    }
                },
            );
        });
    }
}
