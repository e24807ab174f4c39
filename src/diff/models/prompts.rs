//! Prompts with a label: a suite, `harmful` and `harmless`, or any other grouping.

use crate::error::{At, Error, Result};
use crate::foreign;
use crate::model::Tokenizer;
use serde::Deserialize;
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

#[derive(Deserialize)]
struct Line {
    prompt: String,
    #[serde(default)]
    label: String,
    response: Option<String>,
    problem_id: Option<serde_json::Value>,
}

/// Reads a `.jsonl` file with a `prompt`, a `label` and perhaps a `response` in each line: with a response, what
/// is read is the mean over its tokens, else the last token of the prompt. Prompts with one `problem_id` are never
/// split. What stands
/// before a prompt is put there by [`Tokenizer::encode_begun`].
///
/// # Errors
/// If the file is missing, a line is not such an object, or a prompt cannot be tokenized.
pub fn read_prompts(path: &Path, tokenizer: &Tokenizer) -> Result<Vec<LabelledPrompt>> {
    let text = foreign::text(path, foreign::DATA)?;
    let mut prompts = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{}, line {}", path.display(), number + 1);
        let line: Line = serde_json::from_str(line).map_err(|error| {
            Error::request(format!("expected an object with `prompt` and `label`: {error}")).at(place())
        })?;
        let mut tokens = tokenizer.encode_begun(&line.prompt).at(place())?;
        if tokens.is_empty() {
            return Err(Error::request("expected a prompt with a token, found none").at(place()));
        }
        let response = line.response.as_ref().map(|_| tokens.len());
        if let Some(text) = &line.response {
            tokens.extend(tokenizer.encode(text).at(place())?);
        }
        let problem = line.problem_id.map(|id| id.to_string()).unwrap_or_default();
        prompts.push(LabelledPrompt { tokens, label: line.label, response, problem });
    }
    if prompts.is_empty() {
        return Err(Error::request("expected at least one prompt, found none").at(path.display()));
    }
    Ok(prompts)
}

/// The labels, sorted, each once.
pub fn labels(prompts: &[LabelledPrompt]) -> Vec<&str> {
    let mut labels: Vec<&str> = prompts.iter().map(|prompt| prompt.label.as_str()).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}
