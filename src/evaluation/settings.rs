//! How models are evaluated: the section `[evaluation]` of a study.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How models are evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationSettings {
    /// Completions per prompt.
    pub samples: usize,
    /// Sampling temperature; 0 takes the likeliest token.
    pub temperature: f32,
    /// A completion is cut off after this many tokens, its end token included.
    pub max_new_tokens: usize,
    /// At most this many prompts per suite; all by default.
    pub problems: Option<usize>,
}

impl Default for EvaluationSettings {
    fn default() -> Self {
        Self { samples: 4, temperature: 1.0, max_new_tokens: 64, problems: None }
    }
}

impl EvaluationSettings {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn check(&self) -> Result<()> {
        let wrong = |field: &str, expected: &str, found: String| {
            Err(Error::request(format!("`{field}`: expected {expected}, found {found}")))
        };
        if !(1..=10_000).contains(&self.samples) {
            return wrong("samples", "1 to 10000", self.samples.to_string());
        }
        if !(0.0..=100.0).contains(&self.temperature) {
            return wrong("temperature", "0 to 100", self.temperature.to_string());
        }
        if !(1..=1_000_000).contains(&self.max_new_tokens) {
            return wrong("max_new_tokens", "1 to 1000000", self.max_new_tokens.to_string());
        }
        match self.problems {
            Some(problems) if problems < 2 => wrong("problems", "at least 2", problems.to_string()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_field_is_named() {
        EvaluationSettings::default().check().unwrap();
        let error = EvaluationSettings { temperature: f32::NAN, ..Default::default() }.check().unwrap_err();
        assert!(error.to_string().contains("`temperature`: expected 0 to 100"), "{error}");
        assert!(serde_json::from_str::<EvaluationSettings>(r#"{"sample": 3}"#).is_err());
    }
}
