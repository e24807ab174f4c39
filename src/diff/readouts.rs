//! Whose activations make the code (PROTOCOL 2), and how well each choice stands for the joint code.
//!
//! * `joint`: all variants at the token, as the dictionary was fitted.
//! * `own`: an encoder of one variant alone, fitted to the joint code ([`own_encoder`]).
//! * `swap`: the joint encoder with one variant's activation in the place of another's too, as in
//!   arXiv 2609.35210, where base and student are read as enc(h, h, teacher).
//!
//! Applying the joint encoder to one variant in every place (`alone` in the table) is measured as well, to
//! show what it is worth. What a readout is worth stands in the table `readouts`: F1 of firing and R² per
//! feature, on tokens that nothing was fitted to.

use crate::activations::{ActivationStore, Part};
use crate::dictionaries::{Dictionary, TokenScale, fidelity, own_encoder};
use crate::error::{Error, Result};
use crate::interventions::{Reading, View};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A readout may support a claim where its F1 is at least this.
pub const LEAST_F1: f64 = 0.9;

/// One row of the table `readouts`: how well one readout of one variant stands for the joint code of one
/// feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadoutRow {
    /// The feature.
    pub feature: u64,
    /// The variant that is read.
    pub variant: String,
    /// `own`, `swap` (in base's place too; base in every other's) or `alone` (in every place).
    pub readout: String,
    /// F1 of firing against the joint code.
    pub f1: f64,
    /// Share of the joint code's variance that it explains. `None` where the joint code never fires.
    pub r2: Option<f64>,
    /// Share of tokens at which it fires.
    pub rate: f64,
    /// Share of tokens at which the joint code fires.
    pub joint_rate: f64,
    /// Whether it may support a claim: F1 of at least .9, for a feature that fires.
    pub sufficient: bool,
}

/// Tokens that encoders are fitted on, and that they are judged on, at most.
const TOKENS: usize = 8192;

/// Every readout of every variant and feature: own encoders are fitted on the first half of the tokens
/// `range` of `store`, everything is judged on the second. Empty for a dictionary that does not read and
/// write the same variants, and where there are too few tokens.
///
/// # Errors
/// If the store is not of the dictionary's variants, or the disk fails.
pub fn readouts(
    dictionary: &Dictionary,
    store: &ActivationStore,
    range: Range<usize>,
) -> Result<Vec<ReadoutRow>> {
    let spec = dictionary.spec();
    let count = dictionary.variants().len();
    if spec.inputs != spec.outputs || spec.token_scale != TokenScale::None || count < 2 || range.len() < 4 {
        return Ok(Vec::new());
    }
    let middle = range.start + range.len() / 2;
    let read = |part: Range<usize>| -> Result<Vec<f32>> {
        let part = part.start..part.end.min(part.start + TOKENS);
        let (metas, values) = (store.tokens_meta(part.clone())?, store.read(part)?);
        let width = store.variants().len() * store.d_model();
        let kept = metas.iter().zip(values.chunks_exact(width)).filter(|(meta, _)| meta.part != Part::First);
        let kept: Vec<f32> = kept.flat_map(|(_, row)| row).copied().collect();
        dictionary.inputs_of(store, &kept)
    };
    let (fitting, judging) = (read(range.start..middle)?, read(middle..range.end)?);
    if fitting.len().min(judging.len()) < 2 * spec.input_width() {
        return Ok(Vec::new());
    }
    let joint = dictionary.codes(&judging)?;
    let all: Vec<u32> = (0..dictionary.features() as u32).collect();
    let mut rows = Vec::new();
    for (variant, name) in dictionary.variants().iter().enumerate() {
        let others: Vec<usize> = (0..count).filter(|other| *other != variant).collect();
        let swapped = if variant == 0 { others.clone() } else { vec![0] };
        let views = [
            ("own", View::Own { variant, encoder: own_encoder(dictionary, &fitting, variant)? }),
            ("swap", View::Swap { variant, into: swapped }),
            ("alone", View::Swap { variant, into: others }),
        ];
        for (readout, view) in views {
            let codes = Reading::Of(view).reader(dictionary, &all)?.codes(&judging)?;
            let found = fidelity(&joint, &codes, dictionary.features()).into_iter().enumerate();
            rows.extend(found.map(|(feature, fidelity)| ReadoutRow {
                feature: feature as u64,
                variant: name.clone(),
                readout: readout.to_owned(),
                f1: fidelity.f1,
                r2: fidelity.r2,
                rate: fidelity.rate,
                joint_rate: fidelity.joint_rate,
                sufficient: fidelity.f1 >= LEAST_F1 && fidelity.joint_rate > 0.0,
            }));
        }
    }
    Ok(rows)
}

/// The views of one variant in a pair of receiver and donor, for a readout by name.
///
/// # Errors
/// If the readout is not one of a single variant.
pub(crate) fn swap_view(variant: usize, pair: (usize, usize)) -> Result<View> {
    let other = if variant == pair.0 { pair.1 } else { pair.0 };
    if pair.0 == pair.1 {
        return Err(Error::request("the readout `swap` needs two variants, found one")
            .hint("name a donor, or use a receiver other than base"));
    }
    Ok(View::Swap { variant, into: vec![other] })
}
