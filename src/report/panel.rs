//! One panel of a figure: two axes and marks, drawn with plotters as an SVG that fits its column.
//!
//! plotters places everything on whole pixels, so panels are drawn `SCALE` times larger than shown and
//! the view box brings them back. Axis names stand above and below the axes, unrotated, to be read
//! on a phone.

use super::axis::Axis;
use super::marks::{Anchor, Mark, Shape};
use super::palette::{self, AXIS, Colour, GRID, MUTED, TEXT};
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Circle, DrawingArea, IntoDrawingArea, IntoFont, PathElement, Polygon, SVGBackend, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, ShapeStyle, TextStyle};
use std::fmt::Write;

const SCALE: f64 = 4.0;
/// plotters writes a font's size divided by this.
const FONT_FACTOR: f64 = 1.24;

/// One picture with two axes.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    /// What a reader who cannot see the picture is told.
    pub(super) description: String,
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// Room at the right for labels that stand beside the data.
    pub(super) right: u32,
    /// Whether the marks stand alone, without axes.
    pub(super) bare: bool,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) marks: Vec<Mark>,
}

type Root<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Pixel = (i32, i32);

impl Panel {
    /// A panel of the usual size.
    pub(super) fn new(title: impl Into<String>, x: Axis, y: Axis, marks: Vec<Mark>) -> Self {
        let title = title.into();
        Self { description: title.clone(), title, size: (380, 270), right: 14, bare: false, x, y, marks }
    }

    /// Draws the panel.
    pub(super) fn svg(&self) -> Result<String> {
        let mut drawn = String::new();
        let hints = self
            .draw(&mut drawn)
            .map_err(|reason| Error::work(format!("cannot draw the panel `{}`: {reason}", self.title)))?;
        let body = drawn
            .split_once('>')
            .and_then(|(_, rest)| rest.rsplit_once("</svg>"))
            .map(|(body, _)| body)
            .unwrap_or_default();
        let (width, height) = scaled_size(self.size);
        Ok(format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\" xmlns=\"http://www.w3.org/2000/svg\">{}{hints}</svg>",
            escape(&self.description),
            palette::with_variables(body),
        ))
    }

    /// Draws into `target` and returns the hover hints, which plotters has no element for.
    fn draw(&self, target: &mut String) -> Result<String, String> {
        let root = SVGBackend::with_string(target, scaled_size(self.size)).into_drawing_area();
        let top = if self.title.is_empty() { 26.0 } else { 44.0 };
        let bottom = if self.x.label.is_empty() { 24.0 } else { 40.0 };
        let mut chart = ChartBuilder::on(&root)
            .margin_top(px(top))
            .margin_right(px(f64::from(self.right)))
            .margin_left(px(6.0))
            .margin_bottom(px(bottom - 24.0))
            .x_label_area_size(px(24.0))
            .y_label_area_size(px(self.tick_room()))
            .build_cartesian_2d(self.x.clone(), self.y.clone())
            .map_err(message)?;
        if !self.bare {
            chart
                .configure_mesh()
                .light_line_style(GRID.rgb().mix(0.0))
                .bold_line_style(line(GRID, 1.0))
                .axis_style(line(AXIS, 1.0))
                .x_label_style(font(11.0, MUTED))
                .y_label_style(font(11.0, MUTED))
                .draw()
                .map_err(message)?;
        }
        let frame = chart.plotting_area().get_pixel_range();
        let place = |x: f64, y: f64| chart.backend_coord(&(x, y));
        let mut canvas = Canvas { root: &root, frame, hints: String::new() };
        canvas.write((px(6.0), px(2.0)), &self.title, font(13.5, TEXT), HPos::Left, VPos::Top)?;
        canvas.write((px(6.0), px(top - 20.0)), &self.y.label, font(11.0, MUTED), HPos::Left, VPos::Top)?;
        let below = (canvas.frame.0.end, px(f64::from(self.size.1) - 3.0));
        canvas.write(below, &self.x.label, font(11.0, MUTED), HPos::Right, VPos::Bottom)?;
        for mark in &self.marks {
            canvas.mark(mark, &place)?;
        }
        let hints = canvas.hints;
        root.present().map_err(message)?;
        Ok(hints)
    }

    /// Pixels that the longest label of the y axis needs.
    fn tick_room(&self) -> f64 {
        let longest = self.y.ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
        (longest as f64).mul_add(6.3, 8.0).max(18.0)
    }
}

