//! Heads as targets: their mean values, and other heads as controls.
//!
//! A control is as many other heads under the same edit. It matches on a suite where the mean squared norm of what it
//! writes on the selection half's texts, in prompts and in responses, is within the tolerance of the tested heads'. So
//! every suite has controls of its own. A small model may not have enough heads for that; then there is no claim.

use super::controls::Cloud;
use super::inputs::Selection;
use super::prepared::{Control, Instead, Prepared, Target};
use super::set_rule::SetRule;
use super::texts::Texts;
use crate::error::{Error, Result};
use crate::interventions::{Head, HeadWriter};
use crate::model::{BlockPoint, Gradients, HookPoint, Hooks, Model, TokenBatch};
use crate::rng::{Stream, stable_hash};
use crate::stats::Likeness;
use crate::tasks::Suite;
use std::collections::{BTreeMap, BTreeSet};

/// Texts that are read at once.
const ROWS: usize = 64;
/// Draws tried for each control that is wanted: there may be fewer sets than that.
const TRIES: usize = 20;

/// The hypothesis's heads, what their writers need, and the controls.
///
/// # Errors
/// If there is no such head, or a forward pass fails.
pub(super) fn choose(prepared: &mut Prepared, selection: &mut Selection<'_>) -> Result<()> {
    let SetRule::Heads(heads) = prepared.hypothesis.set.clone() else {
        return Err(Error::work(format!("`{}` holds no heads", prepared.hypothesis.set.name())));
    };
    let suite = prepared.suite.clone();
    let texts = selection.texts(prepared.receiver, &suite)?;
    let model = selection.readout.model(prepared.receiver)?;
    prepared.tools.head_means = means(model, &texts.tokens)?;
    let known = &prepared.tools.head_means;
    if let Some(bad) = heads.iter().find(|head| !known.contains_key(head)) {
        let last = known.last_key_value().map(|(head, _)| head.to_string()).unwrap_or_default();
        return Err(Error::request(format!("there is no head {bad} in `{}`", prepared.hypothesis.receiver))
            .hint(format!("its last head is {last}")));
    }
    prepared.controls = controls(prepared, selection, &heads, &suite)?;
    prepared.target = Target::Heads(heads);
    Ok(())
}

/// Mean squared norm of what an edit writes at a token, in prompt and in response. Zero where there is no such token.
type Energy = [f64; 2];

/// Other heads that match the tested ones on a suite, drawn for it.
///
/// # Errors
/// If a forward pass fails.
pub(super) fn controls(
    prepared: &Prepared,
    selection: &mut Selection<'_>,
    heads: &[Head],
    suite: &Suite,
) -> Result<Vec<Control>> {
    let texts = selection.texts(prepared.receiver, suite)?;
    let energies = energies(prepared, selection, &texts)?;
    let key = stable_hash(&format!("{} on {}", prepared.hypothesis.name, suite.name()));
    Ok(draw(heads, &energies, selection, key))
}

/// What the declared edit of every head alone writes on the receiver's own texts.
fn energies(prepared: &Prepared, selection: &Selection<'_>, texts: &Texts) -> Result<BTreeMap<Head, Energy>> {
    let readout = selection.readout;
    let model = readout.model(prepared.receiver)?;
    let (receiver, size) = (values(model, &texts.tokens)?, model.config().head_dim.max(1));
    let (edit, means) = (&prepared.hypothesis.edit, &prepared.tools.head_means);
    let donor = match edit.donor() {
        Some(donor) => values(readout.model(readout.variant(donor)?)?, &texts.tokens)?,
        None => BTreeMap::new(),
    };
    let all: Vec<Head> = receiver.keys().copied().collect();
    let indices = (prepared.receiver, edit.donor().map(|_| prepared.other));
    let writer = HeadWriter::new(edit, prepared.hypothesis.dose, &all, indices, means)?;
    // As `values` reads them: every token but the first of its text.
    let lengths = || texts.tokens.iter().zip(&texts.prompts);
    let parts: Vec<usize> = lengths()
        .flat_map(|(text, prompt)| (1..text.len()).map(move |column| usize::from(column >= *prompt)))
        .collect();
    let mut delta = vec![0.0; size];
    Ok(receiver
        .iter()
        .map(|(head, own)| {
            let other = donor.get(head).map_or(&[][..], Vec::as_slice);
            let (mut sums, mut counts) = (Energy::default(), Energy::default());
            for (at, (own, part)) in own.chunks_exact(size).zip(&parts).enumerate() {
                writer.delta(*head, own, other.get(at * size..(at + 1) * size).unwrap_or(&[]), &mut delta);
                sums[*part] += delta.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
                counts[*part] += 1.0;
            }
            (*head, std::array::from_fn(|part| sums[part] / counts[part].max(1.0)))
        })
        .collect())
}

