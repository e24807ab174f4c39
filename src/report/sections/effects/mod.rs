//! The picture that deltascope exists for: what each edit does to transfer and to safety, one plane per
//! receiver, every declared set beside its matched controls.

mod cut_off;
mod doses;
mod plane;
mod sheet;
mod strip;

use crate::error::Result;
use crate::experiments::{ControlRow, EffectRow};
use crate::report::data::Data;
use crate::report::figure::{Figure, Key, Sign};
use crate::report::marks::{Mark, Shape};
use crate::report::palette::{Colour, GREEN, GREY, MUTED, ORANGE, PURPLE, SLATE, VERMILLION};
use crate::report::panel::Panel;
use crate::report::scale::Scale;
use crate::report::view::{Block, Section};

/// Whether a row is of the condition that a hypothesis declares, on whatever suite: not one of its ceilings,
/// doses, or repetitions in another receiver.
fn is_declared_set(row: &EffectRow) -> bool {
    !matches!(row.kind.as_str(), "ceiling" | "exploratory")
}

/// The colours of declared sets, in the order of the hypotheses.
const SETS: [Colour; 4] = [VERMILLION, GREEN, PURPLE, ORANGE];

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("effects", "What the edits do");
    if data.effects.is_empty() {
        return Ok(Section::absent(id, title, "effects"));
    }
    let mut blocks = Vec::new();
    let strips: Vec<Panel> =
        data.effects.iter().filter(|row| row.declared).map(|row| strip::panel(data, row)).collect();
    if !strips.is_empty() {
        let caption = "Each declared set against its matched controls, on the endpoint that it was declared on. A grey point is a control set, hollow where it is not matched; each row of them is one way of drawing controls. Where they are alike they are widened about their mean before the set is ranked, which is not drawn. The coloured interval is simultaneous over hypotheses. Dashed: the whole activation exchanged. Shaded: beyond what the baseline leaves room for.";
        let figure = Figure::new("control-strips", "Declared sets among their controls", caption, &strips)?;
        blocks.push(Block::Figure(figure));
    }
    blocks.extend(doses::figure(data)?.map(Block::Figure));
    blocks.extend(cut_off::cautions(data));
    blocks.push(Block::Table(sheet::sheet(data)));
    Ok(Section::new(id, title, blocks))
}

/// The picture itself, which stands on top of the page. `None` where nothing was measured on both axes.
pub(super) fn planes(data: &Data) -> Result<Option<Figure>> {
    let planes: Vec<Panel> =
        receivers(data).iter().filter_map(|receiver| plane::panel(data, receiver)).collect();
    if planes.is_empty() {
        return Ok(None);
    }
    let caption = format!(
        "Effect of an edit on transfer (across) against its effect on safety (up), one plane per edited variant. Large points: every declared set, with 95 % intervals that hold for all declared hypotheses at once. Small points along an axis: the set’s control sets, same edit, same random numbers, on that axis alone, since every axis has control sets of its own; filled where they are matched there, hollow where they are not, which then support no claim. Large and hollow: other doses and other edits, exploratory, which carry no claim. Dashed: what exchanging the whole activation does. Shaded: beyond what the baseline leaves room for. A set matters on an axis only where it leaves both the zero line and the points along that axis; n = {} problems.",
        problems(data),
    );
    let figure = Figure::new("effect-planes", "Transfer against safety", caption, &planes)?;
    Ok(Some(figure.with_legend(legend(data))))
}

/// The edited variants, those of declared hypotheses first.
fn receivers(data: &Data) -> Vec<&str> {
    let mut receivers: Vec<&str> = Vec::new();
    let declared = data.effects.iter().filter(|row| row.declared);
    for row in declared.chain(&data.effects) {
        if !receivers.contains(&row.receiver.as_str()) {
            receivers.push(&row.receiver);
        }
    }
    receivers
}

fn hypotheses(data: &Data) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in data.effects.iter().filter(|row| is_declared_set(row)) {
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
    legend.push(Key::new("exploratory", SLATE, Sign::HollowPoint(Shape::Circle)));
    legend.push(Key::new("whole activation exchanged", MUTED, Sign::DashedLine));
    legend
}

/// The interval of a row: the claim's simultaneous one where the claim has one for it.
fn interval(data: &Data, row: &EffectRow) -> (f64, f64) {
    let claim = data.claims.iter().find(|claim| claim.hypothesis == row.hypothesis && is_declared_set(row));
    let simultaneous = claim.and_then(|claim| {
        let is_other =
            claim.other_suite.as_ref() == Some(&row.suite) && claim.other_effect == Some(row.effect);
        match (row.declared, is_other) {
            (true, _) => claim.ci_low.zip(claim.ci_high),
            (false, true) => claim.other_ci_low.zip(claim.other_ci_high),
            (false, false) => None,
        }
    });
    simultaneous.unwrap_or((row.ci_low, row.ci_high))
}

/// The control sets that stand beside a row.
pub(in crate::report::sections) fn controls<'a>(
    data: &'a Data,
    row: &'a EffectRow,
) -> impl Iterator<Item = &'a ControlRow> {
    data.controls.iter().filter(|control| {
        control.hypothesis == row.hypothesis
            && control.condition == row.condition
            && control.suite == row.suite
            && control.endpoint == row.endpoint
    })
}

/// What exchanging the whole activation does: the most that any set could do.
fn whole(row: &EffectRow) -> Option<f64> {
    row.ceiling.map(|ceiling| ceiling - row.baseline)
}

/// The effects that the baseline leaves room for.
fn room(row: &EffectRow) -> (f64, f64) {
    let (least, greatest) = Scale::of(&row.endpoint).bounds();
    (least - row.baseline, greatest - row.baseline)
}

/// A cloud of control sets.
fn cloud(points: Vec<(f64, f64)>) -> Mark {
    Mark::Points { points, colour: GREY, shape: Shape::Circle, radius: 2.4, opacity: 0.6, hollow: false }
}

/// Control sets that do not match, and so do not count.
fn unmatched(points: Vec<(f64, f64)>) -> Mark {
    Mark::Points { points, colour: GREY, shape: Shape::Circle, radius: 2.0, opacity: 0.6, hollow: true }
}

fn problems(data: &Data) -> String {
    let problems = || data.effects.iter().map(|row| row.problems);
    match (problems().min(), problems().max()) {
        (Some(low), Some(high)) if low != high => format!("{low} to {high}"),
        (Some(low), _) => low.to_string(),
        _ => "0".to_owned(),
    }
}
