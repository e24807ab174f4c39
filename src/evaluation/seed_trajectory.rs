//! Dip and recovery with training seeds as units: each run's curve has its statistics ([`super::trajectories`]), at
//! steps that it chose itself, and a variant's are their means over runs, with Student's t interval. A run that has no
//! value of a statistic, as one that never recovered has no step of recovery, is not in its mean, and is counted.

use super::trajectory::TrajectoryRow;
use crate::stats::Summary;
use serde::{Deserialize, Serialize};

/// The coverage of all intervals.
const LEVEL: f64 = 0.95;

/// One row of `seed_trajectories`: one statistic of one endpoint's curve, over the runs of a variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedTrajectoryRow {
    /// The variant.
    pub variant: String,
    /// The suite.
    pub suite: String,
    /// The endpoint.
    pub endpoint: String,
    /// As in [`TrajectoryRow::statistic`].
    pub statistic: String,
    /// How many runs.
    pub runs: u64,
    /// How many of them have a value.
    pub seeds: u64,
    /// The mean over these.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval over these.
    pub ci_low: Option<f64>,
    /// Upper end of it.
    pub ci_high: Option<f64>,
    /// The lowest of these.
    pub lowest: Option<f64>,
    /// The highest of these.
    pub highest: Option<f64>,
}

/// The statistics of `variant` over its `runs`, whose rows are in one order; those of the first run lead.
pub fn trajectories_over_seeds(variant: &str, runs: &[Vec<TrajectoryRow>]) -> Vec<SeedTrajectoryRow> {
    let key = |row: &TrajectoryRow| (row.suite.clone(), row.endpoint.clone(), row.statistic.clone());
    let over = |row: &TrajectoryRow| {
        let own = runs.iter().filter_map(|rows| rows.iter().find(|other| key(other) == key(row))?.value);
        let values: Vec<f64> = own.collect();
        let interval = Summary::of(&values).interval(LEVEL);
        let finite = |value: f64| value.is_finite().then_some(value);
        let (suite, endpoint, statistic) = key(row);
        SeedTrajectoryRow {
            variant: variant.to_owned(),
            suite,
            endpoint,
            statistic,
            runs: runs.len() as u64,
            seeds: values.len() as u64,
            value: finite(interval.mean),
            ci_low: finite(interval.low),
            ci_high: finite(interval.high),
            lowest: values.iter().copied().reduce(f64::min),
            highest: values.iter().copied().reduce(f64::max),
        }
    };
    runs.first().into_iter().flatten().map(over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_without_a_value_are_counted_and_left_out() {
        let run = |value| {
            vec![TrajectoryRow {
                variant: "one run".into(),
                suite: "countdown".into(),
                endpoint: "pass".into(),
                statistic: "recovery".into(),
                value,
                ci_low: None,
                ci_high: None,
                step: None,
                problems: 9,
            }]
        };
        let found = trajectories_over_seeds("sft", &[run(Some(20.0)), run(None), run(Some(40.0))]);
        let [row] = &found[..] else { panic!("{found:?}") };
        assert_eq!((row.variant.as_str(), row.runs, row.seeds, row.value), ("sft", 3, 2, Some(30.0)));
        assert_eq!((row.lowest, row.highest), (Some(20.0), Some(40.0)));
        // t(.975, 1) = 12.706205, standard error 10.
        assert!((row.ci_high.unwrap() - 30.0 - 127.062_05).abs() < 1e-3, "{row:?}");
        assert_eq!(trajectories_over_seeds("sft", &[run(None)])[0].value, None);
    }
}