/// The worst relative gap of a set to the wanted energy, over prompt and response.
fn gap(found: Energy, wanted: Energy) -> f64 {
    let pairs = found.into_iter().zip(wanted);
    pairs.map(|(found, wanted)| (found - wanted).abs() / wanted.max(f64::MIN_POSITIVE)).fold(0.0, f64::max)
}

/// The mean values of every head on some texts, their first tokens left out.
///
/// # Errors
/// If a forward pass fails.
pub(super) fn means(model: &Model, texts: &[Vec<u32>]) -> Result<BTreeMap<Head, Vec<f32>>> {
    let size = model.config().head_dim.max(1);
    Ok(values(model, texts)?.iter().map(|(head, rows)| (*head, mean(rows, size))).collect())
}

/// Distinct sets of as many other heads, at most as many as there are controls in the study.
fn draw(
    heads: &[Head],
    energies: &BTreeMap<Head, Energy>,
    selection: &Selection<'_>,
    key: u64,
) -> Vec<Control> {
    let settings = selection.settings;
    let others: Vec<Head> = energies.keys().filter(|head| !heads.contains(head)).copied().collect();
    let total = |set: &[Head]| -> Energy {
        let each = || set.iter().filter_map(|head| energies.get(head));
        std::array::from_fn(|part| each().map(|energy| energy[part]).sum())
    };
    let wanted = total(heads);
    let mut seen: BTreeSet<Vec<Head>> = BTreeSet::new();
    let mut controls = Vec::new();
    for draw in 0..(settings.controls * TRIES) as u64 {
        if controls.len() == settings.controls || others.len() < heads.len() {
            break;
        }
        let mut set = others.clone();
        Stream::new(selection.seed, "head control", &[key, draw]).shuffle(&mut set);
        set.truncate(heads.len());
        set.sort_unstable();
        if !seen.insert(set.clone()) {
            continue;
        }
        let gap = gap(total(&set), wanted);
        let matched = gap <= settings.balance_tolerance;
        let instead = Instead::Target(Target::Heads(set));
        controls.push(Control { cloud: Cloud::AnyHead, draw, instead, gap, matched, likeness: None });
    }
    compare(&mut controls, energies);
    controls
}

/// Says of each control that matches how much it writes what the others write. What heads write lies in planes of their
/// own, so two sets are alike as far as they have heads in common, and none is like the tested heads.
fn compare(controls: &mut [Control], energies: &BTreeMap<Head, Energy>) {
    let energy = |head: &Head| energies.get(head).map_or(0.0, |energy| energy.iter().sum::<f64>());
    let mut matched: Vec<(Vec<Head>, &mut Control)> = controls
        .iter_mut()
        .filter(|control| control.matched)
        .filter_map(|control| Some((control.heads()?.to_vec(), control)))
        .collect();
    let length = |set: &[Head]| set.iter().map(energy).sum::<f64>().max(f64::MIN_POSITIVE).sqrt();
    let mut together: BTreeMap<Head, f64> = BTreeMap::new();
    for (set, _) in &matched {
        set.iter().for_each(|head| *together.entry(*head).or_default() += 1.0 / length(set));
    }
    let others = matched.len().saturating_sub(1).max(1) as f64;
    for (set, control) in &mut matched {
        let with_all: f64 =
            set.iter().map(|head| energy(head) * together.get(head).copied().unwrap_or(0.0)).sum();
        // With itself, unless it writes nothing.
        let with_itself = if set.iter().any(|head| energy(head) > 0.0) { 1.0 } else { 0.0 };
        let among = (with_all / length(set) - with_itself) / others;
        control.likeness = Some(Likeness { among, to_set: 0.0 });
    }
}

