//! Training seeds as units: what a method does on average, and whether two methods differ.
//!
//! A run's score is its mean over the problems of the measuring half. Problems say how well one checkpoint is
//! known; only runs say how a method's results scatter, so intervals and tests here are over runs.
//!
//! * [`over_seeds`]: the mean over runs at every checkpoint, with Student's t interval.
//! * [`compare`]: at their ends, each variant against the first one, paired by training seed (equal numbers draw
//!   equal problems). The test is the exact two-sided sign flip; Holm corrects over the variants compared, within
//!   a suite. With n runs no p-value is below 2 / 2^n: too few seeds are called so, not read as equality.

use super::rows::EvaluationRow;
use crate::stats::{Alternative, Summary, holm, sign_flip};
use crate::tasks::Half;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The coverage of all intervals.
const LEVEL: f64 = 0.95;

/// The evaluations of one variant's runs, in the order of their training seeds.
#[derive(Clone, Debug)]
pub struct Runs {
    /// The variant.
    pub variant: String,
    /// One list of rows a run.
    pub rows: Vec<Vec<EvaluationRow>>,
}

/// One row of `seeds`: one endpoint of one suite at one checkpoint, over the runs of a variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedRow {
    /// The variant.
    pub variant: String,
    /// The step of the checkpoint.
    pub checkpoint: u64,
    /// The suite.
    pub suite: String,
    /// The endpoint.
    pub endpoint: String,
    /// How many runs.
    pub seeds: u64,
    /// The mean over runs.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval over runs.
    pub ci_low: Option<f64>,
    /// Upper end of it.
    pub ci_high: Option<f64>,
    /// The lowest run.
    pub lowest: Option<f64>,
    /// The highest run.
    pub highest: Option<f64>,
}

/// One row of `comparisons`: two variants at their ends, on the main endpoint of one suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonRow {
    /// The suite.
    pub suite: String,
    /// Its main endpoint.
    pub endpoint: String,
    /// The variant.
    pub variant: String,
    /// The variant that it is compared with.
    pub reference: String,
    /// How many pairs of runs.
    pub seeds: u64,
    /// Variant less reference, mean over pairs.
    pub difference: Option<f64>,
    /// Lower end of the 95 % interval over pairs.
    pub ci_low: Option<f64>,
    /// Upper end of it.
    pub ci_high: Option<f64>,
    /// Exact two-sided sign flip over pairs.
    pub p: f64,
    /// Holm's correction over the variants compared on the suite.
    pub p_corrected: f64,
    /// `higher`, `lower`, `undecided`, or `too few seeds` where no outcome could have decided.
    pub verdict: String,
}

/// The mean over runs of every endpoint at every checkpoint.
pub fn over_seeds(all: &[Runs]) -> Vec<SeedRow> {
    let mut found = Vec::new();
    for runs in all {
        let mut values: BTreeMap<(u64, &str, &str), Vec<f64>> = BTreeMap::new();
        for row in runs.rows.iter().flatten().filter(|row| row.half == Half::Measure.name()) {
            let place = (row.checkpoint, row.suite.as_str(), row.endpoint.as_str());
            values.entry(place).or_default().extend(row.value);
        }
        found.extend(values.into_iter().map(|((checkpoint, suite, endpoint), values)| {
            let interval = Summary::of(&values).interval(LEVEL);
            SeedRow {
                variant: runs.variant.clone(),
                checkpoint,
                suite: suite.to_owned(),
                endpoint: endpoint.to_owned(),
                seeds: values.len() as u64,
                value: finite(interval.mean),
                ci_low: finite(interval.low),
                ci_high: finite(interval.high),
                lowest: values.iter().copied().reduce(f64::min),
                highest: values.iter().copied().reduce(f64::max),
            }
        }));
    }
    found
}

