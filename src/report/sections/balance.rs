//! Whether the controls are matched to the sets that they control for.

use crate::error::Result;
use crate::report::data::Data;
use crate::report::numbers::percent;
use crate::report::view::{Block, Cell, Section, Sheet, Tone};
use std::collections::BTreeMap;

/// Hypothesis, condition, suite, and the way of drawing.
type Cloud<'a> = (&'a str, &'a str, &'a str, &'a str);
/// By draw: the worst gap on the suite, and whether it is within the tolerance there.
type Draws = BTreeMap<u64, (f64, bool)>;

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("balance", "Are the controls matched?");
    if data.controls.is_empty() {
        return Ok(Section::absent(id, title, "controls"));
    }
    let mut clouds: BTreeMap<Cloud<'_>, Draws> = BTreeMap::new();
    for row in &data.controls {
        let draws = clouds.entry((&row.hypothesis, &row.condition, &row.suite, &row.cloud)).or_default();
        let (gap, matched) = draws.entry(row.draw).or_insert((0.0, true));
        *gap = gap.max(row.balance);
        *matched &= row.matched;
    }
    let caption = "Balance of the control sets. A control has as many features as the set it stands for, and must match it, per suite and per prompt or response, in firing rate and in mean squared size of the edit. The gap is the worst relative difference over these on one suite; where the set does less than a tenth of what it does elsewhere, the difference is relative to that tenth, because nothing can match a vanishing number. Each suite is judged by itself: a draw outside the tolerance there supports no claim on that suite.";
    let mut sheet = Sheet::new(
        "balance-table",
        caption,
        &[
            ("Hypothesis", "The name in the study"),
            ("Condition", "The edit that the controls repeat"),
            ("Suite", "Where they are matched: each suite has its own tokens"),
            ("Cloud", "How control sets were drawn"),
            ("Draws#", "Control sets"),
            ("Matched#", "Within the tolerance"),
            ("Median gap#", "Worst relative gap of a draw, median over draws"),
            ("Largest gap#", "Over all draws on the suite"),
        ],
    );
    for ((hypothesis, condition, suite, cloud), draws) in clouds {
        let mut gaps: Vec<f64> = draws.values().map(|(gap, _)| *gap).collect();
        gaps.sort_by(f64::total_cmp);
        let matched = draws.values().filter(|(_, matched)| *matched).count();
        let gap = |gap: Option<&f64>| {
            gap.map_or_else(|| Cell::text("n/a"), |gap| Cell::number(percent(*gap), *gap))
        };
        let tone = if matched == draws.len() { Tone::Plain } else { Tone::Open };
        sheet.rows.push(vec![
            Cell::text(hypothesis),
            Cell::text(condition),
            Cell::text(suite),
            Cell::text(cloud.replace('_', " ")),
            Cell::number(draws.len().to_string(), draws.len() as f64),
            Cell::number(matched.to_string(), matched as f64).toned(tone),
            gap(gaps.get(gaps.len() / 2)),
            gap(gaps.last()),
        ]);
    }
    Ok(Section::new(id, title, vec![Block::Table(sheet)]))
}
