//! Whether the dictionary is fit for the question: what it explains of each variant and of each
//! difference from base.

use crate::dictionaries::{DictionaryRow, OVERALL};
use crate::error::Result;
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::figure::{Figure, Key, Sign};
use crate::report::marks::{Mark, Shape};
use crate::report::numbers::{count, percent, short};
use crate::report::palette::{Colour, MUTED, SLATE};
use crate::report::panel::Panel;
use crate::report::view::{Block, Cell, Section, Sheet, Tone};

/// Below this share of a difference's variance, nothing is said about absence or share of change.
const SPEAKS_OF_CHANGE: f64 = 0.5;
/// The share of a variant's variance that a dictionary should explain.
const EXPLAINS: f64 = 0.8;

/// What a dictionary reconstructs, as the page names it.
struct Target<'a> {
    row: &'a DictionaryRow,
    words: String,
    colour: Colour,
    /// Whether it is a difference from the first variant.
    is_difference: bool,
}

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("dictionary", "Is the dictionary fit for it?");
    let Some(first) = data.dictionaries.first() else {
        return Ok(Section::absent(id, title, "dictionaries"));
    };
    let targets = targets(data, &first.target);
    let caption = format!(
        "Fraction of variance explained (FVE) by the {} with {} features at {}, on n = {} held-out tokens. Filled: activations of a variant, or of all joined. Hollow: its difference from {}, which is what the question is about; a dictionary can explain a variant well and its difference badly. Dashed: what the protocol asks of each.",
        first.dictionary.replace('_', " "),
        count(first.features as u64),
        first.hook,
        count(first.tokens as u64),
        first.target,
    );
    let legend = vec![
        Key::new("a variant", SLATE, Sign::Point(Shape::Circle)),
        Key::new(format!("a difference from {}", first.target), SLATE, Sign::HollowPoint(Shape::Diamond)),
    ];
    let figure =
        Figure::new("fitness", "Variance explained", caption, &[panel(&targets)])?.with_legend(legend);
    let mut blocks = vec![Block::Figure(figure), Block::Table(sheet(&targets))];
    blocks.extend(super::readouts::sheet(data).map(Block::Table));
    blocks.extend(targets.iter().filter(|target| target.is_difference && falls_short(target)).map(caution));
    Ok(Section::new(id, title, blocks))
}

fn targets<'a>(data: &'a Data, base: &str) -> Vec<Target<'a>> {
    let target = |row: &'a DictionaryRow| {
        let variant = row.target.strip_suffix(base).and_then(|rest| rest.strip_suffix('-'));
        Target {
            row,
            words: match variant {
                Some(variant) => format!("{variant} \u{2212} {base}"),
                None if row.target == OVERALL => "all variants".to_owned(),
                None => row.target.clone(),
            },
            colour: if row.target == OVERALL { SLATE } else { data.colour(variant.unwrap_or(&row.target)) },
            is_difference: variant.is_some(),
        }
    };
    data.dictionaries.iter().map(target).collect()
}

fn falls_short(target: &Target<'_>) -> bool {
    target.row.fve < if target.is_difference { SPEAKS_OF_CHANGE } else { EXPLAINS }
}

fn caution(target: &Target<'_>) -> Block {
    Block::Caution(format!(
        "The dictionary explains {} of the difference {}, less than {}: nothing is claimed about features that are absent there, or about the share of the change that features carry.",
        percent(target.row.fve),
        target.words,
        percent(SPEAKS_OF_CHANGE),
    ))
}

fn panel(targets: &[Target<'_>]) -> Panel {
    let bar =
        |x: f64, label: &str| Mark::Position { x, colour: MUTED, dashed: true, label: label.to_owned() };
    let mut marks = vec![bar(EXPLAINS, "variants"), bar(SPEAKS_OF_CHANGE, "differences")];
    for (line, target) in targets.iter().rev().enumerate() {
        let (at, colour, hollow) =
            ((target.row.fve.max(0.0), line as f64), target.colour, target.is_difference);
        let shape = if hollow { Shape::Diamond } else { Shape::Circle };
        marks.push(Mark::Points { points: vec![at], colour, shape, radius: 4.5, opacity: 1.0, hollow });
        marks.push(Mark::Hint { at, text: format!("{}: {}", target.words, short(target.row.fve)) });
    }
    let x = Axis::fixed("FVE, %", 0.0, 1.02, Format::Percent);
    let y = Axis::names("", targets.iter().rev().map(|target| target.words.as_str()));
    let height = 90 + 24 * targets.len() as u32;
    Panel { size: (460, height), ..Panel::new("Fraction of variance explained", x, y, marks) }
}

fn sheet(targets: &[Target<'_>]) -> Sheet {
    let columns = [
        ("Of", "A variant, or its difference from the first"),
        ("FVE#", "Fraction of variance explained, held-out tokens"),
        ("Cosine#", "Mean cosine of target and reconstruction"),
        ("L0#", "Mean number of active features per token"),
        ("Dead#", "Features that never fire on these tokens"),
        ("Dense#", "Features that fire on more than a tenth of them"),
        (
            "CE recovered#",
            "Share of the cross-entropy lost by mean ablation that splicing the reconstruction in recovers",
        ),
        ("KL#", "Nats per token between the model and the spliced one"),
        (
            "Comes back#",
            "Mean over features of the largest decoder cosine with a feature of the same dictionary under another seed",
        ),
    ];
    let mut sheet = Sheet::new("dictionary-table", "Fitness in numbers.", &columns);
    let number = |value: f64| Cell::number(short(value), value);
    let optional = |value: Option<f64>| value.map_or_else(|| Cell::text("\u{2013}"), number);
    let features = |value: usize| Cell::number(count(value as u64), value as f64);
    for target in targets {
        let row = target.row;
        let tone = if falls_short(target) { Tone::Open } else { Tone::Plain };
        sheet.rows.push(vec![
            Cell::text(&target.words).coloured(target.colour),
            number(row.fve).toned(tone),
            number(row.cosine),
            number(row.l0),
            features(row.dead),
            features(row.dense),
            optional(row.ce_recovered),
            optional(row.kl),
            optional(row.stability),
        ]);
    }
    sheet
}
