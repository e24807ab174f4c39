//! A method with what it learns from and its settings, as one value: what makes a variant of a study, and what
//! the verb `train` runs.

use super::dpo::{Pairs, train_dpo};
use super::lora::LoraSettings;
use super::preferences::own_pairs;
use super::rft::train_rft;
use super::rl::settings::METHODS;
use super::rl::{RlSettings, train_rl};
use super::run::TrainingRun;
use super::settings::{DpoSettings, RftSettings, SftSettings};
use super::sft::train_sft;
use crate::error::{Error, Result};
use crate::model::{Model, Tokenizer};
use crate::store::{Content, Outside};
use crate::tasks::{Dataset, Mixture, Rendering, Stated, Suite};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How a model is post-trained.
#[derive(Clone, Debug, PartialEq)]
pub enum PostTraining {
    /// Supervised fine-tuning on documents.
    Sft {
        /// What on.
        data: Mixture,
        /// How.
        settings: SftSettings,
    },
    /// Rejection-sampling fine-tuning: on the model's own responses that the suite's verifier accepts.
    Rft {
        /// Whose training problems are answered.
        suite: Suite,
        /// How.
        settings: RftSettings,
    },
    /// Direct preference optimisation.
    Dpo {
        /// What is preferred to what.
        preferences: Preferences,
        /// How.
        settings: DpoSettings,
    },
    /// Policy gradient with the suite's verifier as the reward.
    PolicyGradient {
        /// The method, one of [`METHODS`].
        method: String,
        /// Whose training problems are answered.
        suite: Suite,
        /// How.
        settings: RlSettings,
    },
}

/// Where preferences come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Preferences {
    /// A file of them, see [`Dataset::pairs`].
    File(PathBuf),
    /// The model's own responses, verified ones before failed ones.
    Own(Suite),
}

