//! Completions of declared edits, side by side: the same prompt and random numbers, with and without the edit.
//!
//! Read from the table `outcomes` without holding all of it as rows.

use super::sections::WHOLE;
use crate::claims::ClaimRow;
use crate::error::{At, Result};
use crate::experiments::{BASELINE, EffectRow, beside_control};
use crate::tables;
use polars::prelude::DataFrame;
use std::collections::BTreeMap;
use std::path::Path;

/// Completions on the page, a hypothesis, by how the edit changed them.
const ALONG: usize = 6;
const AGAINST: usize = 2;
const UNCHANGED: usize = 2;

/// The conditions that stand side by side.
pub(super) const CONDITIONS: usize = 4;

/// What one condition made of a prompt.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) text: String,
    /// The declared endpoint of this one completion.
    pub(super) score: Option<f64>,
    pub(super) truncated: bool,
}

/// One prompt and sample under every condition: unedited, edited, whole activation exchanged, a matched control.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) problem: String,
    pub(super) prompt: String,
    pub(super) sample: i64,
    pub(super) versions: [Option<Version>; CONDITIONS],
    /// What the edit did to the declared endpoint here.
    pub(super) change: f64,
}

/// The comparisons of one hypothesis that are shown, and how many there are of each kind.
#[derive(Clone, Debug)]
pub(super) struct Edited {
    pub(super) hypothesis: String,
    pub(super) shown: Vec<Comparison>,
    pub(super) total: usize,
    pub(super) along: usize,
    pub(super) against: usize,
    /// How many completions are the same to the letter.
    pub(super) same: usize,
}

/// Reads the comparisons of a folder's claims; none without the table `outcomes`.
pub(super) fn load(folder: &Path, claims: &[ClaimRow], effects: &[EffectRow]) -> Result<Vec<Edited>> {
    let path = folder.join("outcomes.parquet");
    if !path.exists() || claims.is_empty() {
        return Ok(Vec::new());
    }
    let frame = tables::read_frame(&path)?;
    let mut all = Vec::new();
    for claim in claims {
        let declared = |row: &&EffectRow| row.declared && row.hypothesis == claim.hypothesis;
        if let Some(row) = effects.iter().find(declared) {
            let comparisons = compare(&frame, claim, &row.condition).at(path.display())?;
            all.extend(choose(claim, comparisons));
        }
    }
    Ok(all)
}

fn compare(frame: &DataFrame, claim: &ClaimRow, condition: &str) -> Result<Vec<Comparison>> {
    let words = |name: &str| frame.column(name).and_then(|column| column.str());
    let (variants, conditions, suites) = (words("variant")?, words("condition")?, words("suite")?);
    let (problems, prompts, completions) = (words("problem")?, words("prompt")?, words("completion")?);
    let (checkpoints, samples) = (frame.column("checkpoint")?.i64()?, frame.column("sample")?.i64()?);
    let truncated = frame.column("truncated")?.bool()?;
    let scores = frame.column(&claim.endpoint).ok().and_then(|column| column.f64().ok());
    let (variant, checkpoint) = claim.receiver.split_once('@').unwrap_or((&claim.receiver, "0"));
    let checkpoint: i64 = checkpoint.parse().unwrap_or(0);
    let names = [
        BASELINE.to_owned(),
        condition.to_owned(),
        format!("{condition} | {WHOLE}"),
        beside_control(condition),
    ];
    let mut found: BTreeMap<(&str, &str, i64), [Option<Version>; CONDITIONS]> = BTreeMap::new();
    for row in 0..frame.height() {
        let here = suites.get(row) == Some(claim.suite.as_str())
            && variants.get(row) == Some(variant)
            && checkpoints.get(row) == Some(checkpoint);
        let place = conditions.get(row).and_then(|name| names.iter().position(|other| other == name));
        let (true, Some(place)) = (here, place) else { continue };
        let (Some(problem), Some(prompt), Some(sample)) =
            (problems.get(row), prompts.get(row), samples.get(row))
        else {
            continue;
        };
        let version = Version {
            text: completions.get(row).unwrap_or_default().to_owned(),
            score: scores.and_then(|scores| scores.get(row)),
            truncated: truncated.get(row).unwrap_or_default(),
        };
        if let Some(slot) = found.entry((problem, prompt, sample)).or_default().get_mut(place) {
            *slot = Some(version);
        }
    }
    Ok(found
        .into_iter()
        .filter_map(|((problem, prompt, sample), versions)| {
            let [Some(before), Some(after), ..] = &versions else { return None };
            let change = after.score.unwrap_or(0.0) - before.score.unwrap_or(0.0);
            Some(Comparison {
                problem: problem.to_owned(),
                prompt: prompt.to_owned(),
                sample,
                versions,
                change,
            })
        })
        .collect())
}

/// Some of every kind, in a fixed order: nothing is picked by how it reads.
fn choose(claim: &ClaimRow, comparisons: Vec<Comparison>) -> Option<Edited> {
    let sign = claim.effect.signum();
    let total = comparisons.len();
    let (differ, same): (Vec<_>, Vec<_>) = comparisons.into_iter().partition(Comparison::differs);
    let (along, others): (Vec<_>, Vec<_>) =
        differ.into_iter().partition(|comparison| comparison.change * sign > 0.0);
    let (against, unchanged): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|comparison| comparison.change * sign < 0.0);
    let mut edited = Edited {
        hypothesis: claim.hypothesis.clone(),
        shown: Vec::new(),
        total,
        along: along.len(),
        against: against.len(),
        same: same.len(),
    };
    let kinds = [(along, ALONG), (unchanged, UNCHANGED), (against, AGAINST)];
    edited.shown.extend(kinds.into_iter().flat_map(|(kind, most)| spread(kind, most)));
    edited.shown.sort_by(|one, other| (other.change * sign).total_cmp(&(one.change * sign)));
    (!edited.shown.is_empty()).then_some(edited)
}

/// At most `most` of them, of different problems, the greatest change first.
fn spread(mut comparisons: Vec<Comparison>, most: usize) -> Vec<Comparison> {
    comparisons.sort_by(|one, other| other.change.abs().total_cmp(&one.change.abs()));
    let mut chosen: Vec<Comparison> = Vec::new();
    for comparison in comparisons {
        if chosen.len() < most && chosen.iter().all(|other| other.problem != comparison.problem) {
            chosen.push(comparison);
        }
    }
    chosen
}

impl Comparison {
    fn differs(&self) -> bool {
        match &self.versions {
            [Some(before), Some(after), ..] => before.text != after.text,
            _ => false,
        }
    }
}
