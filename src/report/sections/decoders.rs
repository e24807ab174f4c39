//! Where the features lie between the variants: each feature's share of decoder norm per variant (MAS).
//!
//! With three variants the shares of a feature are a point in a triangle. With more, every pair of
//! trained variants gets a plane of the same shares, each taken against the base alone:
//! `share(v) / (share(v) + share(base))`, 0 for base only, 1 for the variant only.

use crate::error::Result;
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::figure::{Figure, Key, Sign};
use crate::report::marks::{Anchor, Mark, Shape};
use crate::report::numbers::count;
use crate::report::palette::{AXIS, BLUE, Colour, GREY, MUTED, ORANGE, PURPLE, TEXT, VERMILLION};
use crate::report::panel::Panel;
use crate::report::rows::Feature;
use crate::report::view::{Block, Cell, Section, Sheet};

/// The classes of a feature with their colours, the commonest first so that the rare ones lie on top.
pub(super) const CLASSES: [(&str, Colour); 6] = [
    ("shared", GREY),
    ("undecided", PURPLE),
    ("dead", AXIS),
    ("partial", ORANGE),
    ("lost", BLUE),
    ("specific", VERMILLION),
];

/// The height of a triangle with sides of length one.
const TALL: f64 = 0.866;

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("decoders", "Where the features lie");
    if data.features.is_empty() {
        return Ok(Section::absent(id, title, "features"));
    }
    let variants = variants(data);
    let mut blocks = Vec::new();
    let panels = match variants.as_slice() {
        [_] | [] => Vec::new(),
        [base, other] => vec![histogram(data, base, other)],
        [a, b, c] => vec![triangle(data, [a, b, c])],
        [base, others @ ..] => pairs(data, base, others),
    };
    if !panels.is_empty() {
        let legend = CLASSES
            .iter()
            .filter(|(class, _)| *class != "dead" && data.features.iter().any(|row| row.class == *class))
            .map(|(class, colour)| Key::new(*class, *colour, Sign::Point(shape(class))))
            .collect();
        let caption = format!(
            "Share of decoder norm, a point a feature (n = {}, dead ones left out), coloured by class. {} Position alone decides no class: that takes the latent-scaling ratios, see the feature table.",
            count(data.features.iter().filter(|row| row.class != "dead").count() as u64),
            match variants.len() {
                3 =>
                    "A corner means that only this variant writes the feature; the middle, that all write it alike.",
                _ =>
                    "Each axis runs from base only (0) over equal (.5) to that variant only (1); features on the diagonal changed alike in both.",
            },
        );
        blocks.push(Block::Figure(
            Figure::new("decoder-shares", "Decoder shares", caption, &panels)?.with_legend(legend),
        ));
    }
    blocks.push(Block::Table(classes(data)));
    Ok(Section::new(id, title, blocks))
}

/// The outline of a class's points.
pub(super) fn shape(class: &str) -> Shape {
    match class {
        "specific" => Shape::Triangle,
        "lost" => Shape::Square,
        "partial" => Shape::Diamond,
        _ => Shape::Circle,
    }
}

/// The variants that the features have norms for, the base first.
pub(super) fn variants(data: &Data) -> Vec<String> {
    let Some(first) = data.features.first() else { return Vec::new() };
    let mut variants: Vec<String> =
        first.columns.keys().filter_map(|column| column.strip_prefix("mas_")).map(str::to_owned).collect();
    let place = |name: &String| {
        let named = data.facts.dictionary_variants.iter().position(|other| other == name);
        named.unwrap_or(if name.split('@').next() == Some(data.base()) { 0 } else { usize::MAX })
    };
    variants.sort_by_key(place);
    variants
}

/// The share of a feature's decoder norm that a variant holds.
fn share(feature: &Feature, variant: &str) -> Option<f64> {
    feature.number(&format!("mas_{variant}"))
}

/// A variant's share against the base alone.
fn against(feature: &Feature, variant: &str, base: &str) -> Option<f64> {
    let (own, before) = (share(feature, variant)?, share(feature, base)?);
    let ratio = own / (own + before);
    ratio.is_finite().then_some(ratio)
}

fn clouds(data: &Data, place: impl Fn(&Feature) -> Option<(f64, f64)>) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (class, colour) in CLASSES.iter().filter(|(class, _)| *class != "dead") {
        let rows: Vec<&Feature> = data.features.iter().filter(|row| row.class == *class).collect();
        let points: Vec<(f64, f64)> = rows.iter().filter_map(|row| place(row)).collect();
        let (radius, opacity) = if *class == "shared" { (1.9, 0.45) } else { (2.6, 0.85) };
        marks.push(Mark::Points {
            points,
            colour: *colour,
            shape: shape(class),
            radius,
            opacity,
            hollow: false,
        });
        if *class != "shared" {
            marks.extend(rows.iter().filter_map(|row| {
                let text = format!(
                    "feature {}: {class}, present in {}",
                    row.feature,
                    row.present.as_deref().unwrap_or("none")
                );
                place(row).map(|at| Mark::Hint { at, text })
            }));
        }
    }
    marks
}

