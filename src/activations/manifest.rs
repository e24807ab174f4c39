//! What a store says about itself, and about each token and example.

use crate::error::{Error, Result, io};
use crate::foreign;
use serde::{Deserialize, Serialize};
use std::path::Path;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const EXAMPLES: &str = "examples.jsonl";
pub(super) const FORMAT: u32 = 1;

/// How activations are stored. They are always read as f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// 32-bit floats: exactly what the model computed on a CPU.
    #[default]
    F32,
    /// bfloat16: half the disk, 8 bits of precision.
    Bf16,
    /// IEEE half precision: half the disk, 11 bits of precision, at most 65 504.
    F16,
}

impl ElementType {
    /// Bytes per value.
    pub fn size(self) -> usize {
        match self {
            ElementType::F32 => 4,
            ElementType::Bf16 | ElementType::F16 => 2,
        }
    }
}

/// Where in its example a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The first token, whose activations are outliers in most language models. Fits leave it out.
    First,
    /// A token of the prompt.
    Prompt,
    /// A token of the template, such as the mark that closes the prompt.
    Template,
    /// A token of the response.
    Response,
}

impl Part {
    /// The part's number in a shard's `part` tensor.
    pub(super) fn code(self) -> u8 {
        match self {
            Part::First => 0,
            Part::Prompt => 1,
            Part::Template => 2,
            Part::Response => 3,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        [Part::First, Part::Prompt, Part::Template, Part::Response].get(usize::from(code)).copied()
    }
}

/// One token of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenMeta {
    /// The token's id in the tokenizer of the variants.
    pub token: u32,
    /// Its position in the example, from 0.
    pub position: u32,
    /// The index of the example it belongs to.
    pub example: u32,
    /// Where in the example it stands.
    pub part: Part,
}

/// One example of a store: a prompt and a response that all variants read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleMeta {
    /// Which variant wrote the response, or where the text came from.
    pub source: String,
    /// The id of the problem it answers; empty when there is none.
    pub problem: String,
    /// The number of its tokens.
    pub tokens: usize,
    /// How many of them are the prompt.
    pub prompt_length: usize,
}

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) complete: bool,
    pub(super) header: super::Header,
    pub(super) examples: usize,
    pub(super) shards: Vec<ShardEntry>,
}

/// One shard in the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ShardEntry {
    pub(super) file: String,
    pub(super) tokens: usize,
    pub(super) bytes: u64,
    pub(super) blake3: String,
}

impl Manifest {
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST);
        let text = foreign::text(&path, foreign::DOCUMENT)?;
        let manifest: Self = serde_json::from_str(&text).map_err(|error| {
            Error::work(format!("not the manifest of an activation store: {error}")).at(path.display())
        })?;
        if manifest.format != FORMAT {
            return Err(Error::work(format!(
                "expected an activation store of format {FORMAT}, found {}",
                manifest.format
            ))
            .hint("capture again with this version of deltascope")
            .at(path.display()));
        }
        Ok(manifest)
    }

    /// Replaces the manifest atomically: a reader sees the old one or the new one.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::work(format!("manifest cannot be written: {error}")))?;
        let (partial, path) = (dir.join(format!("{MANIFEST}.partial")), dir.join(MANIFEST));
        std::fs::write(&partial, text).map_err(|error| io("write", &partial, error))?;
        std::fs::rename(&partial, &path).map_err(|error| io("rename", &partial, error))
    }
}
