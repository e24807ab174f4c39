//! The same study of several bases, side by side.

use super::trajectories::{main_rows, over_runs};
use crate::evaluation::SeedTrajectoryRow;
use crate::report::beside::Role;
use crate::report::data::Data;
use crate::report::scale::Scale;
use crate::report::view::{Block, Cell, Sheet};

/// What is compared: the end against base, and how far below base it fell on the way.
const STATISTICS: [(&str, &str); 2] = [("gain", "gain"), ("dip", "lowest")];

/// A row for each suite's main endpoint and variant, columns for each base, this study's last. Nothing where no other
/// study was asked for.
pub(super) fn blocks(data: &Data) -> Vec<Block> {
    let asked = data.facts.beside.iter().filter(|fact| fact.role == Role::Other);
    let missing: Vec<&str> =
        asked.filter(|fact| fact.problem.is_some()).map(|fact| fact.place.as_str()).collect();
    let mut blocks = Vec::new();
    if !missing.is_empty() {
        blocks.push(Block::Caution(format!("Not run yet, and not compared with: {}.", missing.join(", "))));
    }
    blocks.extend(sheet(data).map(Block::Table));
    blocks
}

fn sheet(data: &Data) -> Option<Sheet> {
    let own = &data.facts.base;
    let mut bases: Vec<&str> = Vec::new();
    for row in data.elsewhere.iter().filter(|row| row.base != *own) {
        if !bases.contains(&row.base.as_str()) {
            bases.push(&row.base);
        }
    }
    if bases.is_empty() {
        return None;
    }
    let headings: Vec<String> = bases
        .iter()
        .copied()
        .chain([own.as_str()])
        .flat_map(|base| STATISTICS.map(|(_, title)| format!("{}: {title}#", short(base))))
        .collect();
    let mut columns = vec![("Variant", "By its name in every study"), ("Suite", "What was asked")];
    let about = "Gain: the end less base. Lowest: the lowest point less base. Means over training seeds with 95 % intervals";
    columns.extend(headings.iter().map(|heading| (heading.as_str(), about)));
    let caption = "The same study of other bases. Points against each base\u{2019}s own score on each suite\u{2019}s main endpoint, on the measuring half. Bases differ in more than size where they were trained differently long.";
    let mut sheet = Sheet::new("elsewhere", caption, &columns);
    for suite in data.suites() {
        let Some(endpoint) = main_rows(data, &suite).first().map(|row| row.endpoint.clone()) else {
            continue;
        };
        for variant in data.trained() {
            let is_it = |row: &&SeedTrajectoryRow| {
                row.variant == variant.name && row.suite == suite && row.endpoint == endpoint
            };
            let of_base = |base: &str| -> Vec<&SeedTrajectoryRow> {
                let rows = data.elsewhere.iter().filter(|row| row.base == base).map(|row| &row.row);
                rows.filter(is_it).collect()
            };
            let own: Vec<&SeedTrajectoryRow> = data.seed_trajectories.iter().filter(is_it).collect();
            let studies = bases.iter().map(|base| of_base(base)).chain([own]);
            let mut cells =
                vec![Cell::text(&variant.name).coloured(data.colour(&variant.name)), Cell::text(&suite)];
            cells.extend(studies.flat_map(|rows| STATISTICS.map(|(statistic, _)| cell(&rows, statistic))));
            sheet.rows.push(cells);
        }
    }
    Some(sheet)
}

fn cell(rows: &[&SeedTrajectoryRow], statistic: &str) -> Cell {
    let row = rows.iter().copied().find(|row| row.statistic == statistic);
    let scale = row.map_or(Scale::Share, |row| Scale::of(&row.endpoint));
    match statistic {
        // The table counts a loss upwards.
        "dip" => over_runs(row, &|value| scale.difference(-value), &|low, high| scale.interval(-high, -low)),
        _ => over_runs(row, &|value| scale.difference(value), &|low, high| scale.interval(low, high)),
    }
}

/// The name of a base without how it was made.
fn short(base: &str) -> &str {
    base.split(',').next().unwrap_or(base)
}