impl PostTraining {
    /// The names of all methods, as studies and `train` write them.
    pub fn names() -> Vec<&'static str> {
        ["sft", "rft", "dpo"].into_iter().chain(METHODS).collect()
    }

    /// Its name, one of [`PostTraining::names`].
    pub fn name(&self) -> &str {
        match self {
            Self::Sft { .. } => "sft",
            Self::Rft { .. } => "rft",
            Self::Dpo { .. } => "dpo",
            Self::PolicyGradient { method, .. } => method,
        }
    }

    /// The adapters that are trained, if not all weights are.
    pub fn lora(&self) -> Option<&LoraSettings> {
        match self {
            Self::Sft { settings, .. } => settings.lora.as_ref(),
            Self::Rft { settings, .. } => settings.sft.lora.as_ref(),
            Self::Dpo { settings, .. } => settings.sft.lora.as_ref(),
            Self::PolicyGradient { settings, .. } => settings.lora.as_ref(),
        }
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> usize {
        match self {
            Self::Sft { settings, .. } => settings.steps,
            Self::Rft { settings, .. } => settings.sft.steps,
            Self::Dpo { settings, .. } => settings.sft.steps,
            Self::PolicyGradient { settings, .. } => settings.steps,
        }
    }

    /// Optimiser updates per step.
    pub fn updates_per_step(&self) -> usize {
        match self {
            Self::PolicyGradient { settings, .. } => settings.minibatches * settings.passes,
            _ => 1,
        }
    }

    /// What it learns from, in words.
    pub fn teacher(&self) -> String {
        match self {
            Self::Sft { data, .. } => {
                let shares: Vec<(String, f64)> = data.shares().collect();
                match shares.as_slice() {
                    [(only, _)] => only.clone(),
                    several => {
                        let part = |(name, share): &(String, f64)| format!("{name} {:.0} %", share * 100.0);
                        several.iter().map(part).collect::<Vec<_>>().join(", ")
                    }
                }
            }
            Self::Rft { suite, .. } => format!("own responses verified by {}", suite.name()),
            Self::Dpo { preferences: Preferences::File(path), .. } => {
                format!("preferences of {}", path.display())
            }
            Self::Dpo { preferences: Preferences::Own(suite), .. } => {
                format!("own responses, verified by {} over failed", suite.name())
            }
            Self::PolicyGradient { suite, .. } => format!("verifier of {}", suite.name()),
        }
    }

    /// Everything that decides the result, beside the model, the seed and the files' contents.
    ///
    /// # Errors
    /// If a setting cannot be written.
    pub fn description(&self) -> Result<Value> {
        Ok(match self {
            Self::Sft { data, settings } => {
                json!({ "method": "sft", "data": value(data)?, "settings": value(settings)? })
            }
            Self::Rft { suite, settings } => {
                json!({ "method": "rft", "suite": suite.name(), "settings": value(settings)? })
            }
            Self::Dpo { preferences, settings } => {
                let (kind, name) = match preferences {
                    Preferences::File(path) => ("file", path.display().to_string()),
                    Preferences::Own(suite) => ("suite", suite.name().to_owned()),
                };
                json!({ "method": "dpo", kind: name, "settings": value(settings)? })
            }
            Self::PolicyGradient { method, suite, settings } => {
                json!({ "method": method, "suite": suite.name(), "settings": value(settings)? })
            }
        })
    }

    /// The same as a model with this tokenizer learns it: its suite and its data arms in a rendering that it can be asked
    /// in, by their names or else by `default`, see [`Suite::said_to`].
    ///
    /// # Errors
    /// If it cannot be asked in a stated rendering.
    pub fn said_to(&self, tokenizer: &Tokenizer, default: Stated) -> Result<Self> {
        let mut said = self.clone();
        match &mut said {
            Self::Sft { data, .. } => *data = data.said_to(tokenizer, default)?,
            Self::Rft { suite, .. }
            | Self::PolicyGradient { suite, .. }
            | Self::Dpo { preferences: Preferences::Own(suite), .. } => {
                *suite = suite.said_to(tokenizer, default)?;
            }
            Self::Dpo { preferences: Preferences::File(_), .. } => {}
        }
        Ok(said)
    }

    /// The renderings that it learns in, by the names of its suite or data arms.
    pub fn renderings(&self) -> Vec<Rendering> {
        match self {
            Self::Sft { data, .. } => data.renderings().collect(),
            Self::Rft { suite, .. }
            | Self::PolicyGradient { suite, .. }
            | Self::Dpo { preferences: Preferences::Own(suite), .. } => {
                suite.rendering().into_iter().collect()
            }
            Self::Dpo { preferences: Preferences::File(_), .. } => Vec::new(),
        }
    }

    /// Whether it learns from rows of a file, or from pairs of its own.
    pub(crate) fn reads_rows(&self) -> bool {
        match self {
            Self::Sft { data, .. } => data.files().next().is_some(),
            Self::Dpo { .. } => true,
            Self::Rft { .. } | Self::PolicyGradient { .. } => false,
        }
    }

    /// Whether it trains adapters, which name the model that they are for.
    pub fn trains_adapters(&self) -> bool {
        match self {
            Self::Sft { settings, .. } => settings.lora.is_some(),
            Self::Rft { settings, .. } => settings.sft.lora.is_some(),
            Self::Dpo { settings, .. } => settings.sft.lora.is_some(),
            Self::PolicyGradient { settings, .. } => settings.lora.is_some(),
        }
    }

    /// The files that it learns from, by what they are.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn contents(&self) -> Result<Outside> {
        let file = |path: &Path| Ok((format!("data {}", path.display()), Content::of_file(path)?));
        let suite = |suite: &Suite| suite.contents("training suite");
        match self {
            Self::Sft { data, .. } => data.files().map(file).collect(),
            Self::Dpo { preferences: Preferences::File(path), .. } => [file(path)].into_iter().collect(),
            Self::Dpo { preferences: Preferences::Own(own), .. } => Ok(suite(own)),
            Self::Rft { suite: own, .. } | Self::PolicyGradient { suite: own, .. } => Ok(suite(own)),
        }
    }

    /// Trains `model` in place. Goes on from the checkpoint in `run.scratch`, if there is one. Returns what an answer must
    /// say of the files it learned from: columns that were left out, rows that were cut.
    ///
    /// # Errors
    /// If a file or setting is wrong, the work fails, or a signal asked to stop (after saving).
    pub fn train(&self, model: &Model, run: &TrainingRun) -> Result<Vec<String>> {
        match self {
            Self::Sft { data, settings } => {
                let corpus = data.open(model.tokenizer()?)?.within(settings.max_tokens)?;
                let documents = |first, count| corpus.documents(run.seed, first, count);
                train_sft(model, &documents, settings, run)?;
                Ok(corpus.notes())
            }
            Self::Rft { suite, settings } => train_rft(model, suite, settings, run).map(|()| suite.notes()),
            Self::Dpo { preferences, settings } => {
                let (pairs, sampled) = match preferences {
                    Preferences::File(path) => {
                        let pairs = Dataset::pairs(path, model.tokenizer()?)?;
                        (pairs.within(settings.sft.max_tokens, &path.display().to_string())?, None)
                    }
                    Preferences::Own(suite) => {
                        let (pairs, sampled) = own_pairs(model, suite, settings, run.seed)?;
                        (pairs, Some(sampled))
                    }
                };
                let draw = |first, count| pairs.take(run.seed, first, count);
                train_dpo(model, Pairs { draw: &draw, sampled: sampled.as_ref() }, settings, run)?;
                Ok(match preferences {
                    Preferences::File(_) => pairs.notes().to_vec(),
                    Preferences::Own(suite) => suite.notes(),
                })
            }
            Self::PolicyGradient { suite, settings, .. } => {
                train_rl(model, suite, settings, run).map(|()| suite.notes())
            }
        }
    }
}

fn value(settings: &impl Serialize) -> Result<Value> {
    serde_json::to_value(settings)
        .map_err(|error| Error::work(format!("the settings cannot be written as JSON: {error}")))
}
