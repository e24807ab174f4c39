//! The matrices that moved most.

use super::number;
use crate::diff::models::WeightRow;
use crate::report::data::Data;
use crate::report::numbers::percent;
use crate::report::view::{Cell, Sheet};

/// Matrices shown of each variant.
const SHOWN: usize = 5;

const COLUMNS: [(&str, &str); 6] = [
    ("Variant", "At the checkpoint that the dictionary reads"),
    ("Parameter", "As the checkpoint names it"),
    ("Moved#", "Norm of the difference over the norm of the base\u{2019}s matrix"),
    ("Rank of difference#", "Participation rank of the difference: directions, if all were equally strong"),
    ("Rank of base#", "The same of the base\u{2019}s matrix"),
    ("Overlap#", "Of the leading singular directions of both matrices; 1 is the same"),
];

/// The few matrices of every variant whose relative difference is largest.
pub(super) fn sheet(data: &Data) -> Option<Sheet> {
    let mut variants: Vec<&str> = Vec::new();
    for row in &data.weights {
        if !variants.contains(&row.variant.as_str()) {
            variants.push(&row.variant);
        }
    }
    if variants.is_empty() {
        return None;
    }
    let caption = format!(
        "Weights. The {SHOWN} matrices of every variant that moved most, relative to their size; all are in tables/weights.parquet."
    );
    let mut sheet = Sheet::new("weight-table", caption, &COLUMNS).sortable();
    for variant in variants {
        let mut own: Vec<&WeightRow> = data.weights.iter().filter(|row| row.variant == variant).collect();
        own.sort_by(|a, b| b.relative_norm.total_cmp(&a.relative_norm));
        sheet.rows.extend(own.into_iter().take(SHOWN).map(|row| {
            vec![
                Cell::text(&row.variant).coloured(data.colour(&row.variant)),
                Cell::text(&row.parameter),
                Cell::number(percent(row.relative_norm), row.relative_norm),
                number(row.participation_rank),
                number(row.participation_rank_base),
                number(row.overlap),
            ]
        }));
    }
    Some(sheet)
}
