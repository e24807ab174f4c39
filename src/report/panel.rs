//! One panel of a figure: two axes and marks, drawn with plotters as an SVG that fits its column.
//!
//! plotters places everything on whole pixels, so panels are drawn `SCALE` times larger than shown and
//! the view box brings them back. Axis names stand above and below the axes, unrotated, to be read
//! on a phone.

use super::axis::Axis;
use super::ink::{Ink, Set};
use super::marks::Mark;
use super::page_units::{SCALE, escape, px};
use super::palette::{self, AXIS, Colour, GRID, MUTED, TEXT};
use crate::error::{Error, Result};
use plotters::prelude::{ChartBuilder, IntoDrawingArea, IntoFont, SVGBackend};
use plotters::style::{Color, ShapeStyle, TextStyle};

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

impl Panel {
    /// A panel of the usual size.
    pub(super) fn new(title: impl Into<String>, x: Axis, y: Axis, marks: Vec<Mark>) -> Self {
        let title = title.into();
        Self { description: title.clone(), title, size: (380, 270), right: 14, bare: false, x, y, marks }
    }

    /// Draws the panel.
    pub(super) fn svg(&self) -> Result<String> {
        let mut drawn = String::new();
        let marks = self
            .draw(&mut drawn)
            .map_err(|reason| Error::work(format!("cannot draw the panel `{}`: {reason}", self.title)))?;
        let body = drawn
            .split_once('>')
            .and_then(|(_, rest)| rest.rsplit_once("</svg>"))
            .map(|(body, _)| body)
            .unwrap_or_default();
        let (width, height) = scaled_size(self.size);
        Ok(format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\" xmlns=\"http://www.w3.org/2000/svg\">{}{marks}</svg>",
            escape(&self.description),
            palette::with_variables(&lean(body)),
        ))
    }

    /// Draws the axes into `target`, and gives the marks as SVG of their own: plotters has an element for every point
    /// and every dash, which no page of many features can hold.
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
        let end = frame.0.end;
        let mut ink = Ink::new(frame);
        ink.write((px(6.0), px(2.0)), &self.title, 13.5, TEXT, Set::TopLeft);
        ink.write((px(6.0), px(top - 20.0)), &self.y.label, 11.0, MUTED, Set::TopLeft);
        let below = (end, px(f64::from(self.size.1) - 3.0));
        ink.write(below, &self.x.label, 11.0, MUTED, Set::BottomRight);
        let place = |x: f64, y: f64| chart.backend_coord(&(x, y));
        self.marks.iter().for_each(|mark| ink.mark(mark, &place));
        root.present().map_err(message)?;
        Ok(ink.finish())
    }

    /// Pixels that the longest label of the y axis needs.
    fn tick_room(&self) -> f64 {
        let longest = self.y.ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
        (longest as f64).mul_add(6.3, 8.0).max(18.0)
    }
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

/// What plotters draws, without what is never seen: lines of the invisible light grid.
fn lean(body: &str) -> String {
    let mut text = String::with_capacity(body.len());
    for line in body.split_inclusive("/>") {
        if !line.contains("opacity=\"0\"") {
            text.push_str(line);
        }
    }
    text.replace(">\n", ">").replace("\n<", "<")
}

fn message(error: impl std::fmt::Display) -> String {
    error.to_string()
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
        assert!(svg.contains(">80<") || svg.contains(">40<"), "{svg}");
        assert_eq!(svg.matches("<svg").count(), 1);
    }

    #[test]
    fn text_in_a_panel_cannot_leave_it() {
        let svg = panel("</svg><script>alert(1)</script>").svg().unwrap();
        assert!(!svg.contains("<script") && !svg.contains("<b>"), "{svg}");
        assert_eq!(svg.matches("</svg>").count(), 1);
    }
}
