//! What became of a file's columns, over all of its rows: read, or left out and named in a note.

use super::row::Row;
use std::collections::BTreeMap;

/// Columns with the number of rows that each was read in, or left out of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    rows: usize,
    read: BTreeMap<String, usize>,
    left_out: BTreeMap<String, usize>,
    /// What was handed to the chat template, which does not name it.
    not_in_template: BTreeMap<String, usize>,
    /// Sentences about columns whose values no row can hold.
    unreadable: Vec<String>,
}

impl Columns {
    /// Columns of a file of which this is said: no row holds them.
    pub(crate) fn of_file(unreadable: Vec<String>) -> Self {
        Self { unreadable, ..Self::default() }
    }

    /// Counts a row once everything that is read of it has been.
    pub(crate) fn count(&mut self, row: &Row) {
        let left_out = row.left_out();
        self.rows += 1;
        for name in row.columns() {
            let of = if left_out.contains(&name) { &mut self.left_out } else { &mut self.read };
            *of.entry(name).or_default() += 1;
        }
    }

    /// Counts what the chat template does not read of a row.
    pub(crate) fn not_in_template(&mut self, names: Vec<String>) {
        names.into_iter().for_each(|name| *self.not_in_template.entry(name).or_default() += 1);
    }

    /// The columns that were read, or are known to say nothing.
    pub(crate) fn read(&self) -> Vec<String> {
        self.read.keys().cloned().collect()
    }

    /// The columns that were left out, in some rows at least.
    pub(crate) fn left_out(&self) -> Vec<String> {
        self.left_out.keys().cloned().collect()
    }

    /// What an answer must say of `file`.
    pub(crate) fn notes(&self, file: &str) -> Vec<String> {
        let listed = |of: &BTreeMap<String, usize>| {
            let name = |(name, rows): (&String, &usize)| match *rows == self.rows {
                true => name.clone(),
                false => format!("{name} (in {rows} of {} rows)", self.rows),
            };
            of.iter().map(name).collect::<Vec<_>>().join(", ")
        };
        let mut notes = self.unreadable.clone();
        if !self.left_out.is_empty() {
            notes.push(format!(
                "{file}: columns left out: {}; nothing that is computed depends on them",
                listed(&self.left_out)
            ));
        }
        if !self.not_in_template.is_empty() {
            notes.push(format!(
                "{file}: given to the chat template, which does not name it: {}; the model does not see it",
                listed(&self.not_in_template)
            ));
        }
        notes
    }
}
