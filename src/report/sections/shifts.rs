//! Features that a variant uses more, or less, than the base does on a suite, whatever their decoders do.

use crate::experiments::ShiftRow;
use crate::report::data::Data;
use crate::report::numbers::{short, signed};
use crate::report::view::{Cell, Sheet};

/// Features shown of each variant and suite.
const SHOWN: usize = 3;

const COLUMNS: [(&str, &str); 6] = [
    ("Variant", "With its checkpoint"),
    ("Suite", "Whose prompts each variant answers in its own words"),
    ("Feature#", "Index in the dictionary"),
    ("Shift#", "Mean code here less that of the base"),
    ("Here#", "Mean joint code over the tokens of the variant\u{2019}s answers, prompts included"),
    ("Base#", "The same of the base\u{2019}s answers"),
];

/// The few features of every variant and suite whose mean code moved most.
pub(super) fn sheet(data: &Data) -> Option<Sheet> {
    let mut groups: Vec<(&str, &str)> = Vec::new();
    for row in &data.shifts {
        if !groups.contains(&(&row.variant, &row.suite)) {
            groups.push((&row.variant, &row.suite));
        }
    }
    let caption = format!(
        "Which features answers use more. Of every variant and suite the {SHOWN} features whose mean activation moved most against {}, on the selecting half; all are in tables/shifts.parquet.",
        data.base()
    );
    let mut sheet = Sheet::new("shift-table", caption, &COLUMNS).sortable();
    for (variant, suite) in groups {
        let mut own: Vec<&ShiftRow> = data
            .shifts
            .iter()
            .filter(|row| row.variant == variant && row.suite == suite && row.shift != 0.0)
            .collect();
        own.sort_by(|a, b| b.shift.abs().total_cmp(&a.shift.abs()).then(a.feature.cmp(&b.feature)));
        sheet.rows.extend(own.into_iter().take(SHOWN).map(|row| cells(data, row)));
    }
    (!sheet.rows.is_empty()).then_some(sheet)
}

fn cells(data: &Data, row: &ShiftRow) -> Vec<Cell> {
    vec![
        Cell::text(&row.variant).coloured(data.colour(&row.variant)),
        Cell::text(&row.suite),
        Cell::number(row.feature.to_string(), row.feature as f64),
        Cell::number(signed(row.shift, 3), row.shift),
        Cell::number(short(row.mean), row.mean),
        Cell::number(short(row.mean_base), row.mean_base),
    ]
}
