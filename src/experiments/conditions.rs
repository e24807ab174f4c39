//! One condition of an experiment: what is done to the receiver, where, under a name.

use crate::diff::Reading;
use crate::interventions::{HeadWriter, Positions, Writer};
use crate::model::HookPoint;

/// One edit under a name.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its name in tables.
    pub name: String,
    /// What is done.
    pub change: Change,
    /// Where it may act. Never at the begin-of-sequence token.
    pub positions: Positions,
}

/// What is done to the receiver.
#[derive(Clone, Debug)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// A writer adds its delta at a hook.
    Write {
        /// Where activations are read and the delta is written.
        hook: HookPoint,
        /// How codes are made of them, where the writer needs codes.
        reading: Reading,
        /// What is written.
        writer: Writer,
    },
    /// Heads are edited.
    Heads(HeadWriter),
}

impl Condition {
    /// The unedited receiver.
    pub fn baseline() -> Self {
        Self { name: BASELINE.to_owned(), change: Change::Nothing, positions: Positions::All }
    }

    /// An edit.
    pub fn edited(name: impl Into<String>, change: Change, positions: Positions) -> Self {
        Self { name: name.into(), change, positions }
    }

    /// The writer, where the condition has one.
    pub(super) fn writer(&self) -> Option<&Writer> {
        match &self.change {
            Change::Write { writer, .. } => Some(writer),
            _ => None,
        }
    }

    /// The index of the variant that is edited; `None` for the unedited one, which fits any.
    pub(super) fn receiver(&self) -> Option<usize> {
        match &self.change {
            Change::Nothing => None,
            Change::Write { writer, .. } => Some(writer.receiver()),
            Change::Heads(writer) => Some(writer.receiver()),
        }
    }

    /// Whether two conditions can be rows of one batch: they are edited at the same place, and their codes are
    /// made in the same way.
    fn runs_with(&self, other: &Self) -> bool {
        match (&self.change, &other.change) {
            (Change::Nothing, _) | (_, Change::Nothing) => true,
            (Change::Heads(_), Change::Heads(_)) => true,
            (Change::Write { hook, reading, .. }, Change::Write { hook: other_hook, reading: other, .. }) => {
                hook == other_hook && reading.is_same(other)
            }
            _ => false,
        }
    }
}

/// The name of the unedited receiver in tables.
pub const BASELINE: &str = "baseline";

/// Indices of conditions that can share a batch, in order of their first.
pub(super) fn groups(conditions: &[Condition]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut unedited = Vec::new();
    for (index, condition) in conditions.iter().enumerate() {
        if matches!(condition.change, Change::Nothing) {
            unedited.push(index);
            continue;
        }
        match groups.iter_mut().find(|(first, _)| conditions[*first].runs_with(condition)) {
            Some((_, group)) => group.push(index),
            None => groups.push((index, vec![index])),
        }
    }
    let mut groups: Vec<Vec<usize>> = groups.into_iter().map(|(_, group)| group).collect();
    match groups.first_mut() {
        Some(first) => first.splice(..0, unedited).for_each(drop),
        None => groups.push(unedited),
    }
    groups
}
