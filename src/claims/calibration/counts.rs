//! Counts over many micro-worlds, and the limits within which they should lie.

use super::{CalibrationRow, Level, Planting};
use serde::Serialize;

/// Counts over the micro-worlds of one level, with the limits within which they should lie.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// The level.
    pub level: Level,
    /// Null worlds.
    pub nulls: usize,
    /// Claims in them.
    pub null_claims: usize,
    /// At most so many are expected of a method that keeps its level.
    pub null_limit: usize,
    /// Worlds of a skill that base has too.
    pub shared: usize,
    /// Claims in them.
    pub shared_claims: usize,
    /// At most so many are expected of a method that keeps its level.
    pub shared_limit: usize,
    /// Planted worlds.
    pub planted: usize,
    /// Right verdicts in them: the power.
    pub planted_right: usize,
    /// Planted worlds whose simultaneous intervals cover the true effects on both suites.
    pub covered: usize,
    /// The least and the most that are expected of intervals that keep their level.
    pub covered_limits: [usize; 2],
}

impl Calibration {
    /// What [`Calibration::counted`] counts.
    pub const COUNTED: [&str; 4] = [
        "claims in null worlds",
        "claims where base has the skill too",
        "planted sets found and rightly judged",
        "true effects covered",
    ];

    /// Counts the rows of a level.
    pub fn of(level: Level, rows: &[CalibrationRow], alpha: f64) -> Self {
        let of_kind = |planting: Planting| {
            rows.iter().filter(move |row| row.level == level.name() && row.world == planting.name())
        };
        let (null_rows, planted_rows) = (|| of_kind(Planting::Nothing), || of_kind(Planting::Transfer));
        let shared_rows = || of_kind(Planting::SharedSkill);
        let (nulls, planted, shared) = (null_rows().count(), planted_rows().count(), shared_rows().count());
        Self {
            level,
            nulls,
            null_claims: null_rows().filter(|row| row.claimed).count(),
            null_limit: binomial_quantile(nulls, alpha, 0.975),
            shared,
            shared_claims: shared_rows().filter(|row| row.claimed).count(),
            shared_limit: binomial_quantile(shared, alpha, 0.975),
            planted,
            planted_right: planted_rows().filter(|row| row.right).count(),
            covered: planted_rows().filter(|row| row.covered).count(),
            covered_limits: [
                binomial_quantile(planted, 1.0 - alpha, TOO_FEW),
                binomial_quantile(planted, 1.0 - alpha, 0.975),
            ],
        }
    }

    /// The counts with their limits, in words.
    pub fn counted(&self) -> [String; 4] {
        let [least, most] = self.covered_limits;
        [
            format!("{} of {} (at most {})", self.null_claims, self.nulls, self.null_limit),
            format!("{} of {} (at most {})", self.shared_claims, self.shared, self.shared_limit),
            format!("{} of {} (at least {})", self.planted_right, self.planted, self.least_right()),
            format!("{} of {} ({least} to {most})", self.covered, self.planted),
        ]
    }

    /// What is out of its limits, if anything.
    pub fn failures(&self) -> Vec<String> {
        let [least, most] = self.covered_limits;
        let hold = [
            self.null_claims <= self.null_limit,
            self.shared_claims <= self.shared_limit,
            self.planted_right >= self.least_right(),
            (least..=most).contains(&self.covered),
        ];
        let counts = Self::COUNTED.into_iter().zip(self.counted()).zip(hold);
        let failed = counts.filter(|(_, holds)| !holds);
        failed.map(|((what, count), _)| format!("{}: {what}: {count}", self.level.name())).collect()
    }

    /// Power is shown, and must be one half at least.
    fn least_right(&self) -> usize {
        self.planted.div_ceil(2)
    }
}

/// Intervals of the right level cover fewer than the least count with at most this chance; of 200 that is 182.
const TOO_FEW: f64 = 0.006;

/// The smallest count k with P(X <= k) >= `level`, for X binomial with `trials` and `probability`.
fn binomial_quantile(trials: usize, probability: f64, level: f64) -> usize {
    let odds = probability / (1.0 - probability);
    let mut log_mass = trials as f64 * (1.0 - probability).ln();
    let mut below = log_mass.exp();
    let mut count = 0;
    while below < level && count < trials {
        log_mass += ((trials - count) as f64 / (count + 1) as f64 * odds).ln();
        below += log_mass.exp();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_the_protocols() {
        assert_eq!(binomial_quantile(400, 0.05, 0.975), 29);
        assert_eq!(binomial_quantile(200, 0.95, 0.975), 196);
        assert_eq!(binomial_quantile(200, 0.95, TOO_FEW), 182);
    }
}
