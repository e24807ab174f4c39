//! The edits, as they are written in study files and named in tables.

use serde::{Deserialize, Serialize};

/// What is done with features, a direction or heads inside a receiver.
///
/// In a study file: `edit = "zero"`, or with a donor `edit = { transplant = "base" }`. Which edit goes with
/// which target says [`Edit::acts_on`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Takes the set's contribution away.
    Zero,
    /// Sets every feature of the set to its mean code on the selection half.
    Mean,
    /// Sets the features to their codes at a random token of the selection half.
    Resample,
    /// Multiplies the code of every feature, or the output of every head, by the dose.
    Scale,
    /// Sets every feature to dose times its 95th percentile when active.
    Clamp,
    /// Adds dose times the 95th percentile of every feature, whether it fires or not.
    Steer,
    /// Replaces the receiver's decoders by the donor's, at the joint code.
    Transplant(String),
    /// Replaces the receiver's code by the donor's, each read from its own activations, at the receiver's
    /// decoders. Needs the readout `own` or `swap`: a joint code is one code.
    TwoSource(String),
    /// Removes the component along the set's direction.
    ProjectOut,
    /// Adds dose times the direction.
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
            Self::Scale => "scale",
            Self::Clamp => "clamp",
            Self::Steer => "steer",
            Self::Transplant(_) => "transplant",
            Self::TwoSource(_) => "two_source",
            Self::ProjectOut => "project_out",
            Self::AddDirection => "add_direction",
            Self::WholeDifference(_) => "whole_difference",
            Self::ErrorOnly(_) => "error_only",
        }
    }

    /// The variant whose decoders, code or activation are written in, for the edits that have one.
    pub fn donor(&self) -> Option<&str> {
        match self {
            Self::Transplant(donor)
            | Self::TwoSource(donor)
            | Self::WholeDifference(donor)
            | Self::ErrorOnly(donor) => Some(donor),
            _ => None,
        }
    }

    /// The same edit with another donor; an edit without one is unchanged.
    #[must_use]
    pub fn with_donor(mut self, other: &str) -> Self {
        if let Self::Transplant(donor)
        | Self::TwoSource(donor)
        | Self::WholeDifference(donor)
        | Self::ErrorOnly(donor) = &mut self
        {
            other.clone_into(donor);
        }
        self
    }

    /// Whether the edit writes nothing at this dose, whatever it is made of. A clamp to 0 and a scale by 0 take a feature
    /// away.
    pub fn writes_nothing_at(&self, dose: f32) -> bool {
        match self {
            Self::Clamp => false,
            Self::Scale => dose == 1.0,
            _ => dose == 0.0,
        }
    }

    /// Whether the edit can be made of such a target.
    pub fn acts_on(&self, kind: TargetKind) -> bool {
        match kind {
            TargetKind::Features => !matches!(
                self,
                Self::ProjectOut | Self::AddDirection | Self::WholeDifference(_) | Self::ErrorOnly(_)
            ),
            TargetKind::Direction => matches!(self, Self::ProjectOut | Self::AddDirection),
            TargetKind::Heads => matches!(self, Self::Zero | Self::Mean | Self::Scale | Self::Transplant(_)),
            TargetKind::Whole => matches!(self, Self::WholeDifference(_) | Self::ErrorOnly(_)),
        }
    }
}

/// What kinds of thing an edit can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Features of a dictionary.
    Features,
    /// A direction in the activations.
    Direction,
    /// Attention heads.
    Heads,
    /// The whole activation, or all of it that no feature explains.
    Whole,
}

impl TargetKind {
    /// The edits that can be made of it, for messages.
    pub fn edits(self) -> &'static str {
        match self {
            Self::Features => {
                "zero, mean, resample, scale, clamp, steer, { transplant = \"base\" } and { two_source = \"base\" }"
            }
            Self::Direction => "project_out and add_direction",
            Self::Heads => "zero, mean, scale and { transplant = \"base\" }",
            Self::Whole => "{ whole_difference = \"base\" } and { error_only = \"base\" }",
        }
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

impl Positions {
    /// Whether an edit acts on this part.
    pub fn contain(self, part: super::TextPart) -> bool {
        match self {
            Self::All => true,
            Self::Prompt => part == super::TextPart::Prompt,
            Self::Response => part == super::TextPart::Response,
        }
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Prompt => "prompt",
            Self::Response => "response",
        }
    }
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
        assert_eq!(
            edit(r#"edit = { two_source = "rl" }"#).unwrap().with_donor("rl@120").donor(),
            Some("rl@120")
        );
    }

    #[test]
    fn a_dose_that_changes_nothing_is_known() {
        for (edit, dose, nothing) in [
            (Edit::Zero, 0.0, true),
            (Edit::Zero, 0.5, false),
            (Edit::Transplant("base".into()), 0.0, true),
            (Edit::Scale, 0.0, false),
            (Edit::Scale, 1.0, true),
            (Edit::Clamp, 0.0, false),
        ] {
            assert_eq!(edit.writes_nothing_at(dose), nothing, "{edit} {dose}");
        }
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
