//! The picture that deltascope exists for: what each edit does to transfer and to safety, one panel per
//! receiver, every declared set among its matched controls.

use super::finding::{act, interval};
use crate::error::Result;
use crate::experiments::{ControlRow, EffectRow};
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::figure::{Figure, Key, Sign};
use crate::report::marks::{Anchor, Mark, Shape};
use crate::report::numbers::{p_value, percent, points};
use crate::report::palette::{AXIS, Colour, GREEN, GREY, MUTED, PURPLE, SKY, SLATE, VERMILLION};
use crate::report::panel::Panel;
use crate::report::view::{Block, Cell, Section, Sheet, Tone};
use std::collections::BTreeMap;

/// A suite and an endpoint: what one axis of the plane measures.
type Measure<'a> = (&'a str, &'a str);

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("effects", "What the edits do");
    if data.effects.is_empty() {
        return Ok(Section::absent(id, title, "effects"));
    }
    let mut blocks = Vec::new();
    let planes: Vec<Panel> = receivers(data).iter().filter_map(|receiver| plane(data, receiver)).collect();
    if !planes.is_empty() {
        let caption = "Effect of an edit on transfer (across) against its effect on safety (up), in percentage points, one panel per edited variant. Large points: every declared set, with 95 % intervals (simultaneous over hypotheses on the axis that it was declared on, pointwise on the other). Small grey points: its matched control sets, under the same edit and random numbers. Hollow: exploratory edits, which carry no claim. Dashed: the effect of exchanging the whole activation, the most that any set could do. A set matters on an axis only if it leaves both the zero line and its cloud.";
        blocks.push(Block::Figure(
            Figure::new("effect-planes", "Transfer against safety", caption, &planes)?
                .with_legend(legend(data)),
        ));
    }
    let strips: Vec<Panel> =
        data.effects.iter().filter(|row| row.declared).filter_map(|row| strip(data, row)).collect();
    if !strips.is_empty() {
        let caption = "Each declared set against its matched controls, on the endpoint that it was declared on. One grey point is one control set; rows of points are the clouds that they were drawn from. The coloured interval is the simultaneous one. The shaded range lies beyond what the baseline leaves room for.";
        blocks.push(Block::Figure(Figure::new(
            "control-strips",
            "Declared sets among their controls",
            caption,
            &strips,
        )?));
    }
    blocks.push(Block::Table(sheet(data)));
    Ok(Section::new(id, title, blocks))
}

fn receivers(data: &Data) -> Vec<String> {
    let mut receivers: Vec<String> = Vec::new();
    let declared = data.effects.iter().filter(|row| row.hypothesis != EXPLORATORY);
    for row in declared.chain(&data.effects) {
        if !receivers.contains(&row.receiver) {
            receivers.push(row.receiver.clone());
        }
    }
    receivers
}

/// What undeclared conditions carry in the place of a hypothesis.
const EXPLORATORY: &str = "exploratory";

/// The measure of an axis in a receiver's panel: the declared one if there is one.
fn measure<'a>(data: &'a Data, receiver: &str, axis: &str) -> Option<Measure<'a>> {
    let rows = || data.effects.iter().filter(|row| row.axis == axis);
    rows()
        .find(|row| row.declared && row.receiver == receiver)
        .or_else(|| rows().find(|row| row.declared))
        .or_else(|| rows().find(|row| row.receiver == receiver))
        .map(|row| (row.suite.as_str(), row.endpoint.as_str()))
}

/// One condition's effects on both axes.
struct Place<'a> {
    across: &'a EffectRow,
    up: &'a EffectRow,
}

fn places<'a>(data: &'a Data, receiver: &str, across: Measure<'_>, up: Measure<'_>) -> Vec<Place<'a>> {
    let on = |row: &EffectRow, (suite, endpoint): Measure<'_>| row.suite == suite && row.endpoint == endpoint;
    let mine = || data.effects.iter().filter(|row| row.receiver == receiver);
    mine()
        .filter(|row| on(row, across))
        .filter_map(|row| {
            let partner = mine().find(|other| {
                other.condition == row.condition && other.hypothesis == row.hypothesis && on(other, up)
            })?;
            Some(Place { across: row, up: partner })
        })
        .collect()
}

