//! Dose series: whether more of an edit does more.

use crate::error::Result;
use crate::experiments::TrendRow;
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::figure::Figure;
use crate::report::marks::Mark;
use crate::report::numbers::p_is;
use crate::report::palette::AXIS;
use crate::report::panel::Panel;
use crate::report::scale::Scale;

/// The figure, where a hypothesis has a dose series on the suite and endpoint that it was declared on.
pub(super) fn figure(data: &Data) -> Result<Option<Figure>> {
    let panels: Vec<Panel> =
        data.trends.iter().filter(|row| is_declared(data, row)).filter_map(|row| panel(data, row)).collect();
    if panels.is_empty() {
        return Ok(None);
    }
    let caption = "Each declared set under growing doses of its edit, on the endpoint that it was declared on; dose 0 is no edit. The slope is the mean over problems of each problem\u{2019}s own, with a pointwise 95 % interval and a sign flip against no slope. Exploratory: no claim rests on it. Other suites are in tables/trends.parquet.";
    Ok(Some(Figure::new("dose-series", "Doses", caption, &panels)?))
}

fn is_declared(data: &Data, row: &TrendRow) -> bool {
    data.effects.iter().any(|effect| {
        effect.declared
            && effect.hypothesis == row.hypothesis
            && effect.suite == row.suite
            && effect.endpoint == row.endpoint
    })
}

fn panel(data: &Data, row: &TrendRow) -> Option<Panel> {
    let doses: Vec<f64> = serde_json::from_str(&row.doses).ok()?;
    let values: Vec<f64> = serde_json::from_str(&row.values).ok()?;
    let points: Vec<(f64, f64)> = doses.into_iter().zip(values).collect();
    let scale = Scale::of(&row.endpoint);
    let (colour, shape) = super::look(data, &row.hypothesis);
    let x = Axis::around("dose", points.iter().map(|point| point.0), Format::Number);
    let label = format!("{} on {}", row.endpoint.replace('_', " "), row.suite);
    let y = match scale {
        Scale::Share => Axis::fixed(&format!("{label}, %"), 0.0, 1.03, Format::Percent),
        _ => Axis::around(&label, points.iter().map(|point| point.1), Format::Number),
    };
    let unedited = points.iter().find(|point| point.0 == 0.0);
    let level =
        unedited.map(|point| Mark::Level { y: point.1, colour: AXIS, dashed: false, label: String::new() });
    let line = Mark::Line { points: points.clone(), colour, width: 2.0, dashed: false };
    let dots = Mark::Points { points, colour, shape, radius: 4.0, opacity: 1.0, hollow: false };
    let title = format!(
        "{}: {} per dose ({}), {}",
        row.hypothesis,
        scale.difference(row.slope),
        scale.interval(row.ci_low, row.ci_high),
        p_is(row.p)
    );
    Some(Panel::new(title, x, y, level.into_iter().chain([line, dots]).collect()))
}
