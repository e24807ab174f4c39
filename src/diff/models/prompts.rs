//! Prompts with a label: a suite, `harmful` and `harmless`, or any other grouping.

use crate::error::{At, Error, Result};
use crate::foreign;
use crate::model::Tokenizer;
use crate::tasks::{Columns, Row, common, encoded_together};
use serde_json::Value;
use std::path::Path;

/// A prompt, perhaps with a response, and the group it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelledPrompt {
    /// Its tokens, the one that begins a text included; then those of the response.
    pub tokens: Vec<u32>,
    /// Its group.
    pub label: String,
    /// Where the response begins, if there is one.
    pub response: Option<usize>,
    /// The problem that it asks for: prompts of one problem are never split. Empty: it is its own.
    pub problem: String,
}

impl LabelledPrompt {
    /// The tokens whose mean activation stands for it: the response, or the prompt's last token.
    pub(super) fn span(&self) -> std::ops::Range<usize> {
        let last = self.tokens.len().saturating_sub(1);
        self.response.filter(|start| *start <= last).unwrap_or(last)..last + 1
    }

    /// What names its problem.
    pub(super) fn unit(&self) -> String {
        let prompt = self.tokens.get(..self.response.unwrap_or(self.tokens.len())).unwrap_or(&self.tokens);
        if self.problem.is_empty() { format!("{prompt:?}") } else { self.problem.clone() }
    }
}

/// Reads a `.jsonl` file with a `prompt` (a text, or messages with perhaps `tools` and `chat_template_kwargs`), a `label`
/// and perhaps a `response` in each line: with a response, what
/// is read is the mean over its tokens, else the last token of the prompt. Prompts with one `problem_id` are never
/// split. A text and its response are tokenized as one; what stands
/// before a text is put there by [`Tokenizer::encode_begun`]. Returns with the prompts what an
/// answer must say of columns that were left out.
///
/// # Errors
/// If the file is missing, a line is not such an object, or a prompt cannot be tokenized.
pub fn read_prompts(path: &Path, tokenizer: &Tokenizer) -> Result<(Vec<LabelledPrompt>, Vec<String>)> {
    let text = foreign::text(path, foreign::DATA)?;
    let (mut prompts, mut columns) = (Vec::new(), Columns::default());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{}, line {}", path.display(), number + 1);
        let line: Value = serde_json::from_str(line)
            .map_err(|error| Error::request(format!("expected an object with `prompt` and `label`: {error}")))
            .at(place())?;
        let row = Row::new(&line).at(place())?;
        prompts.push(prompt(&row, &mut columns, tokenizer).at(place())?);
        columns.count(&row);
    }
    if prompts.is_empty() {
        return Err(Error::request("expected at least one prompt, found none").at(path.display()));
    }
    Ok((prompts, columns.notes(&path.display().to_string())))
}

fn prompt(row: &Row, columns: &mut Columns, tokenizer: &Tokenizer) -> Result<LabelledPrompt> {
    let text = |name: &str| match row.get(name) {
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(Error::request(format!("field `{name}`: expected a text, found {other}"))),
        None => Ok(None),
    };
    let asked = row
        .asked(&["prompt"])?
        .ok_or_else(|| Error::request("expected an object with `prompt` and `label`, found no `prompt`"))?;
    columns.not_in_template(asked.unread_by_template(tokenizer));
    let (label, response) = (text("label")?.unwrap_or_default(), text("response")?);
    let (begins, tokens) = match &response {
        None => (None, asked.tokens(tokenizer)?),
        Some(response) => {
            let (prompt, whole) = encoded_together(tokenizer, &asked, response)?;
            (Some(common(&prompt, &whole)), whole)
        }
    };
    if tokens.is_empty() || begins == Some(0) {
        return Err(Error::request("expected a prompt with a token, found none"));
    }
    let problem = row.get("problem_id").map(Value::to_string).unwrap_or_default();
    Ok(LabelledPrompt { tokens, label, response: begins, problem })
}

/// The labels, sorted, each once.
pub fn labels(prompts: &[LabelledPrompt]) -> Vec<&str> {
    let mut labels: Vec<&str> = prompts.iter().map(|prompt| prompt.label.as_str()).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}
