//! How each suite moves along training, and the variants beside each other where they can be compared:
//! at matched in-domain gain, at matched updates, and at the end.

use crate::error::Result;
use crate::evaluation::EvaluationRow;
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::figure::{Figure, Key, Sign};
use crate::report::marks::{Mark, Shape};
use crate::report::numbers::percent;
use crate::report::palette::SLATE;
use crate::report::panel::Panel;
use crate::report::scale::Scale;
use crate::report::view::{Block, Cell, Section, Sheet};
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
    Ok(Section::new(id, title, vec![Block::Figure(figure), Block::Table(comparison(data, &suites))]))
}

/// The variants' colours and outlines.
pub(super) fn legend(data: &Data) -> Vec<Key> {
    let mut legend: Vec<Key> = data
        .trained()
        .zip(Shape::ALL.iter().cycle())
        .map(|(variant, shape)| Key::new(&variant.name, data.colour(&variant.name), Sign::Point(*shape)))
        .collect();
    legend.push(Key::new(format!("{} (before training)", data.base()), SLATE, Sign::DashedLine));
    legend
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

/// One endpoint of a suite along the checkpoints of every variant.
pub(super) fn panel(data: &Data, title: &str, rows: &[&EvaluationRow]) -> Option<Panel> {
    let endpoint = rows.first()?.endpoint.clone();
    let scale = Scale::of(&endpoint);
    let x =
        Axis::steps("step", rows.iter().filter(|row| row.variant != data.base()).map(|row| row.checkpoint));
    let mut marks = Vec::new();
    if let Some(base) = rows.iter().find(|row| row.variant == data.base())
        && let Some(value) = base.value
    {
        if let (Some(low), Some(high)) = (base.ci_low, base.ci_high) {
            let (from, to) = ((x.low, low), (x.high, high));
            marks.push(Mark::Region { from, to, colour: SLATE, opacity: 0.10 });
        }
        marks.push(Mark::Level { y: value, colour: SLATE, dashed: true, label: String::new() });
    }
    for (variant, shape) in data.trained().zip(Shape::ALL.iter().cycle()) {
        let colour = data.colour(&variant.name);
        let mut mine: Vec<&&EvaluationRow> =
            rows.iter().filter(|row| row.variant == variant.name && row.checkpoint > 0).collect();
        mine.sort_by_key(|row| row.checkpoint);
        let points: Vec<(f64, f64)> =
            mine.iter().filter_map(|row| row.value.map(|value| (row.checkpoint as f64, value))).collect();
        let band =
            mine.iter().filter_map(|row| Some((row.checkpoint as f64, row.ci_low?, row.ci_high?))).collect();
        marks.push(Mark::Band { points: band, colour, opacity: 0.14 });
        marks.push(Mark::Line { points: points.clone(), colour, width: 2.0, dashed: false });
        for (step, value) in &points {
            let text = format!("{}@{step}: {}", variant.name, scale.level(*value));
            marks.push(Mark::Hint { at: (*step, *value), text });
        }
        marks.push(Mark::Points { points, colour, shape: *shape, radius: 3.2, opacity: 1.0, hollow: false });
    }
    let words = endpoint.replace('_', " ");
    let y = match scale {
        Scale::Share => Axis::fixed(&format!("{words}, %"), 0.0, 1.03, Format::Percent),
        Scale::LogOdds => Axis::around(&format!("{words}, nats"), reach(rows), Format::Number),
        Scale::Count => Axis::from_zero(&words, reach(rows), Format::Number),
    };
    Some(Panel::new(title, x, y, marks))
}

/// Every value and every end of an interval.
fn reach<'a>(rows: &'a [&EvaluationRow]) -> impl Iterator<Item = f64> + 'a {
    rows.iter().flat_map(|row| [row.value, row.ci_low, row.ci_high]).flatten()
}

/// The panels of endpoints in log-odds, which still move where a count is at its ceiling.
fn log_odds(data: &Data) -> Vec<Panel> {
    let mut panels = Vec::new();
    for suite in data.suites() {
        let rows: Vec<&EvaluationRow> = measured(data)
            .filter(|row| row.suite == suite && Scale::of(&row.endpoint) == Scale::LogOdds)
            .collect();
        panels.extend(panel(data, &format!("{suite} \u{b7} first word"), &rows));
    }
    panels
}