/// The interval of a row: the claim's simultaneous one where the row was declared.
fn bounds(data: &Data, row: &EffectRow) -> (f64, f64) {
    let claim = data.claims.iter().find(|claim| row.declared && claim.hypothesis == row.hypothesis);
    match claim.map(|claim| (claim.ci_low, claim.ci_high)) {
        Some((Some(low), Some(high))) => (low, high),
        _ => (row.ci_low, row.ci_high),
    }
}

/// The effects of control sets on both measures, where both were taken.
fn cloud(data: &Data, place: &Place<'_>) -> Vec<(f64, f64)> {
    let on = |row: &&ControlRow, like: &EffectRow| {
        row.hypothesis == like.hypothesis
            && row.condition == like.condition
            && row.suite == like.suite
            && row.endpoint == like.endpoint
    };
    let up: BTreeMap<(&str, u64), f64> = data
        .controls
        .iter()
        .filter(|row| on(row, place.up))
        .map(|row| ((row.cloud.as_str(), row.draw), row.effect))
        .collect();
    data.controls
        .iter()
        .filter(|row| on(row, place.across))
        .filter_map(|row| Some((row.effect, *up.get(&(row.cloud.as_str(), row.draw))?)))
        .collect()
}

/// The colours of declared sets, in the order of the hypotheses: not those of variants.
const SETS: [Colour; 4] = [VERMILLION, GREEN, PURPLE, SKY];

fn hypotheses(data: &Data) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in data.effects.iter().filter(|row| row.hypothesis != EXPLORATORY) {
        if !names.contains(&row.hypothesis.as_str()) {
            names.push(&row.hypothesis);
        }
    }
    names
}

/// A hypothesis's colour and outline.
fn look(data: &Data, hypothesis: &str) -> (Colour, Shape) {
    let place = hypotheses(data).iter().position(|name| *name == hypothesis).unwrap_or(0);
    let colour = SETS.iter().cycle().nth(place).copied().unwrap_or(VERMILLION);
    (colour, Shape::ALL.iter().cycle().nth(place).copied().unwrap_or(Shape::Circle))
}

fn legend(data: &Data) -> Vec<Key> {
    let mut legend: Vec<Key> = hypotheses(data)
        .into_iter()
        .map(|name| {
            let (colour, shape) = look(data, name);
            Key::new(name, colour, Sign::Point(shape))
        })
        .collect();
    legend.push(Key::new("matched controls", GREY, Sign::Point(Shape::Circle)));
    legend.push(Key::new("exploratory", SLATE, Sign::HollowPoint(Shape::Circle)));
    legend.push(Key::new("whole activation exchanged", MUTED, Sign::DashedLine));
    legend
}

