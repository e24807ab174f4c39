//! Dense Adam on flat rows, fused: one pass reads the gradient and updates moments and values.

use crate::ops::simd::vectorised;

/// One parameter with its two moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parameter {
    pub(super) value: Vec<f32>,
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
}

impl Parameter {
    pub(super) fn new(value: Vec<f32>) -> Self {
        Self { first: vec![0.0; value.len()], second: vec![0.0; value.len()], value }
    }

    /// Gives row `index` new values and forgets its moments.
    pub(super) fn restart(&mut self, index: usize, values: &[f32]) {
        let row = index * values.len()..(index + 1) * values.len();
        self.value[row.clone()].copy_from_slice(values);
        self.first[row.clone()].fill(0.0);
        self.second[row].fill(0.0);
    }

    /// Splits the parameter into rows of `width`.
    pub(super) fn rows(&mut self, width: usize) -> impl Iterator<Item = Row<'_>> {
        let moments = self.first.chunks_exact_mut(width).zip(self.second.chunks_exact_mut(width));
        let rows = self.value.chunks_exact_mut(width).zip(moments);
        rows.map(|(value, (first, second))| Row { value, first, second })
    }
}

/// One row of a parameter.
pub(super) struct Row<'a> {
    pub(super) value: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

/// Adam (Kingma and Ba 2015) with bias correction, betas .9 and .999, epsilon 1e-8, no weight decay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adam {
    pub(super) rate: f32,
    pub(super) second_correction: f32,
}

pub(super) const BETA_1: f32 = 0.9;
pub(super) const BETA_2: f32 = 0.999;
pub(super) const EPSILON: f32 = 1e-8;

impl Adam {
    /// The update of step `step`, counted from 0.
    pub(super) fn at(step: usize, learning_rate: f64) -> Self {
        let power = step as f64 + 1.0;
        let first = 1.0 - f64::from(BETA_1).powf(power);
        let second = 1.0 - f64::from(BETA_2).powf(power);
        Self { rate: (learning_rate / first) as f32, second_correction: (1.0 / second) as f32 }
    }

    /// Updates a row by its gradient.
    pub(super) fn update(&self, row: &mut Row<'_>, gradient: &[f32]) {
        let moments = row.first.iter_mut().zip(row.second.iter_mut());
        let rows = row.value.iter_mut().zip(moments).zip(gradient);
        vectorised(
            #[inline(always)]
            || {
                for ((value, (first, second)), gradient) in rows {
                    *first = BETA_1 * *first + (1.0 - BETA_1) * gradient;
                    *second = BETA_2 * *second + (1.0 - BETA_2) * gradient * gradient;
                    *value -= self.rate * *first / ((*second * self.second_correction).sqrt() + EPSILON);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_moves_by_the_learning_rate_against_the_sign() {
        let mut parameter = Parameter::new(vec![1.0, 1.0, 1.0]);
        let gradient = [5.0, -0.01, 0.0];
        Adam::at(0, 0.1).update(&mut parameter.rows(3).next().unwrap(), &gradient);
        for (value, expected) in parameter.value.iter().zip([0.9, 1.1, 1.0]) {
            assert!((value - expected).abs() < 1e-5, "{value}");
        }
    }
}
