//! Every measured edit as a row.

use super::{is_declared_set, whole};
use crate::experiments::EffectRow;
use crate::report::data::Data;
use crate::report::numbers::{p_value, percent, short};
use crate::report::scale::Scale;
use crate::report::sections::trajectories::main_rows;
use crate::report::view::{Cell, Sheet, Tone};

const COLUMNS: [(&str, &str); 17] = [
    ("Hypothesis", "The name in the study, or exploratory"),
    ("Kind", "Declared; the declared edit elsewhere (necessary, sufficient, other); ceiling; exploratory"),
    ("Receiver", "The variant whose forward pass is edited"),
    ("Set", "Features (how many), direction or head"),
    ("Edit", "What is done to it, and the dose"),
    ("Suite", "Where it is measured"),
    ("Endpoint", "What is counted"),
    ("Baseline#", "Without the edit"),
    ("Effect#", "Percentage points for shares, nats for log-odds"),
    ("95 % interval#", "Pointwise, clustered by problem"),
    ("p zero#", "Sign flip over problems"),
    ("p controls#", "Rank among matched controls, these widened by how alike they are"),
    ("Whole#", "Effect of exchanging the whole activation"),
    ("Fired, prompt#", "Share of prompt positions where the set was active"),
    ("Fired, response#", "Share of response positions where the set was active"),
    ("MDE#", "Smallest effect found with power .8; a dash where no problem changed, which measures no power"),
    ("Problems#", "The units of the interval and the test"),
];

/// The table of all effects, declared ones first.
pub(super) fn sheet(data: &Data) -> Sheet {
    let caption = "Measured edits, on the measuring half: declared sets on every endpoint, ceilings and exploratory edits on each suite\u{2019}s main one; all are in tables/effects.parquet. Intervals here are pointwise; only declared rows carry claims. MDE: the smallest effect that would have been found with power .8.";
    let mut sheet = Sheet::new("effects-table", caption, &COLUMNS).sortable();
    let mut rows: Vec<&EffectRow> = data.effects.iter().filter(|row| is_shown(data, row)).collect();
    rows.sort_by_key(|row| (!row.declared, !is_declared_set(row), row.kind != "ceiling"));
    sheet.rows = rows.into_iter().map(|row| cells(data, row)).collect();
    sheet
}

/// What is read: declared sets in full, whatever stands beside them on what each suite is about.
fn is_shown(data: &Data, row: &EffectRow) -> bool {
    let main = main_rows(data, &row.suite);
    is_declared_set(row) || main.first().is_none_or(|main| main.endpoint == row.endpoint)
}

/// What effects are sorted by: differences of shares, in order, around all that is in other units.
fn sorted_by(scale: Scale, effect: f64) -> f64 {
    if scale == Scale::Share { effect } else { effect * 1e-6 }
}

fn cells(data: &Data, row: &EffectRow) -> Vec<Cell> {
    let scale = Scale::of(&row.endpoint);
    let optional = |value: Option<f64>, write: &dyn Fn(f64) -> String| {
        value.map_or_else(|| Cell::text("\u{2013}"), |value| Cell::number(write(value), value))
    };
    let dose = row
        .dose
        .filter(|dose| *dose != 1.0)
        .map_or_else(String::new, |dose| format!(" \u{d7} {}", short(dose)));
    let effect = if row.untestable {
        Cell::text("untestable").toned(Tone::Open)
    } else {
        Cell::number(scale.difference(row.effect), sorted_by(scale, row.effect))
    };
    vec![
        Cell::text(&row.hypothesis),
        Cell::text(if row.declared { "declared" } else { &row.kind }),
        Cell::text(&row.receiver).coloured(data.colour(&row.receiver)),
        Cell::text(row.set_size.map_or_else(|| row.set.clone(), |size| format!("{} ({size})", row.set))),
        Cell::text(format!("{}{dose}", row.edit.replace('_', " "))),
        Cell::text(&row.suite),
        Cell::text(row.endpoint.replace('_', " ")),
        Cell::number(scale.level(row.baseline), row.baseline),
        effect,
        Cell::text(scale.interval(row.ci_low, row.ci_high)),
        Cell::number(p_value(row.p_zero), row.p_zero),
        optional(row.p_controls, &p_value),
        optional(whole(row), &|value| scale.difference(value)),
        optional(row.fired_prompt, &percent),
        optional(row.fired_response, &percent),
        optional(row.mde.filter(|mde| *mde > 0.0), &|value| scale.difference(value).replace('+', "")),
        Cell::number(row.problems.to_string(), row.problems as f64),
    ]
}
