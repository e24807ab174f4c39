//! What a section is made of: paragraphs, figures and tables. Plain data; templates turn it into HTML
//! and escape every word of it.

use super::figure::{Figure, in_notebook, unfilled};
use super::page_units::escape;
use super::rules::Rule;
use super::{display, palette::Colour, prose};
use crate::error::Result;
use askama::Template;

/// One section of the page.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) blocks: Vec<Block>,
    /// The table that it would show and the study does not have.
    pub(super) missing: Option<&'static str>,
}

/// One block of a section.
#[derive(Clone, Debug)]
pub(super) enum Block {
    Paragraph(String),
    /// A reservation that the reader must not miss.
    Caution(String),
    Figure(Figure),
    Table(Sheet),
    /// A table folded away under its caption.
    Folded(Sheet),
    /// Text shown as typed, folded away under a summary line.
    Source {
        summary: String,
        text: String,
    },
    /// A sentence of the method, with the numbers of the protocol's rules that it follows.
    Ruled {
        words: String,
        rules: &'static [u8],
    },
    /// The rules that the page points at.
    Rules(Vec<Rule>),
    /// Short paragraphs side by side, each under its heading.
    Leads(Vec<(&'static str, String)>),
    /// A verdict in words.
    Finding {
        verdict: String,
        tone: Tone,
        words: String,
    },
}

impl Section {
    pub(super) fn new(id: &'static str, title: &'static str, blocks: Vec<Block>) -> Self {
        Self { id, title, blocks, missing: None }
    }

    /// A section whose table the study does not have.
    pub(super) fn absent(id: &'static str, title: &'static str, table: &'static str) -> Self {
        Self { id, title, blocks: Vec::new(), missing: Some(table) }
    }
}

/// How a cell or a finding is set: by what it says about the evidence, or by who wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nothing to say.
    #[default]
    Plain,
    /// The evidence holds.
    Shown,
    /// The evidence does not suffice.
    Open,
    /// Written by a model or a person: shown in a fixed-width face.
    Typed,
}

impl Tone {
    /// The style-sheet class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Shown => "shown",
            Self::Open => "open",
            Self::Typed => "typed",
        }
    }
}

/// Texts longer than this are set on several lines.
const LONG: usize = 26;

/// A table as shown, with a caption. Shown inline by a notebook.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The anchor that links point to.
    pub name: String,
    /// What the table shows.
    pub caption: String,
    pub(super) columns: Vec<Heading>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Whether the reader can sort and filter it.
    pub(super) sortable: bool,
    /// Values of the first filter menu, if there is one.
    pub(super) filters: Vec<String>,
}

/// A column's heading, and what it means.
#[derive(Clone, Debug)]
pub(super) struct Heading {
    pub(super) title: String,
    pub(super) about: String,
    pub(super) numeric: bool,
}

/// One cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// What the column is sorted by, if not the text.
    pub(super) number: Option<f64>,
    pub(super) tone: Tone,
    pub(super) colour: Option<Colour>,
    /// Passages of tokens, each lit by its activation.
    pub(super) passages: Vec<Passage>,
    /// The anchor on this page that it leads to.
    pub(super) link: Option<String>,
    /// Whether it is that anchor itself, for others to link to.
    pub(super) is_anchor: bool,
    /// A completion, in place of a text.
    pub(super) said: Option<Said>,
}

/// A completion beside another of the same prompt and random numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// What the verifier said of it: `right`, `refused`.
    pub(super) outcome: String,
    pub(super) tone: Tone,
    /// What both say.
    pub(super) common: String,
    /// The first word that differs.
    pub(super) differs: String,
    pub(super) rest: String,
}

