//! Whether the dictionary is fit for the question: what it explains of each variant and of each
//! difference from base.

use crate::error::Result;
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::figure::{Figure, Key, Sign};
use crate::report::marks::{Mark, Shape};
use crate::report::numbers::{percent, short};
use crate::report::palette::{MUTED, SLATE};
use crate::report::panel::Panel;
use crate::report::rows::Fitness;
use crate::report::view::{Block, Cell, Section, Sheet, Tone};

/// Below this share of a difference's variance, nothing is said about absence or share of change.
const SPEAKS_OF_CHANGE: f64 = 0.5;
/// The share of a variant's variance that a dictionary should explain.
const EXPLAINS: f64 = 0.8;

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("dictionary", "Is the dictionary fit for it?");
    if data.fitness.is_empty() {
        return Ok(Section::absent(id, title, "dictionaries"));
    }
    let caption = "Fraction of variance explained (FVE) on held-out tokens. Filled: activations of a variant. Hollow: its difference from the base, which is what the question is about; a dictionary can explain a variant well and its difference badly. The dashed lines are the two thresholds of the protocol.";
    let legend = vec![
        Key::new("a variant", SLATE, Sign::Point(Shape::Circle)),
        Key::new("a difference from base", SLATE, Sign::HollowPoint(Shape::Diamond)),
    ];
    let figure = Figure::new("fitness", "Variance explained", caption, &[panel(data)])?.with_legend(legend);
    let mut blocks = vec![Block::Figure(figure), Block::Table(sheet(data))];
    for row in data.fitness.iter().filter(|row| is_difference(row)) {
        if row.fve.is_some_and(|fve| fve < SPEAKS_OF_CHANGE) {
            blocks.push(Block::Caution(format!(
                "The dictionary explains {} of the difference {}, less than {}: nothing is claimed about features that are absent there, or about the share of the change that features carry.",
                row.fve.map_or_else(String::new, percent),
                spoken(&row.target),
                percent(SPEAKS_OF_CHANGE),
            )));
        }
    }
    Ok(Section::new(id, title, blocks))
}

fn is_difference(row: &Fitness) -> bool {
    row.target.contains('-')
}

/// A target with a true minus sign.
fn spoken(target: &str) -> String {
    target.replace('-', " \u{2212} ")
}

fn panel(data: &Data) -> Panel {
    let rows: Vec<&Fitness> = data.fitness.iter().rev().collect();
    let mut marks = vec![
        Mark::Position { x: EXPLAINS, colour: MUTED, dashed: true, label: "variants".to_owned() },
        Mark::Position { x: SPEAKS_OF_CHANGE, colour: MUTED, dashed: true, label: "differences".to_owned() },
    ];
    for (index, row) in rows.iter().enumerate() {
        let Some(fve) = row.fve else { continue };
        let hollow = is_difference(row);
        let colour = data.colour(row.target.split('-').next().unwrap_or(&row.target));
        let at = (fve.max(0.0), index as f64);
        let shape = if hollow { Shape::Diamond } else { Shape::Circle };
        marks.push(Mark::Points { points: vec![at], colour, shape, radius: 4.5, opacity: 1.0, hollow });
        marks.push(Mark::Hint { at, text: format!("{}: {}", row.target, short(fve)) });
    }
    let x = Axis::fixed("FVE, %", 0.0, 1.02, Format::Percent);
    let names: Vec<String> = rows.iter().map(|row| spoken(&row.target)).collect();
    let y = Axis::names("", names.iter().map(String::as_str));
    let height = 90 + 24 * rows.len() as u32;
    Panel { size: (460, height), ..Panel::new("Fraction of variance explained", x, y, marks) }
}

fn sheet(data: &Data) -> Sheet {
    let mut sheet = Sheet::new(
        "dictionary-table",
        "Fitness in numbers.",
        &[
            ("Of", "A variant, or its difference from base"),
            ("FVE#", "Fraction of variance explained, held-out tokens"),
            ("L0#", "Mean number of active features per token"),
            ("Dead#", "Features that never fire"),
            ("CE recovered#", "Share of the model's cross-entropy that splicing the reconstruction in keeps"),
            ("KL#", "Nats per token between the model and the spliced one"),
        ],
    );
    for row in &data.fitness {
        let number = |value: Option<f64>| {
            value.map_or_else(|| Cell::text("\u{2013}"), |value| Cell::number(short(value), value))
        };
        let limit = if is_difference(row) { SPEAKS_OF_CHANGE } else { EXPLAINS };
        let tone = if row.fve.is_some_and(|fve| fve < limit) { Tone::Open } else { Tone::Plain };
        sheet.rows.push(vec![
            Cell::text(spoken(&row.target))
                .coloured(data.colour(row.target.split('-').next().unwrap_or_default())),
            number(row.fve).toned(tone),
            number(row.l0),
            number(row.dead),
            number(row.ce_recovered),
            number(row.kl),
        ]);
    }
    sheet
}
