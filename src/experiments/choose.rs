//! Feature sets, chosen on the selection half.
//!
//! For `transfer` and `safety`:
//!
//! 1. The suite is the hypothesis's own if it is on the set's axis, else the axis's primary suite.
//! 2. Each feature's share in the endpoint is its attribution ([`super::attribution`]) under the very edit
//!    that will be made, on the receiver's own completions.
//! 3. Candidates are features that the edit moves in the wanted direction and whose decoders differ
//!    between the receiver and the reference (the donor, else base), ranked by attribution.
//! 4. Attribution only proposes: the first 1, 2, 4, ... candidates are really edited on selection problems, and the
//!    smallest set with `effect_share` of the best effect is taken, if matched controls exist for it; else the next
//!    larger one for which they do, and after those the weaker ones. Where no size has enough matched controls that are
//!    not copies of one another, the first is taken, and its controls are the directions of other sets with its own gate
//!    and norm.
//!
//! Nothing here looks at a problem of the measuring half.

use super::attribution::{Endpoint, attribute};
use super::conditions::Condition;
use super::controls::Stock;
use super::hypothesis::{Axis, Hypothesis};
use super::inputs::Selection;
use super::percentiles::{self, percentiles};
use super::prepared::{Prepared, Target, Tools};
use super::rows::SetRow;
use super::set_rule::SetRule;
use super::texts::{Texts, bank, reference, stock};
use super::{directions, heads, single};
use crate::error::{Error, Result};
use crate::evaluation::REFUSAL_LOG_ODDS;
use crate::interventions::{Decoders, FeatureDelta, TargetKind};
use crate::tasks::{Half, Suite};
use std::sync::Arc;

/// Chooses a hypothesis's target and draws its controls.
///
/// # Errors
/// If a forward pass fails, or the observer asks to stop.
pub(super) fn prepare(selection: &mut Selection<'_>, hypothesis: &Hypothesis) -> Result<Prepared> {
    let (axis, suite) = selection.inputs.suite(&hypothesis.suite)?;
    let readout = selection.readout;
    let receiver = readout.variant(&hypothesis.receiver)?;
    let mut prepared = Prepared {
        hypothesis: hypothesis.clone(),
        axis,
        suite: suite.clone(),
        receiver,
        other: readout.variant(hypothesis.edit.donor().unwrap_or(&selection.inputs.base))?,
        tools: Tools::new(receiver, hypothesis.hook.unwrap_or(readout.hook())),
        fidelity: None,
        fidelity_in_base: None,
        target: Target::Whole,
        rows: Vec::new(),
        controls: Vec::new(),
        deltas: Vec::new(),
    };
    match hypothesis.set.kind(&hypothesis.edit) {
        TargetKind::Features => features(&mut prepared, selection)?,
        TargetKind::Whole => prepared.controls = directions::random(&prepared, selection),
        TargetKind::Direction => {
            prepared.target = Target::Direction(directions::find(&prepared, selection)?);
            prepared.controls = directions::random(&prepared, selection);
        }
        TargetKind::Heads => heads::choose(&mut prepared, selection)?,
    }
    Ok(prepared)
}

