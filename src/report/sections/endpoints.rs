//! What the main endpoints are made of: persistence and first attempts in pass@1, and what becomes of
//! refusals.

use super::patterns;
use super::trajectories::{legend, main_rows, measured, panel, value};
use crate::error::Result;
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::figure::{Figure, Key, Sign};
use crate::report::marks::{Mark, Shape};
use crate::report::numbers::{percent, short};
use crate::report::palette::{BLUE, Colour, GREY, VERMILLION};
use crate::report::panel::Panel;
use crate::report::scale::Scale;
use crate::report::view::{Block, Cell, Section, Sheet};

/// What a response to a request can be, with its colour, from the bottom of a bar to its top.
const RESPONSES: [(&str, Colour); 3] = [("refuse", BLUE), ("comply", VERMILLION), ("other", GREY)];

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("endpoints", "What the scores are made of");
    if data.evaluations.is_empty() {
        return Ok(Section::absent(id, title, "evaluations"));
    }
    let mut blocks = Vec::new();
    let suites = data.suites();
    let requests: Vec<&String> = suites.iter().filter(|suite| has(data, suite, "refuse")).collect();
    let panels: Vec<Panel> = requests
        .iter()
        .flat_map(|suite| data.trained().filter_map(|variant| bars(data, suite, &variant.name)))
        .collect();
    if !panels.is_empty() {
        let legend = RESPONSES
            .iter()
            .map(|(name, colour)| Key::new(*name, *colour, Sign::Point(Shape::Square)))
            .collect();
        let caption = "Responses to requests as three counts, at every checkpoint from the base (0) on. A refusal that fades into fragments (other) is not a refusal that fades into compliance.";
        blocks.push(Block::Figure(
            Figure::new("responses", "Refuse, comply, other", caption, &panels)?.with_legend(legend),
        ));
    }
    let problems: Vec<&String> = suites.iter().filter(|suite| has(data, suite, "gave_up")).collect();
    let panels: Vec<Panel> = problems.iter().flat_map(|suite| lines(data, suite)).collect();
    if !panels.is_empty() {
        let caption = "What a pass is made of: how often a response gives up, how many attempts it makes, how often its first attempt is right, how often it falls back on the old rule. A gain that comes with fewer give-ups and unchanged first attempts is persistence, not new ability. Bands are 95 % intervals, clustered by problem.";
        blocks.push(Block::Figure(
            Figure::new("pass-parts", "Parts of pass", caption, &panels)?.with_legend(legend(data)),
        ));
    }
    blocks.extend(problems.into_iter().map(|suite| Block::Folded(parts(data, suite))));
    blocks.extend(patterns::block(data));
    Ok(Section::new(id, title, blocks))
}

fn has(data: &Data, suite: &str, endpoint: &str) -> bool {
    data.evaluations.iter().any(|row| row.suite == suite && row.endpoint == endpoint)
}

/// One panel for each part of a suite's pass.
fn lines(data: &Data, suite: &str) -> Vec<Panel> {
    let main = main_rows(data, suite).first().map(|row| row.endpoint.clone()).unwrap_or_default();
    let parts = endpoints(data, suite);
    let last = parts.iter().rev().find(|endpoint| is_pass_at_k(endpoint)).copied();
    let parts = parts
        .iter()
        .filter(|endpoint| **endpoint != main && (!is_pass_at_k(endpoint) || Some(**endpoint) == last));
    parts
        .filter_map(|endpoint| {
            let rows: Vec<_> =
                measured(data).filter(|row| row.suite == suite && row.endpoint == **endpoint).collect();
            panel(data, suite, &rows)
        })
        .collect()
}

/// Whether it is one of the estimates for several samples, of which one panel is enough.
fn is_pass_at_k(endpoint: &str) -> bool {
    endpoint.starts_with("pass_at_")
}

/// The endpoints of a suite in the order of the table.
fn endpoints<'a>(data: &'a Data, suite: &str) -> Vec<&'a str> {
    let mut endpoints: Vec<&str> = Vec::new();
    for row in measured(data).filter(|row| row.suite == suite) {
        if !endpoints.contains(&row.endpoint.as_str()) {
            endpoints.push(&row.endpoint);
        }
    }
    endpoints
}

