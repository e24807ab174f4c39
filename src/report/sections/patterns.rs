//! How responses proceed: backtracks, checks, branches and steps per thousand tokens, folded away.

use super::words::is_shown;
use crate::report::data::Data;
use crate::report::numbers::{count, short};
use crate::report::view::{Block, Cell, Sheet};

const COLUMNS: [(&str, &str); 6] = [
    ("Suite", "Its name in the study"),
    ("Checkpoint", "Variant and step"),
    ("Pattern", "What is counted"),
    ("Rate#", "Per thousand response tokens; for propose to propose a share of attempts"),
    ("95 % interval#", "Bootstrap over problems"),
    ("Count#", "How often it occurred"),
];

/// The folded table, if the study has the counts.
pub(super) fn block(data: &Data) -> Option<Block> {
    if data.patterns.is_empty() {
        return None;
    }
    let caption = "How responses proceed. Patterns per thousand response tokens, in base, in the checkpoints that the dictionary spans and at every variant\u{2019}s end; all checkpoints are in tables/patterns.parquet.";
    let mut sheet = Sheet::new("patterns", caption, &COLUMNS).sortable();
    for row in data.patterns.iter().filter(|row| is_shown(data, &row.variant, row.checkpoint)) {
        let number = |value: Option<f64>| value.map_or_else(|| "n/a".to_owned(), short);
        let base = row.variant == data.base();
        let label = if base { row.variant.clone() } else { format!("{}@{}", row.variant, row.checkpoint) };
        sheet.rows.push(vec![
            Cell::text(&row.suite),
            Cell::text(label).coloured(data.colour(&row.variant)),
            Cell::text(row.pattern.replace('_', " ")),
            Cell { number: row.value, ..Cell::text(number(row.value)) },
            Cell::text(format!("{} to {}", number(row.ci_low), number(row.ci_high))),
            Cell::number(count(row.count), row.count as f64),
        ]);
    }
    Some(Block::Folded(sheet))
}
