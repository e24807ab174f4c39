//! One declared set on a line with the clouds of its controls.

use super::{cloud, controls, interval, look, room, unmatched, whole};
use crate::experiments::{ControlRow, EffectRow};
use crate::report::axis::Axis;
use crate::report::data::Data;
use crate::report::marks::{Anchor, Mark};
use crate::report::palette::{AXIS, GREY, MUTED};
use crate::report::panel::Panel;
use crate::report::scale::Scale;
use crate::report::sections::finding::act;
use std::collections::BTreeMap;

/// The panel of a declared row.
pub(super) fn panel(data: &Data, row: &EffectRow) -> Panel {
    let scale = Scale::of(&row.endpoint);
    let mut clouds: BTreeMap<&str, Vec<&ControlRow>> = BTreeMap::new();
    for control in controls(data, row) {
        clouds.entry(&control.cloud).or_default().push(control);
    }
    let (low, high) = interval(data, row);
    let effects = clouds.values().flatten().map(|control| control.effect);
    let reach = effects.chain([low, high, row.effect, 0.0]).chain(whole(row));
    let x = Axis::around(scale.unit(), reach, scale.format());
    let names: Vec<String> =
        clouds.keys().map(|cloud| cloud.replace('_', " ")).chain(["declared set".to_owned()]).collect();
    let measured = format!(
        "{} on {}, baseline {}",
        row.endpoint.replace('_', " "),
        row.suite,
        scale.level(row.baseline)
    );
    let y = Axis::names(&measured, names.iter().map(String::as_str));
    let mut marks = beyond(row, &x, &y);
    marks.push(Mark::Position { x: 0.0, colour: AXIS, dashed: false, label: String::new() });
    marks.extend(whole(row).map(|x| Mark::Position { x, colour: MUTED, dashed: true, label: String::new() }));
    for (line, draws) in clouds.values().enumerate() {
        let at = |matched: bool| {
            let of_kind = draws.iter().enumerate().filter(move |(_, control)| control.matched == matched);
            of_kind.map(|(draw, control)| (control.effect, line as f64 + jitter(draw))).collect()
        };
        marks.push(unmatched(at(false)));
        marks.push(cloud(at(true)));
    }
    let (colour, shape) = look(data, &row.hypothesis);
    let at = (row.effect, clouds.len() as f64);
    let number = scale.difference(row.effect);
    marks.push(Mark::Across { low, high, y: at.1, colour });
    marks.push(Mark::Points { points: vec![at], colour, shape, radius: 5.2, opacity: 1.0, hollow: false });
    let above = (at.0, at.1 + 0.08);
    marks.push(Mark::Text { at: above, text: number.clone(), colour, anchor: Anchor::Above });
    let hint = format!("{}: {number} ({})", act(row), scale.interval(low, high));
    marks.push(Mark::Hint { at, text: hint });
    let height = 110 + 40 * names.len() as u32;
    Panel { size: (380, height), ..Panel::new(&row.hypothesis, x, y, marks) }
}

/// Shades what lies beyond the room that the baseline leaves.
fn beyond(row: &EffectRow, x: &Axis, y: &Axis) -> Vec<Mark> {
    let (least, greatest) = room(row);
    let sides = [(x.low, least), (greatest, x.high)].into_iter().filter(|(from, to)| from < to);
    sides
        .map(|(from, to)| Mark::Region { from: (from, y.low), to: (to, y.high), colour: GREY, opacity: 0.16 })
        .collect()
}

/// Spreads overlapping points up and down: a fixed low-discrepancy sequence, the same in every drawing.
fn jitter(draw: usize) -> f64 {
    ((draw as f64 * 0.618_033_988_75).fract() - 0.5) * 0.56
}
