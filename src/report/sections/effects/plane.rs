//! One receiver's plane: effect on transfer across, effect on safety up.
//!
//! The control sets of a set are drawn anew for each axis, to match it on that axis's suite: the fortieth of one
//! axis is another set than the fortieth of the other, and no point of the plane. So they stand as two marginals, one
//! along each axis.

use super::{controls, interval, is_declared_set, look, room, whole};
use crate::experiments::EffectRow;
use crate::report::axis::Axis;
use crate::report::data::Data;
use crate::report::marks::{Mark, Shape};
use crate::report::palette::{AXIS, GREY, MUTED, SLATE};
use crate::report::panel::Panel;
use crate::report::scale::Scale;
use crate::report::sections::finding::act;

/// One condition's effects on both axes.
struct Place<'a> {
    across: &'a EffectRow,
    up: &'a EffectRow,
}

/// The values that each axis must hold.
#[derive(Default)]
struct Reach {
    across: Vec<f64>,
    up: Vec<f64>,
}

/// The panel of a receiver, if anything was measured on both axes.
pub(super) fn panel(data: &Data, receiver: &str) -> Option<Panel> {
    let places = places(data, receiver)?;
    let first = places.first()?;
    let (mut back, mut front, mut reach) = (Vec::new(), Vec::new(), Reach::default());
    for place in &places {
        if is_declared_set(place.across) {
            declared(data, place, &mut front, &mut reach);
        } else if place.across.kind != "ceiling" {
            explored(place, &mut back, &mut reach);
        }
    }
    let whole_across = places.iter().find_map(|place| whole(place.across));
    let whole_up = places.iter().find_map(|place| whole(place.up));
    reach.across.extend(whole_across);
    reach.up.extend(whole_up);
    let x = axis(first.across, reach.across);
    let y = axis(first.up, reach.up);
    let mut marks = beyond(first, &x, &y);
    marks.push(Mark::Level { y: 0.0, colour: AXIS, dashed: false, label: String::new() });
    marks.push(Mark::Position { x: 0.0, colour: AXIS, dashed: false, label: String::new() });
    marks.extend(whole_across.map(|x| Mark::Position {
        x,
        colour: MUTED,
        dashed: true,
        label: String::new(),
    }));
    marks.extend(whole_up.map(|y| Mark::Level { y, colour: MUTED, dashed: true, label: String::new() }));
    marks.append(&mut back);
    let sets = places.iter().filter(|place| is_declared_set(place.across));
    for (line, place) in sets.enumerate() {
        marks.extend(margins(data, place, (&x, &y), line));
    }
    marks.append(&mut front);
    Some(Panel { size: (380, 340), ..Panel::new(receiver, x, y, marks) })
}

fn axis(row: &EffectRow, reach: Vec<f64>) -> Axis {
    let scale = Scale::of(&row.endpoint);
    let endpoint = row.endpoint.replace('_', " ");
    let baseline = scale.level(row.baseline);
    let label = format!("{endpoint} on {}, {} (baseline {baseline})", row.suite, scale.unit());
    Axis::around(&label, reach.into_iter().chain([0.0]), scale.format())
}

/// The rows that an axis shows: on the suite and endpoint declared for this receiver, or for another.
fn measure<'a>(data: &'a Data, receiver: &str, axis: &str) -> Option<(&'a str, &'a str)> {
    let rows = || data.effects.iter().filter(|row| row.axis == axis);
    rows()
        .find(|row| row.declared && row.receiver == receiver)
        .or_else(|| rows().find(|row| row.declared))
        .or_else(|| rows().find(|row| row.receiver == receiver))
        .map(|row| (row.suite.as_str(), row.endpoint.as_str()))
}

