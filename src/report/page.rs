//! The page: sections in order, filled into the template.

use super::data::Data;
use super::figure::{STYLE, unfilled};
use super::palette;
use super::prose;
use super::sections;
use super::view::{Block, Section};
use crate::error::Result;
use askama::Template;

/// The script that sorts and filters tables. The page is complete without it.
const SCRIPT: &str = include_str!("../../templates/report.js");

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: &'a str,
    subtitle: String,
    question: Option<&'a str>,
    sections: &'a [Section],
    colours: String,
    style: &'a str,
    /// What names the columns of tables on a narrow screen.
    labels: String,
    script: &'a str,
    /// Names the page's own style and script in its content security policy, so that nothing that a
    /// model wrote could run even if it were not escaped.
    nonce: String,
}

/// The sections of a study's page, in order. Those that the study has no tables for are named in one place.
pub(super) fn sections(data: &Data) -> Result<Vec<Section>> {
    let mut sections = all(data)?;
    let name = |section: &Section| Some(format!("{} (no table {})", section.title, section.missing?));
    let missing: Vec<String> = sections.iter().filter_map(name).collect();
    sections.retain(|section| section.missing.is_none());
    if let Some(run) = sections.iter_mut().find(|section| section.id == "run" && !missing.is_empty()) {
        run.blocks.push(Block::Paragraph(format!("Not part of this study: {}.", missing.join(", "))));
    }
    Ok(sections)
}

fn all(data: &Data) -> Result<Vec<Section>> {
    Ok(vec![
        sections::finding::section(data)?,
        sections::effects::section(data)?,
        sections::edited::section(data),
        sections::balance::section(data)?,
        sections::beside::section(data),
        sections::published::section(data),
        sections::run::section(data),
        sections::training::section(data)?,
        sections::trajectories::section(data)?,
        sections::endpoints::section(data)?,
        sections::words::section(data),
        sections::fitness::section(data)?,
        sections::decoders::section(data)?,
        sections::features::section(data)?,
        sections::models::section(data),
        sections::method::section(data),
        sections::reference::section(),
        sections::provenance::section(data),
    ])
}

/// The whole page as one HTML text that needs nothing outside itself.
pub(super) fn render(data: &Data, sections: &[Section]) -> Result<String> {
    let facts = &data.facts;
    let nonce = blake3::hash(format!("{facts:?}{sections:?}").as_bytes()).to_hex();
    let page = Page {
        title: if facts.name.is_empty() { "unnamed study" } else { &facts.name },
        subtitle: subtitle(data),
        question: facts.question.as_deref(),
        sections,
        colours: palette::style_sheet(),
        style: STYLE,
        labels: labels(sections),
        script: SCRIPT,
        nonce: nonce.chars().take(32).collect(),
    };
    page.render().map_err(unfilled)
}

fn labels(sections: &[Section]) -> String {
    let sheets = sections.iter().flat_map(|section| &section.blocks).filter_map(|block| match block {
        Block::Table(sheet) | Block::Folded(sheet) => Some(sheet.labels()),
        _ => None,
    });
    format!("@media (max-width:37.5rem){{{}}}", sheets.collect::<String>())
}

/// What may be concluded at most, from the number of training seeds (protocol, section 1).
fn subtitle(data: &Data) -> String {
    let older = match data.facts.older.len() {
        0 => String::new(),
        count => format!(
            " {count} of {} stages were made by other code than the rest and taken as they are (see Provenance).",
            data.facts.stages.len()
        ),
    };
    seeds(data) + &older
}

fn seeds(data: &Data) -> String {
    match data.facts.training_seeds {
        0 | 1 => "One training run per variant: this page speaks of these checkpoints and ranks no methods."
            .to_owned(),
        seeds @ 2..=5 => format!(
            "{seeds} training seeds per variant, too few to compare methods (six are needed): this page speaks of these checkpoints."
        ),
        seeds => format!("{seeds} training seeds per variant."),
    }
}
