//! Looks at the rows of a run and says, once each, what a person at the terminal should know.

use super::rows::TrainingRow;
use std::collections::BTreeSet;

/// Steps that make up a mean worth comparing.
const WINDOW: usize = 10;
/// Steps without any reward that are worth a word: long before a run is wasted.
const SILENCE: usize = 3;

/// Remembers what has been said, and the best mean reward of a window so far.
#[derive(Debug, Default)]
pub(super) struct Watch {
    said: BTreeSet<&'static str>,
    best: Option<f64>,
}

/// Something that a person should know of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Of what kind it is; a run is warned once of each.
    pub kind: &'static str,
    /// The step, from 1, at which it was seen first.
    pub step: usize,
    /// What was seen, and what may help.
    pub text: String,
}

/// What the rows of one run give reason to warn of.
pub fn warnings(rows: &[TrainingRow]) -> Vec<Warning> {
    Watch::after(rows).1
}

impl Watch {
    /// A watch that has seen `rows`, and what it had to say of them.
    pub(super) fn after(rows: &[TrainingRow]) -> (Self, Vec<Warning>) {
        let mut watch = Self::default();
        let said = (1..=rows.len()).flat_map(|end| watch.look(&rows[..end])).collect();
        (watch, said)
    }

    /// What the latest of `rows` gives reason to warn of, and has not been said before.
    pub(super) fn look(&mut self, rows: &[TrainingRow]) -> Vec<Warning> {
        let enough = rows.len() >= WINDOW;
        let found = [
            ("zero", no_reward(rows)),
            ("idle", idle(rows)),
            ("short", too_few_groups(rows)),
            ("fewer", fewer_updates(rows)),
            ("kept", nothing_kept(rows)),
            ("collapse", self.collapse(rows)),
            ("entropy", entropy(rows).filter(|_| enough)),
            ("length", cut_off(rows).filter(|_| enough)),
        ];
        let found = found.into_iter().filter_map(|(kind, text)| Some((kind, text?)));
        found
            .filter(|(kind, _)| self.said.insert(kind))
            .map(|(kind, text)| Warning { kind, step: rows.len(), text })
            .collect()
    }

    fn collapse(&mut self, rows: &[TrainingRow]) -> Option<String> {
        let now = mean(last(rows), |row| row.reward).filter(|_| rows.len() >= WINDOW)?;
        let best = self.best.map_or(now, |best| best.max(now));
        self.best = Some(best);
        (best > 0.1 && now < 0.5 * best).then(|| {
            format!("the reward has collapsed: {now:.2} over the last {WINDOW} steps, {best:.2} at its best")
        })
    }
}

