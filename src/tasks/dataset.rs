//! Training data from files, in the layouts of TRL and of Ren et al., as JSONL or Parquet.
//!
//! | fields | what is learned |
//! |---|---|
//! | `prompt`, `completion` (or `response`) | the completion |
//! | `messages` | every message of the assistant, after those before it |
//! | `text` | all of it |
//! | `messages` (or `message`), `response` | the response, after the messages |
//! | `prompt`, `chosen`, `rejected` | to prefer the chosen response |
//! | `chosen`, `rejected` | the same; the prompt is the messages, or the text, that both begin with |
//!
//! Each is a text, taken as it stands, or a list of messages, written by the chat template of the model that is
//! trained, with `tools` and `chat_template_kwargs` of the row ([`super::row`]). Which tokens these become and which of
//! them are learned is the matter of [`super::lesson`]. Every other column is named in a note. A file is gone through
//! in passes; the order within each is keyed by (seed, pass).

use super::columns::Columns;
use super::conversation::{Asked, is_assistant};
use super::lesson::Lesson;
use super::numbered;
use super::preferences::{begins_with, shared_beginning};
use super::problem::{Document, Pair};
use super::row::Row;
use crate::error::{At, Error, Result};
use crate::model::Tokenizer;
use crate::tables;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The items of a file, in file order.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<T> {
    items: Vec<T>,
    reading: Reading,
}

/// How a file was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// The rows of the file.
    pub(crate) rows: usize,
    /// The layouts that were met, with their rows.
    pub(crate) layouts: BTreeMap<&'static str, usize>,
    pub(crate) columns: Columns,
    /// Rows whose prompts alone are encoded in another way than before their answers.
    pub(crate) parted: usize,
    notes: Vec<String>,
}

impl Reading {
    /// Counts what the chat template does not read of a row's conversations, once a row.
    fn not_in_template(&mut self, all: &[&Asked], tokenizer: &Tokenizer) {
        let unread: BTreeSet<String> =
            all.iter().flat_map(|asked| asked.unread_by_template(tokenizer)).collect();
        self.columns.not_in_template(unread.into_iter().collect());
    }
}

impl Dataset<Document> {
    /// Reads prompts with their responses, for a model with this tokenizer.
    ///
    /// # Errors
    /// If the file cannot be read, a row lacks a field (the error names the row), there is none, or messages
    /// are given and the model has no chat template.
    pub fn documents(path: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        Self::read(path, |row, reading| {
            let response = row.asked(&["completion", "response"])?;
            let prompt = row.asked(&["prompt", "messages", "message"])?;
            // A column counts as read only where it is learned from.
            let text = match (&prompt, &response) {
                (None, None) => row.asked(&["text"])?,
                _ => None,
            };
            let (layout, lessons) = match (prompt, response, text) {
                (Some(prompt), Some(response), _) => {
                    reading.not_in_template(&[&prompt, &response], tokenizer);
                    ("prompt and completion", vec![Lesson::of(tokenizer, &prompt, &response)?])
                }
                (Some(prompt @ Asked::Messages(_)), None, _) => {
                    reading.not_in_template(&[&prompt], tokenizer);
                    let Asked::Messages(conversation) = prompt else { return Ok(Vec::new()) };
                    ("messages", Lesson::of_conversation(tokenizer, &conversation, is_assistant)?)
                }
                (None, None, Some(Asked::Text(text))) => {
                    ("text", vec![Lesson::of_texts(tokenizer, "", &text)?])
                }
                _ => {
                    return Err(Error::request(format!(
                        "expected `prompt` and `completion`, `messages`, or `text`; found {}",
                        found(row)
                    ))
                    .hint("the fields are those of TRL's datasets"));
                }
            };
            *reading.layouts.entry(layout).or_default() += 1;
            reading.parted += usize::from(lessons.iter().any(Lesson::is_parted));
            Ok(lessons.into_iter().map(|lesson| Document::of_lesson(lesson, tokenizer)).collect())
        })
    }
}

impl Dataset<Pair> {
    /// Reads preferences, for a model with this tokenizer.
    ///
    /// # Errors
    /// As [`Dataset::documents`].
    pub fn pairs(path: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        Self::read(path, |row, reading| {
            let needed = |name: &str| {
                row.asked(&[name])?.ok_or_else(|| {
                    Error::request(format!("expected a field `{name}`, found {}", found(row)))
                        .hint("the fields are those of TRL's preference datasets: prompt, chosen, rejected")
                })
            };
            let (mut chosen, mut rejected) = (needed("chosen")?, needed("rejected")?);
            let (layout, prompt) = match row.asked(&["prompt"])? {
                // As data sets have it that name the first message beside two whole conversations.
                Some(Asked::Text(text)) if begins_with(&chosen, &text) && begins_with(&rejected, &text) => {
                    ("chosen and rejected", shared_beginning(&mut chosen, &mut rejected)?)
                }
                Some(prompt) => ("prompt, chosen and rejected", prompt),
                None => ("chosen and rejected", shared_beginning(&mut chosen, &mut rejected)?),
            };
            reading.not_in_template(&[&prompt, &chosen, &rejected], tokenizer);
            *reading.layouts.entry(layout).or_default() += 1;
            let lesson =
                |response, name: &str| Lesson::of(tokenizer, &prompt, response).at(format!("field `{name}`"));
            let (chosen, rejected) =
                Lesson::alike(lesson(&chosen, "chosen")?, lesson(&rejected, "rejected")?);
            reading.parted += usize::from(chosen.is_parted() || rejected.is_parted());
            let document = |lesson| Document::of_lesson(lesson, tokenizer);
            Ok(vec![Pair { chosen: document(chosen), rejected: document(rejected) }])
        })
    }
}