/// Every head's values on all tokens but the first of each text: `[tokens, head_dim]`, flat.
fn values(model: &Model, texts: &[Vec<u32>]) -> Result<BTreeMap<Head, Vec<f32>>> {
    let layers = 0..model.config().layers();
    let mixed = |layer| HookPoint::Block(layer, BlockPoint::Mixed);
    let mut found: BTreeMap<Head, Vec<f32>> = BTreeMap::new();
    for chunk in texts.chunks(ROWS) {
        let batch = TokenBatch::new(chunk)?;
        let mut hooks = layers.clone().fold(Hooks::none(), |hooks, layer| hooks.capture(mixed(layer)));
        model.forward(&batch, None, &mut hooks, Gradients::Off)?;
        hooks.finish()?;
        for layer in layers.clone() {
            let value = hooks
                .take(mixed(layer))
                .ok_or_else(|| Error::work(format!("`{}` did not fire", mixed(layer))))?;
            let (_, width, heads, size) = value.dims4()?;
            let flat = value.flatten_all()?.to_vec1::<f32>()?;
            for (row, length) in batch.lengths().iter().enumerate() {
                for (column, head) in
                    (1..*length).flat_map(|column| (0..heads).map(move |head| (column, head)))
                {
                    let start = ((row * width + column) * heads + head) * size;
                    let values = flat.get(start..start + size).unwrap_or(&[]);
                    found.entry(Head { layer, head }).or_default().extend_from_slice(values);
                }
            }
        }
        if found.values().next().is_some_and(|values| values.len() > TOKENS * model.config().head_dim) {
            break;
        }
    }
    Ok(found)
}

/// Tokens that are read before it is enough.
const TOKENS: usize = 8192;

/// The mean of rows of `size` numbers.
fn mean(rows: &[f32], size: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; size];
    rows.chunks_exact(size)
        .for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x)));
    let count = (rows.len() / size).max(1) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_that_write_as_much_elsewhere_do_not_match() {
        assert_eq!(gap([2.0, 1.0], [2.0, 1.0]), 0.0);
        assert_eq!(gap([1.0, 2.0], [2.0, 1.0]), 1.0, "as much over all, but not where");
        assert!(gap([0.1, 1.0], [0.0, 1.0]) > 1.0, "nothing in the prompt is matched by nothing there");
        assert!((gap([0.0, 1.1], [0.0, 1.0]) - 0.1).abs() < 1e-9);
    }

    #[test]
    fn heads_in_common_make_sets_alike() {
        let head = |head| Head { layer: 0, head };
        let control = |heads: &[usize], matched| Control {
            cloud: Cloud::AnyHead,
            draw: 0,
            instead: Instead::Target(Target::Heads(heads.iter().map(|index| head(*index)).collect())),
            gap: 0.0,
            matched,
            likeness: None,
        };
        let energies = BTreeMap::from([(head(0), [1.0, 2.0]), (head(1), [0.5, 0.5]), (head(2), [1.0, 0.0])]);
        let mut controls = [control(&[0, 1], true), control(&[0, 2], true), control(&[1, 2], false)];
        compare(&mut controls, &energies);
        for control in &controls[..2] {
            let likeness = control.likeness.unwrap();
            assert!((likeness.among - 0.75).abs() < 1e-12 && likeness.to_set == 0.0, "{likeness:?}");
        }
        assert_eq!(controls[2].likeness, None);
    }
}
