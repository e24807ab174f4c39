//! Codes made of one variant's activations alone: how, and what they are worth beside the joint code (PROTOCOL 2).
//!
//! The receiver has a code of its own, made for its own texts. Where the same edit in base stands beside it, base has one
//! too, made for what base says: read jointly there, the two effects would differ by how codes are made.

use super::inputs::Selection;
use super::prepared::Prepared;
use super::readout::Readout;
use super::say::two_codes;
use super::settings::ReadoutKind;
use super::texts::Texts;
use crate::dictionaries::{Fidelity, fidelity, own_encoder};
use crate::diff::{Reading, View, swap_view};
use crate::error::Result;
use crate::interventions::Edit;
use crate::tasks::Suite;
use std::sync::Arc;

/// A way of making codes, judged on texts that nothing was fitted to.
pub(super) struct Single {
    pub(super) reading: Reading,
    /// For every feature.
    worth: Vec<Fidelity>,
}

impl Single {
    /// The least F1 and R² over a set; `None` for an empty one.
    pub(super) fn least(&self, set: &[u32]) -> Option<(f64, f64)> {
        let of = |feature: &u32| self.worth.get(*feature as usize).copied().unwrap_or_default();
        set.iter()
            .map(of)
            .map(|found| (found.f1, found.r2.unwrap_or(1.0)))
            .reduce(|least, next| (least.0.min(next.0), least.1.min(next.1)))
    }
}

/// How the hypothesis's codes are made in its receiver; `None` for the joint code.
///
/// # Errors
/// If the edit needs two codes and the readout makes one, a forward pass fails, or the dictionary allows no such code.
pub(super) fn of_receiver(
    prepared: &Prepared,
    selection: &Selection<'_>,
    texts: &[&Arc<Texts>],
) -> Result<Option<Single>> {
    match kind(prepared, selection) {
        ReadoutKind::Joint if two_sources(prepared) => Err(two_codes()),
        ReadoutKind::Joint => Ok(None),
        kind => made(prepared, selection.readout, kind, prepared.receiver, texts).map(Some),
    }
}

/// How they are made in base, and base's index, where the same edit is measured there by other codes than the joint one.
///
/// # Errors
/// As [`of_receiver`], or if the observer asks to stop.
pub(super) fn in_base(
    prepared: &Prepared,
    selection: &mut Selection<'_>,
    suites: &[&Suite],
) -> Result<Option<(usize, Single)>> {
    let kind = kind(prepared, selection);
    let base = &selection.inputs.base;
    if kind == ReadoutKind::Joint || !prepared.hypothesis.is_contrasted_with(base) {
        return Ok(None);
    }
    let base = selection.readout.variant(base)?;
    let texts = suites.iter().map(|suite| selection.texts(base, suite)).collect::<Result<Vec<_>>>()?;
    let texts: Vec<&Arc<Texts>> = texts.iter().collect();
    Ok(Some((base, made(prepared, selection.readout, kind, base, &texts)?)))
}

fn kind(prepared: &Prepared, selection: &Selection<'_>) -> ReadoutKind {
    prepared.hypothesis.readout.unwrap_or(selection.settings.readout)
}

fn two_sources(prepared: &Prepared) -> bool {
    matches!(prepared.hypothesis.edit, Edit::TwoSource(_))
}

/// Codes of the declared edit when it is done in `edited`, fitted on one side of its texts and judged on the other.
fn made(
    prepared: &Prepared,
    readout: &Readout,
    kind: ReadoutKind,
    edited: usize,
    texts: &[&Arc<Texts>],
) -> Result<Single> {
    let side =
        |even: bool| -> Vec<Vec<u32>> { texts.iter().flat_map(|texts| texts.side(even)).cloned().collect() };
    let (fitting, pair) = (side(true), (prepared.receiver, prepared.other));
    let view = |variant: usize| view_of(readout, kind, variant, pair, &fitting);
    let receiver = view(edited)?;
    let judging = side(false);
    let joint = readout.codes(&judging, &Reading::Joint)?;
    let found = readout.codes(&judging, &Reading::Of(receiver.clone()))?;
    let worth = fidelity(&joint, &found, readout.features());
    let reading = match two_sources(prepared) {
        true => Reading::TwoSource { donor: view(prepared.other)?, receiver },
        false => Reading::Of(receiver),
    };
    Ok(Single { reading, worth })
}

/// One variant's own code in a pair of receiver and donor; encoders are fitted on `texts`.
///
/// # Errors
/// If a forward pass fails, or the dictionary allows no such code.
pub(super) fn view_of(
    readout: &Readout,
    kind: ReadoutKind,
    variant: usize,
    pair: (usize, usize),
    texts: &[Vec<u32>],
) -> Result<View> {
    if kind != ReadoutKind::Own {
        return swap_view(variant, pair);
    }
    let mut joint: Vec<f32> = Vec::new();
    readout.read(texts, |chunk| {
        if joint.len() < FITTING * chunk.len().max(1) {
            joint.extend_from_slice(chunk);
        }
        Ok(())
    })?;
    Ok(View::Own { variant, encoder: own_encoder(readout.dictionary()?, &joint, variant)? })
}

/// Chunks of texts that an own encoder is fitted on, at most.
const FITTING: usize = 16;
