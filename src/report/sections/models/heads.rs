//! The attention heads that lost most of their part in the answers.

use super::number;
use crate::diff::models::HeadRow;
use crate::report::data::Data;
use crate::report::numbers::{percent, points};
use crate::report::view::{Cell, Sheet};

/// Heads shown of each variant and group of prompts.
const SHOWN: usize = 3;

const COLUMNS: [(&str, &str); 7] = [
    ("Variant", "At the checkpoint that the dictionary reads"),
    ("Prompts", "The suite whose prompts are read"),
    ("Head", "Block and head, both from 0"),
    ("Share lost, points#", "Its share of all heads\u{2019} effects in the base, less its share here"),
    ("Share#", "Its share here"),
    ("KL#", "KL(whole | head zeroed) of the first response token, nats (SHIPS)"),
    ("Log-odds#", "Change of the log-odds of a refusal when the head is zeroed, nats"),
];

/// The few heads of every variant and group whose share fell most.
pub(super) fn sheet(data: &Data) -> Option<Sheet> {
    let mut groups: Vec<(&str, &str)> = Vec::new();
    for row in data.heads.iter().filter(|row| row.share_lost.is_some()) {
        if !groups.contains(&(&row.variant, &row.group)) {
            groups.push((&row.variant, &row.group));
        }
    }
    if groups.is_empty() {
        return None;
    }
    let caption = format!(
        "Attention heads. Of every variant and kind of request the {SHOWN} heads whose share in the first token of the answer fell most against {}.",
        data.base()
    );
    let mut sheet = Sheet::new("head-table", caption, &COLUMNS).sortable();
    for (variant, group) in groups {
        let mut own: Vec<(&HeadRow, f64)> = data
            .heads
            .iter()
            .filter(|row| row.variant == variant && row.group == group)
            .filter_map(|row| Some((row, row.share_lost?)))
            .collect();
        own.sort_by(|a, b| b.1.total_cmp(&a.1));
        sheet.rows.extend(own.into_iter().take(SHOWN).map(|(row, lost)| cells(data, row, lost)));
    }
    Some(sheet)
}

fn cells(data: &Data, row: &HeadRow, lost: f64) -> Vec<Cell> {
    vec![
        Cell::text(&row.variant).coloured(data.colour(&row.variant)),
        Cell::text(&row.group),
        Cell::text(format!("{}.{}", row.layer, row.head)),
        Cell::number(points(lost), lost),
        Cell::number(percent(row.share), row.share),
        number(Some(row.ships)),
        number(row.log_odds_change),
    ]
}
