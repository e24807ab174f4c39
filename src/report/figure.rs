//! A figure: panels side by side, one legend, a caption that says what to see.

use super::display;
use super::marks::Shape;
use super::palette::{self, Colour};
use super::panel::Panel;
use super::prose;
use crate::error::{Error, Result};
use askama::Template;

/// A drawn figure. Cheap to clone, and shown inline by a notebook.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The anchor that links point to.
    pub name: String,
    /// The first, bold words of the caption.
    pub title: String,
    /// What to see, how many problems or tokens stand behind it, what the marks mean.
    pub caption: String,
    pub(super) panels: Vec<String>,
    pub(super) legend: Vec<Key>,
}

/// One entry of a legend.
#[derive(Clone, Debug)]
pub(super) struct Key {
    label: String,
    class: String,
    sign: String,
}

/// The sign that stands beside a legend's words.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    Point(Shape),
    HollowPoint(Shape),
    Line,
    DashedLine,
}

impl Key {
    pub(super) fn new(label: impl Into<String>, colour: Colour, sign: Sign) -> Self {
        let sign = match sign {
            Sign::Line => "<path d=\"M0 7H20\" stroke-width=\"2.4\"/>".to_owned(),
            Sign::DashedLine => {
                "<path d=\"M0 7H20\" stroke-width=\"2\" stroke-dasharray=\"5 3\"/>".to_owned()
            }
            Sign::Point(shape) => outline(shape, "currentColor"),
            Sign::HollowPoint(shape) => outline(shape, "none"),
        };
        Self { label: label.into(), class: colour.class(), sign }
    }
}

fn outline(shape: Shape, fill: &str) -> String {
    match shape.corners(4.5) {
        None => format!("<circle cx=\"10\" cy=\"7\" r=\"4.5\" fill=\"{fill}\" stroke-width=\"1.4\"/>"),
        Some(corners) => {
            let corners: Vec<String> =
                corners.iter().map(|(x, y)| format!("{:.1},{:.1}", x + 10.0, y + 7.0)).collect();
            format!("<polygon points=\"{}\" fill=\"{fill}\" stroke-width=\"1.4\"/>", corners.join(" "))
        }
    }
}

#[derive(Template)]
#[template(path = "figure.html")]
struct FigurePage<'a> {
    figure: &'a Figure,
}

impl Figure {
    pub(super) fn new(name: &str, title: &str, caption: impl Into<String>, panels: &[Panel]) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            title: title.to_owned(),
            caption: caption.into(),
            panels: panels.iter().map(Panel::svg).collect::<Result<_>>()?,
            legend: Vec::new(),
        })
    }

    pub(super) fn with_legend(mut self, legend: Vec<Key>) -> Self {
        self.legend = legend;
        self
    }

    /// The panels as separate SVG texts, for a paper or a slide.
    pub fn panels(&self) -> &[String] {
        &self.panels
    }

    /// The figure as an HTML fragment without its style sheet.
    ///
    /// # Errors
    /// If the template cannot be filled.
    pub fn html(&self) -> Result<String> {
        FigurePage { figure: self }.render().map_err(unfilled)
    }

    /// Shows the figure in an evcxr notebook.
    pub fn evcxr_display(&self) {
        let plain = format!("{}. {}", self.title, self.caption);
        match self.html() {
            Ok(html) => display::show(&in_notebook(&html), &plain),
            Err(error) => display::show("", &error.to_string()),
        }
    }
}

/// Wraps a fragment with the style sheet, for a notebook's cell.
pub(super) fn in_notebook(fragment: &str) -> String {
    format!("<style>{}\n{}</style><div class=\"deltascope\">{fragment}</div>", palette::style_sheet(), STYLE)
}

/// The style sheet of pages and notebook cells, without the colours.
pub(super) const STYLE: &str = include_str!("../../templates/report.css");

/// An error of the template engine.
pub(super) fn unfilled(error: askama::Error) -> Error {
    Error::work(format!("cannot fill the report's template: {error}"))
}
