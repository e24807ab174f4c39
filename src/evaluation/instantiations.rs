//! Several ways of asking one problem: how far answers hang on the way.
//!
//! | endpoint | of one problem |
//! |---|---|
//! | `pass` | the mean over its ways and samples |
//! | `pass_worst` | the lowest share of right samples among its ways |
//! | `pass_all` | the share of samples of which all ways are right: strict k of k |
//! | `pass_drop` | the share in the way that others are compared with, less the mean over the others |
//! | `pass in conflict` and so on | every endpoint of the suite in one way |
//!
//! Problems of which a limit on prompts left out a way are not counted, but in the ways that were asked.

use super::summarise::Outcome;
use std::collections::BTreeMap;

const PASS: &str = "pass";

/// The endpoints, each with its value for every problem, in the order of the problems' ids. None where no problem is asked in
/// several ways.
pub(super) fn endpoints(outcomes: &[&Outcome]) -> Vec<(String, Vec<f64>)> {
    let mut ways: Vec<&'static str> = Vec::new();
    let mut problems: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        let Some(way) = outcome.instantiation else { continue };
        if !ways.contains(&way) {
            ways.push(way);
        }
        problems.entry(&outcome.problem).or_default().push(outcome);
    }
    let Some(first) = outcomes.first().filter(|_| !ways.is_empty()) else { return Vec::new() };
    let whole: Vec<Whole> = problems.values().filter_map(|problem| Whole::of(problem, &ways)).collect();
    let mut rows = vec![
        ("pass_worst".to_owned(), whole.iter().map(|problem| problem.worst).collect()),
        ("pass_all".to_owned(), whole.iter().map(|problem| problem.all).collect()),
        ("pass_drop".to_owned(), whole.iter().map(|problem| problem.drop).collect()),
    ];
    for way in ways {
        for (endpoint, _) in &first.values {
            let of_problem = |problem: &Vec<&Outcome>| {
                let here = problem.iter().filter(|outcome| outcome.instantiation == Some(way));
                mean(here.filter_map(|outcome| outcome.get(endpoint)))
            };
            rows.push((format!("{endpoint} in {way}"), problems.values().filter_map(of_problem).collect()));
        }
    }
    rows
}

/// A problem that was asked in all of its ways.
struct Whole {
    worst: f64,
    all: f64,
    drop: f64,
}

impl Whole {
    /// `ways` begins with the one that the others are compared with.
    fn of(outcomes: &[&Outcome], ways: &[&str]) -> Option<Self> {
        let share = |way: &&str| {
            let here = outcomes.iter().filter(|outcome| outcome.instantiation == Some(way));
            mean(here.filter_map(|outcome| outcome.get(PASS)))
        };
        let shares = ways.iter().map(share).collect::<Option<Vec<f64>>>()?;
        let (first, others) = shares.split_first()?;
        let mut samples: BTreeMap<usize, bool> = BTreeMap::new();
        for outcome in outcomes {
            let right = outcome.get(PASS).is_some_and(|value| value >= 1.0);
            samples.entry(outcome.sample).and_modify(|all| *all &= right).or_insert(right);
        }
        Some(Self {
            worst: shares.iter().copied().fold(1.0, f64::min),
            all: mean(samples.into_values().map(|right| f64::from(u8::from(right))))?,
            drop: first - mean(others.iter().copied())?,
        })
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Half;

    fn outcome(problem: &str, way: Option<&'static str>, sample: usize, pass: f64) -> Outcome {
        Outcome {
            suite: "s".into(),
            problem: problem.into(),
            prompt: format!("{problem} {way:?}"),
            instantiation: way,
            half: Half::Select,
            sample,
            values: vec![("pass", pass)],
            tokens: 1,
            completion: String::new(),
            truncated: false,
        }
    }

    #[test]
    fn worst_all_and_drop_are_those_of_whole_problems() {
        let [a, b] = [Some("canonical"), Some("names")];
        let outcomes = [
            outcome("1", a, 0, 1.0),
            outcome("1", a, 1, 1.0),
            outcome("1", b, 0, 0.0),
            outcome("1", b, 1, 1.0),
            outcome("2", a, 0, 1.0),
            outcome("2", b, 0, 1.0),
            outcome("3", a, 0, 0.0),
        ];
        let found = endpoints(&outcomes.iter().collect::<Vec<_>>());
        let get = |name: &str| found.iter().find(|(known, _)| known == name).unwrap().1.clone();
        assert_eq!(get("pass_worst"), [0.5, 1.0]);
        assert_eq!(get("pass_all"), [0.5, 1.0]);
        assert_eq!(get("pass_drop"), [0.5, 0.0]);
        assert_eq!(get("pass in canonical"), [1.0, 1.0, 0.0]);
        assert_eq!(get("pass in names"), [0.5, 1.0]);
        assert!(endpoints(&[&outcome("1", None, 0, 1.0)]).is_empty());
    }
}
