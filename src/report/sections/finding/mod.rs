//! What was found, in words, from the table `claims`; what was not shown is said in so many words.

mod answers;
mod changes;
mod claim;
mod classes;
mod extent;
mod floor;
mod methods;
mod other_axis;
mod sheet;

pub(super) use claim::{act, interval};

use crate::claims::{ClaimRow, Verdict};
use crate::error::Result;
use crate::report::data::Data;
use crate::report::lead;
use crate::report::sections::effects;
use crate::report::view::{Block, Section, Tone};

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("finding", "What was found");
    if data.claims.is_empty() {
        let words = "No claim about features is made: the study declares no hypothesis, or the stage that decides has not run.";
        let mut blocks = vec![Block::Paragraph(words.to_owned())];
        blocks.extend(methods::paragraph(data));
        blocks.extend(changes::sheet(data).map(Block::Table));
        return Ok(Section::new(id, title, blocks));
    }
    let mut blocks = vec![Block::Table(answers::sheet(data))];
    blocks.extend(effects::planes(data)?.map(Block::Figure));
    blocks.push(Block::Leads(lead::sentences(data)));
    blocks.push(Block::Paragraph(summary(&data.claims)));
    blocks.extend(classes::paragraph(data));
    blocks.extend(data.claims.iter().map(|claim| Block::Finding {
        verdict: claim.verdict.name().to_owned(),
        tone: tone(claim.verdict),
        words: claim::sentences(data, claim),
    }));
    blocks.push(Block::Table(sheet::sheet(data)));
    blocks.extend(methods::paragraph(data));
    blocks.extend(changes::sheet(data).map(Block::Table));
    Ok(Section::new(id, title, blocks))
}

/// Only what is shown is set as shown: an edit that does no more than in base shows nothing of post-training.
fn tone(verdict: Verdict) -> Tone {
    match verdict {
        verdict if verdict.carries() => Tone::Shown,
        Verdict::Neither | Verdict::MovesDeclaredSuite => Tone::Plain,
        _ => Tone::Open,
    }
}

/// How hypotheses can end, in the order of what that says.
const ENDS: [&str; 8] = [
    SHOWN,
    "shown to move the declared suite, but not as the question asks",
    "shown to move the first word of refusals, and not the answers",
    "shown to break the text",
    "shown to move neither axis by more than the margin",
    "not shown to come from post-training",
    "undecided, which is not evidence of absence",
    "not testable",
];
const SHOWN: &str = "shown";

/// How a hypothesis of this verdict ends.
fn end(verdict: Verdict) -> &'static str {
    let place = match verdict {
        Verdict::CarriesTransfer | Verdict::CarriesSafetyLoss | Verdict::Both => 0,
        Verdict::MovesDeclaredSuite => 1,
        Verdict::MovesTheRefusalToken => 2,
        Verdict::BreaksTheText => 3,
        Verdict::Neither => 4,
        Verdict::NotBeyondBase => 5,
        Verdict::Undecided => 6,
        Verdict::Untestable | Verdict::NotTestableInThisVariant => 7,
    };
    ENDS[place]
}

fn summary(claims: &[ClaimRow]) -> String {
    let count = |how: &str| claims.iter().filter(|claim| end(claim.verdict) == how).count();
    let word = |number: usize| match number {
        0 => "none".to_owned(),
        1 => "one".to_owned(),
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        more => more.to_string(),
    };
    let declared = match claims.len() {
        1 => "One hypothesis was declared before anything was measured".to_owned(),
        number => {
            format!("Of the {} hypotheses that were declared before anything was measured", word(number))
        }
    };
    let parts: Vec<String> = ENDS
        .into_iter()
        .map(|how| (count(how), how))
        .filter(|(number, how)| *how == SHOWN || *number > 0)
        .map(|(number, words)| format!("{} {} {words}", word(number), if number > 1 { "are" } else { "is" }))
        .collect();
    let floor = floor::sentence(claims).map_or_else(String::new, |sentence| format!(" {sentence}"));
    format!("{declared}: {}.{floor}", parts.join("; "))
}
