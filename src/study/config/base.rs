//! `[base]`: the model before post-training.

use crate::error::{At, Error, Result};
use crate::study::parse;
use crate::training::SftSettings;
use serde::{Deserialize, Serialize};
use toml::Table;

/// The model before post-training.
#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    /// A small decoder trained from scratch on the built-in curriculum.
    Preset {
        /// Its shape.
        preset: Preset,
        /// How it is trained.
        training: SftSettings,
    },
    /// A folder with a Hugging Face repository, or the name of one on the hub.
    Model(String),
}

/// The shapes of models that are trained from scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// 4 layers of width 128: 0.8 million parameters, enough to learn the curriculum in two minutes.
    Tiny,
    /// 3 layers of width 96: about half of that.
    Petite,
    /// 2 layers of width 64: about a seventh.
    Mini,
    /// 2 layers of width 32: learns little, in seconds. For trying out a study file.
    Micro,
}

/// How large a model that is trained from scratch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads a block.
    pub heads: usize,
    /// Width of the MLP.
    pub d_mlp: usize,
}

impl Preset {
    /// Its sizes.
    pub fn sizes(self) -> Sizes {
        let (d_model, layers, heads, d_mlp) = match self {
            Self::Tiny => (128, 4, 4, 344),
            Self::Petite => (96, 3, 3, 256),
            Self::Mini => (64, 2, 2, 172),
            Self::Micro => (32, 2, 2, 88),
        };
        Sizes { d_model, layers, heads, d_mlp }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    preset: Option<Preset>,
    model: Option<String>,
}

const HEAD: [&str; 2] = ["preset", "model"];
const SECTION: &str = "[base]";

impl Base {
    /// Whether nothing needs to be fetched to look at it.
    pub(super) fn is_at_hand(&self) -> bool {
        match self {
            Self::Preset { .. } => true,
            Self::Model(model) => std::path::Path::new(model).is_dir(),
        }
    }

    pub(super) fn read(table: Table) -> Result<Self> {
        let given = table.keys().find(|key| !HEAD.contains(&key.as_str())).cloned();
        let (head, training): (Head, SftSettings) =
            parse::split_section(table, &HEAD, &SftSettings::base(), SECTION)?;
        match (head.preset, head.model, given) {
            (Some(preset), None, _) => {
                training.check().at(SECTION)?;
                Ok(Self::Preset { preset, training })
            }
            (None, Some(model), None) => Ok(Self::Model(model)),
            (None, Some(_), Some(key)) => Err(Error::request(format!(
                "field `{key}` is for a preset, which is trained; a given model is not"
            ))
            .hint(format!("remove `{key}`, or write preset = \"tiny\" instead of `model`"))
            .at(SECTION)),
            _ => Err(Error::request("expected either `preset` or `model`")
                .hint("for example preset = \"tiny\", or model = \"path/to/hugging_face/repository\"")
                .at(SECTION)),
        }
    }
}
