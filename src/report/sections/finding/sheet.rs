//! The claims as a table.

use super::claim::interval;
use super::tone;
use crate::claims::{ClaimRow, NOT_REPEATED};
use crate::report::data::Data;
use crate::report::lead;
use crate::report::numbers::p_value;
use crate::report::scale::Scale;
use crate::report::view::{Cell, Sheet};

const COLUMNS: [(&str, &str); 11] = [
    ("Hypothesis", "The name in the study"),
    ("Verdict", "By the decision rule of the protocol"),
    ("Receiver", "The variant whose forward pass is edited"),
    ("Set", "The features that are edited"),
    ("Declared on", "Endpoint and suite"),
    (
        "Effect#",
        "Percentage points for shares, nats for log-odds; the interval is simultaneous over all declared hypotheses and their other axes",
    ),
    ("p zero#", "Sign flip over problems"),
    ("p controls#", "Rank among matched controls, these widened by how alike they are"),
    ("p corrected#", "The larger of the two, corrected for the number of hypotheses"),
    ("Controls#", "Matched control sets, and how many the study needs"),
    (
        "Widened#",
        "Factor on the controls\u{2019} distances from their mean before the effect is ranked: above 1 where they are more like each other than like the set",
    ),
];

/// A column for studies that repeat something.
const STABILITY: (&str, &str) = ("Stability", "Repetitions over dictionary and training seeds that agree");

/// Where it stands: how sure a verdict is belongs to it.
const AFTER_THE_VERDICT: usize = 2;

/// One row for each declared hypothesis.
pub(super) fn sheet(data: &Data) -> Sheet {
    let correction = data.claims.first().map_or("", |claim| claim.correction.as_str());
    let caption = format!(
        "Claims. Effects are paired differences on the measuring half. Intervals hold for all declared hypotheses at once. A hypothesis must pass both the sign flip over problems and its rank among matched controls; correction: {}.",
        lead::correction(correction),
    );
    let repeats = data.claims.iter().any(|claim| data.stability(claim).is_some());
    let mut columns = COLUMNS.to_vec();
    if repeats {
        columns.insert(AFTER_THE_VERDICT, STABILITY);
    }
    let mut sheet = Sheet::new("claims", caption, &columns);
    let row = |claim: &ClaimRow| {
        let mut cells = cells(data, claim);
        if repeats {
            let stability = data.stability(claim).unwrap_or_else(|| NOT_REPEATED.to_owned());
            cells.insert(AFTER_THE_VERDICT, Cell::text(stability));
        }
        cells
    };
    sheet.rows = data.claims.iter().map(row).collect();
    sheet
}

fn cells(data: &Data, claim: &ClaimRow) -> Vec<Cell> {
    let scale = Scale::of(&claim.endpoint);
    let p = |p: f64| Cell::number(p_value(p), p);
    vec![
        Cell::text(&claim.hypothesis),
        Cell::text(claim.verdict.name()).toned(tone(claim.verdict)),
        Cell::text(&claim.receiver).coloured(data.colour(&claim.receiver)),
        Cell::text(&claim.set),
        Cell::text(format!("{}, {}", claim.endpoint.replace('_', " "), claim.suite)),
        Cell::number(
            format!("{} ({})", scale.difference(claim.effect), interval(scale, claim.ci_low, claim.ci_high)),
            claim.effect,
        ),
        p(claim.p_zero),
        p(claim.p_controls),
        p(claim.p_corrected),
        Cell::text(format!("{} of {}", claim.controls, claim.needed_controls)),
        claim.widening.map_or_else(
            || Cell::text("copies"),
            |widening| Cell::number(format!("{widening:.2}"), widening),
        ),
    ]
}
