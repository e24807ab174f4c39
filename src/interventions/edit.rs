//! The edits, as they are written in study files and named in tables.

use serde::{Deserialize, Serialize};

/// What is done with a feature set (or a direction) inside a receiver.
///
/// In a study file: `edit = "zero"`, or with a donor `edit = { transplant = "base" }`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Takes the set's contribution away.
    Zero,
    /// Sets every feature of the set to its mean code on the selection half.
    Mean,
    /// Sets the features to their codes at a random token of the selection half.
    Resample,
    /// Sets every feature to dose times its 95th percentile when active.
    Clamp,
    /// Adds dose times the 95th percentile of every feature, whether it fires or not.
    Steer,
    /// Replaces the receiver's decoders by the donor's, at the joint code.
    Transplant(String),
    /// Removes the component along the set's direction.
    ProjectOut,
    /// Adds dose times the set's unit direction.
    AddDirection,
    /// Replaces the receiver's activation by the donor's: a ceiling for every transplant.
    WholeDifference(String),
    /// The part of the whole difference that no feature of the dictionary explains: the other ceiling.
    ErrorOnly(String),
}

impl Edit {
    /// The name in tables: `zero`, `transplant`, `whole_difference`, ...
    pub fn name(&self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Mean => "mean",
            Self::Resample => "resample",
            Self::Clamp => "clamp",
            Self::Steer => "steer",
            Self::Transplant(_) => "transplant",
            Self::ProjectOut => "project_out",
            Self::AddDirection => "add_direction",
            Self::WholeDifference(_) => "whole_difference",
            Self::ErrorOnly(_) => "error_only",
        }
    }

    /// The variant whose decoders, code or activation are written in, for the edits that have one.
    pub fn donor(&self) -> Option<&str> {
        match self {
            Self::Transplant(donor) | Self::WholeDifference(donor) | Self::ErrorOnly(donor) => Some(donor),
            _ => None,
        }
    }

    /// Whether the edit needs the dictionary's code at each token.
    pub fn needs_codes(&self) -> bool {
        !matches!(self, Self::ProjectOut | Self::AddDirection | Self::WholeDifference(_))
    }

    /// Whether the edit is about a feature set (and not a direction or the whole activation).
    pub fn acts_on_features(&self) -> bool {
        !matches!(self, Self::ProjectOut | Self::AddDirection | Self::WholeDifference(_) | Self::ErrorOnly(_))
    }
}

impl std::fmt::Display for Edit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.donor() {
            Some(donor) => write!(formatter, "{} from {donor}", self.name()),
            None => formatter.write_str(self.name()),
        }
    }
}

/// The part of a text on which an edit acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// Prompt and response.
    #[default]
    All,
    /// The prompt only, its last token included (it predicts the first response token).
    Prompt,
    /// The response only.
    Response,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Study {
        edit: Edit,
    }

    #[test]
    fn edits_read_as_in_a_study_file() {
        let edit = |text: &str| toml::from_str::<Study>(text).map(|study| study.edit);
        assert_eq!(edit(r#"edit = "zero""#).unwrap(), Edit::Zero);
        assert_eq!(edit(r#"edit = { transplant = "base" }"#).unwrap(), Edit::Transplant("base".into()));
        assert!(edit(r#"edit = "erase""#).unwrap_err().to_string().contains("unknown variant"));
        assert!(edit(r#"edit = "transplant""#).is_err(), "a transplant needs a donor");
    }

    #[test]
    fn a_name_and_a_donor_identify_every_edit() {
        let edit = Edit::ErrorOnly("base".into());
        assert_eq!(
            (edit.name(), edit.donor(), edit.to_string().as_str()),
            ("error_only", Some("base"), "error_only from base")
        );
        let json = serde_json::to_string(&edit).unwrap();
        assert_eq!(serde_json::from_str::<Edit>(&json).unwrap(), edit);
    }
}
