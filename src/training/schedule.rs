//! The learning rate over a run: a linear warm-up, then one of three shapes.

use serde::{Deserialize, Serialize};

/// The shape after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Stays at the peak.
    #[default]
    Constant,
    /// Falls in a straight line to the floor.
    Linear,
    /// Falls along half a cosine to the floor.
    Cosine,
}

impl Schedule {
    /// The factor on the peak learning rate in `step` (from 0) of `steps`: `(step + 1) / warmup` in the
    /// warm-up, then down to `floor`, which the last step comes near and one step more would reach.
    pub fn factor(self, step: usize, steps: usize, warmup: usize, floor: f64) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let progress = ((step - warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64).min(1.0);
        let shape = match self {
            Self::Constant => return 1.0,
            Self::Linear => 1.0 - progress,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        floor + (1.0 - floor) * shape
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn the_rate_warms_up_and_falls_to_its_floor() {
        let factor = |schedule: Schedule, step| schedule.factor(step, 110, 10, 0.05);
        for schedule in [Schedule::Constant, Schedule::Linear, Schedule::Cosine] {
            assert_eq!(factor(schedule, 0), 0.1);
            assert_eq!(factor(schedule, 9), 1.0);
            assert_eq!(factor(schedule, 10), 1.0);
        }
        assert_eq!(factor(Schedule::Constant, 109), 1.0);
        assert!((factor(Schedule::Linear, 60) - 0.525).abs() < 1e-12);
        assert!((factor(Schedule::Cosine, 60) - 0.525).abs() < 1e-12);
        assert!((factor(Schedule::Cosine, 110) - 0.05).abs() < 1e-12);
    }
}