/// A set of features: how its code is read, which features, and their controls.
fn features(prepared: &mut Prepared, selection: &mut Selection<'_>) -> Result<()> {
    let (readout, hypothesis) = (selection.readout, prepared.hypothesis.clone());
    let (receiver, other, suite) = (prepared.receiver, prepared.other, prepared.suite.clone());
    let scored = match &hypothesis.set {
        SetRule::Carriers(wanted) if *wanted != prepared.axis => {
            selection.inputs.primary(*wanted).cloned().ok_or_else(|| {
                Error::request(format!(
                    "the set `{}` needs a suite of that kind, and there is none",
                    wanted.name()
                ))
                .at(format!("hypothesis `{}`", hypothesis.name))
            })?
        }
        _ => suite.clone(),
    };
    let (mut own, mut texts) = (selection.texts(receiver, &suite)?, selection.texts(receiver, &scored)?);
    let single = single::of_receiver(prepared, selection, &[&own, &texts])?;
    let in_base = single::in_base(prepared, selection, &[&suite, &scored])?;
    if let Some(single) = &single {
        own = Arc::new(own.reread(readout, &single.reading)?);
        texts = Arc::new(texts.reread(readout, &single.reading)?);
        prepared.tools.reading = single.reading.clone();
    }
    let matching = stock(&[(suite.name(), &own)], selection.traits(receiver, other, &suite)?);
    let count = readout.features();
    prepared.tools.reference = reference(&stock(&[(scored.name(), &texts)], vec![Default::default(); count]));
    if percentiles::are_units(selection.settings.edits.iter().chain([&hypothesis.edit])) {
        prepared.tools.reference.percentiles = percentiles(selection, &prepared.tools.reading, &scored)?;
    }
    prepared.tools.bank = bank(&[(suite.name(), &own)], selection.seed);
    let (edit, dose, dictionary) = (&hypothesis.edit, hypothesis.dose, readout.dictionary()?);
    let variants = (receiver, edit.donor().map(|_| other));
    let delta =
        |feature: u32| FeatureDelta::of(edit, dose, feature, variants, dictionary, &prepared.tools.reference);
    prepared.deltas = (0..count as u32).map(delta).collect();
    let all = 0..count as u32;
    let chosen = match &hypothesis.set {
        SetRule::Carriers(wanted) => {
            carriers(prepared, selection, *wanted, &scored, &texts, &matching)?;
            prepared.target.features().to_vec()
        }
        SetRule::Class(class) => {
            let classes = selection.inputs.classes.iter();
            all.zip(classes).filter(|(_, found)| *found == class).map(|(feature, _)| feature).collect()
        }
        SetRule::Features(features) => features.clone(),
        _ => all.collect(),
    };
    prepared.fidelity = single.and_then(|single| single.least(&chosen));
    if let Some((base, single)) = in_base {
        prepared.fidelity_in_base = single.least(&chosen);
        prepared.tools.in_base = Some((base, single.reading));
    }
    if prepared.controls.is_empty() && !chosen.is_empty() {
        prepared.controls = prepared.drawn(selection, &matching, &chosen, &hypothesis.name)?;
    }
    if prepared.rows.is_empty() {
        prepared.rows = set_rows(prepared, selection, &chosen, &[]);
    }
    prepared.target = Target::Features(chosen);
    Ok(())
}

fn set_rows(prepared: &Prepared, selection: &Selection<'_>, ranked: &[u32], scores: &[f64]) -> Vec<SetRow> {
    let class = |feature: &u32| selection.inputs.classes.get(*feature as usize).cloned();
    let row = |(rank, feature): (usize, &u32)| SetRow {
        hypothesis: prepared.hypothesis.name.clone(),
        set: prepared.hypothesis.set.name(),
        receiver: prepared.hypothesis.receiver.clone(),
        feature: u64::from(*feature),
        rank: rank as u64 + 1,
        score: scores.get(*feature as usize).copied(),
        class: class(feature),
    };
    ranked.iter().enumerate().map(row).collect()
}

