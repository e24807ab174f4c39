//! How far a judge and the word rule agree on whether completions refuse, comply or evade.

use super::summarise::Outcome;
use crate::stats::Bootstrap;
use crate::tasks::{Label, Suite};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One row of `agreements`: one model on one suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgreementRow {
    /// The variant.
    pub variant: String,
    /// The step of its checkpoint.
    pub checkpoint: u64,
    /// The suite.
    pub suite: String,
    /// Completions that both labelled.
    pub completions: u64,
    /// Completions without a verdict of the judge.
    pub missing: u64,
    /// Share that both labelled alike.
    pub agreed: Option<f64>,
    /// Cohen's kappa of the three labels.
    pub kappa: Option<f64>,
    /// Lower end of its 95 % interval, a bootstrap over problems.
    pub ci_low: Option<f64>,
    /// Upper end of it.
    pub ci_high: Option<f64>,
    /// Completions that refuse by both.
    pub refused_by_both: u64,
    /// Completions that refuse by the judge alone.
    pub refused_by_judge_only: u64,
    /// Completions that refuse by the rule alone.
    pub refused_by_rule_only: u64,
}

/// One row of `disagreements`: one completion that the two label otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DisagreementRow {
    /// The variant.
    pub variant: String,
    /// The step of its checkpoint.
    pub checkpoint: u64,
    /// The suite.
    pub suite: String,
    /// The problem.
    pub problem: String,
    /// The prompt.
    pub prompt: String,
    /// Which sample of the prompt.
    pub sample: u64,
    /// The judge's label.
    pub judge: String,
    /// The word rule's label.
    pub rule: String,
    /// The completion.
    pub completion: String,
}

/// How often the judge (first index) and the rule (second) gave each label, in the order of [`Label::ALL`].
type Counts = [[usize; 3]; 3];

/// The agreement on every suite whose judge is to be compared, and the completions on which the two differ.
pub fn agreement(
    variant: &str,
    checkpoint: u64,
    suites: &[Suite],
    outcomes: &[Outcome],
) -> (Vec<AgreementRow>, Vec<DisagreementRow>) {
    let (mut rows, mut differing) = (Vec::new(), Vec::new());
    for suite in suites {
        let mut problems: BTreeMap<&str, Counts> = BTreeMap::new();
        let (mut missing, mut is_compared) = (0, false);
        for outcome in outcomes.iter().filter(|outcome| outcome.suite == suite.name()) {
            let Some(rule) = suite.compared(&outcome.prompt, &outcome.completion) else { continue };
            is_compared = true;
            let Some(judge) = judged(outcome) else {
                missing += 1;
                continue;
            };
            problems.entry(&outcome.problem).or_default()[place(judge)][place(rule)] += 1;
            if judge != rule {
                differing.push(DisagreementRow {
                    variant: variant.to_owned(),
                    checkpoint,
                    suite: outcome.suite.clone(),
                    problem: outcome.problem.clone(),
                    prompt: outcome.prompt.clone(),
                    sample: outcome.sample as u64,
                    judge: judge.name().to_owned(),
                    rule: rule.name().to_owned(),
                    completion: outcome.completion.clone(),
                });
            }
        }
        if is_compared {
            let units: Vec<Counts> = problems.into_values().collect();
            rows.push(row(variant, checkpoint, suite, missing, &units));
        }
    }
    (rows, differing)
}

fn row(variant: &str, checkpoint: u64, suite: &Suite, missing: u64, units: &[Counts]) -> AgreementRow {
    let all = sum(units);
    let total = count(&all);
    let interval = Bootstrap::new(0).interval(units.len(), |drawn| {
        let drawn: Vec<Counts> = drawn.iter().filter_map(|unit| units.get(*unit).copied()).collect();
        kappa(&sum(&drawn))
    });
    let value = kappa(&all);
    let finite = |end: f64| value.and(Some(end)).filter(|end| end.is_finite());
    let refuse = place(Label::Refuse);
    let by_judge: usize = all[refuse].iter().sum();
    let by_rule: usize = all.iter().map(|row| row[refuse]).sum();
    let both = all[refuse][refuse];
    AgreementRow {
        variant: variant.to_owned(),
        checkpoint,
        suite: suite.name().to_owned(),
        completions: total as u64,
        missing,
        agreed: (total > 0).then(|| alike(&all) as f64 / total as f64),
        kappa: value,
        ci_low: finite(interval.low),
        ci_high: finite(interval.high),
        refused_by_both: both as u64,
        refused_by_judge_only: (by_judge - both) as u64,
        refused_by_rule_only: (by_rule - both) as u64,
    }
}

/// The judge's label, as its endpoints have it.
fn judged(outcome: &Outcome) -> Option<Label> {
    let endpoints = [(Label::Refuse, "refuse"), (Label::Comply, "comply"), (Label::Evade, "other")];
    endpoints.into_iter().find(|(_, name)| outcome.get(name) == Some(1.0)).map(|(label, _)| label)
}

fn place(label: Label) -> usize {
    Label::ALL.iter().position(|known| *known == label).unwrap_or(0)
}

fn sum(units: &[Counts]) -> Counts {
    let mut all = Counts::default();
    for (into, from) in units.iter().flat_map(|unit| all_places().map(move |at| (at, unit[at.0][at.1]))) {
        all[into.0][into.1] += from;
    }
    all
}

fn all_places() -> impl Iterator<Item = (usize, usize)> {
    (0..9).map(|place| (place / 3, place % 3))
}

fn count(counts: &Counts) -> usize {
    counts.iter().flatten().sum()
}

fn alike(counts: &Counts) -> usize {
    (0..3).map(|label| counts[label][label]).sum()
}

/// Cohen's kappa (1960): agreement beyond that of two who label at random, each as often as they do. None where both
/// know but one label.
fn kappa(counts: &Counts) -> Option<f64> {
    let total = count(counts) as f64;
    let chance: f64 = (0..3)
        .map(|label| {
            let by_judge: usize = counts[label].iter().sum();
            let by_rule: usize = counts.iter().map(|row| row[label]).sum();
            by_judge as f64 * by_rule as f64
        })
        .sum::<f64>()
        / (total * total);
    let observed = alike(counts) as f64 / total;
    (total > 0.0 && chance < 1.0).then(|| (observed - chance) / (1.0 - chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two labels, 50 items, as the textbook has it: kappa 0.4.
    #[test]
    fn kappa_is_that_of_the_textbook() {
        let counts = [[20, 5, 0], [10, 15, 0], [0, 0, 0]];
        assert!((kappa(&counts).unwrap() - 0.4).abs() < 1e-12);
        assert_eq!(kappa(&[[3, 0, 0], [0, 4, 0], [0, 0, 5]]), Some(1.0));
        // 35 of 50 alike; both gave the labels 13, 27 and 10 times, so by chance (169 + 729 + 100) / 2500.
        let three = [[10, 2, 1], [3, 20, 4], [0, 5, 5]];
        assert!((kappa(&three).unwrap() - (0.7 - 0.3992) / (1.0 - 0.3992)).abs() < 1e-12);
        assert_eq!(kappa(&[[3, 0, 0], [0; 3], [0; 3]]), None, "both know one label");
        assert_eq!(kappa(&Counts::default()), None);
    }
}
