//! Looks at the rows of a run and says, once each, what a person at the terminal should know.

use super::rows::TrainingRow;
use std::collections::BTreeSet;

/// Steps that make up a mean worth comparing.
const WINDOW: usize = 10;
/// Steps without any reward that are worth a word: long before a run is wasted.
const SILENCE: usize = 3;

/// Remembers what has been said.
#[derive(Debug, Default)]
pub(super) struct Watch {
    said: BTreeSet<&'static str>,
}

impl Watch {
    /// What the latest of `rows` gives reason to warn of, and has not been said before.
    pub(super) fn look(&mut self, rows: &[TrainingRow]) -> Vec<String> {
        let enough = rows.len() >= WINDOW;
        let found = [
            ("zero", no_reward(rows)),
            ("collapse", collapse(rows).filter(|_| enough)),
            ("entropy", entropy(rows).filter(|_| enough)),
            ("length", cut_off(rows).filter(|_| enough)),
        ];
        found.into_iter().filter_map(|(name, text)| text.filter(|_| self.said.insert(name))).collect()
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
    let silent =
        rows.len() >= SILENCE && rows.iter().all(|row| row.reward.is_some_and(|reward| reward == 0.0));
    let truncated = mean(rows, |row| row.truncated).unwrap_or(0.0);
    silent.then(|| {
        format!(
            "no response has had any reward in {} steps, and {:.0} % of them were cut off; raise \
             `max_new_tokens`, or begin from a model that solves some of the problems",
            rows.len(),
            100.0 * truncated
        )
    })
}

fn collapse(rows: &[TrainingRow]) -> Option<String> {
    let best = rows.windows(WINDOW).filter_map(|rows| mean(rows, |row| row.reward)).reduce(f64::max)?;
    let now = mean(last(rows), |row| row.reward)?;
    (best > 0.1 && now < 0.5 * best).then(|| {
        format!("the reward has collapsed: {now:.2} over the last {WINDOW} steps, {best:.2} at its best")
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
        assert!(said[0].contains("no response has had any reward") && said[0].contains("90 %"), "{said:?}");
        assert!(watch.look(&silent).is_empty());
        let falling = rows((0..30).map(|step| if step < 15 { 0.8 } else { 0.1 }));
        let said = Watch::default().look(&falling);
        assert!(said[0].contains("collapsed: 0.10"), "{said:?}");
    }
}