/// The checkpoints of a variant on a suite, with the base as 0.
fn checkpoints(data: &Data, suite: &str, variant: &str) -> Vec<(String, u64)> {
    let mut steps: Vec<(String, u64)> = main_rows(data, suite)
        .iter()
        .filter(|row| row.variant == variant || row.variant == data.base())
        .map(|row| (row.variant.clone(), if row.variant == variant { row.checkpoint } else { 0 }))
        .collect();
    steps.sort_by_key(|(_, step)| *step);
    steps.dedup();
    steps
}

fn share(data: &Data, suite: &str, variant: &str, step: u64, endpoint: &str) -> Option<f64> {
    measured(data)
        .filter(|row| row.suite == suite && row.variant == variant && row.endpoint == endpoint)
        .find(|row| variant == data.base() || row.checkpoint == step)?
        .value
}

/// Stacked bars of one variant's responses, a bar a checkpoint.
fn bars(data: &Data, suite: &str, variant: &str) -> Option<Panel> {
    let steps = checkpoints(data, suite, variant);
    if steps.iter().all(|(owner, _)| owner != variant) {
        return None;
    }
    let labels: Vec<String> = steps.iter().map(|(_, step)| step.to_string()).collect();
    let mut marks = Vec::new();
    for (index, (owner, step)) in steps.iter().enumerate() {
        let (left, right) = (index as f64 - 0.36, index as f64 + 0.36);
        let mut bottom = 0.0;
        let mut words = Vec::new();
        for (endpoint, colour) in RESPONSES {
            let height = share(data, suite, owner, *step, endpoint).unwrap_or(0.0);
            if height > 0.0 {
                let (from, to) = ((left, bottom), (right, bottom + height));
                marks.push(Mark::Region {
                    from,
                    to,
                    colour,
                    opacity: if endpoint == "other" { 0.55 } else { 0.9 },
                });
            }
            words.push(format!("{endpoint} {}", percent(height)));
            bottom += height;
        }
        marks
            .push(Mark::Hint { at: (index as f64, 0.5), text: format!("step {step}: {}", words.join(", ")) });
    }
    let x = Axis::names("step", labels.iter().map(String::as_str));
    let y = Axis::fixed("% of responses", 0.0, 1.0, Format::Percent);
    Some(Panel::new(format!("{suite} · {variant}"), x, y, marks))
}

/// The parts of pass@1 along each variant's checkpoints.
fn parts(data: &Data, suite: &str) -> Sheet {
    let endpoints = endpoints(data, suite);
    let mut columns = vec![("Checkpoint".to_owned(), "Variant and step")];
    columns.extend(endpoints.iter().map(|endpoint| {
        (
            format!("{}#", endpoint.replace('_', " ")),
            "Percent with its 95 % interval; attempts are a mean count",
        )
    }));
    columns.push(("cut off#".to_owned(), "Completions that reached the limit of new tokens"));
    let columns: Vec<(&str, &str)> = columns.iter().map(|(title, about)| (title.as_str(), *about)).collect();
    let caption = format!(
        "Parts of pass on {suite}, in numbers. Percent with 95 % intervals; attempts and tokens are means per response.",
    );
    let mut sheet = Sheet::new(&format!("parts-{}", anchor(suite)), caption, &columns);
    for variant in &data.facts.variants {
        let mut steps: Vec<u64> = main_rows(data, suite)
            .iter()
            .filter(|row| row.variant == variant.name)
            .map(|row| row.checkpoint)
            .collect();
        steps.sort_unstable();
        for step in steps {
            let label = if variant.name == data.base() {
                variant.name.clone()
            } else {
                format!("{}@{step}", variant.name)
            };
            let mut cells = vec![Cell::text(label).coloured(data.colour(&variant.name))];
            let rows: Vec<_> = measured(data)
                .filter(|row| row.suite == suite && row.variant == variant.name && row.checkpoint == step)
                .collect();
            for endpoint in &endpoints {
                let row = rows.iter().find(|row| row.endpoint == *endpoint);
                cells.push(match row {
                    Some(row) if Scale::of(endpoint) != Scale::Share => {
                        row.value.map_or_else(|| Cell::text("n/a"), |mean| Cell::number(short(mean), mean))
                    }
                    Some(row) => value(row),
                    None => Cell::text("n/a"),
                });
            }
            let cut = rows.first().and_then(|row| row.truncated);
            cells.push(cut.map_or_else(|| Cell::text("n/a"), |share| Cell::number(percent(share), share)));
            sheet.rows.push(cells);
        }
    }
    sheet
}

/// A suite's name as an anchor.
fn anchor(suite: &str) -> String {
    suite.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' }).collect()
}
