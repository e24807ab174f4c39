//! What training did to the scores, at a glance: the ground on which the claims stand.

use crate::report::data::Data;
use crate::report::scale::Scale;
use crate::report::sections::trajectories::{main_rows, measured};
use crate::report::view::{Cell, Sheet};

/// Endpoints of the in-domain suite that say what a gain is made of.
const PARTS: [&str; 2] = ["gave_up", "first_attempt"];

/// A row for each suite's main endpoint, a column for each variant at its last checkpoint. `None` where
/// nothing was trained or evaluated.
pub(super) fn sheet(data: &Data) -> Option<Sheet> {
    let models: Vec<(String, u64)> = std::iter::once(data.base().to_owned())
        .chain(data.trained().map(|variant| variant.name.clone()))
        .filter_map(|name| last_checkpoint(data, &name).map(|step| (name, step)))
        .collect();
    let mut rows = Vec::new();
    for suite in data.suites() {
        let Some(main) = main_rows(data, &suite).first().map(|row| row.endpoint.clone()) else { continue };
        let in_domain = data.facts.in_domain.contains(&suite);
        let parts = PARTS.iter().filter(|_| in_domain).map(|part| (*part).to_owned());
        for endpoint in std::iter::once(main).chain(parts) {
            let values: Vec<Option<f64>> =
                models.iter().map(|(name, step)| value(data, &suite, &endpoint, name, *step)).collect();
            if values.iter().any(Option::is_some) {
                rows.push(cells(&suite, &endpoint, &values));
            }
        }
    }
    if models.len() < 2 || rows.is_empty() {
        return None;
    }
    let labels: Vec<String> = models.iter().map(|(name, step)| format!("{}#", label(name, *step))).collect();
    let mut columns = vec![("Suite", "What was asked"), ("Endpoint", "What was counted")];
    columns.extend(labels.iter().map(|label| (label.as_str(), "Mean over problems, without any edit")));
    let caption = "What training did. Scores without any edit on the measuring half, at each variant's last \
                   checkpoint; the trajectories below have the intervals.";
    let mut sheet = Sheet::new("changes", caption, &columns);
    sheet.rows = rows;
    Some(sheet)
}

fn cells(suite: &str, endpoint: &str, values: &[Option<f64>]) -> Vec<Cell> {
    let scale = Scale::of(endpoint);
    let number = |value: &Option<f64>| match value {
        Some(value) => Cell::number(scale.level(*value), *value),
        None => Cell::text("\u{2013}"),
    };
    let mut cells = vec![Cell::text(suite), Cell::text(endpoint.replace('_', " "))];
    cells.extend(values.iter().map(number));
    cells
}

fn last_checkpoint(data: &Data, variant: &str) -> Option<u64> {
    data.evaluations.iter().filter(|row| row.variant == variant).map(|row| row.checkpoint).max()
}

fn label(variant: &str, step: u64) -> String {
    if step == 0 { variant.to_owned() } else { format!("{variant}@{step}") }
}

fn value(data: &Data, suite: &str, endpoint: &str, variant: &str, checkpoint: u64) -> Option<f64> {
    measured(data)
        .find(|row| {
            row.suite == suite
                && row.endpoint == endpoint
                && row.variant == variant
                && row.checkpoint == checkpoint
        })?
        .value
}