/// The drawing area in whole pixels, on which marks are laid.
struct Canvas<'a, 'b> {
    root: &'a Root<'b>,
    frame: (std::ops::Range<i32>, std::ops::Range<i32>),
    hints: String,
}

impl Canvas<'_, '_> {
    fn mark(&mut self, mark: &Mark, place: &dyn Fn(f64, f64) -> Pixel) -> Result<(), String> {
        match mark {
            Mark::Line { points, colour, width, dashed } => {
                let path: Vec<Pixel> = points.iter().map(|(x, y)| place(*x, *y)).collect();
                self.stroke(&path, *colour, *width, *dashed)
            }
            Mark::Band { points, colour, opacity } => {
                let upper = points.iter().map(|(x, _, high)| place(*x, *high));
                let lower = points.iter().rev().map(|(x, low, _)| place(*x, *low));
                self.fill(upper.chain(lower).collect(), *colour, *opacity)
            }
            Mark::Points { points, colour, shape, radius, opacity, hollow } => {
                let style = if *hollow {
                    line(*colour, 1.4)
                } else {
                    ShapeStyle { color: colour.rgb().mix(*opacity), filled: true, stroke_width: 0 }
                };
                points.iter().try_for_each(|(x, y)| self.point(place(*x, *y), *shape, *radius, style))
            }
            Mark::Across { low, high, y, colour } => {
                self.stroke(&[place(*low, *y), place(*high, *y)], *colour, 1.6, false)
            }
            Mark::Upright { x, low, high, colour } => {
                self.stroke(&[place(*x, *low), place(*x, *high)], *colour, 1.6, false)
            }
            Mark::Level { y, colour, dashed, label } => {
                let height = place(0.0, *y).1;
                let (left, right) = (self.frame.0.start, self.frame.0.end);
                self.stroke(&[(left, height), (right, height)], *colour, 1.2, *dashed)?;
                self.write((right, height - px(2.0)), label, font(10.5, *colour), HPos::Right, VPos::Bottom)
            }
            Mark::Position { x, colour, dashed, label } => {
                let across = place(*x, 0.0).0;
                let (top, bottom) = (self.frame.1.start, self.frame.1.end);
                self.stroke(&[(across, top), (across, bottom)], *colour, 1.2, *dashed)?;
                self.write((across + px(3.0), top), label, font(10.5, *colour), HPos::Left, VPos::Top)
            }
            Mark::Region { from, to, colour, opacity } => {
                let ((left, top), (right, bottom)) = (place(from.0, from.1), place(to.0, to.1));
                let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom)];
                self.fill(corners, *colour, *opacity)
            }
            Mark::Text { at, text, colour, anchor } => {
                let (x, y) = place(at.0, at.1);
                let (at, horizontal, vertical) = match anchor {
                    Anchor::Above => ((x, y - px(6.0)), HPos::Center, VPos::Bottom),
                    Anchor::Below => ((x, y + px(6.0)), HPos::Center, VPos::Top),
                };
                self.write(at, text, font(11.0, *colour), horizontal, vertical)
            }
            Mark::Hint { at, text } => {
                let (x, y) = place(at.0, at.1);
                let radius = px(8.0);
                write!(
                    self.hints,
                    "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"none\" pointer-events=\"all\"><title>{}</title></circle>",
                    escape(text)
                )
                .map_err(message)
            }
        }
    }

    fn point(&self, (x, y): Pixel, shape: Shape, radius: f64, style: ShapeStyle) -> Result<(), String> {
        let Some(corners) = shape.corners(radius) else {
            return self.root.draw(&Circle::new((x, y), px(radius), style)).map_err(message);
        };
        let mut corners: Vec<Pixel> = corners.iter().map(|(dx, dy)| (x + px(*dx), y + px(*dy))).collect();
        if style.filled {
            return self.root.draw(&Polygon::new(corners, style)).map_err(message);
        }
        corners.extend(corners.first().copied());
        self.root.draw(&PathElement::new(corners, style)).map_err(message)
    }

    fn stroke(&self, path: &[Pixel], colour: Colour, width: f64, dashed: bool) -> Result<(), String> {
        let style = line(colour, width);
        if !dashed {
            return self.root.draw(&PathElement::new(path.to_vec(), style)).map_err(message);
        }
        let (dash, gap) = (px(5.0), px(3.5));
        let dashes = plotters::element::DashedPathElement::new(path.to_vec(), dash, gap, style);
        self.root.draw(&dashes).map_err(message)
    }

    fn fill(&self, corners: Vec<Pixel>, colour: Colour, opacity: f64) -> Result<(), String> {
        self.root.draw(&Polygon::new(corners, colour.rgb().mix(opacity))).map_err(message)
    }

    fn write(
        &self,
        at: Pixel,
        words: &str,
        style: TextStyle<'_>,
        horizontal: HPos,
        vertical: VPos,
    ) -> Result<(), String> {
        if words.is_empty() {
            return Ok(());
        }
        let style = style.pos(Pos::new(horizontal, vertical));
        self.root.draw(&Text::new(words.to_owned(), at, style)).map_err(message)
    }
}

