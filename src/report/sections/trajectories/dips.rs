//! Dip and recovery along training, a row for each variant and suite.

use crate::evaluation::TrajectoryRow;
use crate::report::data::Data;
use crate::report::scale::Scale;
use crate::report::view::{Cell, Sheet};

const COLUMNS: [(&str, &str); 9] = [
    ("Variant", "The variant, all its checkpoints"),
    ("Suite", "Its name in the study"),
    ("Endpoint", "What is counted"),
    ("Dip#", "Base less the lowest checkpoint"),
    ("Recovered#", "The step at which base is reached again"),
    ("Gain#", "Last checkpoint less base"),
    ("Peak#", "Best checkpoint less base"),
    ("Decline#", "Best checkpoint less the last one"),
    ("Longest response#", "Tokens on average, where it was longest"),
];

/// The table, if the study has the statistics.
pub(super) fn sheet(data: &Data) -> Option<Sheet> {
    let first = data.trajectories.first()?;
    let caption = format!(
        "Dip and recovery. Differences with 95 % intervals by problem (n = {}), in percentage points or nats; the step, after @, was chosen on the selecting half and measured on the other.",
        first.problems,
    );
    let mut sheet = Sheet::new("dips", caption, &COLUMNS).sortable();
    let mut curves: Vec<(&str, &str, &str)> = Vec::new();
    for row in &data.trajectories {
        let curve = (row.variant.as_str(), row.suite.as_str(), row.endpoint.as_str());
        if !curves.contains(&curve) {
            curves.push(curve);
        }
    }
    for (variant, suite, endpoint) in curves {
        let of = |statistic: &str| {
            data.trajectories.iter().find(|row| {
                (row.variant.as_str(), row.suite.as_str(), row.endpoint.as_str())
                    == (variant, suite, endpoint)
                    && row.statistic == statistic
            })
        };
        let scale = Scale::of(endpoint);
        sheet.rows.push(vec![
            Cell::text(variant).coloured(data.colour(variant)),
            Cell::text(suite),
            Cell::text(endpoint.replace('_', " ")),
            difference(of("dip"), scale),
            recovery(of("recovery")),
            difference(of("gain"), scale),
            difference(of("peak"), scale),
            difference(of("decline"), scale),
            longest(of("longest_response")),
        ]);
    }
    Some(sheet)
}

fn difference(row: Option<&TrajectoryRow>, scale: Scale) -> Cell {
    let Some((row, value)) = row.and_then(|row| Some((row, row.value?))) else { return Cell::text("n/a") };
    let interval = row
        .ci_low
        .zip(row.ci_high)
        .map_or_else(String::new, |(low, high)| format!(" [{}]", scale.interval(low, high)));
    let step = row.step.map_or_else(String::new, |step| format!(" @{step}"));
    Cell::number(format!("{}{interval}{step}", scale.difference(value)), value)
}

fn longest(row: Option<&TrajectoryRow>) -> Cell {
    let Some((row, value)) = row.and_then(|row| Some((row, row.value?))) else { return Cell::text("n/a") };
    let interval = row
        .ci_low
        .zip(row.ci_high)
        .map_or_else(String::new, |(low, high)| format!(" [{low:.0} to {high:.0}]"));
    let step = row.step.map_or_else(String::new, |step| format!(" @{step}"));
    Cell::number(format!("{value:.0}{interval}{step}"), value)
}

fn recovery(row: Option<&TrajectoryRow>) -> Cell {
    match row.map(|row| row.value) {
        None => Cell::text("n/a"),
        Some(None) => Cell::text("never"),
        Some(Some(step)) => Cell::number(format!("@{step:.0}"), step),
    }
}