fn mean(rows: &[TrainingRow], value: impl Fn(&TrainingRow) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = rows.iter().filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn last(rows: &[TrainingRow]) -> &[TrainingRow] {
    &rows[rows.len().saturating_sub(WINDOW)..]
}

fn no_reward(rows: &[TrainingRow]) -> Option<String> {
    rows.last()?.reward?;
    let sampled = || rows.iter().rev().filter(|row| row.reward.is_some()).take(SILENCE);
    let silent = sampled().count() == SILENCE && sampled().all(|row| row.reward == Some(0.0));
    let truncated = sampled().filter_map(|row| row.truncated).sum::<f64>() / SILENCE as f64;
    silent.then(|| {
        format!(
            "no response has had any reward in {SILENCE} samplings, and {:.0} % of them were cut off; raise \
             `max_new_tokens`, or begin from a model that solves some of the problems",
            100.0 * truncated
        )
    })
}

/// Updates are counted, so a step without one shows.
fn idle(rows: &[TrainingRow]) -> Option<String> {
    let before = rows.len().checked_sub(SILENCE + 1).map(|place| &rows[place]);
    let updates = |row: Option<&TrainingRow>| row.map_or(Some(0), |row| row.updates);
    let idle = rows.len() >= SILENCE && updates(rows.last())? == updates(before)?;
    idle.then(|| {
        format!(
            "no update has been made in {SILENCE} steps: the responses to each prompt all have the same reward; \
             choose problems that the model sometimes solves, or raise `samples`"
        )
    })
}

fn too_few_groups(rows: &[TrainingRow]) -> Option<String> {
    let row = rows.last()?;
    let missing = row.groups_missing.filter(|missing| *missing > 0)?;
    Some(format!(
        "too few prompts had responses of different reward: {missing} of {} are missing in the batch although more \
         were drawn; raise `resample`, or choose problems that the model sometimes solves",
        missing + row.groups_trained.unwrap_or(0)
    ))
}

/// A step that makes none is not the news here, see [`idle`].
fn fewer_updates(rows: &[TrainingRow]) -> Option<String> {
    let (row, before) = (rows.last()?, rows.len().checked_sub(2).and_then(|place| rows.get(place)));
    let missing = row.updates_missing.filter(|missing| *missing > 0)? as u64;
    let made = row.updates? - before.map_or(Some(0), |row| row.updates)?;
    (made > 0).then(|| {
        format!(
            "{made} of {} updates were made, for too few groups teach anything: what acts from the second update of a \
             rollout on, as the clips and FIPO do, acts less; raise `prompts` or lower `minibatches`",
            made + missing
        )
    })
}

/// Rejection sampling makes its updates all the same; policy gradient does not, see [`idle`].
fn nothing_kept(rows: &[TrainingRow]) -> Option<String> {
    let (row, before) = (rows.last()?, rows.len().checked_sub(2).and_then(|place| rows.get(place)));
    let is_fitted = row.updates? > before.map_or(Some(0), |row| row.updates)?;
    (row.groups_trained == Some(0) && is_fitted).then(|| {
        "no response was verified and at the boundary of the model's ability: those of the sampling before are \
         fitted further"
            .to_owned()
    })
}

fn entropy(rows: &[TrainingRow]) -> Option<String> {
    let (first, now) =
        (mean(&rows[..WINDOW.min(rows.len())], |row| row.entropy)?, mean(last(rows), |row| row.entropy)?);
    let of_policy = rows.last()?.reward.is_some();
    (of_policy && now < 0.1 * first)
        .then(|| format!("the entropy has collapsed: {now:.3} nats, {first:.3} at the start"))
}

fn cut_off(rows: &[TrainingRow]) -> Option<String> {
    let truncated = mean(last(rows), |row| row.truncated)?;
    (truncated > 0.5).then(|| format!("{:.0} % of the responses are cut off", 100.0 * truncated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rewards: impl Iterator<Item = f64>) -> Vec<TrainingRow> {
        let row = |reward| TrainingRow {
            reward: Some(reward),
            entropy: Some(1.0),
            truncated: Some(0.9),
            ..TrainingRow::default()
        };
        rewards.map(row).collect()
    }

    #[test]
    fn silence_collapse_and_cut_off_responses_are_called_out_once() {
        let mut watch = Watch::default();
        assert!(watch.look(&rows([0.0, 0.0].into_iter())).is_empty());
        let silent = rows((0..3).map(|_| 0.0));
        let said = watch.look(&silent);
        assert!(said[0].text.contains("any reward") && said[0].text.contains("90 %"), "{said:?}");
        assert!(watch.look(&silent).is_empty());
        let falling = rows((0..30).map(|step| if step < 15 { 0.8 } else { 0.1 }));
        let said = warnings(&falling);
        let collapse = said.iter().find(|found| found.text.contains("collapsed: 0.")).unwrap();
        assert!((15..30).contains(&collapse.step), "{said:?}");
        let late = rows((0..30).map(|step| if step < 15 { 0.8 } else { 0.0 }));
        assert!(warnings(&late).iter().any(|found| found.step == 18 && found.text.contains("any reward")));
    }

    #[test]
    fn steps_without_updates_and_batches_with_gaps_are_called_out() {
        let mut idle = rows([0.5; 5].into_iter());
        for (row, updates) in idle.iter_mut().zip([2, 4, 4, 4, 4]) {
            row.updates = Some(updates);
        }
        let said = warnings(&idle);
        assert!(said.iter().any(|found| found.step == 5 && found.text.contains("no update")), "{said:?}");
        let mut short = rows([0.5; 2].into_iter());
        for row in &mut short {
            (row.groups_missing, row.groups_trained) = (Some(3), Some(5));
        }
        let said = warnings(&short);
        assert!(said.len() == 1 && said[0].text.contains("3 of 8 are missing"), "{said:?}");
        let mut fewer = rows([0.5; 2].into_iter());
        for (row, (updates, missing)) in fewer.iter_mut().zip([(4, 0), (7, 1)]) {
            (row.updates, row.updates_missing) = (Some(updates), Some(missing));
        }
        let said = warnings(&fewer);
        assert!(said.len() == 1 && said[0].text.contains("3 of 4 updates"), "{said:?}");
        let mut kept = rows([1.0; 2].into_iter());
        for (step, row) in kept.iter_mut().enumerate() {
            (row.groups_trained, row.updates) = (Some(0), Some(step as u64 + 1));
        }
        assert!(warnings(&kept)[0].text.contains("fitted further"));
    }
}
