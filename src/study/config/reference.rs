//! How a study names a model: `base`, `sft`, `sft@40`, `sft@matched`, `continued@same_change`.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name that every study gives the model before post-training.
pub const BASE: &str = "base";

/// A variant at one of its checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    /// The variant's name, or `base`.
    pub variant: String,
    /// Which of its checkpoints.
    pub checkpoint: Checkpoint,
}

/// Which checkpoint of a variant is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checkpoint {
    /// The end of its training; for `base` and given models the only one.
    Last,
    /// The one whose in-domain gain matches the reference variant's, chosen by the `select` stage.
    Matched,
    /// The one whose activations moved as far as the reference variant's, chosen by the `same_change` stage: for
    /// null studies.
    SameChange,
    /// The one after this many steps.
    Step(usize),
}

impl Reference {
    /// The model before post-training.
    pub fn base() -> Self {
        Self { variant: BASE.to_owned(), checkpoint: Checkpoint::Last }
    }

    /// Whether it is the model before post-training.
    pub fn is_base(&self) -> bool {
        self.variant == BASE
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.checkpoint {
            Checkpoint::Last => formatter.write_str(&self.variant),
            Checkpoint::Matched => write!(formatter, "{}@matched", self.variant),
            Checkpoint::SameChange => write!(formatter, "{}@same_change", self.variant),
            Checkpoint::Step(step) => write!(formatter, "{}@{step}", self.variant),
        }
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl TryFrom<String> for Reference {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let Some((variant, checkpoint)) = text.split_once('@') else {
            return Ok(Self { variant: text, checkpoint: Checkpoint::Last });
        };
        let checkpoint = match checkpoint {
            "matched" => Checkpoint::Matched,
            "same_change" => Checkpoint::SameChange,
            number => Checkpoint::Step(number.parse().map_err(|_| {
                Error::request(format!(
                    "expected a step, `matched` or `same_change` after `@`, found `{text}`"
                ))
                .hint(format!("for example `{variant}@40`, `{variant}@matched`, or `{variant}` for the end"))
            })?),
        };
        Ok(Self { variant: variant.to_owned(), checkpoint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_as_they_are_written() {
        for text in ["base", "sft", "sft@40", "sft_benign@matched", "continued@same_change"] {
            assert_eq!(Reference::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        let error = Reference::try_from("sft@end".to_owned()).unwrap_err().to_string();
        assert!(error.contains("found `sft@end`") && error.contains("hint: for example `sft@40`"), "{error}");
    }
}
