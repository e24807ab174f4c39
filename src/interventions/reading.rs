//! Whose activations make the code that an intervention is written by.

use crate::dictionaries::{Codes, Dictionary, FeatureReader, slot};
use crate::error::Result;

/// One variant's code, read from its own activation.
#[derive(Clone, Debug)]
pub enum View {
    /// By an encoder of the variant with this index.
    Own {
        /// The variant's index in the joint activation.
        variant: usize,
        /// Its encoder, from [`crate::dictionaries::own_encoder`].
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
            Encoder::All(dictionary) => return dictionary.codes(input),
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
