//! Completions to endpoints with intervals.

use super::rows::EvaluationRow;
use super::{instantiations, pass_at_k};
use crate::stats::{Interval, Summary};
use crate::tasks::Half;
use std::collections::BTreeMap;

/// The coverage of all intervals in `evaluations`.
const LEVEL: f64 = 0.95;
/// The endpoint that every suite has: the length of the completion.
const RESPONSE_TOKENS: &str = "response_tokens";
/// The endpoint of suites of which some completion has no score: the share of these.
const MISSING: &str = "missing";

/// One completion, scored.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The suite's name.
    pub suite: String,
    /// The problem's id: the unit of analysis.
    pub problem: String,
    /// The prompt.
    pub prompt: String,
    /// The way in which the problem was asked, where it is asked in several.
    pub instantiation: Option<&'static str>,
    /// The half that the problem is on.
    pub half: Half,
    /// Which sample of the prompt.
    pub sample: usize,
    /// Endpoints with their values, in the suite's order; the first is primary. No number where nobody could judge.
    pub values: Vec<(&'static str, f64)>,
    /// Tokens of the completion, its end token included.
    pub tokens: usize,
    /// The completion.
    pub completion: String,
    /// Whether it was cut off.
    pub truncated: bool,
}

impl Outcome {
    /// The value of the endpoint called `name`, if the outcome has it; `response_tokens` is its length, and `missing` is 1
    /// where whoever judges gave no score.
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            RESPONSE_TOKENS => return Some(self.tokens as f64),
            MISSING => return Some(f64::from(u8::from(self.is_missing()))),
            _ => {}
        }
        let found = self.values.iter().find(|(endpoint, _)| *endpoint == name);
        found.map(|(_, value)| *value).filter(|value| !value.is_nan())
    }

    /// Whether it has no score.
    pub fn is_missing(&self) -> bool {
        self.values.first().is_some_and(|(_, value)| value.is_nan())
    }
}

/// Sentences about the suites of which some completions have no score.
pub fn missing(outcomes: &[Outcome]) -> Vec<String> {
    let mut suites: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for outcome in outcomes {
        let (missing, all) = suites.entry(&outcome.suite).or_default();
        *missing += usize::from(outcome.is_missing());
        *all += 1;
    }
    let told = suites.into_iter().filter(|(_, (missing, _))| *missing > 0);
    told.map(|(suite, (missing, all))| {
        format!(
            "{suite}: {missing} of {all} completions have no score, for what judges them gave none (the log says why): \
             they are left out, not counted as wrong, and the endpoint `missing` is their share"
        )
    })
    .collect()
}

/// Every endpoint of every suite in `outcomes`, on the selection half, the measuring half and all problems.
pub fn summarise(variant: &str, checkpoint: u64, outcomes: &[Outcome]) -> Vec<EvaluationRow> {
    let mut suites: Vec<&str> = outcomes.iter().map(|outcome| outcome.suite.as_str()).collect();
    suites.dedup();
    let mut rows = Vec::new();
    for suite in suites {
        for half in [Some(Half::Select), Some(Half::Measure), None] {
            let chosen: Vec<&Outcome> = outcomes
                .iter()
                .filter(|outcome| outcome.suite == suite && half.is_none_or(|half| outcome.half == half))
                .collect();
            let Some(first) = chosen.first() else { continue };
            let truncated = chosen.iter().filter(|outcome| outcome.truncated).count();
            let missing = chosen.iter().any(|outcome| outcome.is_missing()).then_some(MISSING);
            let endpoints =
                first.values.iter().map(|(name, _)| *name).chain([RESPONSE_TOKENS]).chain(missing);
            let endpoints = endpoints.map(|endpoint| (endpoint.to_owned(), by_problem(&chosen, endpoint)));
            let of_ways = instantiations::endpoints(&chosen);
            rows.extend(endpoints.chain(pass_at_k::endpoints(&chosen)).chain(of_ways).map(
                |(endpoint, units)| {
                    let Interval { mean, low, high } = interval(&units);
                    EvaluationRow {
                        variant: variant.into(),
                        checkpoint,
                        suite: suite.into(),
                        half: half.map_or("all", Half::name).into(),
                        endpoint,
                        value: finite(mean),
                        ci_low: finite(low),
                        ci_high: finite(high),
                        problems: units.len() as u64,
                        samples: chosen.len() as u64,
                        truncated: Some(truncated as f64 / chosen.len() as f64),
                    }
                },
            ));
        }
    }
    rows
}

