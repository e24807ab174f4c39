//! What a panel can hold: lines, bands, points, intervals, rules, text. Plain data in the axes' units.

use super::palette::Colour;

/// The outline of a point, so that series differ by more than colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A disc.
    Circle,
    /// A triangle on its base.
    Triangle,
    /// A square.
    Square,
    /// A square on its corner.
    Diamond,
}

impl Shape {
    /// The shapes in the order in which series take them.
    pub(super) const ALL: [Self; 4] = [Self::Circle, Self::Triangle, Self::Square, Self::Diamond];

    /// Corners around the origin for a point of the given radius, `None` for a disc.
    pub(super) fn corners(self, radius: f64) -> Option<Vec<(f64, f64)>> {
        let corners: &[(f64, f64)] = match self {
            Self::Circle => return None,
            Self::Triangle => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
            Self::Square => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            Self::Diamond => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
        };
        Some(corners.iter().map(|(x, y)| (x * radius, y * radius)).collect())
    }
}

/// Where a text stands with respect to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Centred above the point.
    Above,
    /// Centred below the point.
    Below,
}

/// One thing drawn in a panel. Sizes and widths are in pixels of the panel.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    /// A line through points.
    Line { points: Vec<(f64, f64)>, colour: Colour, width: f64, dashed: bool },
    /// A filled band between two curves: (x, low, high).
    Band { points: Vec<(f64, f64, f64)>, colour: Colour, opacity: f64 },
    /// Separate points of one look; hollow ones are outlines.
    Points { points: Vec<(f64, f64)>, colour: Colour, shape: Shape, radius: f64, opacity: f64, hollow: bool },
    /// A horizontal interval at a height.
    Across { low: f64, high: f64, y: f64, colour: Colour },
    /// A vertical interval at a place.
    Upright { x: f64, low: f64, high: f64, colour: Colour },
    /// A horizontal line through the whole panel, with a word at its right end.
    Level { y: f64, colour: Colour, dashed: bool, label: String },
    /// A vertical line through the whole panel, with a word at its upper end.
    Position { x: f64, colour: Colour, dashed: bool, label: String },
    /// A filled rectangle between two corners.
    Region { from: (f64, f64), to: (f64, f64), colour: Colour, opacity: f64 },
    /// A short text.
    Text { at: (f64, f64), text: String, colour: Colour, anchor: Anchor },
    /// What the browser shows while the pointer rests here.
    Hint { at: (f64, f64), text: String },
}
