//! What changes from step to step: the step size, k, and the penalty's weight.

use super::settings::FitSettings;

/// The schedule of a fit. Steps count from 0.
#[derive(Clone, Debug)]
pub(super) struct Schedule<'a>(pub(super) &'a FitSettings);

impl Schedule<'_> {
    /// Linear warm-up, constant, linear decay to zero.
    pub(super) fn learning_rate(&self, step: usize) -> f64 {
        let steps = self.0.steps as f64;
        let done = (step as f64 + 0.5) / steps;
        let rising = if self.0.warm_up > 0.0 { done / self.0.warm_up } else { 1.0 };
        let falling = if self.0.decay > 0.0 { (1.0 - done) / self.0.decay } else { 1.0 };
        self.0.learning_rate * rising.min(falling).clamp(0.0, 1.0)
    }

    /// Falls linearly from `k_start * k` to `k` over the first `k_anneal` of the steps.
    pub(super) fn k(&self, step: usize) -> usize {
        let annealed = self.0.k_anneal * self.0.steps as f64;
        if step as f64 >= annealed {
            return self.0.k;
        }
        let k = self.0.k as f64;
        let start = (k * self.0.k_start).min(self.0.features as f64 / 2.0).max(k);
        (start + (k - start) * step as f64 / annealed).round() as usize
    }

    /// Whether k has reached its final value.
    pub(super) fn annealed(&self, step: usize) -> bool {
        step as f64 >= self.0.k_anneal * self.0.steps as f64
    }

    /// Rises linearly to `penalty` over the warm-up.
    pub(super) fn penalty(&self, step: usize) -> f64 {
        let rising = (step as f64 + 1.0) / (self.0.warm_up * self.0.steps as f64).max(1.0);
        self.0.penalty * rising.min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_rises_anneals_and_ends_at_zero() {
        let settings = FitSettings { steps: 1000, k: 10, ..FitSettings::default() };
        let schedule = Schedule(&settings);
        assert_eq!((schedule.k(0), schedule.k(150), schedule.k(300), schedule.k(999)), (40, 25, 10, 10));
        assert!(schedule.learning_rate(0) < 0.02 * settings.learning_rate);
        assert_eq!(schedule.learning_rate(500), settings.learning_rate);
        assert!(schedule.learning_rate(999) < 0.01 * settings.learning_rate);
    }
}