/// A run of tokens around a feature's peak.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub(super) source: String,
    pub(super) peak: String,
    /// Tokens with a level of activation from 0 to 9.
    pub(super) tokens: Vec<(String, u8)>,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn number(text: impl Into<String>, number: f64) -> Self {
        Self { text: text.into(), number: Some(number), ..Self::default() }
    }

    pub(super) fn linked(mut self, anchor: impl Into<String>) -> Self {
        self.link = Some(anchor.into());
        self
    }

    /// A cell that others can link to.
    pub(super) fn anchor(text: impl Into<String>, anchor: impl Into<String>) -> Self {
        Self { is_anchor: true, ..Self::text(text).linked(anchor) }
    }

    pub(super) fn said(said: Said) -> Self {
        let text = format!("{}: {}{}{}", said.outcome, said.common, said.differs, said.rest);
        Self { said: Some(said), ..Self::text(text).toned(Tone::Typed) }
    }

    /// What stands in the cell, as HTML. What a model wrote is shown as it is.
    fn html(&self) -> String {
        let words = match (&self.said, self.tone) {
            (Some(said), _) => said.html(),
            (None, Tone::Typed) => escape(&self.text),
            (None, _) => prose::html(&self.text),
        };
        match &self.link {
            Some(anchor) if self.is_anchor => {
                let anchor = escape(anchor);
                format!("<a id=\"{anchor}\" href=\"#{anchor}\">{words}</a>")
            }
            Some(anchor) => format!("<a href=\"#{}\">{words}</a>", escape(anchor)),
            None => words,
        }
    }

    pub(super) fn toned(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    pub(super) fn coloured(mut self, colour: Colour) -> Self {
        self.colour = Some(colour);
        self
    }

    /// The classes of the cell, for the style sheet.
    pub(super) fn class(&self) -> String {
        let colour = self.colour.map(Colour::class).unwrap_or_default();
        let long = if self.text.chars().count() > LONG { "long" } else { "" };
        [self.tone.class(), &colour, long]
            .iter()
            .filter(|class| !class.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The attributes of the cell's tag. Sorting goes by the text where no number is given.
    pub(super) fn attributes(&self, numeric: bool, sortable: bool) -> String {
        let class = self.class() + if numeric { " number" } else { "" };
        let class = match class.trim() {
            "" => String::new(),
            class => format!(" class=\"{class}\""),
        };
        match self.number.filter(|_| sortable) {
            Some(number) => format!("{class} data-key=\"{}\"", key(number)),
            None => class,
        }
    }
}

/// A text inside the quotes of a style sheet: nothing in it can end them.
fn css(text: &str) -> String {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    text.chars()
        .map(|letter| if safe(letter) { letter.to_string() } else { format!("\\{:x} ", u32::from(letter)) })
        .collect()
}

/// A number to sort by: to six digits, for a page is no table.
fn key(number: f64) -> String {
    let short = format!("{number:.5e}");
    let plain = short.parse::<f64>().map_or_else(|_| number.to_string(), |number| number.to_string());
    if plain.len() < short.len() { plain } else { short }
}

impl Said {
    fn html(&self) -> String {
        let mark = match self.differs.as_str() {
            "" => String::new(),
            word => format!("<mark>{}</mark>", escape(word)),
        };
        format!(
            "<b class=\"outcome {}\">{}</b> {}{mark}{}",
            self.tone.class(),
            escape(&self.outcome),
            escape(&self.common),
            escape(&self.rest)
        )
    }
}

/// Tables of more columns than this become cards on a narrow screen.
const FOLDS_FROM: usize = 4;

#[derive(Template)]
#[template(path = "sheet.html")]
struct SheetPage<'a> {
    sheet: &'a Sheet,
}

impl Sheet {
    /// A table without sorting. `columns`: title and meaning; a title that ends in `#` is numeric.
    pub(super) fn new(name: &str, caption: impl Into<String>, columns: &[(&str, &str)]) -> Self {
        let columns = columns
            .iter()
            .map(|(title, about)| Heading {
                title: title.trim_end_matches('#').to_owned(),
                about: (*about).to_owned(),
                numeric: title.ends_with('#'),
            })
            .collect();
        Self {
            name: name.to_owned(),
            caption: caption.into(),
            columns,
            rows: Vec::new(),
            sortable: false,
            filters: Vec::new(),
        }
    }

    pub(super) fn sortable(mut self) -> Self {
        self.sortable = true;
        self
    }

    /// The first sentence of the caption, for a folded table.
    pub(super) fn title_line(&self) -> &str {
        self.caption.split_once(". ").map_or(&self.caption, |(first, _)| first)
    }

    /// The cells of a row with their columns.
    pub(super) fn cells<'a>(&'a self, row: &'a [Cell]) -> impl Iterator<Item = (&'a Heading, &'a Cell)> {
        self.columns.iter().zip(row)
    }

    /// Whether it becomes cards, one a row, where the screen is narrow.
    fn folds(&self) -> bool {
        self.columns.len() >= FOLDS_FROM
    }

    /// The rules of a style sheet that name the columns on cards.
    pub(super) fn labels(&self) -> String {
        if !self.folds() {
            return String::new();
        }
        let label = |(place, column): (usize, &Heading)| {
            format!(
                "[id=\"{}\"] td:nth-child({})::before{{content:\"{}\"}}",
                css(&self.name),
                place + 1,
                css(&column.title)
            )
        };
        self.columns.iter().enumerate().skip(1).map(label).collect()
    }

    /// The attributes of a cell's tag.
    fn attributes(&self, column: &Heading, cell: &Cell) -> String {
        cell.attributes(column.numeric, self.sortable)
    }

    /// The table as an HTML fragment without its style sheet.
    ///
    /// # Errors
    /// If the template cannot be filled.
    pub fn html(&self) -> Result<String> {
        SheetPage { sheet: self }.render().map_err(unfilled)
    }

    /// The table as plain text, columns separated by tabs.
    pub fn plain(&self) -> String {
        let titles = self.columns.iter().map(|column| column.title.clone()).collect::<Vec<_>>().join("\t");
        let rows = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join("\t"));
        std::iter::once(titles).chain(rows).collect::<Vec<_>>().join("\n")
    }

    /// Shows the table in an evcxr notebook.
    pub fn evcxr_display(&self) {
        match self.html() {
            Ok(html) => display::show(&in_notebook(&html), &self.plain()),
            Err(error) => display::show("", &error.to_string()),
        }
    }
}
