//! What decides an artifact's content, and the id that follows from it.

use super::canonical;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// The BLAKE3 hash of a [`Recipe`], in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArtifactId(String);

impl ArtifactId {
    /// The part of the id that names folders and is shown to people: 16 digits.
    pub fn short(&self) -> &str {
        self.0.get(..16).unwrap_or(&self.0)
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Everything that decides an artifact's content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The stage and what it is about, as in `variant sft`.
    pub stage: String,
    /// Raised when the stage's code changes what it makes.
    pub revision: u32,
    /// The stage's own configuration, with every default written out.
    pub config: Value,
    /// The kind of device and number format, as in `cpu f32`.
    pub device: String,
    /// The artifacts it is made from, by the role they play.
    pub inputs: BTreeMap<String, ArtifactId>,
    /// Hashes of the files it reads from outside the store, by the role they play.
    pub outside: BTreeMap<String, String>,
}

impl Recipe {
    /// The id: equal recipes have equal ids, and nothing else decides it.
    pub fn id(&self) -> ArtifactId {
        let value = json!({
            "stage": self.stage,
            "revision": self.revision,
            "config": self.config,
            "device": self.device,
            "inputs": self.inputs,
            "outside": self.outside,
        });
        ArtifactId(blake3::hash(canonical::text(&value).as_bytes()).to_hex().to_string())
    }

    /// The name of the artifact's folder: the stage for people, the id for the rest.
    pub(super) fn folder_name(&self) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        format!("{}-{}", self.stage.chars().map(safe).collect::<String>(), self.id().short())
    }
}
