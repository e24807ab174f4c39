//! How faithful other readouts than the joint code are, in sum over features.

use crate::diff::{LEAST_F1, ReadoutRow};
use crate::report::data::Data;
use crate::report::numbers::{count, percent, short};
use crate::report::view::{Cell, Sheet};

const COLUMNS: [(&str, &str); 6] = [
    ("Variant", "Whose activations are read"),
    ("Readout", "own: an encoder of this variant alone; swap and alone: the joint encoder with it put in"),
    ("Median F1#", "Of firing, against the joint code"),
    ("Median R\u{b2}#", "Share of the joint code\u{2019}s variance"),
    ("Faithful#", "Share of the features that may support a claim under this readout"),
    ("Features#", "That fire in the joint code on these tokens"),
];

/// A row for each variant and readout.
pub(super) fn sheet(data: &Data) -> Option<Sheet> {
    let mut groups: Vec<(&str, &str)> = Vec::new();
    for row in &data.readouts {
        if !groups.contains(&(&row.variant, &row.readout)) {
            groups.push((&row.variant, &row.readout));
        }
    }
    if groups.is_empty() {
        return None;
    }
    let caption = format!(
        "Other readouts. The joint code needs every variant at the same token; these do without, and are held against it on held-out tokens. A feature whose firing they give with an F1 of at least {LEAST_F1} may support a claim."
    );
    let mut sheet = Sheet::new("readout-table", caption, &COLUMNS);
    for (variant, readout) in groups {
        let own: Vec<&ReadoutRow> = data
            .readouts
            .iter()
            .filter(|row| row.variant == variant && row.readout == readout && row.joint_rate > 0.0)
            .collect();
        let faithful = own.iter().filter(|row| row.sufficient).count() as f64 / own.len().max(1) as f64;
        let number = |value: Option<f64>| {
            value.map_or_else(|| Cell::text("\u{2013}"), |value| Cell::number(short(value), value))
        };
        sheet.rows.push(vec![
            Cell::text(variant).coloured(data.colour(variant)),
            Cell::text(readout),
            number(median(own.iter().map(|row| row.f1).collect())),
            number(median(own.iter().filter_map(|row| row.r2).collect())),
            Cell::number(percent(faithful), faithful),
            Cell::number(count(own.len() as u64), own.len() as f64),
        ]);
    }
    Some(sheet)
}

/// The middle value, the upper one of two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
