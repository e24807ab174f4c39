//! Dip and recovery along checkpoints.
//!
//! The literature on reasoning SFT shows curves and no statistic; these are ours (field names follow Ren et
//! al., arXiv 2604.06628). For one variant, suite and endpoint, with score(t) the mean over problems:
//!
//! 1. On the selection half: the step of the lowest score after the start, of the highest, and of the
//!    longest mean response. Choosing an extreme and measuring it on the same problems would find a dip in
//!    noise, so nothing else is read there.
//! 2. On the measuring half, paired by problem: `dip` = base - score(lowest), `gain` = score(last) - base,
//!    `peak` = score(highest) - base and `decline` = score(highest) - score(last) (a peak above base before the
//!    end, then a fall, is the shape of arXiv 2509.12235), `longest_response` in tokens.
//! 3. `recovery`: the first step from the lowest on with score(t) >= base on the measuring half; none if
//!    there is no such step, or if nothing fell there (a dip that is not above 0): what never left does not return.
//!
//! Intervals are 95 % percentile bootstraps over problems.

use super::REFUSAL_LOG_ODDS;
use super::rows::OutcomeRow;
use crate::error::Result;
use crate::stats::{Bootstrap, Interval};
use crate::tasks::{Half, Suite};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One row of `trajectories`: one statistic of one endpoint's curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrajectoryRow {
    /// The variant.
    pub variant: String,
    /// The suite.
    pub suite: String,
    /// The endpoint.
    pub endpoint: String,
    /// `dip`, `recovery`, `gain`, `peak`, `decline` or `longest_response`.
    pub statistic: String,
    /// Its value; for `recovery` a step, or none if base was never reached again or never left.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval.
    pub ci_low: Option<f64>,
    /// Upper end of the 95 % interval; none where some resamples never recover.
    pub ci_high: Option<f64>,
    /// The step at which it was measured, chosen on the selection half.
    pub step: Option<u64>,
    /// Problems of the measuring half.
    pub problems: u64,
}

/// The statistics of every suite's primary endpoint (and refusal log-odds, where there are) of one variant.
/// `outcomes` are those of all its checkpoints, `base` those of the model it started from. Problems that
/// some checkpoint was not asked are left out.
///
/// # Errors
/// If the rows name a suite that does not exist.
pub fn trajectories(base: &[OutcomeRow], outcomes: &[OutcomeRow], seed: u64) -> Result<Vec<TrajectoryRow>> {
    let mut rows = Vec::new();
    let suites: BTreeSet<&str> = outcomes.iter().map(|row| row.suite.as_str()).collect();
    for name in suites {
        let suite = Suite::parse(name)?;
        let mut endpoints: Vec<&str> =
            suite.endpoints().iter().take(1).map(|endpoint| endpoint.name).collect();
        if suite.refusal_word().is_some() {
            endpoints.push(REFUSAL_LOG_ODDS);
        }
        let rows_of = |rows: &[OutcomeRow]| -> Vec<OutcomeRow> {
            rows.iter().filter(|row| row.suite == name && row.condition == super::PLAIN).cloned().collect()
        };
        let (base, outcomes) = (rows_of(base), rows_of(outcomes));
        let Some(variant) = outcomes.first().map(|row| row.variant.clone()) else { continue };
        for endpoint in endpoints {
            let value = |row: &OutcomeRow| row.get(endpoint);
            let length = |row: &OutcomeRow| Some(row.tokens as f64);
            let curves = |half: Half, value: &dyn Fn(&OutcomeRow) -> Option<f64>| {
                Curve::new(&base, &outcomes, half, value)
            };
            let shape = Shape {
                select: curves(Half::Select, &value),
                measure: curves(Half::Measure, &value),
                select_length: curves(Half::Select, &length),
                measure_length: curves(Half::Measure, &length),
            };
            rows.extend(shape.statistics(seed).into_iter().map(|(statistic, step, interval)| {
                TrajectoryRow {
                    variant: variant.clone(),
                    suite: name.to_owned(),
                    endpoint: endpoint.to_owned(),
                    statistic: statistic.to_owned(),
                    value: finite(interval.mean),
                    ci_low: finite(interval.low),
                    ci_high: finite(interval.high),
                    step,
                    problems: shape.measure.units() as u64,
                }
            }));
        }
    }
    Ok(rows)
}

