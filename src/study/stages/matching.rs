//! What stage `same_change` leaves, for whoever needs a model that it chose: apart, so that these do not depend on how it
//! chooses.

use crate::error::{Error, Result};
use crate::foreign;
use crate::study::config::BASE;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The name of the stage.
pub(super) const NAME: &str = "same_change";

/// Its file.
pub(super) const FILE: &str = "same_change.json";

/// What was found and chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Matching {
    /// The variant that the others are matched to, at its end.
    pub(super) reference: String,
    /// Its mean ‖h − h_base‖².
    pub(super) reference_change: f64,
    /// The same of every checkpoint of the others.
    pub(super) changes: BTreeMap<String, BTreeMap<usize, f64>>,
    /// The step that was chosen for each.
    pub(super) matched: BTreeMap<String, usize>,
}

impl Matching {
    pub(super) fn load(artifact: &Path) -> Result<Self> {
        let path = artifact.join(FILE);
        let text = foreign::text(&path, foreign::DOCUMENT)?;
        serde_json::from_str(&text)
            .map_err(|error| Error::work(format!("{} is no matching: {error}", path.display())))
    }

    /// How far each chosen checkpoint moved beside what it is matched to, a sentence each.
    pub(super) fn sentences(&self) -> Vec<String> {
        let sentence = |(variant, step): (&String, &usize)| {
            let change = *self.changes.get(variant)?.get(step)?;
            let chosen = if change >= self.reference_change {
                "the first checkpoint that moved as far as"
            } else {
                "which moved most, though no checkpoint as far as"
            };
            Some(format!(
                "{variant}@{step} is matched by its activations: {chosen} {} (mean squared difference from {BASE} {change:.3e} and {:.3e})",
                self.reference, self.reference_change
            ))
        };
        self.matched.iter().filter_map(sentence).collect()
    }

    /// The matched step of `variant`.
    pub(super) fn step(&self, variant: &str) -> Result<usize> {
        let step = self.matched.get(variant).copied();
        step.ok_or_else(|| Error::work(format!("no checkpoint of `{variant}` was matched")))
    }
}
