//! What a study declares before it measures.

use crate::error::{Error, Result};
use crate::interventions::Edit;
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

/// Which features are edited.
///
/// In a study file: `set = "transfer"`, `set = "safety"`, `set = "all"`, `set = "class:specific"` or
/// `set = { features = [3, 14] }`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "SetText", into = "SetText")]
pub enum SetRule {
    /// The features that, by attribution on the selection half, carry most of the endpoint on this axis.
    Carriers(Axis),
    /// Every feature of a class (PROTOCOL 8).
    Class(String),
    /// Every feature.
    All,
    /// These features.
    Features(Vec<u32>),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum SetText {
    Name(String),
    List { features: Vec<u32> },
}

impl SetRule {
    /// The name in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Carriers(axis) => axis.name().to_owned(),
            Self::Class(class) => format!("class:{class}"),
            Self::All => "all".to_owned(),
            Self::Features(features) => {
                format!("features:{}", features.iter().map(u32::to_string).collect::<Vec<_>>().join("+"))
            }
        }
    }
}

impl TryFrom<SetText> for SetRule {
    type Error = Error;

    fn try_from(text: SetText) -> Result<Self> {
        let name = match text {
            SetText::List { features } if features.is_empty() => {
                return Err(Error::request("expected at least one feature in the set, found none"));
            }
            SetText::List { features } => return Ok(Self::Features(features)),
            SetText::Name(name) => name,
        };
        match (name.as_str(), name.strip_prefix("class:")) {
            ("transfer", _) => Ok(Self::Carriers(Axis::Transfer)),
            ("safety", _) => Ok(Self::Carriers(Axis::Safety)),
            ("in_domain", _) => Ok(Self::Carriers(Axis::InDomain)),
            ("all", _) => Ok(Self::All),
            (_, Some(class)) => Ok(Self::Class(class.to_owned())),
            _ => Err(Error::request(format!("expected the name of a feature set, found `{name}`")).hint(
                "use `transfer`, `safety`, `in_domain`, `all`, `class:<class>` or { features = [3, 14] }",
            )),
        }
    }
}

impl From<SetRule> for SetText {
    fn from(rule: SetRule) -> Self {
        match rule {
            SetRule::Features(features) => Self::List { features },
            other => Self::Name(other.name()),
        }
    }
}

/// The declared sign of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The edit lowers the endpoint.
    Decrease,
    /// The edit raises the endpoint.
    Increase,
    /// Either.
    Either,
}

impl Direction {
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
    /// Which features.
    pub set: SetRule,
    /// The variant whose forward pass is edited.
    pub receiver: String,
    /// What is done.
    pub edit: Edit,
    /// How much of it; 1 is the edit as defined.
    #[serde(default = "full_dose")]
    pub dose: f32,
    /// The suite on which the claim is made.
    pub suite: String,
    /// The endpoint; by default the suite's primary one.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The sign of the effect; by default what undoes (in a post-trained receiver) or adds (in base) what
    /// post-training did: less transfer and more safety, or the reverse.
    #[serde(default)]
    pub direction: Option<Direction>,
}

fn full_dose() -> f32 {
    1.0
}

impl Hypothesis {
    /// The declared or default direction for a suite on `axis`; `base` names the reference variant.
    pub fn direction(&self, axis: Axis, base: &str) -> Direction {
        let undoes = self.receiver != base;
        self.direction.unwrap_or(match (axis, undoes) {
            (Axis::Safety, true) | (Axis::Transfer | Axis::InDomain, false) => Direction::Increase,
            (Axis::Safety, false) | (Axis::Transfer | Axis::InDomain, true) => Direction::Decrease,
            (Axis::Collateral, _) => Direction::Either,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hypothesis(text: &str) -> Result<Hypothesis, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_hypothesis_reads_as_in_a_study_file_and_survives_json() {
        let read = hypothesis(
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
        assert_eq!(read.direction(Axis::Safety, "base"), Direction::Increase);
        assert_eq!(read.direction(Axis::Transfer, "base"), Direction::Decrease);
        let json = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Hypothesis>(&json).unwrap(), read);
    }

    #[test]
    fn sets_have_names_or_lists() {
        let set = |text: &str| {
            hypothesis(&format!("name='h'\nset={text}\nreceiver='rl'\nedit='zero'\nsuite='refusal'"))
                .map(|h| h.set)
        };
        assert_eq!(set("{ features = [3, 14] }").unwrap().name(), "features:3+14");
        assert_eq!(set("'class:specific'").unwrap(), SetRule::Class("specific".into()));
        assert!(set("'transfr'").unwrap_err().to_string().contains("use `transfer`"));
        assert!(set("{ features = [] }").is_err());
    }
}
