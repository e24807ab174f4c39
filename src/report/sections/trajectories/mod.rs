//! How each suite moves along training, and the variants beside each other where they can be compared:
//! at matched in-domain gain, at matched updates, and at the end.

mod comparison;
mod curve;
mod dips;
mod seeds;

pub(super) use comparison::value;
pub(super) use curve::{legend, panel};
pub(super) use dips::over_runs;

use crate::error::Result;
use crate::evaluation::EvaluationRow;
use crate::report::data::Data;
use crate::report::figure::Figure;
use crate::report::panel::Panel;
use crate::report::scale::Scale;
use crate::report::view::{Block, Section};
use crate::tasks::Suite;

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("trajectories", "Along training");
    if data.evaluations.is_empty() {
        return Ok(Section::absent(id, title, "evaluations"));
    }
    let suites = data.suites();
    let mut panels: Vec<Panel> = suites
        .iter()
        .filter_map(|suite| {
            panel(data, &format!("{suite} \u{b7} {}", data.role(suite)), &main_rows(data, suite))
        })
        .collect();
    panels.extend(log_odds(data));
    let caption = format!(
        "The main endpoint of each suite at every evaluated checkpoint, steps on a doubling scale. Bands are 95 % intervals, clustered by problem (n = {} problems a suite). A dip before a gain, or a loss after one, is seen here and not in a comparison of end points.",
        range(data),
    );
    let figure =
        Figure::new("trajectories-by-suite", "Trajectories", caption, &panels)?.with_legend(legend(data));
    let mut blocks = vec![Block::Figure(figure), Block::Table(comparison::sheet(data, &suites))];
    blocks.extend(dips::sheet(data).map(Block::Table));
    blocks.extend(seeds::blocks(data, &suites)?);
    blocks.extend(dips::over_seeds(data).map(Block::Table));
    Ok(Section::new(id, title, blocks))
}

/// The measured rows of a suite's main endpoint: its primary one, or for a suite that is not built in the
/// one that its rows name first.
pub(super) fn main_rows<'a>(data: &'a Data, suite: &str) -> Vec<&'a EvaluationRow> {
    let rows: Vec<&EvaluationRow> = measured(data).filter(|row| row.suite == suite).collect();
    let named =
        Suite::parse(suite).ok().and_then(|suite| suite.endpoints().first().map(|endpoint| endpoint.name));
    let Some(endpoint) = named.or(rows.first().map(|row| row.endpoint.as_str())) else { return rows };
    rows.into_iter().filter(|row| row.endpoint == endpoint).collect()
}

/// The rows of the measuring half, or those of all problems in a table that has no halves.
pub(super) fn measured(data: &Data) -> impl Iterator<Item = &EvaluationRow> {
    let halved = data.evaluations.iter().any(|row| row.half == "measure");
    data.evaluations
        .iter()
        .filter(move |row| if halved { row.half == "measure" } else { row.half != "select" })
}

fn range(data: &Data) -> String {
    let problems: Vec<u64> = measured(data).map(|row| row.problems).collect();
    match (problems.iter().min(), problems.iter().max()) {
        (Some(low), Some(high)) if low == high => low.to_string(),
        (Some(low), Some(high)) => format!("{low} to {high}"),
        _ => "no".to_owned(),
    }
}

/// The panels of endpoints in log-odds, which still move where a count is at its ceiling.
fn log_odds(data: &Data) -> Vec<Panel> {
    let mut panels = Vec::new();
    for suite in data.suites() {
        let rows: Vec<&EvaluationRow> = measured(data)
            .filter(|row| row.suite == suite && Scale::of(&row.endpoint) == Scale::Nats)
            .collect();
        panels.extend(panel(data, &format!("{suite} \u{b7} first word"), &rows));
    }
    panels
}
