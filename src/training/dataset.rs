//! Training data from files: TRL's `prompt`/`completion` and `prompt`/`chosen`/`rejected`, and `response`
//! in place of `completion`, as JSONL or Parquet.
//!
//! A file is gone through in passes; the order within each is keyed by (seed, pass).

use super::dpo::Pair;
use crate::error::{At, Error, Result, io};
use crate::rng::Stream;
use crate::tables;
use crate::tasks::Document;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// The items of a file, in file order.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Line {
    prompt: Option<String>,
    completion: Option<String>,
    response: Option<String>,
    chosen: Option<String>,
    rejected: Option<String>,
}

impl Dataset<Document> {
    /// Reads prompts with their completions.
    ///
    /// # Errors
    /// If the file cannot be read, a line lacks a field (the error names the line), or there is none.
    pub fn documents(path: &Path) -> Result<Self> {
        Self::read(path, |line| {
            let response = line.completion.or(line.response);
            Ok(Document { prompt: needed(line.prompt, "prompt")?, response: needed(response, "completion")? })
        })
    }
}

impl Dataset<Pair> {
    /// Reads preferences.
    ///
    /// # Errors
    /// As [`Dataset::documents`].
    pub fn pairs(path: &Path) -> Result<Self> {
        Self::read(path, |line| {
            let prompt = needed(line.prompt, "prompt")?;
            let document = |response| Document { prompt: prompt.clone(), response };
            Ok(Pair {
                chosen: document(needed(line.chosen, "chosen")?),
                rejected: document(needed(line.rejected, "rejected")?),
            })
        })
    }
}

fn needed(field: Option<String>, name: &str) -> Result<String> {
    field.ok_or_else(|| {
        Error::request(format!("expected a text field `{name}`"))
            .hint("the fields are those of TRL: prompt and completion, or prompt, chosen and rejected")
    })
}

impl<T: Clone> Dataset<T> {
    /// A dataset of these items.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(items: Vec<T>) -> Result<Self> {
        match items.is_empty() {
            true => Err(Error::request("expected at least one example, found none")),
            false => Ok(Self { items }),
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

    fn read(path: &Path, item: impl Fn(Line) -> Result<T>) -> Result<Self> {
        let lines = match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => tables::read::<Value>(path)?,
            _ => read_lines(path)?,
        };
        let items = lines
            .into_iter()
            .enumerate()
            .map(|(number, value)| {
                serde_json::from_value::<Line>(value)
                    .map_err(|error| Error::request(error.to_string()))
                    .and_then(&item)
                    .at(format!("line {}", number + 1))
            })
            .collect::<Result<Vec<_>>>();
        items.and_then(Self::new).at(path.display())
    }

    /// Items `first .. first + count` of the passes over the file, one after another.
    pub fn take(&self, seed: u64, first: u64, count: usize) -> Vec<T> {
        let length = self.items.len() as u64;
        let mut order: Vec<usize> = Vec::new();
        let mut current = None;
        (first..)
            .take(count)
            .filter_map(|number| {
                let pass = number / length;
                if current != Some(pass) {
                    current = Some(pass);
                    order = (0..self.items.len()).collect();
                    Stream::new(seed, "training/dataset", &[pass]).shuffle(&mut order);
                }
                self.items.get(*order.get((number % length) as usize)?).cloned()
            })
            .collect()
    }
}

fn read_lines(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).map_err(|error| io("read", path, error))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|error| Error::request(format!("expected one JSON object a line: {error}")))
                .at(format!("line {}", number + 1))
                .at(path.display())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.jsonl");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn every_pass_holds_every_item_once_in_its_own_order() {
        let lines: String =
            (0..7).map(|index| format!("{{\"prompt\": \"p\", \"completion\": \"{index}\"}}\n")).collect();
        let (_folder, path) = file(&lines);
        let dataset = Dataset::documents(&path).unwrap();
        let passes: Vec<Vec<Document>> = (0..3).map(|pass| dataset.take(1, 7 * pass, 7)).collect();
        assert_ne!(passes[0], passes[1]);
        for pass in &passes {
            let mut responses: Vec<&str> = pass.iter().map(|document| document.response.as_str()).collect();
            responses.sort_unstable();
            assert_eq!(responses, ["0", "1", "2", "3", "4", "5", "6"]);
        }
        assert_eq!(dataset.take(1, 3, 8), [&passes[0][3..], &passes[1][..4]].concat());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let (_folder, path) = file("{\"prompt\": \"p\", \"completion\": \"c\"}\n{\"prompt\": \"p\"}\n");
        let error = Dataset::documents(&path).unwrap_err().to_string();
        assert!(error.contains("data.jsonl: line 2: expected a text field `completion`"), "{error}");
        let (_folder, path) = file("");
        assert!(Dataset::pairs(&path).unwrap_err().to_string().contains("at least one example"));
    }
}
