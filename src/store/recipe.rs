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
    /// The stage's own configuration, with every default written out.
    pub config: Value,
    /// The kind of device and number format, as in `cpu f32`.
    pub device: String,
    /// The artifacts it is made from, by the role they play.
    pub inputs: BTreeMap<String, ArtifactId>,
    /// Hashes of the files it reads from outside the store, by the role they play.
    pub outside: BTreeMap<String, String>,
    /// The code that makes it; unknown of what a version made that did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What such a version noted in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<u32>,
}

/// The code that makes an artifact. Other code makes another artifact, even if nothing else differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The hash of the sources that the stage is made of.
    pub source: String,
    /// The hash of the versions and features of all dependencies.
    pub dependencies: String,
    /// The compiler and its target.
    pub compiler: String,
    /// The kernels that this processor runs. Bytes are equal only where these are.
    pub kernels: String,
}

/// How the code of two artifacts of one question differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// In the program's own sources.
    Source,
    /// In its dependencies.
    Dependencies,
    /// In the compiler.
    Compiler,
    /// In the processor's kernels.
    Kernels,
    /// Nothing is known of one of them.
    Unknown,
}

impl Difference {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "other sources",
            Self::Dependencies => "other versions of dependencies",
            Self::Compiler => "another compiler",
            Self::Kernels => "another processor's kernels",
            Self::Unknown => "a version that did not note its code",
        }
    }
}

impl Recipe {
    /// The id: equal recipes have equal ids, and nothing else decides it.
    pub fn id(&self) -> ArtifactId {
        let mut value = json!({
            "stage": self.stage,
            "config": self.config,
            "device": self.device,
            "inputs": self.inputs,
            "outside": self.outside,
        });
        if let Some(code) = &self.code {
            value["code"] = json!(code);
        }
        if let Some(revision) = &self.revision {
            value["revision"] = json!(revision);
        }
        ArtifactId(blake3::hash(canonical::text(&value).as_bytes()).to_hex().to_string())
    }

    /// What `code` is to make of a stage.
    pub fn new(stage: String, config: Value, device: String, code: Code) -> Self {
        let (inputs, outside) = (BTreeMap::new(), BTreeMap::new());
        Self { stage, config, device, inputs, outside, code: Some(code), revision: None }
    }

    /// Whether `other` asks for the same of the same inputs, by whatever code.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        self.stage == other.stage
            && self.device == other.device
            && self.inputs == other.inputs
            && self.outside == other.outside
            && canonical::text(&self.config) == canonical::text(&other.config)
    }

    /// How the code that makes it differs from that of `other`.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let (Some(own), Some(other)) = (&self.code, &other.code) else { return vec![Difference::Unknown] };
        let all = [
            (own.source != other.source, Difference::Source),
            (own.dependencies != other.dependencies, Difference::Dependencies),
            (own.compiler != other.compiler, Difference::Compiler),
            (own.kernels != other.kernels, Difference::Kernels),
        ];
        all.into_iter().filter_map(|(differs, difference)| differs.then_some(difference)).collect()
    }

    /// The name of the artifact's folder: the stage for people, the id for the rest.
    pub(super) fn folder_name(&self) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        format!("{}-{}", self.stage.chars().map(safe).collect::<String>(), self.id().short())
    }
}