fn plane(data: &Data, receiver: &str) -> Option<Panel> {
    let across = measure(data, receiver, "transfer")?;
    let up = measure(data, receiver, "safety")?;
    let places = places(data, receiver, across, up);
    let first = places.first()?;
    let (mut clouds, mut points, mut reach_x, mut reach_y) = (Vec::new(), Vec::new(), vec![0.0], vec![0.0]);
    for place in &places {
        let at = (place.across.effect, place.up.effect);
        let hint = format!(
            "{} ({}): transfer {}, safety {}",
            act(place.across),
            place.across.hypothesis,
            self::points(at.0),
            self::points(at.1)
        );
        if place.across.hypothesis == EXPLORATORY {
            let (colour, shape) = (SLATE, Shape::Circle);
            points.insert(
                0,
                Mark::Points { points: vec![at], colour, shape, radius: 3.4, opacity: 1.0, hollow: true },
            );
            reach_x.push(at.0);
            reach_y.push(at.1);
        } else {
            let (colour, shape) = look(data, &place.across.hypothesis);
            let cloud = cloud(data, place);
            reach_x.extend(cloud.iter().map(|point| point.0));
            reach_y.extend(cloud.iter().map(|point| point.1));
            clouds.push(Mark::Points {
                points: cloud,
                colour: GREY,
                shape: Shape::Circle,
                radius: 2.2,
                opacity: 0.55,
                hollow: false,
            });
            let ((left, right), (low, high)) = (bounds(data, place.across), bounds(data, place.up));
            reach_x.extend([left, right]);
            reach_y.extend([low, high]);
            points.push(Mark::Across { low: left, high: right, y: at.1, colour });
            points.push(Mark::Upright { x: at.0, low, high, colour });
            points.push(Mark::Points {
                points: vec![at],
                colour,
                shape,
                radius: 5.0,
                opacity: 1.0,
                hollow: false,
            });
        }
        points.push(Mark::Hint { at, text: hint });
    }
    let mut marks = vec![
        Mark::Level { y: 0.0, colour: AXIS, dashed: false, label: String::new() },
        Mark::Position { x: 0.0, colour: AXIS, dashed: false, label: String::new() },
    ];
    if let Some(whole) = whole(first.across) {
        reach_x.push(whole);
        marks.push(Mark::Position { x: whole, colour: MUTED, dashed: true, label: String::new() });
    }
    if let Some(whole) = whole(first.up) {
        reach_y.push(whole);
        marks.push(Mark::Level { y: whole, colour: MUTED, dashed: true, label: String::new() });
    }
    marks.extend(clouds);
    marks.extend(points);
    let x = Axis::around(&format!("{} on {}, points", across.1, across.0), reach_x, Format::Points);
    let y = Axis::around(&format!("{} on {}, points", up.1, up.0), reach_y, Format::Points);
    let title = format!(
        "{receiver} · baseline {} and {}",
        percent(first.across.baseline),
        percent(first.up.baseline)
    );
    Some(Panel { size: (430, 380), ..Panel::new(title, x, y, marks) })
}

/// What exchanging the whole activation does: the most that any set could do.
fn whole(row: &EffectRow) -> Option<f64> {
    row.ceiling.map(|ceiling| ceiling - row.baseline)
}

/// One declared set and the clouds of its controls on a line.
fn strip(data: &Data, row: &EffectRow) -> Option<Panel> {
    let mut clouds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for control in &data.controls {
        if control.hypothesis == row.hypothesis
            && control.condition == row.condition
            && control.suite == row.suite
            && control.endpoint == row.endpoint
        {
            clouds.entry(&control.cloud).or_default().push(control.effect);
        }
    }
    let (low, high) = bounds(data, row);
    let (colour, shape) = look(data, &row.hypothesis);
    let names: Vec<String> =
        clouds.keys().map(|cloud| cloud.replace('_', " ")).chain(["declared set".to_owned()]).collect();
    let mut reach: Vec<f64> = clouds.values().flatten().copied().collect();
    reach.extend([low, high, row.effect, 0.0]);
    reach.extend(whole(row));
    let x = Axis::around("points", reach, Format::Points);
    let set = clouds.len() as f64;
    let mut marks = vec![Mark::Position { x: 0.0, colour: AXIS, dashed: false, label: String::new() }];
    for (from, to) in [(x.low, -row.baseline), (1.0 - row.baseline, x.high)] {
        if from < to {
            marks.push(Mark::Region { from: (from, -0.5), to: (to, set + 0.5), colour: GREY, opacity: 0.18 });
        }
    }
    if let Some(whole) = whole(row) {
        marks.push(Mark::Position { x: whole, colour: MUTED, dashed: true, label: "whole".to_owned() });
    }
    for (line, effects) in clouds.values().enumerate() {
        let points =
            effects.iter().enumerate().map(|(draw, effect)| (*effect, line as f64 + scatter(draw))).collect();
        marks.push(Mark::Points {
            points,
            colour: GREY,
            shape: Shape::Circle,
            radius: 2.6,
            opacity: 0.6,
            hollow: false,
        });
    }
    marks.push(Mark::Across { low, high, y: set, colour });
    marks.push(Mark::Points {
        points: vec![(row.effect, set)],
        colour,
        shape,
        radius: 5.2,
        opacity: 1.0,
        hollow: false,
    });
    marks.push(Mark::Text {
        at: (row.effect, set + 0.12),
        text: points(row.effect),
        colour,
        anchor: Anchor::Above,
    });
    marks.push(Mark::Hint {
        at: (row.effect, set),
        text: format!("{}: {} ({})", act(row), points(row.effect), interval(Some(low), Some(high))),
    });
    let measured = format!("{} on {}, baseline {}", row.endpoint, row.suite, percent(row.baseline));
    let y = Axis::names(&measured, names.iter().map(String::as_str));
    let height = 120 + 44 * names.len() as u32;
    Some(Panel { size: (430, height), ..Panel::new(&row.hypothesis, x, y, marks) })
}

