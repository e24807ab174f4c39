//! Tables in, one self-contained HTML page out.
//!
//! 1. `collect` gathers the tables of a study's artifacts into `tables/`, with the facts of the study
//!    ([`StudyFacts`]) beside them; [`Beside`] adds those of finished studies that are to be read with it.
//! 2. `data` reads their rows. A table that is not there is an empty one.
//! 3. Each file of `sections` turns rows into one section: paragraphs, figures, tables (`view`).
//!    A figure is panels (`panel`) with axes (`axis`) and marks (`marks`), drawn by plotters.
//! 4. `page` fills the template. Everything is escaped; only the drawn figures and the page's own style
//!    and script are not, and the content security policy lets nothing else act.
//!
//! A page says no more than its tables: verdicts are read from `claims`, never made here.
//!
//! [`Report`], [`Figure`] and [`Sheet`] show themselves in evcxr notebooks.

mod axis;
mod beside;
mod collect;
mod data;
mod display;
mod edited;
mod facts;
mod figure;
mod ink;
mod lead;
mod marks;
mod numbers;
mod page;
mod page_units;
mod palette;
mod panel;
mod prose;
mod rules;
mod sayings;
mod scale;
mod sections;
mod view;

pub use beside::{Beside, BesideFact, Role};
pub use facts::{FACTS_FILE, OutsideFact, StageFact, StudyFacts, VariantFact};
pub use figure::Figure;
pub use view::Sheet;

use crate::error::{Error, Result, io, nearest};
use crate::foreign::visible;
use crate::tables::checksums;
use data::Data;
use std::fs;
use std::path::{Path, PathBuf};
use view::{Block, Section};

/// What a report is made from.
#[derive(Clone, Debug, Default)]
pub struct ReportInput {
    /// Folders that hold tables. A table that lies in several of them is their rows one after the other.
    pub tables: Vec<PathBuf>,
    /// The study that the tables come from.
    pub facts: StudyFacts,
    /// Finished studies that stand beside it.
    pub beside: Beside,
}

/// Writes `index.html`, `tables/*.parquet`, `tables/study.json` and the checksums of both into the folder `out`.
///
/// # Errors
/// If a folder cannot be read or written, or a table has other columns than this version writes.
pub fn build(input: &ReportInput, out: &Path) -> Result<()> {
    let tables = out.join("tables");
    fs::create_dir_all(&tables).map_err(|error| io("create", &tables, error))?;
    // Read before it is replaced: the tables may be those that are there.
    input.tables.iter().try_for_each(|folder| checksums::check_folder(folder))?;
    checksums::remove(&tables)?;
    for (name, files) in collect::find(&input.tables)? {
        collect::gather(&name, &files, &tables)?;
    }
    let mut facts = input.facts.clone();
    facts.beside.extend(input.beside.gather(&input.facts, &tables)?);
    facts.save(&tables)?;
    if !facts.older.is_empty() {
        collect::mark(&tables, &facts.older.join("; "))?;
    }
    checksums::write(&tables)?;
    let report = Report::new(&tables, facts)?;
    let page = out.join("index.html");
    fs::write(&page, visible(&report.html()?).as_bytes()).map_err(|error| io("write", &page, error))
}

/// A report opened for looking at in a notebook: its page, its figures, its tables.
#[derive(Clone, Debug)]
pub struct Report {
    data: Data,
    sections: Vec<Section>,
    tables: PathBuf,
}

impl Report {
    /// Opens a finished run, a report, or any folder of tables.
    ///
    /// # Errors
    /// If the folder holds no tables, or tables of another version.
    pub fn open(folder: &Path) -> Result<Self> {
        let tables =
            places(folder).into_iter().find(|place| place.is_dir()).unwrap_or_else(|| folder.to_path_buf());
        if collect::find(std::slice::from_ref(&tables))?.is_empty() {
            return Err(Error::request(format!(
                "expected tables (*.parquet) in {}, found none",
                tables.display()
            ))
            .hint("give the folder of a run, of a report, or of tables"));
        }
        checksums::check_folder(&tables)?;
        Self::new(&tables, StudyFacts::load(&tables)?)
    }

    fn new(tables: &Path, facts: StudyFacts) -> Result<Self> {
        let data = Data::load(tables, facts)?;
        let sections = page::sections(&data)?;
        Ok(Self { data, sections, tables: tables.to_path_buf() })
    }

    /// The page as one HTML text.
    ///
    /// # Errors
    /// If the template cannot be filled.
    pub fn html(&self) -> Result<String> {
        page::render(&self.data, &self.sections)
    }

    /// The figures in the order of the page.
    pub fn figures(&self) -> Vec<Figure> {
        self.blocks()
            .filter_map(|block| if let Block::Figure(figure) = block { Some(figure.clone()) } else { None })
            .collect()
    }

    /// The figure called `name`.
    ///
    /// # Errors
    /// If there is none; the hint offers the nearest name.
    pub fn figure(&self, name: &str) -> Result<Figure> {
        let figures = self.figures();
        let names: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
        figures
            .iter()
            .find(|figure| figure.name == name)
            .cloned()
            .ok_or_else(|| unknown("figure", name, &names))
    }

    /// The tables as shown on the page, folded ones too.
    pub fn sheets(&self) -> Vec<Sheet> {
        self.blocks()
            .filter_map(|block| match block {
                Block::Table(sheet) | Block::Folded(sheet) => Some(sheet.clone()),
                _ => None,
            })
            .collect()
    }

    /// The table called `name` as shown on the page.
    ///
    /// # Errors
    /// If there is none; the hint offers the nearest name.
    pub fn sheet(&self, name: &str) -> Result<Sheet> {
        let sheets = self.sheets();
        let names: Vec<&str> = sheets.iter().map(|sheet| sheet.name.as_str()).collect();
        sheets.iter().find(|sheet| sheet.name == name).cloned().ok_or_else(|| unknown("table", name, &names))
    }

    /// A whole Parquet table of the report as a polars data frame.
    ///
    /// # Errors
    /// If the report has no such table.
    pub fn frame(&self, table: &str) -> Result<polars::prelude::DataFrame> {
        crate::tables::read_frame(&self.tables.join(format!("{table}.parquet")))
    }

    /// Shows the page in an evcxr notebook.
    pub fn evcxr_display(&self) {
        match self.html() {
            Ok(html) => {
                let frame = format!(
                    "<iframe sandbox=\"allow-scripts\" width=\"100%\" height=\"900\" srcdoc=\"{}\"></iframe>",
                    page_units::escape(&html)
                );
                display::show(&frame, &format!("report of the study {}", self.data.facts.name));
            }
            Err(error) => display::show("", &error.to_string()),
        }
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.sections.iter().flat_map(|section| &section.blocks)
    }
}

/// Where the tables of a finished run, of a report, or of any folder of tables may lie.
fn places(folder: &Path) -> [PathBuf; 3] {
    [folder.join("report/tables"), folder.join("tables"), folder.to_path_buf()]
}

fn unknown(kind: &str, name: &str, names: &[&str]) -> Error {
    let error = Error::request(format!(
        "expected one of the report's {kind}s ({}), found `{name}`",
        names.join(", ")
    ));
    match nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}
