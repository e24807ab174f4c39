//! Where the features lie between the variants: each feature's share of decoder norm per variant (MAS).
//!
//! With three variants the shares of a feature are a point in a triangle. With more, every pair of
//! trained variants gets a plane of the same shares, each taken against the base alone:
//! `share(v) / (share(v) + share(base))`, 0 for base only, 1 for the variant only.

use crate::diff::{Class, FeatureRow};
use crate::error::Result;
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::figure::{Figure, Key, Sign};
use crate::report::marks::{Anchor, Mark, Shape};
use crate::report::numbers::count;
use crate::report::palette::{AXIS, BLUE, Colour, GREY, MUTED, ORANGE, PURPLE, VERMILLION};
use crate::report::panel::Panel;
use crate::report::view::{Block, Cell, Section, Sheet};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The classes of a feature, the commonest first so that the rare ones lie on top.
pub(super) const CLASSES: [Class; 6] =
    [Class::Dead, Class::Shared, Class::Undecided, Class::Partial, Class::Lost, Class::Specific];

/// The colour of a class.
pub(super) fn colour(class: Class) -> Colour {
    match class {
        Class::Shared => GREY,
        Class::Undecided => PURPLE,
        Class::Dead => AXIS,
        Class::Partial => ORANGE,
        Class::Lost => BLUE,
        Class::Specific => VERMILLION,
    }
}

/// Up to this many points of a class say which feature they are.
const HINTED: usize = 60;

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
            .into_iter()
            .filter(|class| *class != Class::Dead && data.features.iter().any(|row| row.class == *class))
            .map(|class| Key::new(class.name(), colour(class), Sign::Point(shape(class))))
            .collect();
        let caption = format!(
            "Share of decoder norm, a point a feature (n = {}, dead ones left out), coloured by class. {} Position alone decides no class: that takes the latent-scaling ratios, see the feature table.",
            count(data.features.iter().filter(|row| row.class != Class::Dead).count() as u64),
            match variants.len() {
                3 =>
                    "A corner means that only this variant writes the feature; the middle, that all write it alike.",
                _ =>
                    "On each axis, 0 means base only, .5 equal, 1 that variant only; features on the diagonal changed alike in both.",
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
fn shape(class: Class) -> Shape {
    match class {
        Class::Specific => Shape::Triangle,
        Class::Lost => Shape::Square,
        Class::Partial => Shape::Diamond,
        _ => Shape::Circle,
    }
}

/// The variants that the features have norms for, the base first.
pub(super) fn variants(data: &Data) -> Vec<String> {
    let Some(first) = data.features.first() else { return Vec::new() };
    let mut variants: Vec<String> = first
        .per_variant
        .keys()
        .filter_map(|column| column.strip_prefix("mas_"))
        .map(str::to_owned)
        .collect();
    let place = |name: &String| {
        let named = data.facts.dictionary_variants.iter().position(|other| other == name);
        named.unwrap_or(if name.split('@').next() == Some(data.base()) { 0 } else { usize::MAX })
    };
    variants.sort_by_key(place);
    variants
}

/// The share of a feature's decoder norm that a variant holds.
fn share(feature: &FeatureRow, variant: &str) -> Option<f64> {
    feature.number(&format!("mas_{variant}"))
}

/// A variant's share against the base alone.
fn against(feature: &FeatureRow, variant: &str, base: &str) -> Option<f64> {
    let (own, before) = (share(feature, variant)?, share(feature, base)?);
    let ratio = own / (own + before);
    ratio.is_finite().then_some(ratio)
}

fn clouds(data: &Data, place: impl Fn(&FeatureRow) -> Option<(f64, f64)>) -> Vec<Mark> {
    let mut marks = Vec::new();
    for class in CLASSES.into_iter().filter(|class| *class != Class::Dead) {
        let rows: Vec<&FeatureRow> = data.features.iter().filter(|row| row.class == class).collect();
        let points: Vec<(f64, f64)> = rows.iter().filter_map(|row| place(row)).collect();
        let (radius, opacity) = if class == Class::Shared { (1.9, 0.45) } else { (2.6, 0.85) };
        let (colour, shape) = (colour(class), shape(class));
        marks.push(Mark::Points { points, colour, shape, radius, opacity, hollow: false });
        // What one point of a thousand is nobody can find out by pointing: the feature table can be searched.
        if class != Class::Shared && rows.len() <= HINTED {
            marks.extend(rows.iter().filter_map(|row| {
                let text = format!("feature {}: {}, present in {}", row.feature, class.name(), row.present);
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
    let reach = reach(data, base, others);
    let mut panels = Vec::new();
    for (index, one) in others.iter().enumerate() {
        for two in others.iter().skip(index + 1) {
            let mut marks = vec![Mark::Line {
                points: vec![(0.5 - reach, 0.5 - reach), (0.5 + reach, 0.5 + reach)],
                colour: AXIS,
                width: 1.0,
                dashed: true,
            }];
            marks.extend(clouds(data, |row| Some((against(row, one, base)?, against(row, two, base)?))));
            let axis = |variant: &String| {
                Axis::fixed(&format!("{variant} against {base}"), 0.5 - reach, 0.5 + reach, Format::Number)
            };
            let (x, y) = (axis(one), axis(two));
            panels.push(Panel { size: (380, 340), ..Panel::new(format!("{one} and {two}"), x, y, marks) });
        }
    }
    panels
}

/// How far from equal the farthest feature lies, with a little room: the half-width of all planes.
fn reach(data: &Data, base: &str, others: &[String]) -> f64 {
    let live = data.features.iter().filter(|row| row.class != Class::Dead);
    let shares = live.flat_map(|row| others.iter().filter_map(|variant| against(row, variant, base)));
    let farthest = shares.map(|share| (share - 0.5).abs()).fold(0.0, f64::max);
    (farthest * 1.1).clamp(0.1, 0.52)
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
    let mut counts: BTreeMap<(Reverse<usize>, &str), (Class, u64)> = BTreeMap::new();
    for row in &data.features {
        let place = CLASSES.iter().position(|class| *class == row.class).unwrap_or(0);
        counts.entry((Reverse(place), &row.present)).or_insert((row.class, 0)).1 += 1;
    }
    let caption = format!(
        "Classes of the {} features. Present: the variants whose activations need the feature, by latent scaling on held-out tokens.",
        count(data.features.len() as u64),
    );
    let columns =
        [("Class", "By the rule of the protocol"), ("Present in", "Variants"), ("Features#", "How many")];
    let mut sheet = Sheet::new("classes", caption, &columns);
    for ((_, present), (class, number)) in counts {
        let present = if present.is_empty() { "\u{2013}".to_owned() } else { present.replace('+', " + ") };
        sheet.rows.push(vec![
            Cell::text(class.name()).coloured(colour(class)),
            Cell::text(present),
            Cell::number(count(number), number as f64),
        ]);
    }
    sheet
}
