//! What a study declares before it measures.

use super::say::two_codes;
use super::set_rule::SetRule;
use super::settings::ReadoutKind;
use crate::error::{At, Error, Result};
use crate::interventions::{Edit, Positions};
use crate::model::HookPoint;
use serde::{Deserialize, Serialize};

/// What a suite stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Trained on.
    InDomain,
    /// Reasoning that was never trained on.
    Transfer,
    /// Refusals.
    Safety,
    /// What should not change.
    Collateral,
}

impl Axis {
    /// The name in tables and studies.
    pub fn name(self) -> &'static str {
        match self {
            Self::InDomain => "in_domain",
            Self::Transfer => "transfer",
            Self::Safety => "safety",
            Self::Collateral => "collateral",
        }
    }
}

/// The declared sign of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// The edit lowers the endpoint.
    Decrease,
    /// The edit raises the endpoint.
    Increase,
    /// Either.
    Either,
}

impl Expected {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decrease => "decrease",
            Self::Increase => "increase",
            Self::Either => "either",
        }
    }

    /// +1 or -1; +1 for either.
    pub(crate) fn sign(self) -> f64 {
        if self == Self::Decrease { -1.0 } else { 1.0 }
    }
}

/// One declared hypothesis, with variants resolved to checkpoints of the dictionary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hypothesis {
    /// Its name in tables.
    pub name: String,
    /// What is edited.
    pub set: SetRule,
    /// The variant whose forward pass is edited.
    pub receiver: String,
    /// What is done.
    pub edit: Edit,
    /// How much of it; 1 is the edit as defined.
    #[serde(default = "full_dose")]
    pub dose: f32,
    /// Where it may act: in prompt and response, or in one of them.
    #[serde(default)]
    pub positions: Positions,
    /// Whose activations make the code; by default as the study says for all.
    #[serde(default)]
    pub readout: Option<ReadoutKind>,
    /// Where a direction is edited; by default where the dictionary was fitted. Features and heads have their
    /// own places.
    #[serde(default)]
    pub hook: Option<HookPoint>,
    /// The suite on which the claim is made.
    pub suite: String,
    /// The endpoint; by default the suite's primary one.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The sign of the effect on that suite; by default what undoes (in a post-trained receiver) or adds (in base) what
    /// post-training did: less transfer and more safety, or the reverse.
    #[serde(default)]
    pub direction: Option<Expected>,
}

fn full_dose() -> f32 {
    1.0
}

impl Hypothesis {
    /// The declared or default direction for a suite on `axis`; `base` names the reference variant.
    pub fn direction(&self, axis: Axis, base: &str) -> Expected {
        let undoes = self.receiver != base;
        self.direction.unwrap_or(match (axis, undoes) {
            (Axis::Safety, true) | (Axis::Transfer | Axis::InDomain, false) => Expected::Increase,
            (Axis::Safety, false) | (Axis::Transfer | Axis::InDomain, true) => Expected::Decrease,
            (Axis::Collateral, _) => Expected::Either,
        })
    }
}

impl Hypothesis {
    /// Refuses what could never have an effect or cannot be made, whatever the models are. `readout` is that of all
    /// hypotheses that name none.
    ///
    /// # Errors
    /// If the edit goes with no such set, writes nothing at the dose, or needs other codes than the readout makes.
    pub fn check(&self, readout: ReadoutKind) -> Result<()> {
        self.set.check(&self.edit).at("field `set`")?;
        if !self.dose.is_finite() || self.edit.writes_nothing_at(self.dose) {
            let (edit, dose) = (&self.edit, self.dose);
            return Err(Error::request(format!(
                "field `dose`: expected a number at which `{edit}` changes something, found {dose}"
            ))
            .hint("leave it out for the edit as it is defined"));
        }
        let kind = self.readout.unwrap_or(readout);
        match self.edit {
            Edit::TwoSource(_) if kind == ReadoutKind::Joint => Err(two_codes()),
            _ => Ok(()),
        }
    }

    /// Whether the same edit is measured in base, for what post-training caused is the difference: not where base is edited
    /// or is what the edit takes from.
    pub(super) fn is_contrasted_with(&self, base: &str) -> bool {
        self.receiver != base && self.edit.donor() != Some(base)
    }

    /// The direction on `suite`, which stands for `axis`: a declared one holds where it was declared, and nowhere
    /// else.
    pub(super) fn direction_on(&self, suite: &str, axis: Axis, base: &str) -> Expected {
        let direction = self.direction.filter(|_| suite == self.suite);
        Self { direction, ..self.clone() }.direction(axis, base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hypothesis_reads_as_in_a_study_file_and_survives_json() {
        let read: Hypothesis = toml::from_str(
            r#"
            name = "restored refusals"
            set = "safety"
            receiver = "sft_benign@640"
            edit = { transplant = "base" }
            suite = "refusal"
            "#,
        )
        .unwrap();
        assert_eq!(read.set, SetRule::Carriers(Axis::Safety));
        assert_eq!(read.direction(Axis::Safety, "base"), Expected::Increase);
        assert_eq!(read.direction(Axis::Transfer, "base"), Expected::Decrease);
        let declared = Hypothesis { direction: Some(Expected::Decrease), ..read.clone() };
        assert_eq!(declared.direction_on("refusal", Axis::Safety, "base"), Expected::Decrease);
        assert_eq!(declared.direction_on("skills", Axis::Collateral, "base"), Expected::Either);
        assert_eq!(declared.direction_on("asked otherwise", Axis::Safety, "base"), Expected::Increase);
        let json = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Hypothesis>(&json).unwrap(), read);
    }
}
