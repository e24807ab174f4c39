//! Dip and recovery along training, a row for each variant and suite: of one run, and over training seeds.

use crate::evaluation::{SeedTrajectoryRow, TrajectoryRow};
use crate::report::data::Data;
use crate::report::scale::Scale;
use crate::report::view::{Cell, Sheet};

const COLUMNS: [(&str, &str); 9] = [
    ("Variant", "The variant, all its checkpoints"),
    ("Suite", "Its name in the study"),
    ("Endpoint", "What is counted"),
    ("Lowest#", "Lowest checkpoint less base"),
    ("Recovered#", "The step at which base is reached again"),
    ("Gain#", "Last checkpoint less base"),
    ("Peak#", "Best checkpoint less base"),
    ("After the peak#", "Last checkpoint less the best one"),
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
            loss(of("dip"), scale),
            recovery(of("dip"), of("recovery")),
            difference(of("gain"), scale),
            difference(of("peak"), scale),
            loss(of("decline"), scale),
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

/// A statistic that counts a loss upwards, as the change that it is.
fn loss(row: Option<&TrajectoryRow>, scale: Scale) -> Cell {
    let flipped = row.cloned().map(|row| TrajectoryRow {
        value: row.value.map(|value| -value),
        ci_low: row.ci_high.map(|high| -high),
        ci_high: row.ci_low.map(|low| -low),
        ..row
    });
    difference(flipped.as_ref(), scale)
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

fn recovery(dip: Option<&TrajectoryRow>, row: Option<&TrajectoryRow>) -> Cell {
    let Some(row) = row else { return Cell::text("n/a") };
    if dip.and_then(|dip| dip.value).is_some_and(|dip| dip <= 0.0) {
        return Cell::text("no dip");
    }
    // An end that is missing is beyond the last step: those resamples never recover.
    let interval = row.ci_low.map_or_else(String::new, |low| {
        let high = row.ci_high.map_or_else(|| "never".to_owned(), |high| format!("@{high:.0}"));
        format!(" [@{low:.0} to {high}]")
    });
    match row.value {
        None => Cell::text(format!("never{interval}")),
        Some(step) => Cell::number(format!("@{step:.0}{interval}"), step),
    }
}

/// The same over training seeds, if variants were trained with several.
pub(super) fn over_seeds(data: &Data) -> Option<Sheet> {
    let first = data.seed_trajectories.first()?;
    let caption = format!(
        "Dip and recovery over training seeds. Means over runs (n = {} a variant) with 95 % intervals over runs, Student's t; each run at the steps that its own selecting half chose. Of recovery, in brackets how many runs fell and reached base again.",
        first.runs,
    );
    let mut sheet = Sheet::new("dips-over-seeds", caption, &COLUMNS).sortable();
    let same = |one: &SeedTrajectoryRow, other: &SeedTrajectoryRow| {
        (&one.variant, &one.suite, &one.endpoint) == (&other.variant, &other.suite, &other.endpoint)
    };
    for curve in data.seed_trajectories.chunk_by(same) {
        let [row, ..] = curve else { continue };
        let scale = Scale::of(&row.endpoint);
        let of = |statistic: &str| curve.iter().find(|row| row.statistic == statistic);
        let difference = |statistic| {
            over_runs(of(statistic), &|value| scale.difference(value), &|low, high| scale.interval(low, high))
        };
        let loss = |statistic| {
            over_runs(of(statistic), &|value| scale.difference(-value), &|low, high| {
                scale.interval(-high, -low)
            })
        };
        let plain = |statistic| {
            over_runs(of(statistic), &|value| format!("{value:.0}"), &|low, high| {
                format!("{low:.0} to {high:.0}")
            })
        };
        let recovery = match of("recovery") {
            Some(SeedTrajectoryRow { value: Some(step), seeds, runs, .. }) => {
                Cell::number(format!("@{step:.0} ({seeds} of {runs})"), *step)
            }
            Some(row) => Cell::text(format!("none of {}", row.runs)),
            None => Cell::text("n/a"),
        };
        sheet.rows.push(vec![
            Cell::text(&row.variant).coloured(data.colour(&row.variant)),
            Cell::text(&row.suite),
            Cell::text(row.endpoint.replace('_', " ")),
            loss("dip"),
            recovery,
            difference("gain"),
            difference("peak"),
            loss("decline"),
            plain("longest_response"),
        ]);
    }
    Some(sheet)
}

/// A mean over training runs with its interval.
pub(in crate::report::sections) fn over_runs(
    row: Option<&SeedTrajectoryRow>,
    number: &dyn Fn(f64) -> String,
    interval: &dyn Fn(f64, f64) -> String,
) -> Cell {
    let Some((row, value)) = row.and_then(|row| Some((row, row.value?))) else { return Cell::text("n/a") };
    let ends = row.ci_low.zip(row.ci_high);
    let ends = ends.map_or_else(String::new, |(low, high)| format!(" [{}]", interval(low, high)));
    Cell::number(format!("{}{ends}", number(value)), value)
}
