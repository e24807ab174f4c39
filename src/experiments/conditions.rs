//! One condition of an experiment: what is done to the receiver, under a name.

use crate::error::{Error, Result};
use crate::interventions::{HeadWriter, Intervention, Operation, Write, Writer};

/// An intervention under a name, or none.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its name in tables.
    pub name: String,
    /// What is done to the receiver; nothing to the unedited one.
    pub intervention: Option<Intervention>,
}

impl Condition {
    /// The unedited receiver.
    pub fn baseline() -> Self {
        Self { name: BASELINE.to_owned(), intervention: None }
    }

    /// An edit.
    pub fn edited(name: impl Into<String>, intervention: Intervention) -> Self {
        Self { name: name.into(), intervention: Some(intervention) }
    }

    fn operation(&self) -> Option<&Operation> {
        self.intervention.as_ref().map(Intervention::operation)
    }

    /// What is written at a hook, where the condition writes at one.
    pub(super) fn write(&self) -> Option<&Write> {
        match self.operation() {
            Some(Operation::Write(write)) => Some(write),
            _ => None,
        }
    }

    /// The writer, where the condition has one.
    pub(super) fn writer(&self) -> Option<&Writer> {
        self.write().map(|write| &write.writer)
    }

    /// What is done to heads, where the condition edits heads.
    pub(super) fn heads(&self) -> Option<&HeadWriter> {
        match self.operation() {
            Some(Operation::Heads(writer)) => Some(writer),
            _ => None,
        }
    }

    /// The index of the variant that is edited; `None` for the unedited one, which fits any.
    pub(super) fn receiver(&self) -> Option<usize> {
        self.writer().map(Writer::receiver).or_else(|| self.heads().map(HeadWriter::receiver))
    }

    /// Refuses what runs in one model alone.
    ///
    /// # Errors
    /// If the intervention is arithmetic of tensors, which has no rows of its own.
    pub(super) fn check(&self) -> Result<()> {
        match self.operation() {
            Some(Operation::Arithmetic { hook, .. }) => Err(Error::request(format!(
                "condition `{}`: arithmetic of tensors at `{hook}` runs in one model alone",
                self.name
            ))
            .hint("take a `Direction`, a `Head` or features; or `Model::generate`")),
            _ => Ok(()),
        }
    }

    /// Whether two conditions can be rows of one batch: they are edited at the same place, and their codes are
    /// made in the same way.
    fn runs_with(&self, other: &Self) -> bool {
        match (self.operation(), other.operation()) {
            (None, _) | (_, None) => true,
            (Some(Operation::Heads(_)), Some(Operation::Heads(_))) => true,
            (Some(Operation::Write(one)), Some(Operation::Write(other))) => {
                one.hook == other.hook && one.reading.is_same(&other.reading)
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
        if condition.intervention.is_none() {
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