/// Spreads overlapping points up and down: a fixed low-discrepancy sequence, the same in every drawing.
fn scatter(draw: usize) -> f64 {
    ((draw as f64 * 0.618_033_988_75).fract() - 0.5) * 0.56
}

fn sheet(data: &Data) -> Sheet {
    let caption = "Every measured edit. Effects are percentage points on the measuring half with pointwise 95 % intervals clustered by problem; the last column is the smallest effect that would have been found with power .8. Rows without a hypothesis are exploratory.";
    let mut sheet = Sheet::new(
        "effects-table",
        caption,
        &[
            ("Hypothesis", "The name in the study, or exploratory"),
            ("Receiver", "The variant whose forward pass is edited"),
            ("Set", "Features, direction or head"),
            ("Edit", "What is done to it, and the dose"),
            ("Suite", "Where it is measured"),
            ("Endpoint", "What is counted"),
            ("Baseline#", "Percent without the edit"),
            ("Effect#", "Percentage points"),
            ("95 % interval#", "Pointwise, clustered by problem"),
            ("p zero#", "Sign flip over problems"),
            ("p controls#", "Rank among matched controls"),
            ("Whole#", "Effect of exchanging the whole activation"),
            ("Fired, prompt#", "Share of prompt positions where the set was active"),
            ("Fired, response#", "Share of response positions where the set was active"),
            ("MDE#", "Smallest effect found with power .8"),
        ],
    )
    .sortable();
    let mut rows: Vec<&EffectRow> = data.effects.iter().collect();
    rows.sort_by_key(|row| (row.hypothesis == EXPLORATORY, !row.declared));
    for row in rows {
        let optional = |value: Option<f64>, write: fn(f64) -> String| {
            value.map_or_else(|| Cell::text("\u{2013}"), |value| Cell::number(write(value), value))
        };
        let dose = row.dose.map_or_else(String::new, |dose| format!(" {dose}"));
        sheet.rows.push(vec![
            Cell::text(if row.declared {
                format!("{} (declared)", row.hypothesis)
            } else {
                row.hypothesis.clone()
            }),
            Cell::text(&row.receiver).coloured(data.colour(&row.receiver)),
            Cell::text(row.set_size.map_or_else(|| row.set.clone(), |size| format!("{} ({size})", row.set))),
            Cell::text(format!("{}{dose}", row.edit.replace('_', " "))),
            Cell::text(&row.suite),
            Cell::text(row.endpoint.replace('_', " ")),
            Cell::number(percent(row.baseline), row.baseline),
            if row.untestable {
                Cell::text("untestable").toned(Tone::Open)
            } else {
                Cell::number(points(row.effect), row.effect)
            },
            Cell::text(interval(Some(row.ci_low), Some(row.ci_high))),
            Cell::number(p_value(row.p_zero), row.p_zero),
            optional(row.p_controls, p_value),
            optional(whole(row), points),
            optional(row.fired_prompt, percent),
            optional(row.fired_response, percent),
            optional(row.mde, |mde| format!("{:.1}", mde * 100.0)),
        ]);
    }
    sheet
}