/// The columns of a row, for a message.
fn found(row: &Row) -> String {
    let columns = row.columns();
    if columns.is_empty() { "nothing".to_owned() } else { format!("`{}`", columns.join("`, `")) }
}

impl<T: Clone> Dataset<T> {
    /// A dataset of these items.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(items: Vec<T>) -> Result<Self> {
        match items.is_empty() {
            true => Err(Error::request("expected at least one example, found none")),
            false => Ok(Self { items, reading: Reading::default() }),
        }
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Always false: a dataset has at least one item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn read(path: &Path, items: impl Fn(&Row, &mut Reading) -> Result<Vec<T>>) -> Result<Self> {
        let (rows, unreadable) = tables::read_rows_and_notes(path)?;
        let columns = Columns::of_file(unreadable);
        let (mut all, mut reading) = (Vec::new(), Reading { columns, ..Reading::default() });
        for (number, row) in rows.iter().enumerate() {
            let place = || format!("row {}", number + 1);
            let row = Row::new(row).at(place()).at(path.display())?;
            all.extend(items(&row, &mut reading).at(place()).at(path.display())?);
            reading.rows += 1;
            reading.columns.count(&row);
        }
        reading.notes = reading.columns.notes(&path.display().to_string());
        if reading.parted > 0 {
            reading.notes.push(format!(
                "{}: in {} of {} rows the prompt alone becomes other tokens than before its answer (a token reaches over the seam, or the chat template writes the prompt anew once it is answered): the answer is learned after other tokens than a model is asked with, as in TRL",
                path.display(),
                reading.parted,
                reading.rows
            ));
        }
        Ok(Self { reading, ..Self::new(all).at(path.display())? })
    }

    /// What an answer must say of how the file was read: columns that were left out, rows that were cut.
    pub fn notes(&self) -> &[String] {
        &self.reading.notes
    }

    /// How the file was read.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The items in file order.
    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }

    /// Leaves out the items of which no token is learned within `limit` tokens, as TRL does, and says how many these
    /// are and how many are cut. `lessons` are those of an item.
    fn fit(&mut self, limit: usize, file: &str, lessons: impl Fn(&T) -> Vec<&Lesson>) -> Result<()> {
        let before = self.items.len();
        self.items.retain(|item| lessons(item).iter().all(|lesson| lesson.begins() < limit));
        let left_out = before - self.items.len();
        let is_cut = |item: &&T| lessons(item).iter().any(|lesson| lesson.tokens().len() > limit);
        let cut = self.items.iter().filter(is_cut).count();
        if self.items.is_empty() {
            return Err(Error::request(format!("every row's prompt has {limit} tokens or more"))
                .hint("raise `max_tokens`")
                .at(file));
        }
        if left_out > 0 {
            self.reading.notes.push(format!(
                "{file}: {left_out} of {before} rows left out: their prompts alone fill max_tokens = {limit}"
            ));
        }
        if cut > 0 {
            self.reading
                .notes
                .push(format!("{file}: {cut} of {before} rows are cut at max_tokens = {limit}"));
        }
        Ok(())
    }

    /// Items `first .. first + count` of the passes over the file, one after another.
    pub fn take(&self, seed: u64, first: u64, count: usize) -> Vec<T> {
        self.numbered(seed, (first..).take(count))
    }

    /// The items with these numbers, ascending, in the same passes.
    pub(super) fn numbered(&self, seed: u64, numbers: impl Iterator<Item = u64>) -> Vec<T> {
        numbered::of_list(&self.items, seed, numbers)
    }
}

impl Dataset<Document> {
    /// Leaves out the rows that a limit on their tokens leaves nothing to learn of, and counts those that it cuts.
    ///
    /// # Errors
    /// If none is left.
    pub(crate) fn within(mut self, limit: usize, file: &str) -> Result<Self> {
        self.fit(limit, file, |document| document.lesson.iter().collect())?;
        Ok(self)
    }
}

impl Dataset<Pair> {
    /// As for documents: a pair is left out where either response is.
    ///
    /// # Errors
    /// As for documents.
    pub(crate) fn within(mut self, limit: usize, file: &str) -> Result<Self> {
        self.fit(limit, file, |pair| pair.chosen.lesson.iter().chain(&pair.rejected.lesson).collect())?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
