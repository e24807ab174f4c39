//! Collateral on neutral text: the cross-entropy under an edit, teacher-forced (PROTOCOL 6).

use super::conditions::Condition;
use super::inputs::Selection;
use super::lockstep::{GivenText, forced};
use super::measure::Measured;
use crate::diff::models::LabelledPrompt;
use crate::error::{At, Error, Result};
use crate::foreign;
use crate::model::Model;
use crate::rng::stable_hash;
use crate::tasks::{curriculum, vocabulary};
use serde::Deserialize;
use std::path::Path;

/// The suite's name in tables.
pub(super) const NEUTRAL: &str = "neutral text";
/// Its endpoint, in nats per token.
pub(super) const CROSS_ENTROPY: &str = "cross_entropy";

/// The texts of `file`, a JSONL file whose lines are objects with `text`; without one, `count` documents of the base's
/// curriculum that it has not been trained on, in the words of the microcosm; none where `model` has other words.
///
/// # Errors
/// If the file cannot be read or a line is no such object, or the model has no tokenizer.
pub fn neutral_texts(model: &Model, seed: u64, count: usize, file: Option<&Path>) -> Result<Vec<GivenText>> {
    if let Some(file) = file {
        return of_file(file, model);
    }
    let tokenizer = model.tokenizer()?;
    if !vocabulary::words().iter().all(|word| tokenizer.id(word).is_some()) {
        return Ok(Vec::new());
    }
    let documents = curriculum(seed ^ stable_hash(NEUTRAL), 0, count).into_iter().enumerate();
    let given = documents.map(|(index, document)| {
        let tokens = tokenizer.encode(&format!("{} {}", document.prompt, document.response))?;
        let prompt = tokenizer.encode(&document.prompt)?.len();
        Ok(GivenText { id: format!("{NEUTRAL} {index}"), tokens, prompt })
    });
    given.collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: String,
}

fn of_file(path: &Path, model: &Model) -> Result<Vec<GivenText>> {
    let text = foreign::text(path, foreign::DATA)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let place = || format!("{}: line {}", path.display(), number + 1);
            let line: Line = serde_json::from_str(line).map_err(|error| {
                Error::request(format!("expected an object with `text`: {error}")).at(place())
            })?;
            let tokens = model.tokenizer()?.encode_begun(&line.text).at(place())?;
            Ok(GivenText { id: format!("line {}", number + 1), tokens, prompt: 1 })
        })
        .collect()
}

impl From<GivenText> for LabelledPrompt {
    /// The same tokens, under the label of neutral texts.
    fn from(text: GivenText) -> Self {
        Self { tokens: text.tokens, label: NEUTRAL.to_owned(), problem: text.id, ..Self::default() }
    }
}

/// The cross-entropy of every neutral text under every condition, as endpoint values whose units are the
/// texts; `None` where there are no neutral texts, or none are wanted.
///
/// # Errors
/// If a forward pass fails.
pub(super) fn measure(
    selection: &Selection<'_>,
    receiver: usize,
    conditions: &[Condition],
) -> Result<Option<Measured>> {
    let texts = &selection.inputs.neutral;
    let texts = &texts[..texts.len().min(selection.settings.neutral_texts)];
    if texts.is_empty() {
        return Ok(None);
    }
    let rows = (selection.settings.batch_rows / 4).max(1);
    let found = forced(selection.readout, receiver, conditions, texts, rows)?;
    Ok(Some(Measured {
        endpoints: vec![CROSS_ENTROPY.to_owned()],
        units: texts.iter().map(|text| text.id.clone()).collect(),
        values: found.cross_entropy.into_iter().map(|values| vec![values]).collect(),
        tallies: found.tallies,
        ..Measured::default()
    }))
}