/// The mean of an endpoint within each problem, in the order of their ids.
fn by_problem(outcomes: &[&Outcome], endpoint: &str) -> Vec<f64> {
    let mut problems: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for outcome in outcomes {
        if let Some(value) = outcome.get(endpoint) {
            let (sum, count) = problems.entry(&outcome.problem).or_default();
            *sum += value;
            *count += 1;
        }
    }
    problems.into_values().map(|(sum, count)| sum / count as f64).collect()
}

/// The mean over problems with its interval: of a share where all values lie in 0..=1.
fn interval(units: &[f64]) -> Interval {
    let summary = Summary::of(units);
    let share = units.iter().all(|value| (0.0..=1.0).contains(value));
    if share { summary.share_interval(LEVEL) } else { summary.interval(LEVEL) }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(problem: &str, half: Half, pass: f64, truncated: bool) -> Outcome {
        Outcome {
            suite: "countdown".into(),
            problem: problem.into(),
            prompt: problem.into(),
            instantiation: None,
            half,
            sample: 0,
            values: vec![("pass", pass), ("attempts", 3.0)],
            tokens: 10,
            completion: String::new(),
            truncated,
        }
    }

    #[test]
    fn what_has_no_score_is_left_out_and_counted() {
        let outcomes = [("a", 1.0), ("a", f64::NAN), ("b", 0.0), ("c", f64::NAN)];
        let outcomes = outcomes.map(|(problem, pass)| outcome(problem, Half::Select, pass, false));
        let rows = summarise("sft", 0, &outcomes);
        let find =
            |endpoint: &str| rows.iter().find(|row| row.half == "all" && row.endpoint == endpoint).unwrap();
        assert_eq!((find("pass").value, find("pass").problems), (Some(0.5), 2));
        assert_eq!((find("missing").value, find("missing").problems), (Some(0.5), 3));
        assert!(rows.iter().all(|row| !row.endpoint.starts_with("pass_at")));
        let [said] = &missing(&outcomes)[..] else { panic!() };
        assert!(said.contains("2 of 4 completions have no score"), "{said}");
        assert!(missing(&outcomes[..1]).is_empty());
    }

    #[test]
    fn problems_count_once_however_often_they_were_sampled() {
        let mut outcomes = vec![outcome("a", Half::Select, 1.0, false); 9];
        outcomes.push(outcome("b", Half::Select, 0.0, true));
        outcomes.push(outcome("c", Half::Measure, 1.0, false));
        let rows = summarise("sft", 40, &outcomes);
        let find = |half: &str, endpoint: &str| {
            rows.iter().find(|row| row.half == half && row.endpoint == endpoint).unwrap()
        };
        let select = find("select", "pass");
        assert_eq!((select.value, select.problems, select.samples), (Some(0.5), 2, 10));
        assert_eq!(select.truncated, Some(0.1));
        assert_eq!((select.ci_low, select.ci_high), (Some(0.0), Some(1.0)), "two problems say little");
        assert_eq!(find("all", "pass").problems, 3);
        assert_eq!(find("measure", "attempts").value, Some(3.0));
        assert_eq!(find("all", "response_tokens").value, Some(10.0));
        assert!(rows.iter().all(|row| !row.endpoint.starts_with("pass_at")), "one problem was sampled once");
        let several = [("a", 1.0), ("a", 0.0), ("b", 0.0), ("b", 0.0)];
        let several = several.map(|(problem, pass)| outcome(problem, Half::Select, pass, false));
        let rows = summarise("sft", 40, &several);
        let found = rows.iter().find(|row| row.half == "all" && row.endpoint == "pass_at_2").unwrap();
        assert_eq!((found.value, found.problems), (Some(0.5), 2));
    }
}