/// Every variant against the first, suite by suite, at the level `alpha`.
pub fn compare(all: &[Runs], alpha: f64) -> Vec<ComparisonRow> {
    let Some((reference, others)) = all.split_first() else { return Vec::new() };
    let mut found = Vec::new();
    for (suite, endpoint) in main_endpoints(reference) {
        let ends = ends(reference, &suite, &endpoint);
        let pairs: Vec<Vec<f64>> = others
            .iter()
            .map(|runs| {
                let own = self::ends(runs, &suite, &endpoint);
                own.iter().zip(&ends).filter_map(|(own, other)| Some((*own)? - (*other)?)).collect()
            })
            .collect();
        let p: Vec<f64> = pairs.iter().map(|pairs| sign_flip(pairs, Alternative::TwoSided, 0)).collect();
        for (((runs, pairs), p), p_corrected) in others.iter().zip(&pairs).zip(&p).zip(holm(&p)) {
            let interval = Summary::of(pairs).interval(LEVEL);
            let least = others.len() as f64 * 2_f64.powi(1 - pairs.len() as i32);
            let verdict = match interval.mean {
                _ if least > alpha => "too few seeds",
                mean if p_corrected <= alpha && mean > 0.0 => "higher",
                _ if p_corrected <= alpha => "lower",
                _ => "undecided",
            };
            found.push(ComparisonRow {
                suite: suite.clone(),
                endpoint: endpoint.clone(),
                variant: runs.variant.clone(),
                reference: reference.variant.clone(),
                seeds: pairs.len() as u64,
                difference: finite(interval.mean),
                ci_low: finite(interval.low),
                ci_high: finite(interval.high),
                p: *p,
                p_corrected,
                verdict: verdict.to_owned(),
            });
        }
    }
    found
}

/// Every suite with its main endpoint, the first that its rows name.
fn main_endpoints(runs: &Runs) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for row in runs.rows.first().into_iter().flatten() {
        if found.iter().all(|(suite, _)| *suite != row.suite) {
            found.push((row.suite.clone(), row.endpoint.clone()));
        }
    }
    found
}

/// The value at the last checkpoint of every run.
fn ends(runs: &Runs, suite: &str, endpoint: &str) -> Vec<Option<f64>> {
    let end = |rows: &Vec<EvaluationRow>| {
        let own = rows
            .iter()
            .filter(|row| row.half == Half::Measure.name() && row.suite == suite && row.endpoint == endpoint);
        own.max_by_key(|row| row.checkpoint)?.value
    };
    runs.rows.iter().map(end).collect()
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(variant: &str, ends: &[f64]) -> Runs {
        let row = |checkpoint, half: &str, value| EvaluationRow {
            variant: variant.into(),
            checkpoint,
            suite: "countdown".into(),
            half: half.into(),
            endpoint: "pass".into(),
            value: Some(value),
            ..EvaluationRow::default()
        };
        let rows = |end: &f64| vec![row(5, "measure", 0.1), row(10, "measure", *end), row(10, "select", 0.9)];
        Runs { variant: variant.into(), rows: ends.iter().map(rows).collect() }
    }

    #[test]
    fn the_mean_over_runs_has_students_interval() {
        let found = over_seeds(&[runs("sft", &[0.4, 0.5, 0.6])]);
        assert_eq!(found.len(), 2, "{found:?}");
        let end = &found[1];
        assert_eq!((end.checkpoint, end.seeds, end.lowest, end.highest), (10, 3, Some(0.4), Some(0.6)));
        assert!((end.value.unwrap() - 0.5).abs() < 1e-12);
        // t(.975, 2) = 4.302653, standard error .1 / sqrt(3).
        assert!((end.ci_high.unwrap() - 0.5 - 4.302_653 * 0.1 / 3_f64.sqrt()).abs() < 1e-5, "{end:?}");
    }

    #[test]
    fn six_seeds_decide_one_comparison_and_five_decide_none() {
        let verdict = |reference: &[f64], others: &[&[f64]]| -> Vec<String> {
            let mut all = vec![runs("a", reference)];
            all.extend(others.iter().map(|ends| runs("b", ends)));
            compare(&all, 0.05).into_iter().map(|row| row.verdict).collect()
        };
        let (low, high) = ([0.1, 0.2, 0.1, 0.2, 0.1, 0.2], [0.3, 0.5, 0.3, 0.4, 0.2, 0.3]);
        assert_eq!(verdict(&low, &[&high]), ["higher"]);
        assert_eq!(verdict(&high, &[&low]), ["lower"]);
        assert_eq!(verdict(&low[..5], &[&high[..5]]), ["too few seeds"]);
        assert_eq!(verdict(&low, &[&high, &high]), ["too few seeds", "too few seeds"], "Holm over two");
        let crossed = [0.2, 0.1, 0.2, 0.1, 0.2, 0.1];
        assert_eq!(verdict(&low, &[&crossed]), ["undecided"]);
        assert!(compare(&[], 0.05).is_empty());
    }
}
