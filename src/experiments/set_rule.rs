//! What an edit is made of, as it is written in study files.

use super::hypothesis::Axis;
use crate::diff::Class;
use crate::error::{Error, Result};
use crate::interventions::{Edit, Head, TargetKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is edited.
///
/// In a study file: `set = "transfer"`, `"safety"`, `"all"`, `"class:specific"`, `{ features = [3, 14] }`,
/// `{ heads = ["2.0", "2.1"] }`, `{ toward = "refusal", away = "allowed_requests" }` or
/// `{ file = "direction.safetensors" }`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "SetText", into = "SetText")]
pub enum SetRule {
    /// The features that, by attribution on the selection half, carry most of the endpoint on this axis.
    Carriers(Axis),
    /// Every feature of a class (PROTOCOL 8).
    Class(String),
    /// Every feature; with the edits of the whole activation, all of it.
    All,
    /// These features.
    Features(Vec<u32>),
    /// These attention heads.
    Heads(Vec<Head>),
    /// The difference of means between the last prompt tokens of two suites, on the selection half.
    Means {
        /// The suite that it points to.
        toward: String,
        /// The suite that it points away from.
        away: String,
        /// The variant in which it is found; by default the receiver.
        of: Option<String>,
    },
    /// The tensor `direction` `[d_model]` of a safetensors file.
    File(String),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum SetText {
    Name(String),
    Fields(BTreeMap<String, serde_json::Value>),
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heads: Option<Vec<Head>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    toward: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

const FORMS: &str = "use `transfer`, `safety`, `in_domain`, `all`, `class:<class>`, { features = [3, 14] }, \
                     { heads = [\"2.0\"] }, { toward = \"<suite>\", away = \"<suite>\" } or { file = \"<file>.safetensors\" }";

impl SetRule {
    /// The name in tables.
    pub fn name(&self) -> String {
        match self {
            Self::Carriers(axis) => axis.name().to_owned(),
            Self::Class(class) => format!("class:{class}"),
            Self::All => "all".to_owned(),
            Self::Features(features) => format!("features:{}", joined(features)),
            Self::Heads(heads) => format!("heads:{}", joined(heads)),
            Self::Means { toward, away, of: None } => format!("direction:{toward}-{away}"),
            Self::Means { toward, away, of: Some(of) } => format!("direction:{toward}-{away} of {of}"),
            Self::File(file) => format!("direction:{file}"),
        }
    }

    /// What kind of thing it is under an edit.
    pub fn kind(&self, edit: &Edit) -> TargetKind {
        match self {
            Self::Heads(_) => TargetKind::Heads,
            Self::Means { .. } | Self::File(_) => TargetKind::Direction,
            Self::All if edit.acts_on(TargetKind::Whole) => TargetKind::Whole,
            _ => TargetKind::Features,
        }
    }

    /// Refuses an edit that cannot be made of it.
    ///
    /// # Errors
    /// If so; the hint lists the edits that can.
    pub fn check(&self, edit: &Edit) -> Result<()> {
        let kind = self.kind(edit);
        if edit.acts_on(kind) {
            return Ok(());
        }
        let what = match kind {
            TargetKind::Features => "features",
            TargetKind::Direction => "a direction",
            TargetKind::Heads => "heads",
            TargetKind::Whole => "the whole activation",
        };
        let hint = match edit.acts_on(TargetKind::Whole) {
            true => "with this edit, write set = \"all\"".to_owned(),
            false => format!("of `{}` one can make {}", self.name(), kind.edits()),
        };
        Err(Error::request(format!("expected an edit of {what}, found `{edit}`")).hint(hint))
    }
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join("+")
}

/// The first item that is listed before, too.
fn twice<T: Ord>(items: &[T]) -> Option<&T> {
    let mut seen = BTreeSet::new();
    items.iter().find(|item| !seen.insert(*item))
}

impl TryFrom<SetText> for SetRule {
    type Error = Error;

    fn try_from(text: SetText) -> Result<Self> {
        let name = match text {
            SetText::Fields(fields) => return Self::of_fields(fields),
            SetText::Name(name) => name,
        };
        match (name.as_str(), name.strip_prefix("class:")) {
            ("transfer", _) => Ok(Self::Carriers(Axis::Transfer)),
            ("safety", _) => Ok(Self::Carriers(Axis::Safety)),
            ("in_domain", _) => Ok(Self::Carriers(Axis::InDomain)),
            ("all", _) => Ok(Self::All),
            (_, Some(class)) => match Class::ALL.iter().find(|known| known.name() == class) {
                Some(known) => Ok(Self::Class(known.name().to_owned())),
                None => Err(Error::request(format!("expected a class of features, found `{class}`"))
                    .hint(format!("the classes are {}", Class::ALL.map(Class::name).join(", ")))),
            },
            _ => {
                Err(Error::request(format!("expected the name of a feature set, found `{name}`")).hint(FORMS))
            }
        }
    }
}

impl SetRule {
    fn of_fields(fields: BTreeMap<String, serde_json::Value>) -> Result<Self> {
        let object = serde_json::Value::Object(fields.into_iter().collect());
        let fields: Fields = serde_json::from_value(object).map_err(|error| {
            Error::request(format!("expected a set, found another table: {error}")).hint(FORMS)
        })?;
        let nothing =
            |what: &str| Error::request(format!("expected at least one {what} in the set, found none"));
        if let Some(twice) = fields.features.as_deref().and_then(twice) {
            return Err(Error::request(format!(
                "expected every feature once in the set, found {twice} twice"
            )));
        }
        if let Some(twice) = fields.heads.as_deref().and_then(twice) {
            return Err(Error::request(format!("expected every head once in the set, found {twice} twice")));
        }
        match fields {
            Fields {
                features: Some(features),
                heads: None,
                toward: None,
                away: None,
                of: None,
                file: None,
            } => {
                if features.is_empty() {
                    Err(nothing("feature"))
                } else {
                    Ok(Self::Features(features))
                }
            }
            Fields { features: None, heads: Some(heads), toward: None, away: None, of: None, file: None } => {
                if heads.is_empty() {
                    Err(nothing("head"))
                } else {
                    Ok(Self::Heads(heads))
                }
            }
            Fields {
                features: None,
                heads: None,
                toward: Some(toward),
                away: Some(away),
                of: _,
                file: None,
            } if toward == away => Err(Error::request(format!(
                "expected two suites for the means to differ, found `{toward}` for both `toward` and `away`"
            ))),
            Fields {
                features: None,
                heads: None,
                toward: Some(toward),
                away: Some(away),
                of,
                file: None,
            } => Ok(Self::Means { toward, away, of }),
            Fields { features: None, heads: None, toward: None, away: None, of: None, file: Some(file) } => {
                Ok(Self::File(file))
            }
            _ => Err(Error::request("expected one kind of set, found other fields").hint(FORMS)),
        }
    }
}

impl From<SetRule> for SetText {
    fn from(rule: SetRule) -> Self {
        let fields = match rule {
            SetRule::Features(features) => Fields { features: Some(features), ..Fields::default() },
            SetRule::Heads(heads) => Fields { heads: Some(heads), ..Fields::default() },
            SetRule::Means { toward, away, of } => {
                Fields { toward: Some(toward), away: Some(away), of, ..Fields::default() }
            }
            SetRule::File(file) => Fields { file: Some(file), ..Fields::default() },
            other => return Self::Name(other.name()),
        };
        match serde_json::to_value(fields) {
            Ok(serde_json::Value::Object(fields)) => Self::Fields(fields.into_iter().collect()),
            _ => Self::Fields(BTreeMap::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Study {
        set: SetRule,
    }

    fn set(text: &str) -> Result<SetRule, toml::de::Error> {
        toml::from_str::<Study>(&format!("set = {text}")).map(|study| study.set)
    }

    #[test]
    fn sets_have_names_or_fields_and_survive_a_round_trip() {
        for (text, name) in [
            ("{ features = [3, 14] }", "features:3+14"),
            ("'class:specific'", "class:specific"),
            ("{ heads = ['2.0', '0.11'] }", "heads:2.0+0.11"),
            ("{ toward = 'refusal', away = 'allowed_requests' }", "direction:refusal-allowed_requests"),
            ("{ toward = 'refusal', away = 'skills', of = 'base' }", "direction:refusal-skills of base"),
            ("{ file = 'refusal.safetensors' }", "direction:refusal.safetensors"),
        ] {
            let read = set(text).unwrap();
            assert_eq!(read.name(), name);
            let written = toml::to_string(&Study { set: read.clone() }).unwrap();
            assert_eq!(toml::from_str::<Study>(&written).unwrap().set, read, "{written}");
        }
    }

    #[test]
    fn a_slip_in_a_set_is_named() {
        let error = |text: &str| set(text).unwrap_err().to_string();
        assert!(error("'transfr'").contains("use `transfer`"));
        assert!(error("{ features = [] }").contains("at least one feature"));
        assert!(error("{ features = [739, 3, 739] }").contains("found 739 twice"));
        assert!(error("{ heads = ['2.0', '2.0'] }").contains("found 2.0 twice"));
        assert!(
            error("{ feature = [3] }").contains("unknown field `feature`"),
            "{}",
            error("{ feature = [3] }")
        );
        assert!(error("{ heads = ['2'] }").contains("attention head"));
        assert!(error("{ toward = 'refusal' }").contains("expected one kind of set"));
        assert!(error("{ toward = 'refusal', away = 'refusal' }").contains("two suites"));
        assert!(error("'class:foo'").contains("shared, specific, lost, partial, undecided, dead"));
    }

    #[test]
    fn edits_go_with_what_they_are_made_of() {
        let transplant = Edit::Transplant("base".into());
        for (text, edit, fits) in [
            ("'transfer'", &Edit::Scale, true),
            ("'transfer'", &Edit::ProjectOut, false),
            ("{ heads = ['2.0'] }", &transplant, true),
            ("{ heads = ['2.0'] }", &Edit::Steer, false),
            ("{ file = 'a' }", &Edit::AddDirection, true),
            ("{ file = 'a' }", &Edit::Zero, false),
            ("'all'", &Edit::ErrorOnly("base".into()), true),
            ("'transfer'", &Edit::ErrorOnly("base".into()), false),
        ] {
            assert_eq!(set(text).unwrap().check(edit).is_ok(), fits, "{text} {edit}");
        }
    }
}
