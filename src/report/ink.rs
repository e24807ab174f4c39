//! Marks as SVG: one path a series, however many points it has, in whole units of the view box.

use super::marks::{Anchor, Mark, Shape};
use super::page_units::{SCALE, escape, px};
use super::palette::Colour;
use std::fmt::Write;
use std::ops::Range;

/// A place in units of the view box.
pub(super) type Pixel = (i32, i32);

/// From this many points on, those that fall on one pixel of the screen are one.
const CROWD: usize = 1000;

/// How a text stands to its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Set {
    /// To the right of the place and below it.
    TopLeft,
    /// To the left of the place and above it.
    BottomRight,
    /// Centred above the place.
    Above,
    /// Centred below the place.
    Below,
}

impl Set {
    fn attributes(self) -> &'static str {
        match self {
            Self::TopLeft => "dy=\".76em\"",
            Self::BottomRight => "dy=\"-.25em\" text-anchor=\"end\"",
            Self::Above => "dy=\"-.25em\" text-anchor=\"middle\"",
            Self::Below => "dy=\".76em\" text-anchor=\"middle\"",
        }
    }
}

/// What has been drawn so far.
pub(super) struct Ink {
    /// The plotting area.
    frame: (Range<i32>, Range<i32>),
    drawn: String,
    /// What the browser shows under the pointer: above all marks.
    hints: String,
}

impl Ink {
    pub(super) fn new(frame: (Range<i32>, Range<i32>)) -> Self {
        Self { frame, drawn: String::new(), hints: String::new() }
    }

    /// The SVG of all marks.
    pub(super) fn finish(self) -> String {
        if self.hints.is_empty() {
            return self.drawn;
        }
        format!("{}<g fill=\"none\" pointer-events=\"all\">{}</g>", self.drawn, self.hints)
    }

    /// Draws a mark, whose points `place` puts into the view box.
    pub(super) fn mark(&mut self, mark: &Mark, place: &dyn Fn(f64, f64) -> Pixel) {
        match mark {
            Mark::Line { points, colour, width, dashed } => {
                let path: Vec<Pixel> = points.iter().map(|(x, y)| place(*x, *y)).collect();
                self.stroke(&path, *colour, *width, *dashed);
            }
            Mark::Band { points, colour, opacity } => {
                let upper = points.iter().map(|(x, _, high)| place(*x, *high));
                let lower = points.iter().rev().map(|(x, low, _)| place(*x, *low));
                self.fill(&upper.chain(lower).collect::<Vec<_>>(), *colour, *opacity);
            }
            Mark::Points { points, colour, shape, radius, opacity, hollow } => {
                let places = points.iter().map(|(x, y)| place(*x, *y)).collect();
                self.scatter(places, *colour, *shape, *radius, (!hollow).then_some(*opacity));
            }
            Mark::Across { low, high, y, colour } => {
                self.stroke(&[place(*low, *y), place(*high, *y)], *colour, 1.6, false);
            }
            Mark::Upright { x, low, high, colour } => {
                self.stroke(&[place(*x, *low), place(*x, *high)], *colour, 1.6, false);
            }
            Mark::Level { y, colour, dashed, label } => {
                let height = place(0.0, *y).1;
                let (left, right) = (self.frame.0.start, self.frame.0.end);
                self.stroke(&[(left, height), (right, height)], *colour, 1.2, *dashed);
                self.write((right, height - px(2.0)), label, 10.5, *colour, Set::BottomRight);
            }
            Mark::Position { x, colour, dashed, label } => {
                let across = place(*x, 0.0).0;
                let (top, bottom) = (self.frame.1.start, self.frame.1.end);
                self.stroke(&[(across, top), (across, bottom)], *colour, 1.2, *dashed);
                self.write((across + px(3.0), top), label, 10.5, *colour, Set::TopLeft);
            }
            Mark::Region { from, to, colour, opacity } => {
                let ((left, top), (right, bottom)) = (place(from.0, from.1), place(to.0, to.1));
                self.fill(&[(left, top), (right, top), (right, bottom), (left, bottom)], *colour, *opacity);
            }
            Mark::Text { at, text, colour, anchor } => {
                let (x, y) = place(at.0, at.1);
                match anchor {
                    Anchor::Above => self.write((x, y - px(6.0)), text, 11.0, *colour, Set::Above),
                    Anchor::Below => self.write((x, y + px(6.0)), text, 11.0, *colour, Set::Below),
                }
            }
            Mark::Hint { at, text } => {
                let ((x, y), radius) = (place(at.0, at.1), px(8.0));
                let text = escape(text);
                self.hints.push_str(&format!(
                    "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"><title>{text}</title></circle>"
                ));
            }
        }
    }

    /// Writes words of a size in pixels of the panel.
    pub(super) fn write(&mut self, (x, y): Pixel, words: &str, size: f64, colour: Colour, set: Set) {
        if !words.is_empty() {
            self.drawn.push_str(&format!(
                "<text x=\"{x}\" y=\"{y}\" {} font-size=\"{}\" font-family=\"sans-serif\" fill=\"{}\">{}</text>",
                set.attributes(),
                px(size),
                colour.paint(),
                escape(words),
            ));
        }
    }

