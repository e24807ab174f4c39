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
use crate::dictionaries::{Codes, Dictionary, FeatureReader, TokenScale, fidelity, own_encoder, slot};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A readout may support a claim where its F1 is at least this.
pub const LEAST_F1: f64 = 0.9;

/// One variant's code, read from its own activation.
#[derive(Clone, Debug)]
pub enum View {
    /// By an encoder of the variant with this index.
    Own {
        /// The variant's index in the joint activation.
        variant: usize,
        /// Its encoder, from [`own_encoder`].
        encoder: Dictionary,
    },
    /// By the joint encoder, with the variant's activation in the place of others too.
    Swap {
        /// The variant's index in the joint activation.
        variant: usize,
        /// The variants in whose places it stands.
        into: Vec<usize>,
    },
}

/// How codes are made from joint activations.
#[derive(Clone, Debug, Default)]
pub enum Reading {
    /// From all variants.
    #[default]
    Joint,
    /// From one variant.
    Of(View),
    /// The donor's code less the receiver's, each read from its own activation.
    TwoSource {
        /// What is put in.
        donor: View,
        /// What is taken out.
        receiver: View,
    },
}

impl Reading {
    /// The name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::Of(view) | Self::TwoSource { receiver: view, .. } => view.name(),
        }
    }

    /// Whether two readings make the same codes of the same dictionary. Encoders are compared by their
    /// weights' place in memory.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Joint, Self::Joint) => true,
            (Self::Of(a), Self::Of(b)) => a.is_same(b),
            (Self::TwoSource { donor, receiver }, Self::TwoSource { donor: a, receiver: b }) => {
                donor.is_same(a) && receiver.is_same(b)
            }
            _ => false,
        }
    }

    /// Which of `count` variants must be run for it.
    pub(crate) fn reads(&self, count: usize) -> Vec<bool> {
        let of = |view: &View, variant: usize| match view {
            View::Own { variant: own, .. } => *own == variant,
            View::Swap { .. } => true,
        };
        (0..count)
            .map(|variant| match self {
                Self::Joint => true,
                Self::Of(view) => of(view, variant),
                Self::TwoSource { donor, receiver } => of(donor, variant) || of(receiver, variant),
            })
            .collect()
    }

    /// What makes its codes of some features (of all, where that is most of them), again and again.
    ///
    /// # Errors
    /// If there is no such feature.
    pub(crate) fn reader(&self, dictionary: &Dictionary, features: &[u32]) -> Result<CodeReader> {
        let part = |view: Option<&View>| ReaderPart::new(view.cloned(), dictionary, features);
        Ok(match self {
            Self::Joint => CodeReader { minus: None, plus: part(None)? },
            Self::Of(view) => CodeReader { minus: None, plus: part(Some(view))? },
            Self::TwoSource { donor, receiver } => {
                CodeReader { minus: Some(part(Some(receiver))?), plus: part(Some(donor))? }
            }
        })
    }
}

impl View {
    fn name(&self) -> &'static str {
        match self {
            Self::Own { .. } => "own",
            Self::Swap { .. } => "swap",
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own { variant, encoder }, Self::Own { variant: a, encoder: b }) => {
                variant == a && std::ptr::eq(encoder.encoder(0), b.encoder(0))
            }
            (Self::Swap { variant, into }, Self::Swap { variant: a, into: b }) => variant == a && into == b,
            _ => false,
        }
    }

    /// The encoder's input, from joint activations of `variants` x `d_model`.
    fn input(&self, joint: &[f32], variants: usize, d_model: usize) -> Vec<f32> {
        let width = variants * d_model;
        match self {
            Self::Own { variant, .. } => slot(joint, width, variant * d_model, d_model),
            Self::Swap { variant, into } => {
                let mut input = joint.to_vec();
                for row in input.chunks_exact_mut(width) {
                    for place in into {
                        row.copy_within(variant * d_model..(variant + 1) * d_model, place * d_model);
                    }
                }
                input
            }
        }
    }
}

/// Makes the codes of a [`Reading`].
#[derive(Clone, Debug)]
pub(crate) struct CodeReader {
    plus: ReaderPart,
    minus: Option<ReaderPart>,
}

#[derive(Clone, Debug)]
struct ReaderPart {
    view: Option<View>,
    variants: usize,
    d_model: usize,
    encoder: Encoder,
}

#[derive(Clone, Debug)]
enum Encoder {
    All(Dictionary),
    Some(FeatureReader),
}

impl ReaderPart {
    fn new(view: Option<View>, dictionary: &Dictionary, features: &[u32]) -> Result<Self> {
        let encoder = match &view {
            Some(View::Own { encoder, .. }) => encoder,
            _ => dictionary,
        };
        let few = 2 * features.len() < encoder.features();
        let encoder = if few {
            Encoder::Some(encoder.feature_reader(features)?)
        } else {
            Encoder::All(encoder.clone())
        };
        Ok(Self { view, variants: dictionary.variants().len(), d_model: dictionary.d_model(), encoder })
    }

    fn codes(&self, joint: &[f32]) -> Result<Codes> {
        let swapped = self.view.as_ref().map(|view| view.input(joint, self.variants, self.d_model));
        let input = swapped.as_deref().unwrap_or(joint);
        let reader = match &self.encoder {
            Encoder::All(dictionary) => return dictionary.encode(input),
            Encoder::Some(reader) => reader,
        };
        let mut codes = Codes::new();
        if reader.features().is_empty() {
            return Ok(codes);
        }
        for row in reader.encode(input)?.chunks_exact(reader.features().len()) {
            let active = reader.features().iter().copied().zip(row.iter().copied());
            codes.push(active.filter(|(_, value)| *value > 0.0));
        }
        Ok(codes)
    }
}

impl CodeReader {
    /// The codes of `joint` `[tokens, variants * d_model]`: of the reader's features at least.
    pub(crate) fn codes(&self, joint: &[f32]) -> Result<Codes> {
        let plus = self.plus.codes(joint)?;
        match &self.minus {
            None => Ok(plus),
            Some(minus) => Ok(difference(&plus, &minus.codes(joint)?)),
        }
    }
}

/// `plus - minus`, token by token; what cancels does not fire.
fn difference(plus: &Codes, minus: &Codes) -> Codes {
    let mut codes = Codes::new();
    for token in 0..plus.tokens() {
        let mut merged: std::collections::BTreeMap<usize, f32> = plus.token(token).collect();
        minus.token(token).for_each(|(feature, value)| *merged.entry(feature).or_default() -= value);
        let fired = merged.into_iter().filter(|(_, value)| *value != 0.0);
        codes.push(fired.map(|(feature, value)| (feature as u32, value)));
    }
    codes
}

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
    let joint = dictionary.encode(&judging)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_variant_stands_in_both_places_and_a_difference_keeps_its_sign() {
        let view = View::Swap { variant: 1, into: vec![0] };
        assert_eq!(view.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3, 2), [3.0, 4.0, 3.0, 4.0, 5.0, 6.0]);
        let codes = |row: &[(u32, f32)]| {
            let mut codes = Codes::new();
            codes.push(row.iter().copied());
            codes
        };
        let found = difference(&codes(&[(0, 1.0), (2, 3.0)]), &codes(&[(1, 2.0), (2, 3.0)]));
        assert_eq!(found, codes(&[(0, 1.0), (1, -2.0)]));
    }
}
