//! Counts over many micro-worlds, and the limits within which they should lie.

use super::{CalibrationRow, Level, Planting};
use serde::Serialize;

/// Claims in worlds of one kind, in which every claim is false.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FalseClaims {
    /// What is false about them: `null`, `shared skill`, `disjoint halves` or `permuted pairs`.
    pub world: &'static str,
    /// How many worlds.
    pub worlds: usize,
    /// Claims in them.
    pub claims: usize,
    /// At most so many are expected of a method that keeps its level.
    pub limit: usize,
}

/// Counts over the micro-worlds of one level, with the limits within which they should lie.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// The level.
    pub level: Level,
    /// False claims, by the kind of world.
    pub false_claims: [FalseClaims; 4],
    /// Planted worlds.
    pub planted: usize,
    /// Right verdicts in them: the power.
    pub planted_right: usize,
    /// Planted worlds in which the interval that the effect has by itself covers the true one.
    pub own_covered: usize,
    /// Planted worlds whose simultaneous intervals cover the true effects on both suites, and what lies between them.
    pub covered: usize,
    /// The least and the most that are expected of intervals that keep their level. Simultaneous ones promise the least.
    pub covered_limits: [usize; 2],
}

impl Calibration {
    /// What [`Calibration::counted`] counts.
    pub const COUNTED: [&str; 7] = [
        "claims in null worlds",
        "claims where base has the skill too",
        "claims from disjoint halves",
        "claims over permuted pairs",
        "planted sets found and rightly judged",
        "true effects covered, each by itself",
        "all true effects covered at once",
    ];

    /// Counts the rows of a level.
    pub fn of(level: Level, rows: &[CalibrationRow], alpha: f64) -> Self {
        let of_kind = |planting: Planting| {
            rows.iter().filter(move |row| row.level == level.name() && row.world == planting.name())
        };
        let false_claims = Planting::FALSE.map(|planting| {
            let worlds = of_kind(planting).count();
            FalseClaims {
                world: planting.name(),
                worlds,
                claims: of_kind(planting).filter(|row| row.claimed).count(),
                limit: binomial_quantile(worlds, alpha, 0.975),
            }
        });
        let planted_rows = || of_kind(Planting::Transfer);
        let planted = planted_rows().count();
        Self {
            level,
            false_claims,
            planted,
            planted_right: planted_rows().filter(|row| row.right).count(),
            own_covered: planted_rows().filter(|row| row.own_covered).count(),
            covered: planted_rows().filter(|row| row.covered).count(),
            covered_limits: [
                binomial_quantile(planted, 1.0 - alpha, TOO_FEW),
                binomial_quantile(planted, 1.0 - alpha, 0.975),
            ],
        }
    }

    /// Each count in words, with its limits, and whether it is within them.
    pub fn counted(&self) -> [(String, bool); 7] {
        let [null, shared, halves, pairs] = self.false_claims.map(|found| {
            let FalseClaims { worlds, claims, limit, .. } = found;
            (format!("{claims} of {worlds} (at most {limit})"), claims <= limit)
        });
        let (right, planted) = (self.planted_right, self.planted);
        let (own, covered) = (self.own_covered, self.covered);
        // Power is shown, and must be one half at least.
        let least_right = planted.div_ceil(2);
        let [least, most] = self.covered_limits;
        [
            null,
            shared,
            halves,
            pairs,
            (format!("{right} of {planted} (at least {least_right})"), right >= least_right),
            (format!("{own} of {planted} ({least} to {most})"), (least..=most).contains(&own)),
            (format!("{covered} of {planted} (at least {least})"), covered >= least),
        ]
    }

    /// What is out of its limits, if anything.
    pub fn failures(&self) -> Vec<String> {
        let counts = Self::COUNTED.into_iter().zip(self.counted());
        let failed = counts.filter(|(_, (_, holds))| !holds);
        failed.map(|(what, (count, _))| format!("{}: {what}: {count}", self.level.name())).collect()
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