fn places<'a>(data: &'a Data, receiver: &str) -> Option<Vec<Place<'a>>> {
    let (across, up) = (measure(data, receiver, "transfer")?, measure(data, receiver, "safety")?);
    let on = |row: &EffectRow, measure: (&str, &str)| (row.suite.as_str(), row.endpoint.as_str()) == measure;
    let rows: Vec<&EffectRow> =
        data.effects.iter().filter(|row| row.receiver == receiver && !row.untestable).collect();
    let pair = |row: &&'a EffectRow| {
        let same = |other: &&&EffectRow| {
            other.condition == row.condition && other.hypothesis == row.hypothesis && on(other, up)
        };
        rows.iter().find(same).map(|up| Place { across: row, up })
    };
    Some(rows.iter().filter(|row| on(row, across)).filter_map(pair).collect())
}

fn explored(place: &Place<'_>, back: &mut Vec<Mark>, reach: &mut Reach) {
    let at = (place.across.effect, place.up.effect);
    let (colour, shape) = (SLATE, Shape::Circle);
    back.push(Mark::Points { points: vec![at], colour, shape, radius: 3.4, opacity: 1.0, hollow: true });
    back.push(Mark::Hint { at, text: hint(place) });
    reach.across.push(at.0);
    reach.up.push(at.1);
}

fn declared(data: &Data, place: &Place<'_>, front: &mut Vec<Mark>, reach: &mut Reach) {
    let at = (place.across.effect, place.up.effect);
    let (colour, shape) = look(data, &place.across.hypothesis);
    let ((left, right), (low, high)) = (interval(data, place.across), interval(data, place.up));
    reach.across.extend(controls(data, place.across).map(|control| control.effect).chain([left, right]));
    reach.up.extend(controls(data, place.up).map(|control| control.effect).chain([low, high]));
    front.push(Mark::Across { low: left, high: right, y: at.1, colour });
    front.push(Mark::Upright { x: at.0, low, high, colour });
    front.push(Mark::Points { points: vec![at], colour, shape, radius: 5.0, opacity: 1.0, hollow: false });
    front.push(Mark::Hint { at, text: hint(place) });
}

/// A set's control sets as points along the lower and the left edge, in the `line`-th row from it: filled where they
/// match, hollow where they do not. In the set's own colour, for a plane can hold several sets.
fn margins(data: &Data, place: &Place<'_>, (x, y): (&Axis, &Axis), line: usize) -> Vec<Mark> {
    let (colour, shape) = look(data, &place.across.hypothesis);
    let row = |axis: &Axis| axis.low + (axis.high - axis.low) * 0.025 * (line as f64 + 0.7);
    let (bottom, left) = (row(y), row(x));
    let points = |row: &EffectRow, matched: bool, at: &dyn Fn(f64) -> (f64, f64)| Mark::Points {
        points: controls(data, row)
            .filter(|control| control.matched == matched)
            .map(|control| at(control.effect))
            .collect(),
        colour,
        shape,
        radius: 2.0,
        opacity: 0.55,
        hollow: !matched,
    };
    let mut marks = Vec::new();
    for matched in [false, true] {
        marks.push(points(place.across, matched, &|effect| (effect, bottom)));
        marks.push(points(place.up, matched, &|effect| (left, effect)));
    }
    marks
}

/// Shades what lies beyond the room that the baselines leave.
fn beyond(place: &Place<'_>, x: &Axis, y: &Axis) -> Vec<Mark> {
    let ((left, right), (low, high)) = (room(place.across), room(place.up));
    let strips = [
        ((x.low, y.low), (left, y.high)),
        ((right, y.low), (x.high, y.high)),
        ((x.low, y.low), (x.high, low)),
        ((x.low, high), (x.high, y.high)),
    ];
    let visible = strips.into_iter().filter(|(from, to)| from.0 < to.0 && from.1 < to.1);
    visible.map(|(from, to)| Mark::Region { from, to, colour: GREY, opacity: 0.16 }).collect()
}

fn hint(place: &Place<'_>) -> String {
    let write = |row: &EffectRow| Scale::of(&row.endpoint).difference(row.effect);
    let (act, hypothesis) = (act(place.across), &place.across.hypothesis);
    let dose = place
        .across
        .dose
        .filter(|dose| *dose != 1.0)
        .map_or_else(String::new, |dose| format!(" at dose {dose}"));
    format!("{act}{dose} ({hypothesis}): transfer {}, safety {}", write(place.across), write(place.up))
}