/// Steps 2 to 4 above.
fn carriers(
    prepared: &mut Prepared,
    selection: &Selection<'_>,
    axis: Axis,
    suite: &Suite,
    texts: &Arc<Texts>,
    matching: &Stock,
) -> Result<()> {
    let trial = selection.trial(suite, Half::Select);
    let tokenizer = selection.readout.model(prepared.receiver)?.tokenizer()?;
    let endpoint = match super::measure::refusal_token(suite, tokenizer) {
        Some(token) => Endpoint::FirstToken(token?),
        None => Endpoint::Score,
    };
    let scores = attribute(selection.readout, prepared.receiver, texts, &prepared.deltas, endpoint)?;
    let declared = Hypothesis {
        direction: prepared.hypothesis.direction.filter(|_| axis == prepared.axis),
        ..prepared.hypothesis.clone()
    };
    let sign = declared.direction(axis, &selection.inputs.base).sign();
    let dictionary = selection.readout.dictionary()?;
    let mut ranked: Vec<u32> = (0..scores.len() as u32)
        .filter(|feature| scores.get(*feature as usize).is_some_and(|score| sign * score > 0.0))
        .filter(|feature| {
            let same = prepared.receiver == prepared.other;
            same || decoder_difference(dictionary, *feature, prepared.receiver, prepared.other)
                >= selection.settings.decoder_difference
        })
        .collect();
    let score = |feature: u32| scores.get(feature as usize).map_or(0.0, |score| sign * score);
    ranked.sort_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
    let sizes = sizes(&selection.settings.set_sizes, ranked.len());
    if sizes.is_empty() {
        return Ok(());
    }
    let mut conditions = vec![Condition::baseline()];
    for size in &sizes {
        let set = ranked.get(..*size).unwrap_or(&ranked);
        let target = Target::Features(set.to_vec());
        conditions.push(prepared.condition(
            selection,
            format!("size {size}"),
            &target,
            prepared.hypothesis.dose,
        )?);
    }
    let measured = trial.measure(prepared.receiver, &conditions, "sizes of the set", selection.observer)?;
    let column = measured.endpoint(REFUSAL_LOG_ODDS).unwrap_or(0);
    let effects: Vec<f64> =
        (1..conditions.len()).map(|condition| sign * measured.effect(condition, column)).collect();
    let mut fallback = None;
    for index in preferred(&effects, selection.settings.effect_share) {
        let set = ranked.get(..sizes[index]).unwrap_or(&ranked).to_vec();
        let controls = prepared.drawn(selection, matching, &set, &prepared.hypothesis.name)?;
        let matched = controls.iter().filter(|control| control.is_matched_set()).count();
        tracing::debug!("{}: {matched} sets match {} features", prepared.hypothesis.name, set.len());
        if matched >= selection.settings.controls {
            fallback = Some((set, controls));
            break;
        }
        fallback.get_or_insert((set, controls));
    }
    if let Some((set, controls)) = fallback {
        prepared.rows = set_rows(prepared, selection, &set, &scores);
        (prepared.target, prepared.controls) = (Target::Features(set), controls);
    }
    Ok(())
}

/// The sizes that there are candidates for; all of the candidates if there are fewer than the smallest.
fn sizes(wanted: &[usize], candidates: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> =
        wanted.iter().copied().map(|size| size.min(candidates)).filter(|size| *size > 0).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Indices of sizes: those with enough of the best effect from small to large, then the others by effect.
fn preferred(effects: &[f64], share: f64) -> Vec<usize> {
    let best = effects.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let enough = |index: &usize| best > 0.0 && effects[*index] >= share * best;
    let (good, mut rest): (Vec<usize>, Vec<usize>) = (0..effects.len()).partition(enough);
    rest.sort_by(|a, b| effects[*b].total_cmp(&effects[*a]));
    good.into_iter().chain(rest).collect()
}

/// Norm of the difference between a feature's decoders for two variants, over the larger norm.
fn decoder_difference(dictionary: &dyn Decoders, feature: u32, a: usize, b: usize) -> f64 {
    let norm = |vector: &mut dyn Iterator<Item = f64>| vector.map(|x| x * x).sum::<f64>().sqrt();
    let (first, second) = (dictionary.decoder(feature, a), dictionary.decoder(feature, b));
    let difference = norm(&mut first.iter().zip(second).map(|(x, y)| f64::from(x - y)));
    let larger =
        norm(&mut first.iter().map(|x| f64::from(*x))).max(norm(&mut second.iter().map(|x| f64::from(*x))));
    if larger > 0.0 { difference / larger } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_size_with_enough_of_the_best_effect_comes_first() {
        assert_eq!(preferred(&[0.1, 0.85, 1.0, 0.9], 0.8), [1, 2, 3, 0]);
        assert_eq!(preferred(&[-0.2, -0.1], 0.8), [1, 0]);
        assert_eq!(sizes(&[1, 2, 4, 8], 3), [1, 2, 3]);
        assert_eq!(sizes(&[4, 8], 0), Vec::<usize>::new());
    }
}
