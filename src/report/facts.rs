//! What the page says of a study beside its tables: plain data, saved with them as `study.json`.

use super::beside::BesideFact;
use crate::error::{At, Error, Result, io};
use crate::foreign;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The name of the file that holds a [`StudyFacts`] beside the tables.
pub const FACTS_FILE: &str = "study.json";

/// What was asked, of which models, with which settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StudyFacts {
    /// The study's name.
    pub name: String,
    /// The question in one sentence, if the study states it.
    pub question: Option<String>,
    /// The seed from which every random stream is keyed.
    pub seed: u64,
    /// The device and number type that the study ran on.
    pub device: String,
    /// The version of deltascope.
    pub version: String,
    /// How the base came to be: a preset, or the name of a model.
    pub base: String,
    /// All variants in the order of the study, the base first.
    pub variants: Vec<VariantFact>,
    /// Suites like the one that was trained on.
    pub in_domain: Vec<String>,
    /// Suites that no variant was trained on.
    pub transfer: Vec<String>,
    /// Suites of requests that should be refused.
    pub safety: Vec<String>,
    /// Suites of unrelated skills.
    pub collateral: Vec<String>,
    /// The variants that the dictionary spans, with their checkpoints (`sft@40`), the base first.
    pub dictionary_variants: Vec<String>,
    /// The checkpoints of equal in-domain gain, as the `select` stage chose them (`sft@40`, `rl@120`).
    pub matched: Vec<String>,
    /// Of checkpoints that were chosen by how far their activations moved, a sentence each: how far, beside what they
    /// are matched to.
    pub same_change: Vec<String>,
    /// Samples drawn per problem.
    pub samples: u64,
    /// The temperature of sampling.
    pub temperature: f64,
    /// The longest completion, in tokens.
    pub max_new_tokens: u64,
    /// The level of the decision.
    pub alpha: f64,
    /// The correction for several hypotheses.
    pub correction: String,
    /// Training seeds per variant: the units of any claim about methods.
    pub training_seeds: u64,
    /// Rules of the protocol whose default the study changed, a sentence each.
    pub changed_defaults: Vec<String>,
    /// Finished studies that stand beside this one.
    pub beside: Vec<BesideFact>,
    /// The stages and their artifacts.
    pub stages: Vec<StageFact>,
    /// The study file as it was run.
    pub study_file: String,
}

/// One variant of the study.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VariantFact {
    /// Its name, without a checkpoint.
    pub name: String,
    /// `base`, `sft`, `grpo`, …
    pub method: String,
    /// The data or the reward that it was trained on.
    pub data: String,
    /// How many steps it was trained for.
    pub steps: u64,
    /// Optimiser updates per step (minibatches times passes); 0 is read as 1.
    pub updates_per_step: u64,
    /// The names of its runs in the tables, one for each training seed, where there are several.
    pub runs: Vec<String>,
}

/// One stage of the run and the artifact that it left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StageFact {
    /// The stage's name.
    pub name: String,
    /// The artifact's id.
    pub id: String,
    /// The ids of the artifacts that it was made from.
    pub inputs: Vec<String>,
}

impl VariantFact {
    /// The names of its runs: its own, or one for each training seed.
    pub(super) fn runs(&self) -> impl Iterator<Item = &str> {
        let alone = self.runs.is_empty().then_some(self.name.as_str());
        alone.into_iter().chain(self.runs.iter().map(String::as_str))
    }
}

impl StudyFacts {
    /// Reads the facts beside a folder's tables; a folder without them has default facts.
    ///
    /// # Errors
    /// If the file is there and cannot be read, or is not a facts file of this version.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FACTS_FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = foreign::text(&path, foreign::DOCUMENT)?;
        serde_json::from_str(&text).map_err(|error| {
            Error::request(format!("not the facts of a study: {error}"))
                .hint("run the study again, or remove the file to do without it")
                .at(path.display())
        })
    }

    /// Writes the facts beside a folder's tables.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FACTS_FILE);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::work(format!("cannot write the facts of the study: {error}")))
            .at(path.display())?;
        std::fs::write(&path, text + "\n").map_err(|error| io("write", &path, error))
    }
}