/// Values by step and problem; step 0 is the base.
struct Curve {
    steps: Vec<u64>,
    /// `values[step][problem]`.
    values: Vec<Vec<f64>>,
}

impl Curve {
    fn new(
        base: &[OutcomeRow],
        outcomes: &[OutcomeRow],
        half: Half,
        value: &dyn Fn(&OutcomeRow) -> Option<f64>,
    ) -> Self {
        let mut sums: BTreeMap<u64, BTreeMap<&str, (f64, f64)>> = BTreeMap::new();
        let steps = base.iter().map(|row| (0, row)).chain(outcomes.iter().map(|row| (row.checkpoint, row)));
        for (step, row) in steps.filter(|(_, row)| row.half == half.name()) {
            if let Some(value) = value(row) {
                let (sum, count) = sums.entry(step).or_default().entry(&row.problem).or_default();
                *sum += value;
                *count += 1.0;
            }
        }
        let common: Vec<&str> = sums.values().next().map_or_else(Vec::new, |first| {
            first.keys().copied().filter(|problem| sums.values().all(|at| at.contains_key(problem))).collect()
        });
        let mean = |at: &BTreeMap<&str, (f64, f64)>, problem: &str| {
            at.get(problem).map_or(f64::NAN, |(sum, count)| sum / count)
        };
        let values =
            sums.values().map(|at| common.iter().map(|problem| mean(at, problem)).collect()).collect();
        Self { steps: sums.keys().copied().collect(), values }
    }

    fn units(&self) -> usize {
        self.values.first().map_or(0, Vec::len)
    }

    fn means(&self) -> Vec<f64> {
        self.values.iter().map(|at| at.iter().sum::<f64>() / at.len() as f64).collect()
    }

    /// The place after the base with the extreme mean; the first of equals.
    fn extreme(&self, better: impl Fn(f64, f64) -> bool) -> Option<usize> {
        let means = self.means();
        (1..means.len()).reduce(|best, place| if better(means[place], means[best]) { place } else { best })
    }

    /// Paired differences of two places, one a problem.
    fn difference(&self, of: usize, less: usize) -> Vec<f64> {
        match (self.values.get(of), self.values.get(less)) {
            (Some(of), Some(less)) => of.iter().zip(less).map(|(a, b)| a - b).collect(),
            _ => Vec::new(),
        }
    }
}

struct Shape {
    select: Curve,
    measure: Curve,
    select_length: Curve,
    measure_length: Curve,
}

impl Shape {
    fn statistics(&self, seed: u64) -> Vec<(&'static str, Option<u64>, Interval)> {
        let bootstrap = Bootstrap::new(seed);
        let last = self.measure.steps.len().saturating_sub(1);
        let lowest = self.select.extreme(|a, b| a < b);
        let highest = self.select.extreme(|a, b| a > b);
        let (Some(lowest), Some(highest)) = (lowest, highest) else { return Vec::new() };
        if self.select.steps != self.measure.steps {
            return Vec::new();
        }
        let step = |place: usize| self.measure.steps.get(place).copied();
        let dip = bootstrap.mean(&self.measure.difference(0, lowest));
        let recovery = match dip.mean > 0.0 {
            true => self.recovery(lowest, &bootstrap),
            false => Interval { mean: f64::NAN, low: f64::NAN, high: f64::NAN },
        };
        let mut found = vec![
            ("dip", step(lowest), dip),
            ("recovery", step(lowest), recovery),
            ("gain", step(last), bootstrap.mean(&self.measure.difference(last, 0))),
            ("peak", step(highest), bootstrap.mean(&self.measure.difference(highest, 0))),
            ("decline", step(highest), bootstrap.mean(&self.measure.difference(highest, last))),
        ];
        let longest = self.select_length.extreme(|a, b| a > b);
        let lengths = longest.and_then(|place| Some((place, self.measure_length.values.get(place)?)));
        if let Some((place, lengths)) = lengths {
            found.push(("longest_response", step(place), bootstrap.mean(lengths)));
        }
        found
    }

