//! Stage `select`: the checkpoint of every variant that has the in-domain gain of the reference variant.
//!
//! On the selection half alone: with b the base's pass rate on the in-domain suites and r that of the
//! reference variant at its end, the matched checkpoint of a variant is its first whose pass rate is at
//! least b + 0.9 (r - b); if none gets there, the one with the highest pass rate. First, because what is
//! compared is what the same gain costs, and further training only adds to the cost.

use super::evaluation;
use crate::error::{Error, Result, io};
use crate::evaluation::EvaluationRow;
use crate::foreign;
use crate::study::config::{BASE, Study};
use crate::study::stage::{Estimate, Scene, Stage};
use crate::tables;
use crate::tasks::Half;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) const NAME: &str = "select";

/// The share of the reference's gain that counts as the same gain.
const SHARE: f64 = 0.9;

const FILE: &str = "selection.json";

pub(super) struct Select {
    reference: String,
    variants: Vec<String>,
    in_domain: Vec<String>,
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Selection {
    /// The variant that the others are matched to, at its end.
    pub(super) reference: String,
    /// Its pass rate and that of the base, on the selection half.
    pub(super) reference_rate: f64,
    pub(super) base_rate: f64,
    /// The matched step of every variant with checkpoints.
    pub(super) matched: BTreeMap<String, usize>,
}

impl Selection {
    pub(super) fn load(artifact: &Path) -> Result<Self> {
        let path = artifact.join(FILE);
        let text = foreign::text(&path, foreign::DOCUMENT)?;
        serde_json::from_str(&text)
            .map_err(|error| Error::work(format!("{} is no selection: {error}", path.display())))
    }

    /// The matched step of `variant`.
    pub(super) fn step(&self, variant: &str) -> Result<usize> {
        self.matched.get(variant).copied().ok_or_else(|| {
            Error::work(format!("no checkpoint of `{variant}` was selected"))
                .hint("only variants that are trained in the study have checkpoints to choose from")
        })
    }
}

impl Select {
    /// `None` without a variant to match to.
    pub(super) fn new(study: &Study) -> Option<Self> {
        let reference = study.matching_reference()?;
        let variants = study
            .variants
            .iter()
            .filter(|variant| !variant.checkpoints.is_empty() && !variant.is_replicate());
        Some(Self {
            reference: reference.name.clone(),
            variants: variants.map(|variant| variant.name.clone()).collect(),
            in_domain: study.suites.in_domain.iter().map(|suite| suite.name().to_owned()).collect(),
        })
    }

    /// The pass rate at every checkpoint of `variant`: the mean over the in-domain suites.
    fn rates(&self, scene: &Scene, variant: &str) -> Result<BTreeMap<usize, f64>> {
        let folder = scene.input(&evaluation::name(variant))?;
        let rows: Vec<EvaluationRow> = tables::read(&folder.join("evaluations.parquet"))?;
        Ok(rates(&rows, &self.in_domain))
    }
}

fn rates(rows: &[EvaluationRow], suites: &[String]) -> BTreeMap<usize, f64> {
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    for row in rows {
        if row.half == Half::Select.name() && row.endpoint == "pass" && suites.contains(&row.suite) {
            *sums.entry(row.checkpoint as usize).or_default() += row.value.unwrap_or(0.0);
        }
    }
    sums.into_iter().map(|(step, sum)| (step, sum / suites.len().max(1) as f64)).collect()
}

/// The first step that has [`SHARE`] of the gain from `base` to `reference`, else the best one.
fn matched(rates: &BTreeMap<usize, f64>, base: f64, reference: f64) -> Option<usize> {
    let wanted = base + SHARE * (reference - base);
    let first = rates.iter().find(|(_, rate)| **rate >= wanted);
    let best = || rates.iter().rev().max_by(|a, b| a.1.total_cmp(b.1));
    first.or_else(best).map(|(step, _)| *step)
}

impl Stage for Select {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn revision(&self) -> u32 {
        1
    }

    fn config(&self) -> Result<Value> {
        Ok(json!({ "reference": self.reference, "in_domain": self.in_domain, "share": SHARE }))
    }

    fn inputs(&self) -> Vec<String> {
        let variants = self.variants.iter().chain([&self.reference]).map(String::as_str);
        let mut inputs: Vec<String> = variants.chain([BASE]).map(evaluation::name).collect();
        inputs.sort();
        inputs.dedup();
        inputs
    }

    fn estimate(&self) -> Estimate {
        Estimate { seconds: 0.1, memory_bytes: 0.1e9, disk_bytes: 1e3 }
    }

    fn make(&self, scene: &Scene) -> Result<()> {
        let end = |rates: BTreeMap<usize, f64>| rates.into_values().next_back().unwrap_or(0.0);
        let base_rate = end(self.rates(scene, BASE)?);
        let reference_rate = end(self.rates(scene, &self.reference)?);
        let mut chosen = BTreeMap::new();
        for variant in &self.variants {
            let step = matched(&self.rates(scene, variant)?, base_rate, reference_rate);
            chosen.extend(step.map(|step| (variant.clone(), step)));
        }
        let selection =
            Selection { reference: self.reference.clone(), reference_rate, base_rate, matched: chosen };
        let path = scene.folder.join(FILE);
        let text = serde_json::to_string_pretty(&selection)
            .map_err(|error| Error::work(format!("the selection cannot be written as JSON: {error}")))?;
        std::fs::write(&path, text + "\n").map_err(|error| io("write", &path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_checkpoint_with_nine_tenths_of_the_gain_is_matched_else_the_best() {
        let rates: BTreeMap<usize, f64> = [(10, 0.50), (20, 0.62), (40, 0.68), (640, 0.72)].into();
        assert_eq!(matched(&rates, 0.40, 0.70), Some(40), "wanted is 0.67");
        assert_eq!(matched(&rates, 0.40, 0.90), Some(640), "none gets there");
        let falling: BTreeMap<usize, f64> = [(10, 0.5), (20, 0.5)].into();
        assert_eq!(matched(&falling, 0.4, 0.9), Some(10), "the earlier of equals");
        assert_eq!(matched(&BTreeMap::new(), 0.4, 0.9), None);
    }
}
