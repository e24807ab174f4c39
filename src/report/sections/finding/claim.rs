//! One claim as a short paragraph.

use super::{classes, extent, other_axis};
use crate::claims::ClaimRow;
use crate::experiments::{ControlRow, EffectRow};
use crate::report::data::Data;
use crate::report::numbers::p_is;
use crate::report::scale::Scale;
use crate::report::sections::effects::controls;
use crate::tasks::REFUSE_WHOLE;

/// What was done, what it changed, and why that decides or does not decide the hypothesis.
pub(super) fn sentences(data: &Data, claim: &ClaimRow) -> String {
    let scale = Scale::of(&claim.endpoint);
    let row = data.effects.iter().find(|row| row.declared && row.hypothesis == claim.hypothesis);
    let act = row.map_or_else(|| format!("The edit of {} in {}", quoted(&claim.set), claim.receiver), act);
    let mut sentences = vec![
        format!(
            "{act} changed {} on {} by {} {} ({}, {} after correction, n\u{a0}=\u{a0}{} problems).",
            claim.endpoint.replace('_', " "),
            claim.suite,
            scale.difference(claim.effect),
            scale.unit(),
            interval(scale, claim.ci_low, claim.ci_high),
            p_is(claim.p_corrected),
            claim.problems,
        ),
        row.and_then(|row| nulls(data, row, scale)).unwrap_or_default(),
        alike(claim),
        classes::sentence(data, claim).unwrap_or_default(),
        extent::sentence(data, claim, scale),
    ];
    if let Some(beyond) = claim.beyond_base {
        sentences.push(format!(
            "Beyond what the same edit does to {}: {} ({}).",
            data.base(),
            scale.difference(beyond),
            interval(scale, claim.beyond_base_low, claim.beyond_base_high),
        ));
    }
    if let Some(transplant) = claim.transplant {
        sentences.push(format!(
            "Putting {}'s part of the set in its place: {} ({}).",
            data.base(),
            scale.difference(transplant),
            interval(scale, claim.transplant_low, claim.transplant_high),
        ));
    }
    sentences.extend(answers(claim));
    sentences.extend(other_axis::sentence(data, claim, row));
    sentences.push(sentence(&claim.reason));
    sentences.retain(|sentence| !sentence.is_empty());
    sentences.join(" ")
}

/// What the edited model says, beyond the endpoint: whole answers, how natural they are, and whether they are those of the
/// full patch.
fn answers(claim: &ClaimRow) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(whole) = claim.whole_answer {
        let scale = Scale::of(REFUSE_WHOLE);
        sentences.push(format!(
            "Refusals whose whole answer is one changed by {} {} ({}).",
            scale.difference(whole),
            scale.unit(),
            interval(scale, claim.whole_answer_low, claim.whole_answer_high),
        ));
    }
    if let Some(damage) = claim.damage {
        let how = if damage < 0.0 { "more" } else { "less" };
        sentences.push(format!(
            "A token of an edited answer is {:.2} nats {how} likely than without the edit, by the likelier of the unedited \
             model and base.",
            damage.abs()
        ));
    }
    if let Some(share) = claim.as_patched {
        sentences.push(format!(
            "{:.0}\u{a0}% of the edited answers are, token by token, those of the whole exchange.",
            100.0 * share
        ));
    }
    sentences
}

/// What the matched controls of a declared effect did: its null distribution. Beside a set of features, what random
/// directions did, which are not counted among its controls.
fn nulls(data: &Data, row: &EffectRow, scale: Scale) -> Option<String> {
    let of = |wanted: &dyn Fn(&ControlRow) -> bool| {
        range(controls(data, row).filter(|control| control.matched && wanted(control)), scale)
    };
    let counts = |control: &ControlRow| control.counts(row.set_size);
    let what = if row.set_size.is_some() { "matched control sets" } else { "matched controls" };
    let sentences = [
        of(&|control| counts(control) && !control.is_borrowed_set())
            .map(|(count, range)| format!("The {what} ({count}) changed it by {range}.")),
        of(&|control| counts(control) && control.is_borrowed_set()).map(|(count, range)| {
            format!(
                "Sets of the same size that edit as strongly without repeating one another were too few on this suite, so {count} of the \
                 controls are directions of other sets, given this set's own gate and norm at every token; they changed it by {range}."
            )
        }),
        of(&|control| !counts(control)).map(|(count, range)| {
            format!("For comparison, {count} random directions of the same norm at every token changed it by {range}.")
        }),
    ];
    let sentences: Vec<String> = sentences.into_iter().flatten().collect();
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

/// From what to what all matched controls of a declared effect reach, and how many they are.
pub(super) fn matched_range(data: &Data, row: &EffectRow, scale: Scale) -> Option<(usize, String)> {
    range(controls(data, row).filter(|control| control.matched && control.counts(row.set_size)), scale)
}

/// What it means for the rank of an effect that its controls resemble each other.
fn alike(claim: &ClaimRow) -> String {
    match claim.widening {
        None => "The controls are copies of one another, and decide nothing.".to_owned(),
        Some(widening) if widening < SAID_FROM => String::new(),
        Some(widening) => format!(
            "The controls resemble one another more than they resemble the set; before the effect was ranked among them, their \
             distances from their mean were multiplied by {widening:.1}."
        ),
    }
}

/// The least factor worth a sentence.
const SAID_FROM: f64 = 1.05;

/// How many controls there are, and from what to what they reach.
fn range<'a>(controls: impl Iterator<Item = &'a ControlRow>, scale: Scale) -> Option<(usize, String)> {
    let mut effects: Vec<f64> = controls.map(|control| control.effect).collect();
    effects.sort_by(f64::total_cmp);
    let (least, most) = (effects.first()?, effects.last()?);
    let (least, most) = (scale.difference(*least), scale.difference(*most));
    let unit = scale.unit();
    let words = if least == most { format!("{least} {unit}") } else { format!("{least} to {most} {unit}") };
    Some((effects.len(), words))
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
pub(in crate::report::sections) fn act(row: &EffectRow) -> String {
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

/// An interval of differences in words.
pub(in crate::report::sections) fn interval(scale: Scale, low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => scale.interval(low, high),
        _ => "no interval".to_owned(),
    }
}