    /// The first step from `lowest` on at which resampled problems score at least as in base; infinite if none.
    fn recovery(&self, lowest: usize, bootstrap: &Bootstrap) -> Interval {
        let sum = |place: usize, drawn: &[usize]| -> f64 {
            let at = self.measure.values.get(place);
            at.map_or(f64::NAN, |at| drawn.iter().filter_map(|unit| at.get(*unit)).sum())
        };
        bootstrap.interval(self.measure.units(), |drawn| {
            let base = sum(0, drawn);
            let places = lowest..self.measure.steps.len();
            let first = places.into_iter().find(|place| sum(*place, drawn) >= base);
            Some(first.map_or(f64::INFINITY, |place| self.measure.steps[place] as f64))
        })
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// Outcomes on 200 problems whose chance of passing at each step is given.
    fn rows(variant: &str, chances: &[(u64, f64)]) -> Vec<OutcomeRow> {
        let mut rows = Vec::new();
        for (step, chance) in chances {
            for problem in 0..200_u64 {
                let id = format!("problem {problem}");
                let outcome = super::super::Outcome {
                    suite: "countdown".into(),
                    instantiation: None,
                    half: Half::of(&id),
                    prompt: id.clone(),
                    problem: id,
                    sample: 0,
                    values: vec![(
                        "pass",
                        f64::from(u8::from(
                            Stream::new(1, variant, &[*step, problem]).uniform_f64() < *chance,
                        )),
                    )],
                    tokens: 20 + *step as usize,
                    completion: String::new(),
                    truncated: false,
                };
                rows.push(OutcomeRow::new(variant, *step, super::super::PLAIN, &outcome));
            }
        }
        rows
    }

    fn find<'a>(rows: &'a [TrajectoryRow], statistic: &str) -> &'a TrajectoryRow {
        rows.iter().find(|row| row.statistic == statistic).unwrap()
    }

    #[test]
    fn a_dip_and_its_recovery_are_found_where_they_are() {
        let base = rows("base", &[(0, 0.5)]);
        let found = trajectories(&base, &rows("sft", &[(10, 0.1), (20, 0.4), (40, 0.9)]), 1).unwrap();
        let dip = find(&found, "dip");
        assert_eq!(dip.step, Some(10));
        assert!(dip.ci_low.unwrap() > 0.2 && dip.value.unwrap() < 0.6, "{dip:?}");
        assert_eq!(find(&found, "recovery").value, Some(40.0));
        assert!(find(&found, "gain").ci_low.unwrap() > 0.2);
        assert_eq!(find(&found, "peak").value, find(&found, "gain").value, "the best checkpoint is the last");
        assert_eq!((find(&found, "decline").step, find(&found, "decline").value), (Some(40), Some(0.0)));
        assert_eq!(find(&found, "longest_response").value, Some(60.0));
    }

    #[test]
    fn a_flat_curve_has_no_dip_though_its_lowest_step_looks_like_one() {
        let base = rows("base", &[(0, 0.5)]);
        let flat: Vec<(u64, f64)> = (1..=8).map(|step| (step * 10, 0.5)).collect();
        let found = trajectories(&base, &rows("flat", &flat), 1).unwrap();
        assert!(find(&found, "dip").ci_low.unwrap() < 0.0, "{:?}", find(&found, "dip"));
        let fallen = trajectories(&base, &rows("fallen", &[(10, 0.9), (20, 0.1)]), 1).unwrap();
        assert_eq!(find(&fallen, "recovery").value, None);
        assert!(find(&fallen, "decline").ci_low.unwrap() > 0.5);
        let risen = trajectories(&base, &rows("risen", &[(10, 0.9), (20, 0.95)]), 1).unwrap();
        assert!(find(&risen, "dip").value.unwrap() < 0.0);
        let recovery = find(&risen, "recovery");
        assert_eq!((recovery.value, recovery.ci_low), (None, None), "nothing fell");
    }
}
