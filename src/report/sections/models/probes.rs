//! What a linear classifier reads at the end of a prompt.

use super::number;
use crate::report::data::Data;
use crate::report::numbers::{count, percent};
use crate::report::view::{Cell, Sheet};

const COLUMNS: [(&str, &str); 7] = [
    ("Variant", "At the checkpoint that the dictionary reads"),
    ("Hook", "Where it is read"),
    ("Label", "What is told from all others"),
    ("Accuracy#", "Balanced, on prompts of held-out problems"),
    ("Selectivity#", "Accuracy less that with shuffled labels"),
    ("Probe of base#", "Accuracy here of the probe that was fitted on the base"),
    ("Prompts#", "Prompts it was judged on"),
];

/// A row for each variant, hook and label.
pub(super) fn sheet(data: &Data) -> Option<Sheet> {
    if data.probes.is_empty() {
        return None;
    }
    let caption = "What linear probes read. Logistic probes at the last token of the prompt, one label against all others.";
    let mut sheet = Sheet::new("probe-table", caption, &COLUMNS).sortable();
    for row in &data.probes {
        sheet.rows.push(vec![
            Cell::text(&row.variant).coloured(data.colour(&row.variant)),
            Cell::text(&row.hook),
            Cell::text(&row.label),
            Cell::number(percent(row.accuracy), row.accuracy),
            number(Some(row.selectivity)),
            number(row.accuracy_of_base_probe),
            Cell::number(count(row.held_out), row.held_out as f64),
        ]);
    }
    Some(sheet)
}