fn px(pixels: f64) -> i32 {
    (pixels * SCALE).round() as i32
}

fn scaled_size((width, height): (u32, u32)) -> (u32, u32) {
    (width * SCALE as u32, height * SCALE as u32)
}

fn line(colour: Colour, width: f64) -> ShapeStyle {
    ShapeStyle { color: colour.rgb().to_rgba(), filled: false, stroke_width: px(width).unsigned_abs() }
}

fn font(size: f64, colour: Colour) -> TextStyle<'static> {
    ("sans-serif", size * SCALE * FONT_FACTOR).into_font().color(&colour.rgb())
}

fn message(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Escapes text for HTML and SVG.
pub(super) fn escape(raw: &str) -> String {
    raw.chars().fold(String::with_capacity(raw.len()), |mut safe, character| {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::super::axis::Format;
    use super::super::palette::BLUE;
    use super::*;

    fn panel(title: &str) -> Panel {
        let x = Axis::steps("update", [10, 20, 40]);
        let y = Axis::fixed("pass", 0.0, 1.0, Format::Percent);
        let line = vec![(10.0, 0.2), (20.0, 0.5), (40.0, 0.9)];
        let marks = vec![
            Mark::Line { points: line, colour: BLUE, width: 2.0, dashed: false },
            Mark::Hint { at: (20.0, 0.5), text: "50 % <b>".to_owned() },
        ];
        Panel::new(title, x, y, marks)
    }

    #[test]
    fn a_panel_is_one_svg_in_style_sheet_colours_with_round_ticks() {
        let svg = panel("Pass").svg().unwrap();
        assert!(svg.starts_with("<svg viewBox=\"0 0 1520 1080\""), "{svg}");
        assert!(svg.contains("var(--blue, #0172B2)"));
        assert!(svg.contains(">\n80\n") || svg.contains(">\n40\n"), "{svg}");
        assert_eq!(svg.matches("<svg").count(), 1);
    }

    #[test]
    fn text_in_a_panel_cannot_leave_it() {
        let svg = panel("</svg><script>alert(1)</script>").svg().unwrap();
        assert!(!svg.contains("<script") && !svg.contains("<b>"), "{svg}");
        assert_eq!(svg.matches("</svg>").count(), 1);
    }
}
