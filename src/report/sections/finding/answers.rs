//! The first table of the page: one line a hypothesis, from the question to how sure the answer is.

use super::claim::{act, interval, matched_range};
use super::tone;
use crate::claims::{ClaimRow, NOT_REPEATED, RepetitionRow};
use crate::report::beside::Role;
use crate::report::data::Data;
use crate::report::scale::Scale;
use crate::report::view::{Cell, Sheet};

const COLUMNS: [(&str, &str); 6] = [
    ("Hypothesis", "The name in the study"),
    ("Verdict", "By the decision rule of the protocol"),
    ("What was done", "The edit, and where it was declared to be measured"),
    ("Effect", "With an interval that holds for all declared hypotheses at once"),
    ("Its controls did", "From the least to the greatest effect of the matched controls"),
    ("Under other seeds", "How often the verdict came out again, and what came out instead"),
];

/// One line for each declared hypothesis.
pub(super) fn sheet(data: &Data) -> Sheet {
    let caption = "Every hypothesis that was declared, and what became of it.";
    let mut sheet = Sheet::new("answers", caption, &COLUMNS);
    sheet.rows = data.claims.iter().map(|claim| cells(data, claim)).collect();
    sheet
}

fn cells(data: &Data, claim: &ClaimRow) -> Vec<Cell> {
    let scale = Scale::of(&claim.endpoint);
    let row = data.effects.iter().find(|row| row.declared && row.hypothesis == claim.hypothesis);
    let act = row.map_or_else(|| format!("{} in {}", claim.set, claim.receiver), act);
    let controls = row.and_then(|row| matched_range(data, row, scale));
    vec![
        Cell::text(&claim.hypothesis),
        Cell::text(claim.verdict.name()).toned(tone(claim.verdict)),
        Cell::text(format!("{act}; {} on {}", claim.endpoint.replace('_', " "), claim.suite)),
        Cell::text(format!(
            "{} {} ({})",
            scale.difference(claim.effect),
            scale.unit(),
            interval(scale, claim.ci_low, claim.ci_high)
        )),
        controls.map_or_else(
            || Cell::text("none matched"),
            |(count, range)| Cell::text(format!("{range} ({count} of {} needed)", claim.needed_controls)),
        ),
        Cell::text(elsewhere(data, claim)),
    ]
}

/// How often a verdict came out again, and what came out each time.
fn elsewhere(data: &Data, claim: &ClaimRow) -> String {
    let beside = data.facts.beside.iter().find(|fact| fact.role == Role::Repeated);
    let same = claim.stability != NOT_REPEATED || beside.is_none_or(|fact| fact.same);
    let rows: Vec<&RepetitionRow> =
        data.repetitions.iter().filter(|row| same && row.hypothesis == claim.hypothesis).collect();
    if rows.is_empty() {
        return match claim.stability.as_str() {
            NOT_REPEATED => "not repeated".to_owned(),
            counted => format!("the same in {counted}, this one counted in"),
        };
    }
    let again = rows.iter().filter(|row| row.agrees(claim)).count();
    let came: Vec<String> = rows
        .iter()
        .map(|row| {
            let effect = Scale::of(&row.endpoint).difference(row.effect);
            format!("{}, {effect} ({})", row.verdict.name(), row.under)
        })
        .collect();
    format!("the same in {again} of {}: {}", rows.len(), came.join("; "))
}