fn triangle(data: &Data, [base, left, right]: [&String; 3]) -> Panel {
    let place = |one: f64, two: f64, three: f64| {
        let total = one + two + three;
        (total > 0.0).then(|| ((three + 0.5 * one) / total, TALL * one / total))
    };
    let side = |from: (f64, f64), to: (f64, f64)| Mark::Line {
        points: vec![from, to],
        colour: AXIS,
        width: 1.2,
        dashed: false,
    };
    let (top, west, east) = ((0.5, TALL), (0.0, 0.0), (1.0, 0.0));
    let middle = (0.5, TALL / 3.0);
    let mut marks = vec![side(top, west), side(west, east), side(east, top)];
    for foot in [(0.25, TALL / 2.0), (0.75, TALL / 2.0), (0.5, 0.0)] {
        marks.push(Mark::Line { points: vec![middle, foot], colour: AXIS, width: 0.8, dashed: true });
    }
    marks.extend(clouds(data, |row| place(share(row, base)?, share(row, left)?, share(row, right)?)));
    marks.push(Mark::Text { at: top, text: base.clone(), colour: data.colour(base), anchor: Anchor::Above });
    marks.push(Mark::Text {
        at: (0.0, -0.03),
        text: left.clone(),
        colour: data.colour(left),
        anchor: Anchor::Below,
    });
    marks.push(Mark::Text {
        at: (1.0, -0.03),
        text: right.clone(),
        colour: data.colour(right),
        anchor: Anchor::Below,
    });
    let bare = |low, high| Axis::fixed("", low, high, Format::Number);
    Panel {
        size: (460, 420),
        bare: true,
        ..Panel::new("Decoder share of each variant", bare(-0.12, 1.12), bare(-0.1, 0.96), marks)
    }
}

fn pairs(data: &Data, base: &str, others: &[String]) -> Vec<Panel> {
    let mut panels = Vec::new();
    for (index, one) in others.iter().enumerate() {
        for two in others.iter().skip(index + 1) {
            let mut marks = vec![Mark::Line {
                points: vec![(0.0, 0.0), (1.0, 1.0)],
                colour: AXIS,
                width: 1.0,
                dashed: true,
            }];
            marks.extend(clouds(data, |row| Some((against(row, one, base)?, against(row, two, base)?))));
            let x = Axis::fixed(&format!("{one} against {base}"), -0.02, 1.02, Format::Number);
            let y = Axis::fixed(&format!("{two} against {base}"), -0.02, 1.02, Format::Number);
            panels.push(Panel { size: (380, 340), ..Panel::new(format!("{one} and {two}"), x, y, marks) });
        }
    }
    panels
}

fn histogram(data: &Data, base: &str, other: &str) -> Panel {
    const BINS: usize = 40;
    let mut heights = vec![0.0; BINS];
    for share in data.features.iter().filter_map(|row| against(row, other, base)) {
        let bin = ((share * BINS as f64) as usize).min(BINS - 1);
        if let Some(height) = heights.get_mut(bin) {
            *height += 1.0;
        }
    }
    let bar = |(index, height): (usize, &f64)| Mark::Region {
        from: (index as f64 / BINS as f64, 0.0),
        to: ((index as f64 + 0.9) / BINS as f64, *height),
        colour: MUTED,
        opacity: 0.8,
    };
    let marks = heights.iter().enumerate().filter(|(_, height)| **height > 0.0).map(bar).collect();
    let x = Axis::fixed(&format!("{other} against {base}"), 0.0, 1.0, Format::Number);
    let y = Axis::from_zero("features", heights.clone(), Format::Number);
    Panel::new("Decoder share", x, y, marks)
}

fn classes(data: &Data) -> Sheet {
    let mut counts: std::collections::BTreeMap<(usize, String, String), u64> =
        std::collections::BTreeMap::new();
    for row in &data.features {
        let place = CLASSES.iter().rev().position(|(class, _)| *class == row.class).unwrap_or(CLASSES.len());
        *counts.entry((place, row.class.clone(), row.present.clone().unwrap_or_default())).or_default() += 1;
    }
    let mut sheet = Sheet::new(
        "classes",
        format!(
            "Classes of the {} features. Present: the variants whose activations need the feature, by latent scaling on held-out tokens.",
            count(data.features.len() as u64)
        ),
        &[("Class", "By the rule of the protocol"), ("Present in", "Variants"), ("Features#", "How many")],
    );
    for ((_, class, present), number) in counts {
        let colour = CLASSES.iter().find(|(name, _)| *name == class).map_or(TEXT, |(_, colour)| *colour);
        sheet.rows.push(vec![
            Cell::text(&class).coloured(colour),
            Cell::text(if present.is_empty() { "\u{2013}".to_owned() } else { present.replace('+', " + ") }),
            Cell::number(count(number), number as f64),
        ]);
    }
    sheet
}