    fn stroke(&mut self, path: &[Pixel], colour: Colour, width: f64, dashed: bool) {
        let dashes =
            if dashed { format!(" stroke-dasharray=\"{} {}\"", px(5.0), px(3.5)) } else { String::new() };
        self.drawn.push_str(&format!(
            "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"{dashes}/>",
            trace(path),
            colour.paint(),
            px(width),
        ));
    }

    fn fill(&mut self, corners: &[Pixel], colour: Colour, opacity: f64) {
        self.drawn.push_str(&format!(
            "<path d=\"{}z\" fill=\"{}\" fill-opacity=\"{opacity}\"/>",
            trace(corners),
            colour.paint()
        ));
    }

    /// All points of a series as one path; outlines where no opacity is given.
    fn scatter(
        &mut self,
        mut places: Vec<Pixel>,
        colour: Colour,
        shape: Shape,
        radius: f64,
        opacity: Option<f64>,
    ) {
        if places.len() > CROWD {
            let grid = SCALE as i32;
            places.iter_mut().for_each(|(x, y)| (*x, *y) = (*x / grid * grid, *y / grid * grid));
        }
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            return;
        }
        let reach = px(radius);
        let (outline, start) = match (shape.corners(radius), opacity) {
            // A line of no length with round ends is a disc.
            (None, Some(_)) => ("h0".to_owned(), (0, 0)),
            (None, None) => {
                let across = 2 * reach;
                (format!("a{reach} {reach} 0 1 0 {across} 0a{reach} {reach} 0 1 0-{across} 0"), (-reach, 0))
            }
            (Some(corners), _) => {
                let corners: Vec<Pixel> = corners.iter().map(|(x, y)| (px(*x), px(*y))).collect();
                let first = corners.first().copied().unwrap_or_default();
                (steps(&corners, 'l') + "z", first)
            }
        };
        let (mut path, mut last) = (String::new(), (0, 0));
        for (x, y) in places {
            let at = (x + start.0, y + start.1);
            let _ = write!(path, "m{}{outline}", pair(at.0 - last.0, at.1 - last.1));
            last = at;
        }
        let paint = colour.paint();
        let style = match (shape, opacity) {
            (Shape::Circle, Some(opacity)) => format!(
                "fill=\"none\" stroke=\"{paint}\" stroke-width=\"{}\" stroke-linecap=\"round\" stroke-opacity=\"{opacity}\"",
                2 * reach
            ),
            (_, Some(opacity)) => format!("fill=\"{paint}\" fill-opacity=\"{opacity}\""),
            (_, None) => format!("fill=\"none\" stroke=\"{paint}\" stroke-width=\"{}\"", px(1.4)),
        };
        self.drawn.push_str(&format!("<path d=\"{path}\" {style}/>"));
    }
}

/// A line through places.
fn trace(path: &[Pixel]) -> String {
    let first = path.first().copied().unwrap_or_default();
    format!("M{}{}", pair(first.0, first.1), steps(path, 'l'))
}

/// From the first place to the others, each a step from the one before.
fn steps(path: &[Pixel], command: char) -> String {
    let mut text = String::new();
    for ends in path.windows(2) {
        if let [from, to] = ends {
            let _ = write!(text, "{command}{}", pair(to.0 - from.0, to.1 - from.1));
        }
    }
    text
}

/// Two numbers of a path: a minus sign parts them as well as a space.
fn pair(x: i32, y: i32) -> String {
    if y < 0 { format!("{x}{y}") } else { format!("{x} {y}") }
}

#[cfg(test)]
mod tests {
    use super::super::palette::BLUE;
    use super::*;

    fn drawn(points: Vec<(f64, f64)>, shape: Shape, hollow: bool) -> String {
        let mut ink = Ink::new((0..1520, 0..1080));
        let mark = Mark::Points { points, colour: BLUE, shape, radius: 2.0, opacity: 0.5, hollow };
        ink.mark(&mark, &|x, y| (x.round() as i32, y.round() as i32));
        ink.finish()
    }

    #[test]
    fn a_series_is_one_path_and_a_crowd_costs_no_more_than_its_pixels() {
        for (shape, hollow) in [(Shape::Circle, false), (Shape::Circle, true), (Shape::Diamond, false)] {
            let few = drawn(vec![(3.0, 4.0), (40.0, 1.0), (3.0, 4.0)], shape, hollow);
            assert_eq!((few.matches("<path").count(), few.matches('m').count()), (1, 2), "{few}");
        }
        let many = (0..200_000).map(|index| (f64::from(index % 400), f64::from(index / 400 % 300)));
        let crowd = drawn(many.collect(), Shape::Circle, false);
        assert_eq!(crowd.matches("h0").count(), 100 * 75);
        assert!(crowd.len() < 60_000, "{}", crowd.len());
    }

    #[test]
    fn no_points_draw_nothing() {
        assert_eq!(drawn(Vec::new(), Shape::Circle, false), "");
    }
}
