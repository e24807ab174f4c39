//! The section `[interventions]` of a study: how sets are chosen, edited, controlled and measured.

use super::published::Protocol;
use crate::error::{Error, Result};
use crate::interventions::{Edit, TargetKind};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Whose activations make the code (PROTOCOL 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadoutKind {
    /// All variants of the dictionary run on the receiver's own tokens.
    #[default]
    Joint,
    /// An encoder of the receiver alone, fitted to the joint code on the selection half.
    Own,
    /// The joint encoder with the receiver in the place of the donor (or base) too.
    Swap,
}

impl ReadoutKind {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::Own => "own",
            Self::Swap => "swap",
        }
    }
}

/// How sets are chosen, edited, controlled and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentSettings {
    /// Whose activations make the code.
    pub readout: ReadoutKind,
    /// Matched control sets beside every hypothesis.
    pub controls: usize,
    /// The largest relative gap, in firing rate and in mean squared delta, at which a control counts as matched.
    pub balance_tolerance: f64,
    /// Sizes among which the selection half chooses a set's size.
    pub set_sizes: Vec<usize>,
    /// A set is grown until it has at least this share of the best effect on the selection half.
    pub effect_share: f64,
    /// Features enter a transfer or safety set only if their decoders differ by at least this much between the
    /// receiver and the reference: the norm of the difference over the larger norm.
    pub decoder_difference: f64,
    /// Prompts per suite and half, at most.
    pub problems: usize,
    /// Prompts on which controls are measured where nothing is claimed: the other axis of the picture.
    pub control_problems: usize,
    /// Completions a prompt when an effect is measured.
    pub samples: usize,
    /// Sampling temperature; 1 is primary, 0 is greedy.
    pub temperature: f32,
    /// Completions are cut off at this many tokens.
    pub max_new_tokens: usize,
    /// Rows of one batch: memory, not results, depends on it.
    pub batch_rows: usize,
    /// Also measures, without claims: every set on every suite and receiver, and both ceilings.
    pub exploratory: bool,
    /// Edits of the exploratory grid.
    pub edits: Vec<Edit>,
    /// Further doses at which every hypothesis is measured, without claims; a trend over all doses is tested.
    pub doses: Vec<f32>,
    /// A published protocol to run beside this one, on the same data.
    pub protocol: Option<Protocol>,
    /// What the published protocol multiplies codes by in base.
    pub amplify: f32,
    /// Texts of the neutral kind on which the cross-entropy under every edit is measured, at most; 0 leaves it out.
    pub neutral_texts: usize,
    /// A JSONL file whose lines hold them, each an object with `text`. Absent, models of the microcosm get documents of
    /// its curriculum, and others none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neutral: Option<String>,
}

impl Default for ExperimentSettings {
    fn default() -> Self {
        Self {
            readout: ReadoutKind::Joint,
            controls: 59,
            balance_tolerance: 0.2,
            set_sizes: vec![1, 2, 4, 8, 16, 32],
            effect_share: 0.8,
            decoder_difference: 0.1,
            problems: 64,
            control_problems: 24,
            samples: 4,
            temperature: 1.0,
            max_new_tokens: 64,
            batch_rows: 2048,
            exploratory: true,
            edits: vec![Edit::Zero],
            doses: Vec::new(),
            protocol: None,
            amplify: 2.0,
            neutral_texts: 64,
            neutral: None,
        }
    }
}

impl ExperimentSettings {
    /// Checks every field.
    ///
    /// # Errors
    /// If a field is out of range; the message names it.
    pub fn check(&self) -> Result<()> {
        let wrong = |field: &str, expected: &str, found: String| {
            Err(Error::request(format!("field `{field}`: expected {expected}, found {found}")))
        };
        if !(self.balance_tolerance > 0.0 && self.balance_tolerance < 1.0) {
            return wrong("balance_tolerance", "a share between 0 and 1", self.balance_tolerance.to_string());
        }
        if !(self.effect_share > 0.0 && self.effect_share <= 1.0) {
            return wrong("effect_share", "a share above 0 and at most 1", self.effect_share.to_string());
        }
        if !(0.0..=2.0).contains(&self.decoder_difference) {
            return wrong("decoder_difference", "a number from 0 to 2", self.decoder_difference.to_string());
        }
        if self.set_sizes.is_empty() || self.set_sizes.contains(&0) {
            return wrong("set_sizes", "a list of positive sizes", format!("{:?}", self.set_sizes));
        }
        for (field, value) in [
            ("problems", self.problems),
            ("control_problems", self.control_problems),
            ("samples", self.samples),
            ("max_new_tokens", self.max_new_tokens),
            ("batch_rows", self.batch_rows),
        ] {
            if value == 0 {
                return wrong(field, "a positive number", value.to_string());
            }
        }
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return wrong("temperature", "a number from 0 (greedy) upwards", self.temperature.to_string());
        }
        if !self.amplify.is_finite() {
            return wrong("amplify", "a finite number", self.amplify.to_string());
        }
        if let Some(edit) = self.edits.iter().find(|edit| !edit.acts_on(TargetKind::Features)) {
            return wrong(
                "edits",
                &format!("edits of features ({})", TargetKind::Features.edits()),
                format!("`{edit}`"),
            );
        }
        if let Some(file) = self.neutral.as_ref().filter(|file| !Path::new(file).is_file()) {
            return wrong("neutral", "a JSONL file of objects with `text`", format!("no file at `{file}`"));
        }
        match self.doses.iter().find(|dose| !dose.is_finite()) {
            Some(dose) => wrong("doses", "finite numbers", dose.to_string()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_field_is_named() {
        ExperimentSettings::default().check().unwrap();
        let wrong = ExperimentSettings { balance_tolerance: 1.5, ..Default::default() };
        assert!(wrong.check().unwrap_err().to_string().contains("`balance_tolerance`"));
        let wrong = ExperimentSettings { set_sizes: vec![4, 0], ..Default::default() };
        assert!(wrong.check().unwrap_err().to_string().contains("`set_sizes`"));
        assert!(toml::from_str::<ExperimentSettings>("kontrols = 3").is_err());
    }
}
