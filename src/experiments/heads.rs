//! Heads as targets: their mean values, and other heads as controls.
//!
//! A control is as many other heads under the same edit. It matches where the mean squared norm of what it
//! writes, over the selection half's tokens, is within the tolerance of the tested heads'. A small model may
//! not have enough heads for that; then there is no claim.

use super::controls::Cloud;
use super::inputs::Selection;
use super::prepared::{Control, Instead, Prepared, Target};
use super::set_rule::SetRule;
use crate::error::{Error, Result};
use crate::interventions::{Head, HeadWriter};
use crate::model::{BlockPoint, Gradients, HookPoint, Hooks, Model, TokenBatch};
use crate::rng::{Stream, stable_hash};
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
    let texts = selection.texts(prepared.receiver, &prepared.suite)?;
    let readout = selection.readout;
    let model = readout.model(prepared.receiver)?;
    let (receiver, size) = (values(model, &texts.tokens)?, model.config().head_dim.max(1));
    prepared.tools.head_means = receiver.iter().map(|(head, rows)| (*head, mean(rows, size))).collect();
    let all: Vec<Head> = receiver.keys().copied().collect();
    if let Some(bad) = heads.iter().find(|head| !receiver.contains_key(head)) {
        return Err(Error::request(format!("there is no head {bad} in `{}`", prepared.hypothesis.receiver))
            .hint(format!("its last head is {}", all.last().map(Head::to_string).unwrap_or_default())));
    }
    let edit = &prepared.hypothesis.edit;
    let donor = match edit.donor() {
        Some(donor) => values(readout.model(readout.variant(donor)?)?, &texts.tokens)?,
        None => BTreeMap::new(),
    };
    let indices = (prepared.receiver, edit.donor().map(|_| prepared.other));
    let writer = HeadWriter::new(edit, prepared.hypothesis.dose, &all, indices, &prepared.tools.head_means)?;
    let energy = |head: &Head| -> f64 {
        let own = receiver.get(head).map_or(&[][..], Vec::as_slice);
        let other = donor.get(head).map_or(&[][..], Vec::as_slice);
        let mut delta = vec![0.0; size];
        let each = own.chunks_exact(size).enumerate().map(|(at, own)| {
            writer.delta(*head, own, other.get(at * size..(at + 1) * size).unwrap_or(&[]), &mut delta);
            delta.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()
        });
        each.sum::<f64>() / (own.len() / size).max(1) as f64
    };
    let energies: BTreeMap<Head, f64> = all.iter().map(|head| (*head, energy(head))).collect();
    prepared.controls = controls(&heads, &energies, selection, &prepared.hypothesis.name);
    prepared.target = Target::Heads(heads);
    Ok(())
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
fn controls(
    heads: &[Head],
    energies: &BTreeMap<Head, f64>,
    selection: &Selection<'_>,
    name: &str,
) -> Vec<Control> {
    let settings = selection.settings;
    let others: Vec<Head> = energies.keys().filter(|head| !heads.contains(head)).copied().collect();
    let total = |set: &[Head]| set.iter().filter_map(|head| energies.get(head)).sum::<f64>();
    let wanted = total(heads).max(f64::MIN_POSITIVE);
    let mut seen: BTreeSet<Vec<Head>> = BTreeSet::new();
    let mut controls = Vec::new();
    for draw in 0..(settings.controls * TRIES) as u64 {
        if controls.len() == settings.controls || others.len() < heads.len() {
            break;
        }
        let mut set = others.clone();
        Stream::new(selection.seed, "head control", &[stable_hash(name), draw]).shuffle(&mut set);
        set.truncate(heads.len());
        set.sort_unstable();
        if !seen.insert(set.clone()) {
            continue;
        }
        let gap = (total(&set) - wanted).abs() / wanted;
        let matched = gap <= settings.balance_tolerance;
        let instead = Instead::Target(Target::Heads(set));
        controls.push(Control { cloud: Cloud::AnyHead, draw, instead, gap, matched });
    }
    controls
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
