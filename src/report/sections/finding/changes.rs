//! What training did to the scores, a paragraph for each variant: the ground on which the claims stand.

use crate::report::data::Data;
use crate::report::scale::Scale;
use crate::report::sections::trajectories::{main_rows, measured};
use crate::report::view::Block;

/// One paragraph for each trained variant, at its last checkpoint.
pub(super) fn paragraphs(data: &Data) -> Vec<Block> {
    data.trained().filter_map(|variant| paragraph(data, &variant.name)).map(Block::Paragraph).collect()
}

fn paragraph(data: &Data, variant: &str) -> Option<String> {
    let last =
        data.evaluations.iter().filter(|row| row.variant == variant).map(|row| row.checkpoint).max()?;
    let suites = data.suites();
    let mut changes: Vec<String> = Vec::new();
    for suite in &suites {
        let Some(endpoint) = main_rows(data, suite).first().map(|row| row.endpoint.clone()) else { continue };
        changes.extend(change(data, suite, &endpoint, variant, last).map(|change| {
            if endpoint == "pass" {
                format!("{suite} {change}")
            } else {
                format!("{suite} ({endpoint}) {change}")
            }
        }));
    }
    let persistence = data.facts.in_domain.first().and_then(|suite| {
        let gave_up = change(data, suite, "gave_up", variant, last)?;
        let first = change(data, suite, "first_attempt", variant, last)?;
        Some(format!(
            " On {suite}, it gave up {gave_up} of the time, and its first attempt was right {first}."
        ))
    });
    let label = if last == 0 { variant.to_owned() } else { format!("{variant}@{last}") };
    Some(format!(
        "From {} to {label}: {}.{}",
        data.base(),
        changes.join(", "),
        persistence.unwrap_or_default(),
    ))
}

/// The value before and after: `40 % \u{2192} 72 %`.
fn change(data: &Data, suite: &str, endpoint: &str, variant: &str, checkpoint: u64) -> Option<String> {
    let value = |variant: &str, checkpoint: Option<u64>| {
        measured(data)
            .filter(|row| row.suite == suite && row.endpoint == endpoint && row.variant == variant)
            .find(|row| checkpoint.is_none_or(|checkpoint| row.checkpoint == checkpoint))?
            .value
    };
    let scale = Scale::of(endpoint);
    let (before, after) = (value(data.base(), None)?, value(variant, Some(checkpoint))?);
    Some(format!("{}\u{a0}\u{2192}\u{a0}{}", scale.level(before), scale.level(after)))
}
