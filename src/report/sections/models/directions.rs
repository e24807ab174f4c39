//! Difference-of-means directions: those that the rule of Arditi et al. selects, and how they came to turn.

use super::number;
use crate::diff::models::DirectionRow;
use crate::report::data::Data;
use crate::report::numbers::percent;
use crate::report::view::{Cell, Sheet};

const COLUMNS: [(&str, &str); 10] = [
    ("Variant", "With its checkpoint"),
    ("Points to", "The label of its prompts, away from all others"),
    ("Hook", "Where it is read"),
    ("Selected", "By the rule of Arditi et al.; the others are the same place along training"),
    ("Separation#", "Share of prompts of held-out problems on the right side of the middle"),
    ("Cosine to base#", "With the direction of the base at the same hook"),
    ("Log-odds#", "Of a refusal on the label\u{2019}s prompts, nats"),
    ("Taken out#", "The same with the direction taken out everywhere"),
    ("Added#", "Log-odds on other prompts with the direction added"),
    ("KL#", "On other prompts when it is taken out, nats"),
];

/// The selected directions, and for each its hook in every other checkpoint.
pub(super) fn sheet(data: &Data) -> Option<Sheet> {
    let selected: Vec<(&str, &str, &str)> = data
        .directions
        .iter()
        .filter(|row| row.selected)
        .map(|row| (row.label.as_str(), row.hook.as_str(), row.read_at.as_str()))
        .collect();
    let place = |row: &DirectionRow| {
        selected
            .iter()
            .position(|place| *place == (row.label.as_str(), row.hook.as_str(), row.read_at.as_str()))
    };
    let mut rows: Vec<(usize, &DirectionRow)> =
        data.directions.iter().filter_map(|row| Some((place(row)?, row))).collect();
    if rows.is_empty() {
        return None;
    }
    rows.sort_by_key(|(place, _)| *place);
    let caption = "Directions. Differences of mean activations between labelled prompts, at the hooks that the selection rule takes in some variant, in all of them: a cosine near 1 with the base says that training left the direction where it was.";
    let mut sheet = Sheet::new("direction-table", caption, &COLUMNS).sortable();
    sheet.rows = rows.into_iter().map(|(_, row)| cells(data, row)).collect();
    Some(sheet)
}

fn cells(data: &Data, row: &DirectionRow) -> Vec<Cell> {
    vec![
        Cell::text(&row.variant).coloured(data.colour(&row.variant)),
        Cell::text(&row.label),
        Cell::text(format!("{}, {}", row.hook, row.read_at)),
        Cell::text(if row.selected { "selected" } else { "" }),
        Cell::number(percent(row.separation), row.separation),
        number(row.cosine_to_base),
        number(row.log_odds),
        number(row.log_odds_ablated),
        number(row.log_odds_steered),
        number(row.kl_other),
    ]
}
