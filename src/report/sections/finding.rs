//! What was found, in words, from the table `claims`; what was not shown is said in so many words.

use crate::claims::{ClaimRow, Verdict};
use crate::experiments::EffectRow;
use crate::report::data::Data;
use crate::report::numbers::p_value;
use crate::report::scale::Scale;
use crate::report::view::{Block, Cell, Section, Sheet, Tone};

const COLUMNS: [(&str, &str); 12] = [
    ("Hypothesis", "The name in the study"),
    ("Verdict", "By the decision rule of the protocol"),
    ("Receiver", "The variant whose forward pass is edited"),
    ("Set", "The features that are edited"),
    ("Declared on", "Endpoint and suite"),
    ("Effect#", "Percentage points for shares, nats for log-odds"),
    ("Interval#", "Simultaneous over all declared hypotheses and their other axes"),
    ("p zero#", "Sign flip over problems"),
    ("p controls#", "Rank among matched controls"),
    ("p corrected#", "The larger of the two, corrected for the number of hypotheses"),
    ("Controls#", "Matched control sets, and how many the study needs"),
    ("Stability", "Repetitions over dictionary and training seeds that agree"),
];

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let (id, title) = ("finding", "What was found");
    if data.claims.is_empty() {
        let words =
            "No claim is made: the study declares no hypothesis, or the stage that decides has not run.";
        return Section::new(id, title, vec![Block::Paragraph(words.to_owned())]);
    }
    let mut blocks = vec![Block::Paragraph(summary(&data.claims))];
    blocks.extend(data.claims.iter().map(|claim| Block::Finding {
        verdict: claim.verdict.name().to_owned(),
        tone: tone(claim.verdict),
        words: sentences(data, claim),
    }));
    blocks.push(Block::Table(sheet(data)));
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

/// One claim as a short paragraph.
fn sentences(data: &Data, claim: &ClaimRow) -> String {
    let scale = Scale::of(&claim.endpoint);
    let row = data.effects.iter().find(|row| row.declared && row.hypothesis == claim.hypothesis);
    let act = row.map_or_else(|| format!("The edit of {} in {}", quoted(&claim.set), claim.receiver), act);
    let mut sentences = vec![
        if claim.verdict == Verdict::Undecided { "Not shown.".to_owned() } else { String::new() },
        format!(
            "{act} changed {} on {} by {} {} ({}, p\u{a0}=\u{a0}{} after correction, n\u{a0}=\u{a0}{} problems).",
            claim.endpoint.replace('_', " "),
            claim.suite,
            scale.difference(claim.effect),
            scale.unit(),
            interval(scale, claim.ci_low, claim.ci_high),
            p_value(claim.p_corrected),
            claim.problems,
        ),
        sentence(&claim.reason),
    ];
    if let (Some(suite), Some(effect)) = (&claim.other_suite, claim.other_effect) {
        sentences.push(format!(
            "On the other axis, {suite}, the same edit changed {} ({}).",
            Scale::Share.difference(effect),
            interval(Scale::Share, claim.other_ci_low, claim.other_ci_high),
        ));
    }
    if let Some(beyond) = claim.beyond_base {
        sentences.push(format!(
            "Beyond what the same edit does to {}: {} ({}).",
            data.base(),
            scale.difference(beyond),
            interval(scale, claim.beyond_base_low, claim.beyond_base_high),
        ));
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences.join(" ")
}

/// A reason as a sentence of its own.
fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str().trim_end_matches('.')),
        None => String::new(),
    }
}

/// An edit in words, as the subject of a sentence.
pub(super) fn act(row: &EffectRow) -> String {
    let set = match row.set_size {
        Some(1) => format!("the set {} (1 feature)", quoted(&row.set)),
        Some(size) => format!("the set {} ({size} features)", quoted(&row.set)),
        None => quoted(&row.set),
    };
    let receiver = &row.receiver;
    let donor = row.donor.as_deref().unwrap_or("another variant");
    match row.edit.as_str() {
        "zero" => format!("Removing {set} from {receiver}"),
        "mean" => format!("Holding {set} at its mean in {receiver}"),
        "resample" => format!("Replacing {set} in {receiver} by its value on another problem"),
        "clamp" => format!("Clamping {set} in {receiver}"),
        "steer" => format!("Adding {set} to {receiver}"),
        "transplant" => format!("Giving {set} in {receiver} the directions of {donor}"),
        "project_out" => format!("Projecting {set} out of {receiver}"),
        "whole_difference" => format!("Replacing the whole activation of {receiver} by that of {donor}"),
        "error_only" => format!("Giving {receiver} what the dictionary misses of {donor}"),
        other => format!("The edit {} of {set} in {receiver}", quoted(other)),
    }
}

fn quoted(name: &str) -> String {
    format!("\u{201c}{name}\u{201d}")
}

fn interval(scale: Scale, low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => scale.interval(low, high),
        _ => "no interval".to_owned(),
    }
}

fn sheet(data: &Data) -> Sheet {
    let correction = data.claims.first().map_or("", |claim| claim.correction.as_str());
    let correction = match correction {
        "holm" => "Holm",
        "bh" => "Benjamini-Hochberg",
        "by" => "Benjamini-Yekutieli",
        other => other,
    };
    let caption = format!(
        "Claims. Effects are paired differences on the measuring half. Intervals hold for all declared hypotheses at once. A hypothesis must pass both the sign flip over problems and its rank among matched controls; correction: {correction}.",
    );
    let mut sheet = Sheet::new("claims", caption, &COLUMNS);
    sheet.rows = data.claims.iter().map(|claim| cells(data, claim)).collect();
    sheet
}

fn cells(data: &Data, claim: &ClaimRow) -> Vec<Cell> {
    let scale = Scale::of(&claim.endpoint);
    let p = |p: f64| Cell::number(p_value(p), p);
    vec![
        Cell::text(&claim.hypothesis),
        Cell::text(claim.verdict.name()).toned(tone(claim.verdict)),
        Cell::text(&claim.receiver).coloured(data.colour(&claim.receiver)),
        Cell::text(&claim.set),
        Cell::text(format!("{}, {}", claim.endpoint.replace('_', " "), claim.suite)),
        Cell::number(scale.difference(claim.effect), claim.effect),
        Cell::text(interval(scale, claim.ci_low, claim.ci_high)),
        p(claim.p_zero),
        p(claim.p_controls),
        p(claim.p_corrected),
        Cell::text(format!("{} of {}", claim.controls, claim.needed_controls)),
        Cell::text(&claim.stability),
    ]
}
