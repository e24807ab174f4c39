//! Means of units, with intervals.

use super::distributions::{normal_quantile, student_t_quantile};
use serde::{Deserialize, Serialize};

/// An estimate with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate: a mean, or whatever statistic the interval is of.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies in it, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Number, mean and spread of one value per unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many units.
    pub units: usize,
    /// Their mean; NaN without units.
    pub mean: f64,
    /// Their standard deviation (n - 1); NaN with fewer than two.
    pub deviation: f64,
}

impl Summary {
    /// Of one value per unit.
    pub fn of(values: &[f64]) -> Self {
        let units = values.len();
        let mean = values.iter().sum::<f64>() / units as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = if units > 1 { (squares / (units - 1) as f64).sqrt() } else { f64::NAN };
        Self { units, mean, deviation }
    }

    /// The standard error of the mean; NaN with fewer than two units.
    pub fn standard_error(&self) -> f64 {
        self.deviation / (self.units as f64).sqrt()
    }

    /// Student's t interval of the mean at `level` (.95 for 95 %). NaN ends with fewer than two units.
    pub fn interval(&self, level: f64) -> Interval {
        let freedom = self.units as f64 - 1.0;
        let reach = student_t_quantile(0.5 + level / 2.0, freedom) * self.standard_error();
        Interval { mean: self.mean, low: self.mean - reach, high: self.mean + reach }
    }

    /// The interval of a share: the t interval kept within 0 and 1 or, where all units agree and the t
    /// interval would be a point, Wilson's interval with each unit counted once.
    pub fn share_interval(&self, level: f64) -> Interval {
        if self.deviation > 0.0 {
            let Interval { mean, low, high } = self.interval(level);
            return Interval { mean, low: low.max(0.0), high: high.min(1.0) };
        }
        wilson(self.mean * self.units as f64, self.units as f64, level)
    }
}

/// Wilson's score interval (1927) for a share of `successes` in independent `trials`. NaN ends without trials.
pub fn wilson(successes: f64, trials: f64, level: f64) -> Interval {
    let z = normal_quantile(0.5 + level / 2.0);
    let share = successes / trials;
    let shrink = 1.0 + z * z / trials;
    let centre = (share + z * z / (2.0 * trials)) / shrink;
    let reach = z / shrink * (share * (1.0 - share) / trials + z * z / (4.0 * trials * trials)).sqrt();
    Interval { mean: share, low: (centre - reach).max(0.0), high: (centre + reach).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// Newcombe (1998), table I: 81 of 263, and 0 of 20.
    #[test]
    fn wilson_gives_the_published_intervals() {
        let found = wilson(81.0, 263.0, 0.95);
        assert!((found.low - 0.2553).abs() < 1e-4 && (found.high - 0.3662).abs() < 1e-4, "{found:?}");
        let none = wilson(0.0, 20.0, 0.95);
        assert!(none.low < 1e-12 && (none.high - 0.1611).abs() < 1e-4, "{none:?}");
    }

    #[test]
    fn the_clustered_interval_covers_where_the_binomial_one_does_not() {
        let stream = &mut Stream::new(1, "coverage", &[]);
        let (mut clustered, mut binomial, repeats) = (0, 0, 1000);
        for _ in 0..repeats {
            // Forty problems, each with its own chance (mean .4), eight samples each.
            let units: Vec<f64> = (0..40)
                .map(|_| {
                    let chance = if stream.uniform_f64() < 0.4 { 0.9 } else { 0.2 / 3.0 };
                    (0..8).filter(|_| stream.uniform_f64() < chance).count() as f64 / 8.0
                })
                .collect();
            let summary = Summary::of(&units);
            clustered += usize::from(summary.share_interval(0.95).contains(0.4));
            binomial += usize::from(wilson(summary.mean * 320.0, 320.0, 0.95).contains(0.4));
        }
        let share = |count: usize| count as f64 / f64::from(repeats);
        assert!((0.93..0.97).contains(&share(clustered)), "{}", share(clustered));
        assert!(share(binomial) < 0.7, "{}", share(binomial));
    }

    #[test]
    fn a_share_that_all_units_agree_on_still_has_an_interval() {
        let all = Summary::of(&[1.0; 20]).share_interval(0.95);
        assert!(all.high == 1.0 && (all.low - 0.8389).abs() < 1e-4, "{all:?}");
    }
}
