//! `--neutral`: a file of texts that have nothing to do with the training.

use crate::error::{At, Error, Result, io};
use crate::experiments::GivenText;
use crate::model::Model;
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: String,
}

/// The texts of a file, one JSON object a line with `text`, in the tokens of `model`.
///
/// # Errors
/// If the file cannot be read, a line is no such object, or the model has no tokenizer.
pub(super) fn given_texts(path: &Path, model: &Model) -> Result<Vec<GivenText>> {
    let text = std::fs::read_to_string(path).map_err(|error| io("read", path, error))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let place = || format!("{}: line {}", path.display(), number + 1);
            let line: Line = serde_json::from_str(line).map_err(|error| {
                Error::request(format!("expected an object with `text`: {error}")).at(place())
            })?;
            let tokens = model.tokenizer()?.encode_with_specials(&line.text).at(place())?;
            Ok(GivenText { id: format!("line {}", number + 1), tokens, prompt: 1 })
        })
        .collect()
}
