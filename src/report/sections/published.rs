//! The published protocol on the same data, beside what its missing controls would have shown.

use crate::experiments::PublishedRow;
use crate::report::data::Data;
use crate::report::numbers::{count, p_is};
use crate::report::scale::Scale;
use crate::report::view::{Block, Cell, Section, Sheet};

const COLUMNS: [(&str, &str); 10] = [
    ("Task", "The suite"),
    ("Variant", "The trained variant"),
    ("Edited", "The variant whose forward pass is edited"),
    ("Edit", "zero in the variant, or scale in the base"),
    ("Features#", "Kept on every task"),
    ("Items#", "Items that the base fails and the variant solves, of those looked at"),
    ("Effect, points#", "Pass under the edit less before, on the items that selected"),
    ("Of nothing#", "The same without an edit, under fresh random numbers"),
    ("Of random sets#", "The same under the edit of as many random live features"),
    ("Unfiltered#", "The edit\u{2019}s effect on problems that nothing filtered, with its sign-flip p"),
];

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let (id, title) = ("published", "By the published protocol");
    let Some(first) = data.published.first() else {
        return Section::absent(id, title, "published");
    };
    let caption = format!(
        "The protocol {}, on the same data. Its effect is measured on the very items that selected its features and that were picked by a sampled outcome; beside it stands what no edit at all and random features do there, and what the same edit does on problems that nothing filtered. Only the last column can be compared with the claims above.",
        first.protocol
    );
    let mut sheet = Sheet::new("published-table", caption, &COLUMNS);
    sheet.rows = data.published.iter().map(|row| cells(data, row)).collect();
    Section::new(id, title, vec![Block::Table(sheet)])
}

fn cells(data: &Data, row: &PublishedRow) -> Vec<Cell> {
    let points = |value: Option<f64>| {
        value.map_or_else(
            || Cell::text("\u{2013}"),
            |value| Cell::number(Scale::Share.difference(value), value),
        )
    };
    let unfiltered = match (row.effect_unfiltered, row.p_unfiltered) {
        (Some(effect), Some(p)) => {
            Cell::number(format!("{} ({})", Scale::Share.difference(effect), p_is(p)), effect)
        }
        (effect, _) => points(effect),
    };
    vec![
        Cell::text(&row.suite),
        Cell::text(&row.variant).coloured(data.colour(&row.variant)),
        Cell::text(&row.receiver).coloured(data.colour(&row.receiver)),
        Cell::text(&row.edit),
        Cell::number(count(row.features), row.features as f64),
        Cell::number(format!("{} of {}", count(row.items), count(row.problems)), row.items as f64),
        points(row.effect),
        points(row.effect_of_nothing),
        points(row.effect_of_random),
        unfiltered,
    ]
}