/// A checkpoint to compare, and why it is in the table.
struct Stand<'a> {
    why: &'static str,
    variant: &'a str,
    checkpoint: u64,
}

/// The checkpoints at which variants are compared.
fn stands(data: &Data) -> Vec<Stand<'_>> {
    let last = |name: &str| {
        data.evaluations.iter().filter(|row| row.variant == name).map(|row| row.checkpoint).max()
    };
    let mut stands = Vec::new();
    let base = data.base();
    if let Some(checkpoint) = last(base) {
        stands.push(Stand { why: "before", variant: base, checkpoint });
    }
    for name in &data.facts.matched {
        if let Some((variant, checkpoint)) = name.split_once('@')
            && let Ok(checkpoint) = checkpoint.parse()
        {
            stands.push(Stand { why: "matched gain", variant, checkpoint });
        }
    }
    let updates = data
        .trained()
        .filter_map(|variant| Some(last(&variant.name)? * variant.updates_per_step.max(1)))
        .min();
    for variant in data.trained() {
        let checkpoints =
            data.evaluations.iter().filter(|row| row.variant == variant.name).map(|row| row.checkpoint);
        let wanted = updates.unwrap_or(0) / variant.updates_per_step.max(1);
        if let Some(checkpoint) = checkpoints.min_by_key(|checkpoint| checkpoint.abs_diff(wanted)) {
            stands.push(Stand { why: "matched updates", variant: &variant.name, checkpoint });
        }
    }
    for variant in data.trained() {
        if let Some(checkpoint) = last(&variant.name) {
            stands.push(Stand { why: "end", variant: &variant.name, checkpoint });
        }
    }
    stands
}

fn comparison(data: &Data, suites: &[String]) -> Sheet {
    let mut columns = vec![
        ("Compared at".to_owned(), "Why this checkpoint is in the table".to_owned()),
        ("Checkpoint".to_owned(), "Variant and step".to_owned()),
    ];
    let rows: Vec<Vec<&EvaluationRow>> = suites.iter().map(|suite| main_rows(data, suite)).collect();
    for (suite, rows) in suites.iter().zip(&rows) {
        let endpoint = rows.first().map_or("", |row| &row.endpoint);
        columns.push((format!("{suite}#"), format!("{endpoint}, {}", data.role(suite))));
    }
    let columns: Vec<(&str, &str)> =
        columns.iter().map(|(title, about)| (title.as_str(), about.as_str())).collect();
    let caption = "Variants side by side: the main endpoint of each suite in percent, with its 95 % interval. Matched gain: chosen on the selecting half for equal in-domain gain. Matched updates: the checkpoint nearest to the same number of optimiser updates. Equal updates are not equal gradient signal.";
    let mut sheet = Sheet::new("comparison", caption, &columns);
    for stand in stands(data) {
        let label = if stand.why == "before" {
            stand.variant.to_owned()
        } else {
            format!("{}@{}", stand.variant, stand.checkpoint)
        };
        let mut cells = vec![Cell::text(stand.why), Cell::text(label).coloured(data.colour(stand.variant))];
        cells.extend(rows.iter().map(|rows| {
            let row =
                rows.iter().find(|row| row.variant == stand.variant && row.checkpoint == stand.checkpoint);
            row.map_or_else(|| Cell::text("n/a"), |row| value(row))
        }));
        sheet.rows.push(cells);
    }
    sheet
}

/// A share with its interval: `38 % [34–42]`.
pub(super) fn value(row: &EvaluationRow) -> Cell {
    let Some(value) = row.value else { return Cell::text("n/a") };
    let text = match (row.ci_low, row.ci_high) {
        (Some(low), Some(high)) => {
            format!("{:.0} [{:.0}\u{2013}{:.0}]", value * 100.0, low * 100.0, high * 100.0)
        }
        _ => percent(value),
    };
    Cell::number(text, value)
}
