//! Conditioned completions as rows of `outcomes`: one a problem, sample and condition.

use super::conditions::Condition;
use super::measure::{Measured, Trial};
use super::run::ExperimentTables;
use crate::error::Result;
use crate::evaluation::{Outcome, OutcomeRow, REFUSAL_LOG_ODDS};

/// The completions under the first conditions of `measured`, those of `conditions`. Receivers are named
/// `variant@step` or, without checkpoints, `variant`.
///
/// # Errors
/// If the receiver has no tokenizer.
pub(super) fn outcomes(
    trial: &Trial<'_>,
    receiver: &str,
    conditions: &[Condition],
    measured: &Measured,
) -> Result<Vec<OutcomeRow>> {
    rows(trial, receiver, measured, &|place| Some(conditions.get(place)?.name.as_str()))
}

/// The one control whose completions are kept for a reader: its name in the table, and its place among what was measured.
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) place: usize,
}

/// The completions under one control.
///
/// # Errors
/// If the receiver has no tokenizer.
pub(super) fn shown_control(
    trial: &Trial<'_>,
    receiver: &str,
    shown: &Shown,
    measured: &Measured,
) -> Result<Vec<OutcomeRow>> {
    rows(trial, receiver, measured, &|place| (place == shown.place).then_some(shown.name.as_str()))
}

/// The name under which the completions of one matched control of a condition stand in the table `outcomes`.
pub fn beside_control(condition: &str) -> String {
    format!("{condition} | control")
}

/// The completions of the conditions that `name` has a name for.
fn rows<'a>(
    trial: &Trial<'_>,
    receiver: &str,
    measured: &Measured,
    name: &dyn Fn(usize) -> Option<&'a str>,
) -> Result<Vec<OutcomeRow>> {
    let problems = trial.problems();
    let tokenizer = trial.readout.model(trial.readout.variant(receiver)?)?.tokenizer()?;
    let (variant, checkpoint) = match receiver.split_once('@') {
        Some((variant, step)) => (variant, step.parse().unwrap_or(0)),
        None => (receiver, 0),
    };
    let rows = measured.completions.iter().filter_map(|said| {
        let (name, problem) = (name(said.condition)?, problems.get(said.problem)?);
        let endpoints = trial.suite.endpoints().iter().map(|endpoint| endpoint.name);
        let log_odds = measured.log_odds.get(&(said.condition, said.problem));
        let values = endpoints.zip(said.scores.iter().copied());
        let outcome = Outcome {
            suite: trial.suite.name().to_owned(),
            problem: problem.id.clone(),
            prompt: problem.prompt.clone(),
            instantiation: problem.instantiation,
            half: problem.half,
            sample: said.sample,
            values: values.chain(log_odds.map(|value| (REFUSAL_LOG_ODDS, *value))).collect(),
            tokens: said.tokens.len(),
            completion: tokenizer.decode_response(&said.tokens),
            truncated: said.truncated,
        };
        Some(OutcomeRow::new(variant, checkpoint, name, &outcome))
    });
    Ok(rows.collect())
}

impl ExperimentTables {
    /// Adds completions, those of the unedited receiver once a suite.
    pub(super) fn add_outcomes(&mut self, rows: Vec<OutcomeRow>) {
        let unedited = |row: &OutcomeRow| row.condition == super::BASELINE;
        let known = rows.iter().find(|row| unedited(row)).is_some_and(|new| {
            let same = |old: &OutcomeRow| {
                unedited(old)
                    && (&old.variant, old.checkpoint, &old.suite)
                        == (&new.variant, new.checkpoint, &new.suite)
            };
            self.outcomes.iter().any(same)
        });
        self.outcomes.extend(rows.into_iter().filter(|row| !(known && unedited(row))));
    }
}
