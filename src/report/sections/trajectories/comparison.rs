//! Variants beside each other where they can be compared: before, at matched in-domain gain, at matched
//! updates, and at the end.

use super::main_rows;
use crate::evaluation::EvaluationRow;
use crate::report::data::Data;
use crate::report::numbers::percent;
use crate::report::view::{Cell, Sheet};

/// A checkpoint to compare, and why it is in the table.
struct Stand<'a> {
    why: &'static str,
    variant: &'a str,
    checkpoint: u64,
}

/// The checkpoints at which variants are compared.
fn stands(data: &Data) -> Vec<Stand<'_>> {
    let last = |name: &str| {
        data.evaluations.iter().filter(|row| row.variant == name).map(|row| row.checkpoint).max()
    };
    let mut stands = Vec::new();
    let base = data.base();
    if let Some(checkpoint) = last(base) {
        stands.push(Stand { why: "before", variant: base, checkpoint });
    }
    for name in &data.facts.matched {
        if let Some((variant, checkpoint)) = name.split_once('@')
            && let Ok(checkpoint) = checkpoint.parse()
        {
            stands.push(Stand { why: "matched gain", variant, checkpoint });
        }
    }
    let updates = data
        .trained()
        .filter_map(|variant| Some(last(&variant.name)? * variant.updates_per_step.max(1)))
        .min()
        .filter(|updates| *updates > 0);
    for variant in data.trained() {
        let Some(updates) = updates else { break };
        let wanted = updates / variant.updates_per_step.max(1);
        let rows = data.evaluations.iter().filter(|row| row.variant == variant.name);
        let nearest = rows.map(|row| row.checkpoint).min_by_key(|checkpoint| checkpoint.abs_diff(wanted));
        if let Some(checkpoint) = nearest {
            stands.push(Stand { why: "matched updates", variant: &variant.name, checkpoint });
        }
    }
    for variant in data.trained() {
        if let Some(checkpoint) = last(&variant.name) {
            stands.push(Stand { why: "end", variant: &variant.name, checkpoint });
        }
    }
    stands
}

/// The table of all comparisons.
pub(super) fn sheet(data: &Data, suites: &[String]) -> Sheet {
    let mut columns = vec![
        ("Compared at".to_owned(), "Why this checkpoint is in the table".to_owned()),
        ("Checkpoint".to_owned(), "Variant and step".to_owned()),
    ];
    let rows: Vec<Vec<&EvaluationRow>> = suites.iter().map(|suite| main_rows(data, suite)).collect();
    for (suite, rows) in suites.iter().zip(&rows) {
        let endpoint = rows.first().map_or("", |row| &row.endpoint);
        columns.push((format!("{suite}#"), format!("{endpoint}, {}", data.role(suite))));
    }
    let columns: Vec<(&str, &str)> =
        columns.iter().map(|(title, about)| (title.as_str(), about.as_str())).collect();
    let caption = "Variants side by side: the main endpoint of each suite in percent, with its 95 % interval. Matched gain: chosen on the selecting half for equal in-domain gain. Matched updates: the checkpoint nearest to the same number of optimiser updates. Equal updates are not equal gradient signal.";
    let mut sheet = Sheet::new("comparison", caption, &columns);
    for stand in stands(data) {
        let label = if stand.why == "before" {
            stand.variant.to_owned()
        } else {
            format!("{}@{}", stand.variant, stand.checkpoint)
        };
        let mut cells = vec![Cell::text(stand.why), Cell::text(label).coloured(data.colour(stand.variant))];
        cells.extend(rows.iter().map(|rows| {
            let row =
                rows.iter().find(|row| row.variant == stand.variant && row.checkpoint == stand.checkpoint);
            row.map_or_else(|| Cell::text("n/a"), |row| value(row))
        }));
        sheet.rows.push(cells);
    }
    sheet
}

/// A share with its interval: `38 % [34–42]`.
pub(in crate::report::sections) fn value(row: &EvaluationRow) -> Cell {
    let Some(value) = row.value else { return Cell::text("n/a") };
    let text = match (row.ci_low, row.ci_high) {
        (Some(low), Some(high)) => {
            format!("{:.0} [{:.0}\u{2013}{:.0}]", value * 100.0, low * 100.0, high * 100.0)
        }
        _ => percent(value),
    };
    Cell::number(text, value)
}
