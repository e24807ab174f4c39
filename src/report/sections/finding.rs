//! What was found, in words, from the table `claims`; what was not shown is said in so many words.

use crate::experiments::EffectRow;
use crate::report::data::Data;
use crate::report::numbers::p_value;
use crate::report::rows::Claim;
use crate::report::scale::Scale;
use crate::report::view::{Block, Cell, Section, Sheet, Tone};

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let (id, title) = ("finding", "What was found");
    if data.claims.is_empty() {
        let words =
            "No claim is made: the study declares no hypothesis, or the stage that decides them has not run.";
        return Section::new(id, title, vec![Block::Paragraph(words.to_owned())]);
    }
    let mut blocks = vec![Block::Paragraph(summary(&data.claims))];
    for claim in &data.claims {
        let effect = declared(data, &claim.hypothesis);
        blocks.push(Block::Finding {
            verdict: claim.verdict.clone(),
            tone: tone(claim),
            words: sentence(claim, effect),
        });
    }
    blocks.push(Block::Table(sheet(data)));
    Section::new(id, title, blocks)
}

/// The effect that a hypothesis was declared on.
pub(super) fn declared<'a>(data: &'a Data, hypothesis: &str) -> Option<&'a EffectRow> {
    data.effects.iter().find(|row| row.hypothesis == hypothesis && row.declared)
}

/// Whether a verdict settles the question; `undecided` and `untestable` do not.
fn settled(claim: &Claim) -> bool {
    !matches!(claim.verdict.as_str(), "undecided" | "untestable")
}

fn tone(claim: &Claim) -> Tone {
    if settled(claim) { Tone::Shown } else { Tone::Open }
}

fn summary(claims: &[Claim]) -> String {
    let count = |verdict: &str| claims.iter().filter(|claim| claim.verdict == verdict).count();
    let shown = claims.iter().filter(|claim| settled(claim)).count();
    let declared = match claims.len() {
        1 => "One hypothesis was declared before anything was measured".to_owned(),
        number => format!("{number} hypotheses were declared before anything was measured"),
    };
    let mut parts = vec![match shown {
        0 => "none was decided".to_owned(),
        1 => "one was decided".to_owned(),
        number => format!("{number} were decided"),
    }];
    for (verdict, words) in [
        ("undecided", "undecided, which is not evidence of absence"),
        ("untestable", "untestable by construction"),
    ] {
        if count(verdict) > 0 {
            parts.push(format!("{} {words}", count(verdict)));
        }
    }
    format!("{declared}: {}.", parts.join(", "))
}

/// One claim as a sentence.
fn sentence(claim: &Claim, effect: Option<&EffectRow>) -> String {
    let Some(row) = effect else {
        return format!(
            "{}: the effect that it was declared on is not in the table `effects`.",
            claim.hypothesis
        );
    };
    let scale = Scale::of(&row.endpoint);
    let interval = interval(scale, claim.ci_low, claim.ci_high);
    let change = claim.effect.unwrap_or(row.effect);
    let act = act(row);
    let measured = format!("{} on {}", row.endpoint, row.suite);
    let numbers = format!(
        "{} {}, 95 % simultaneous interval {interval}, p\u{a0}= {} after correction, {} problems",
        scale.difference(change),
        scale.unit(),
        claim.p_corrected.map_or_else(|| "n/a".to_owned(), p_value),
        row.problems,
    );
    match claim.verdict.as_str() {
        "undecided" => format!("Not shown. {act} moved {measured} by {numbers}."),
        "untestable" => format!(
            "{act} could not be tested: the edit changes nothing in this variant, or this variant no longer works well enough."
        ),
        "neither" => format!(
            "{act} moved neither axis by more than the declared margin; {measured} changed by {numbers}."
        ),
        _ => format!("{act} moved {measured} by {numbers}."),
    }
}

/// An edit in words, as the subject of a sentence.
pub(super) fn act(row: &EffectRow) -> String {
    let set = match row.set_size {
        Some(1) => format!("the set \u{201c}{}\u{201d} (1 feature)", row.set),
        Some(size) => format!("the set \u{201c}{}\u{201d} ({size} features)", row.set),
        None => format!("\u{201c}{}\u{201d}", row.set),
    };
    let receiver = &row.receiver;
    let donor = row.donor.as_deref().unwrap_or("another variant");
    match row.edit.as_str() {
        "zero" => format!("Removing {set} from {receiver}"),
        "mean" => format!("Holding {set} at its mean in {receiver}"),
        "resample" => format!("Replacing {set} in {receiver} by its value on another problem"),
        "transplant" => format!("Giving {set} in {receiver} the directions of {donor}"),
        "steer" => format!("Adding {set} to {receiver}"),
        "whole_difference" => format!("Replacing the whole activation of {receiver} by that of {donor}"),
        other => format!("The edit `{other}` of {set} in {receiver}"),
    }
}

fn interval(scale: Scale, low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => scale.interval(low, high),
        _ => "not available".to_owned(),
    }
}

fn sheet(data: &Data) -> Sheet {
    let caption = format!(
        "Claims. Effects are paired differences in percentage points on the measuring half; intervals hold for all declared hypotheses at once; p is the larger of the sign flip over problems and the matched controls, corrected by {}.",
        if data.facts.correction.is_empty() { "the study's correction" } else { &data.facts.correction },
    );
    let mut sheet = Sheet::new(
        "claims",
        caption,
        &[
            ("Hypothesis", "The name in the study"),
            ("Verdict", "By the decision rule of the protocol"),
            ("Kind", "Necessary: removed from a post-trained model. Sufficient: added to the base"),
            ("Receiver", "The variant whose forward pass is edited"),
            ("Edit", "What is done to the set"),
            ("Suite", "Where the effect is measured"),
            ("Effect#", "Percentage points"),
            ("95 % interval#", "Simultaneous over the declared hypotheses"),
            ("p#", "The larger of both tests"),
            ("corrected#", "After the correction for several hypotheses"),
            ("Controls#", "Matched control sets"),
            ("Stability", "Agreement over dictionary and training seeds"),
        ],
    );
    for claim in &data.claims {
        let row = declared(data, &claim.hypothesis);
        let scale = row.map_or(Scale::Share, |row| Scale::of(&row.endpoint));
        let text = |value: Option<&str>| Cell::text(value.unwrap_or("n/a"));
        let p = |value: Option<f64>| value.map_or_else(|| Cell::text("n/a"), |p| Cell::number(p_value(p), p));
        sheet.rows.push(vec![
            Cell::text(&claim.hypothesis),
            Cell::text(&claim.verdict).toned(tone(claim)),
            text(claim.kind.as_deref()),
            row.map_or_else(Cell::default, |row| {
                Cell::text(&row.receiver).coloured(data.colour(&row.receiver))
            }),
            text(row.map(|row| row.edit.as_str())),
            text(row.map(|row| row.suite.as_str())),
            claim
                .effect
                .map_or_else(|| Cell::text("n/a"), |effect| Cell::number(scale.difference(effect), effect)),
            Cell::text(interval(scale, claim.ci_low, claim.ci_high)),
            p(claim.p),
            p(claim.p_corrected),
            Cell::text(row.map_or_else(|| "n/a".to_owned(), |row| row.controls.to_string())),
            text(claim.stability.as_deref()),
        ]);
    }
    sheet
}
