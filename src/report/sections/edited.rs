//! What declared edits make a model write: the same prompt and random numbers under each condition.

use crate::report::data::Data;
use crate::report::edited::{Comparison, Edited, Version};
use crate::report::numbers::{count, signed};
use crate::report::scale::Scale;
use crate::report::view::{Block, Cell, Said, Section, Sheet, Tone};

const COLUMNS: [(&str, &str); 7] = [
    ("#", "Where it stands in this list: a link to this line"),
    ("Prompt", "As the model reads it, and which sample of it"),
    ("Unedited", "The receiver as it is"),
    ("Edited", "Under the declared edit"),
    ("Whole activation exchanged", "What any set could do at most"),
    ("A matched control", "The same edit of another set that matches"),
    ("Change#", "Of the declared endpoint, in this completion"),
];

/// The place of the control's column.
const CONTROL: usize = 5;

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let (id, title) = ("edited", "What the edits make the models write");
    if data.edited.is_empty() {
        return Section::absent(id, title, "outcomes");
    }
    let mut blocks = vec![Block::Paragraph(
        "The same prompt and the same random numbers under each condition, so that two completions differ only from where the edit first changed a token on; that word is marked. Completions are taken from both sides of every hypothesis, for and against it, from different problems, in a fixed order; all are in tables/outcomes.parquet.".to_owned(),
    )];
    blocks.extend(
        data.edited.iter().enumerate().map(|(place, edited)| Block::Table(sheet(data, place, edited))),
    );
    Section::new(id, title, blocks)
}

fn sheet(data: &Data, place: usize, edited: &Edited) -> Sheet {
    let claim = data.claims.iter().find(|claim| claim.hypothesis == edited.hypothesis);
    let endpoint = claim.map_or("pass", |claim| claim.endpoint.as_str());
    let caption = format!(
        "{}. Of {} completions, {} moved as the effect does, {} moved against it, and {} are the same to the letter.",
        edited.hypothesis,
        count(edited.total as u64),
        count(edited.along as u64),
        count(edited.against as u64),
        count(edited.same as u64),
    );
    let has_control = edited.shown.iter().any(|comparison| matches!(&comparison.versions, [.., Some(_)]));
    let kept = |place: &usize| has_control || *place != CONTROL;
    let columns: Vec<(&str, &str)> =
        COLUMNS.into_iter().enumerate().filter(|(place, _)| kept(place)).map(|(_, column)| column).collect();
    let name = format!("edited-{}", place + 1);
    let mut sheet = Sheet::new(&name, caption, &columns);
    for (line, comparison) in edited.shown.iter().enumerate() {
        let cells = cells(comparison, endpoint, format!("{name}-{}", line + 1), line + 1);
        sheet.rows.push(
            cells.into_iter().enumerate().filter(|(place, _)| kept(place)).map(|(_, cell)| cell).collect(),
        );
    }
    sheet
}

fn cells(comparison: &Comparison, endpoint: &str, anchor: String, line: usize) -> Vec<Cell> {
    let [before, after, whole, control] = &comparison.versions;
    let against = |version: &Option<Version>, other: &Option<Version>| match version {
        Some(version) => Cell::said(said(version, other.as_ref(), endpoint)),
        None => Cell::text("\u{2013}"),
    };
    let change = match Scale::of(endpoint) {
        Scale::Share => signed(comparison.change, 0),
        _ => signed(comparison.change, 2),
    };
    vec![
        Cell::anchor(line.to_string(), anchor),
        Cell::text(format!("{} (sample {})", comparison.prompt, comparison.sample + 1)).toned(Tone::Typed),
        against(before, after),
        against(after, before),
        against(whole, before),
        against(control, before),
        Cell::number(change, comparison.change),
    ]
}

/// A version with the first word marked that the other does not have.
fn said(version: &Version, other: Option<&Version>, endpoint: &str) -> Said {
    let (outcome, tone) = outcome(endpoint, version.score);
    let mut words = version.text.split_inclusive(' ');
    let mut others = other.map_or("", |other| other.text.as_str()).split_inclusive(' ');
    let same = |one: &str, two: &str| one.trim_end() == two.trim_end();
    let (mut common, mut differs) = (String::new(), String::new());
    for word in words.by_ref() {
        if other.is_none() || others.next().is_some_and(|other| same(word, other)) {
            common.push_str(word);
        } else {
            differs.push_str(word);
            break;
        }
    }
    // The other goes on where this one ends.
    if differs.is_empty() && other.is_some() && others.next().is_some() {
        common.push(' ');
        differs.push_str("(ends here)");
    }
    let word = differs.trim_end().len();
    let gap = differs.split_off(word);
    let cut = if version.truncated { " \u{2026} (cut off)" } else { "" };
    Said { outcome, tone, common, differs, rest: gap + &words.collect::<String>() + cut }
}

/// What the verifier said of one completion.
fn outcome(endpoint: &str, score: Option<f64>) -> (String, Tone) {
    let Some(score) = score else { return ("not scored".to_owned(), Tone::Open) };
    let holds = score >= 0.5;
    match endpoint {
        "pass" => (if holds { "\u{2713} right" } else { "\u{2717} wrong" }.to_owned(), tone(holds)),
        "refuse" => (if holds { "refused" } else { "did not refuse" }.to_owned(), tone(holds)),
        "comply" => (if holds { "complied" } else { "did not comply" }.to_owned(), tone(holds)),
        other => (format!("{} {}", other.replace('_', " "), Scale::of(other).level(score)), Tone::Plain),
    }
}

fn tone(holds: bool) -> Tone {
    if holds { Tone::Shown } else { Tone::Open }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version { text: text.to_owned(), score: Some(1.0), truncated: false }
    }

    #[test]
    fn the_first_word_that_differs_is_marked_and_an_early_end_too() {
        let (long, short) = (version("9 * 5 = 45 - 5 = 40"), version("9 * 5 = 45 x"));
        let marked = said(&short, Some(&long), "pass");
        assert_eq!(
            (marked.common.as_str(), marked.differs.as_str(), marked.rest.as_str()),
            ("9 * 5 = 45 ", "x", "")
        );
        let early = said(&version("9 * 5"), Some(&long), "pass");
        assert!(early.differs.contains("ends"), "{early:?}");
        assert_eq!(said(&long, Some(&long), "pass").differs, "");
        assert_eq!(said(&long, None, "pass").outcome, "\u{2713} right");
    }
}
