//! What was found, in words, from the table `claims`; what was not shown is said in so many words.

mod changes;
mod claim;
mod methods;
mod sheet;

pub(super) use claim::act;

use crate::claims::{ClaimRow, Verdict};
use crate::report::data::Data;
use crate::report::view::{Block, Section, Tone};

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let (id, title) = ("finding", "What was found");
    if data.claims.is_empty() {
        let words = "No claim about features is made: the study declares no hypothesis, or the stage that decides has not run.";
        let mut blocks = vec![Block::Paragraph(words.to_owned())];
        blocks.extend(methods::paragraph(data));
        blocks.extend(changes::sheet(data).map(Block::Table));
        return Section::new(id, title, blocks);
    }
    let mut blocks = vec![Block::Paragraph(summary(&data.claims))];
    blocks.extend(data.claims.iter().map(|claim| Block::Finding {
        verdict: claim.verdict.name().to_owned(),
        tone: tone(claim.verdict),
        words: claim::sentences(data, claim),
    }));
    blocks.push(Block::Table(sheet::sheet(data)));
    blocks.extend(methods::paragraph(data));
    blocks.extend(changes::sheet(data).map(Block::Table));
    Section::new(id, title, blocks)
}

/// Whether a verdict answers the question that the hypothesis asked.
fn is_answer(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::Undecided | Verdict::Untestable | Verdict::NotTestableInThisVariant)
}

fn tone(verdict: Verdict) -> Tone {
    if is_answer(verdict) { Tone::Shown } else { Tone::Open }
}

fn summary(claims: &[ClaimRow]) -> String {
    let count = |test: &dyn Fn(Verdict) -> bool| claims.iter().filter(|claim| test(claim.verdict)).count();
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
    let parts: Vec<String> = [
        (count(&is_answer), "decided"),
        (count(&|verdict| verdict == Verdict::Undecided), "undecided, which is not evidence of absence"),
        (
            count(&|verdict| matches!(verdict, Verdict::Untestable | Verdict::NotTestableInThisVariant)),
            "not testable",
        ),
    ]
    .into_iter()
    .enumerate()
    .filter(|(place, (number, _))| *place == 0 || *number > 0)
    .map(|(_, (number, words))| format!("{} {} {words}", word(number), if number > 1 { "are" } else { "is" }))
    .collect();
    format!("{declared}: {}.", parts.join("; "))
}
