//! What bears on one hypothesis, gathered from the tables.

use super::rows::Verdict;
use crate::error::{Error, Result};
use crate::experiments::{ControlRow, DifferenceRow, EffectRow};
use crate::stats::p_controls;
use std::collections::BTreeMap;

/// Paired differences of one condition on one endpoint of one suite, by problem in table order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Differences {
    pub(super) problems: Vec<String>,
    pub(super) values: Vec<f64>,
}

/// All paired differences, by (condition, suite, endpoint).
pub(super) struct DifferenceIndex(BTreeMap<(String, String, String), Differences>);

impl DifferenceIndex {
    pub(super) fn new(rows: &[DifferenceRow]) -> Self {
        let mut index = BTreeMap::new();
        for row in rows {
            let key = (row.condition.clone(), row.suite.clone(), row.endpoint.clone());
            let entry =
                index.entry(key).or_insert_with(|| Differences { problems: Vec::new(), values: Vec::new() });
            entry.problems.push(row.problem.clone());
            entry.values.push(row.difference());
        }
        Self(index)
    }

    pub(super) fn of(&self, row: &EffectRow) -> Result<&Differences> {
        let key = (row.condition.clone(), row.suite.clone(), row.endpoint.clone());
        self.0.get(&key).ok_or_else(|| {
            Error::work(format!(
                "table `differences`: expected problems of condition `{}` on `{}`, endpoint `{}`, found none",
                row.condition, row.suite, row.endpoint
            ))
            .hint("`effects` and `differences` must come from the same run")
        })
    }
}

/// What was measured for one declared hypothesis.
pub(super) struct Case<'a> {
    pub(super) declared: &'a EffectRow,
    /// The primary endpoint of every suite on the other axis, in table order.
    pub(super) others: Vec<&'a EffectRow>,
    /// The same edit in another receiver, on the declared suite and endpoint.
    pub(super) in_base: Option<&'a EffectRow>,
}

impl<'a> Case<'a> {
    /// One case per declared hypothesis, in table order.
    pub(super) fn all(effects: &'a [EffectRow]) -> Result<Vec<Self>> {
        let mut cases: Vec<Self> = Vec::new();
        for declared in effects.iter().filter(|row| row.declared) {
            if cases.iter().any(|case| case.declared.hypothesis == declared.hypothesis) {
                return Err(Error::work(format!(
                    "table `effects`: expected one declared row of hypothesis `{}`, found more",
                    declared.hypothesis
                )));
            }
            let same = |row: &&EffectRow| row.hypothesis == declared.hypothesis;
            let mut others: Vec<&EffectRow> = Vec::new();
            for row in effects.iter().filter(same).filter(|row| row.condition == declared.condition) {
                let primary = !others.iter().any(|other| other.suite == row.suite);
                if Some(row.axis.as_str()) == other_axis(&declared.axis) && primary {
                    others.push(row);
                }
            }
            let in_base = effects.iter().filter(same).find(|row| {
                row.receiver != declared.receiver
                    && row.suite == declared.suite
                    && row.endpoint == declared.endpoint
            });
            cases.push(Self { declared, others, in_base });
        }
        Ok(cases)
    }

    /// The verdict when the hypothesis is confirmed on its own axis.
    pub(super) fn confirmed(&self) -> Verdict {
        match self.declared.axis.as_str() {
            "transfer" => Verdict::CarriesTransfer,
            "safety" => Verdict::CarriesSafetyLoss,
            _ => Verdict::MovesDeclaredSuite,
        }
    }

    /// Whether the effect has the declared sign.
    pub(super) fn has_declared_sign(&self) -> bool {
        match self.declared.direction.as_str() {
            "decrease" => self.declared.effect < 0.0,
            "increase" => self.declared.effect > 0.0,
            _ => self.declared.effect != 0.0,
        }
    }
}

fn other_axis(axis: &str) -> Option<&'static str> {
    match axis {
        "transfer" => Some("safety"),
        "safety" => Some("transfer"),
        _ => None,
    }
}

/// How an effect stands among its matched controls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct AmongControls {
    pub(super) p: f64,
    pub(super) controls: usize,
}

/// A cloud that has the needed number of matched draws counts by itself, and the largest p of such clouds
/// is taken; while none has, all matched draws are taken together.
pub(super) fn among_controls(row: &EffectRow, controls: &[ControlRow], needed: usize) -> AmongControls {
    let mut clouds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let of_this = |control: &&ControlRow| {
        control.matched
            && control.condition == row.condition
            && control.suite == row.suite
            && control.endpoint == row.endpoint
    };
    for control in controls.iter().filter(of_this) {
        clouds.entry(&control.cloud).or_default().push(control.effect);
    }
    let full: Vec<&Vec<f64>> = clouds.values().filter(|draws| draws.len() >= needed.max(1)).collect();
    if full.is_empty() {
        let pooled: Vec<f64> = clouds.into_values().flatten().collect();
        return AmongControls { p: p_controls(row.effect, &pooled), controls: pooled.len() };
    }
    AmongControls {
        p: full.iter().map(|draws| p_controls(row.effect, draws)).fold(0.0, f64::max),
        controls: full.iter().map(|draws| draws.len()).min().unwrap_or(0),
    }
}
