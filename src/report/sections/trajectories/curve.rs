//! One endpoint of one suite along the checkpoints of every variant.

use crate::evaluation::EvaluationRow;
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::figure::{Key, Sign};
use crate::report::marks::{Mark, Shape};
use crate::report::palette::{Colour, SLATE};
use crate::report::panel::Panel;
use crate::report::scale::Scale;

/// The variants' colours and outlines.
pub(in crate::report::sections) fn legend(data: &Data) -> Vec<Key> {
    let mut legend: Vec<Key> = data
        .trained()
        .zip(Shape::ALL.iter().cycle())
        .map(|(variant, shape)| Key::new(&variant.name, data.colour(&variant.name), Sign::Point(*shape)))
        .collect();
    legend.push(Key::new(format!("{} (before training)", data.base()), SLATE, Sign::DashedLine));
    legend
}

/// The panel of rows of one endpoint: curves over doubling steps, or, where no variant has steps (models
/// trained elsewhere), a point for each variant.
pub(in crate::report::sections) fn panel(data: &Data, title: &str, rows: &[&EvaluationRow]) -> Option<Panel> {
    let scale = Scale::of(&rows.first()?.endpoint);
    let steps: Vec<u64> = rows.iter().map(|row| row.checkpoint).filter(|step| *step > 0).collect();
    let names: Vec<&str> = data.facts.variants.iter().map(|variant| variant.name.as_str()).collect();
    let x = if steps.is_empty() {
        Axis::names("", names.iter().copied())
    } else {
        Axis::steps("step", steps.iter().copied())
    };
    let mut marks = Vec::new();
    if let Some(base) = rows.iter().find(|row| row.variant == data.base()) {
        marks.extend(level(base, &x));
    }
    for (variant, shape) in data.trained().zip(Shape::ALL.iter().cycle()) {
        let look = (data.colour(&variant.name), *shape);
        let place = names.iter().position(|name| *name == variant.name).unwrap_or(0) as f64;
        let mut mine: Vec<(f64, &EvaluationRow)> = rows
            .iter()
            .filter(|row| row.variant == variant.name)
            .filter(|row| steps.is_empty() || row.checkpoint > 0)
            .map(|row| (if steps.is_empty() { place } else { row.checkpoint as f64 }, *row))
            .collect();
        mine.sort_by_key(|(_, row)| row.checkpoint);
        marks.extend(curve(&mine, scale, look));
        if mine.is_empty() {
            let given = rows.iter().find(|row| row.variant == variant.name).and_then(|row| row.value);
            marks.extend(given.map(|y| Mark::Level {
                y,
                colour: look.0,
                dashed: false,
                label: variant.name.clone(),
            }));
        }
    }
    Some(Panel::new(title, x, height(rows, scale), marks))
}

/// The base as a dashed line with its interval.
fn level(base: &EvaluationRow, x: &Axis) -> Vec<Mark> {
    let Some(value) = base.value else { return Vec::new() };
    let interval = base.ci_low.zip(base.ci_high).map(|(low, high)| {
        let (from, to) = ((x.low, low), (x.high, high));
        Mark::Region { from, to, colour: SLATE, opacity: 0.10 }
    });
    let line = Mark::Level { y: value, colour: SLATE, dashed: true, label: String::new() };
    interval.into_iter().chain([line]).collect()
}

/// A variant's line, with the band of its intervals.
fn curve(rows: &[(f64, &EvaluationRow)], scale: Scale, (colour, shape): (Colour, Shape)) -> Vec<Mark> {
    let points: Vec<(f64, f64)> =
        rows.iter().filter_map(|(place, row)| row.value.map(|value| (*place, value))).collect();
    let band: Vec<(f64, f64, f64)> =
        rows.iter().filter_map(|(place, row)| Some((*place, row.ci_low?, row.ci_high?))).collect();
    let mut marks = match band.as_slice() {
        [(x, low, high)] => vec![Mark::Upright { x: *x, low: *low, high: *high, colour }],
        _ => vec![Mark::Band { points: band, colour, opacity: 0.14 }],
    };
    marks.push(Mark::Line { points: points.clone(), colour, width: 2.0, dashed: false });
    marks.extend(rows.iter().filter_map(|(place, row)| {
        let value = row.value?;
        let text = format!("{}@{}: {}", row.variant, row.checkpoint, scale.level(value));
        Some(Mark::Hint { at: (*place, value), text })
    }));
    marks.push(Mark::Points { points, colour, shape, radius: 3.2, opacity: 1.0, hollow: false });
    marks
}

/// The axis of values: shares always run from none to all, so that panels can be compared.
fn height(rows: &[&EvaluationRow], scale: Scale) -> Axis {
    let words = rows.first().map_or_else(String::new, |row| row.endpoint.replace('_', " "));
    let reach = rows.iter().flat_map(|row| [row.value, row.ci_low, row.ci_high]).flatten();
    match scale {
        Scale::Share => Axis::fixed(&format!("{words}, %"), 0.0, 1.03, Format::Percent),
        Scale::Nats => Axis::around(&format!("{words}, nats"), reach, Format::Number),
        Scale::Count => Axis::from_zero(&words, reach, Format::Number),
    }
}
