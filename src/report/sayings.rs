//! A few completions of every suite, read from the table `outcomes` without holding all of it as rows.
//!
//! Nothing is picked by what a model wrote: the first prompts of each suite's measuring half, first sample.

use crate::error::{At, Result};
use crate::evaluation::PLAIN;
use crate::tables;
use polars::prelude::DataFrame;
use std::collections::BTreeMap;
use std::path::Path;

/// Prompts shown of each suite.
const PROMPTS: usize = 2;

/// What one checkpoint wrote after one prompt.
#[derive(Clone, Debug)]
pub(super) struct Saying {
    pub(super) variant: String,
    pub(super) checkpoint: u64,
    pub(super) suite: String,
    pub(super) prompt: String,
    pub(super) completion: String,
    pub(super) truncated: bool,
}

/// Reads the sayings of a folder's `outcomes`; none without the table.
pub(super) fn load(folder: &Path) -> Result<Vec<Saying>> {
    let path = folder.join("outcomes.parquet");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let frame = tables::read_frame(&path)?;
    choose(&frame).at(path.display())
}

fn choose(frame: &DataFrame) -> Result<Vec<Saying>> {
    let words = |name: &str| frame.column(name).and_then(|column| column.str());
    let (variant, condition, half) = (words("variant")?, words("condition")?, words("half")?);
    let (suite, prompt, completion) = (words("suite")?, words("prompt")?, words("completion")?);
    let (checkpoint, sample) = (frame.column("checkpoint")?.i64()?, frame.column("sample")?.i64()?);
    let truncated = frame.column("truncated")?.bool()?;
    let mut prompts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut sayings = Vec::new();
    for row in 0..frame.height() {
        let plain = condition.get(row) == Some(PLAIN) && half.get(row) == Some("measure");
        let (Some(0), true) = (sample.get(row), plain) else { continue };
        let (Some(suite), Some(prompt)) = (suite.get(row), prompt.get(row)) else { continue };
        let chosen = prompts.entry(suite).or_default();
        if !chosen.contains(&prompt) {
            if chosen.len() >= PROMPTS {
                continue;
            }
            chosen.push(prompt);
        }
        sayings.push(Saying {
            variant: variant.get(row).unwrap_or_default().to_owned(),
            checkpoint: checkpoint.get(row).unwrap_or_default().unsigned_abs(),
            suite: suite.to_owned(),
            prompt: prompt.to_owned(),
            completion: completion.get(row).unwrap_or_default().to_owned(),
            truncated: truncated.get(row).unwrap_or_default(),
        });
    }
    Ok(sayings)
}
