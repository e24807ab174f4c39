//! The dictionary as others use it.

use super::codes::Codes;
use super::encode;
use super::matmul::PackedRows;
use super::reading::FileReading;
use super::spec::{Activation, Kind, Site, Spec};
use super::vectors::add_scaled_f64;
use super::weights::Weights;
use crate::activations::ActivationStore;
use crate::error::{Error, Result};
use crate::ops::matmul::SMALL_WEIGHT;
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// A sparse feature dictionary. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dictionary(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: Spec,
    variants: Vec<String>,
    weights: Weights,
    reading: FileReading,
    /// Made when it is first needed, of an encoder that is small enough to be kept twice.
    packed: OnceLock<PackedRows>,
}

impl Dictionary {
    pub(crate) fn new(spec: Spec, weights: Weights) -> Result<Self> {
        spec.check()?;
        weights.check(&spec)?;
        let variants = spec.outputs.iter().map(ToString::to_string).collect();
        Ok(Self(Arc::new(Inner {
            spec,
            variants,
            weights,
            reading: FileReading::default(),
            packed: OnceLock::new(),
        })))
    }

    /// Shape and meaning.
    pub fn spec(&self) -> &Spec {
        &self.0.spec
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.0.weights
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.0.spec.kind
    }

    /// The names of what it writes: variants, or `variant-base` for a difference.
    pub fn variants(&self) -> &[String] {
        &self.0.variants
    }

    /// The width of one output vector.
    pub fn d_model(&self) -> usize {
        self.0.spec.d_out
    }

    /// The hook point it reads; empty if unknown.
    pub fn hook(&self) -> &str {
        &self.0.spec.hook
    }

    /// What whoever reads its numbers should know, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.0.spec.notes
    }

    /// What was understood of the files that it was read from.
    pub fn reading(&self) -> &FileReading {
        &self.0.reading
    }

    /// The same dictionary with what was understood of its files.
    pub(super) fn read_as(self, reading: FileReading) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Self(Arc::new(Inner { reading, ..inner })),
            Err(shared) => Self(shared),
        }
    }

    /// The same dictionary with one more note.
    pub(super) fn noted(self, note: String) -> Result<Self> {
        let mut spec = self.0.spec.clone();
        spec.notes.push(note);
        Ok(Self::new(spec, self.0.weights.clone())?.read_as(self.0.reading.clone()))
    }

    /// The number of features.
    pub fn features(&self) -> usize {
        self.0.spec.features
    }

    /// The codes of tokens, as lists of what fires. `x` is `[tokens, inputs * d_in]`. A token's code does not depend on the others.
    ///
    /// # Errors
    /// If `x` is not a whole number of tokens.
    pub fn codes(&self, x: &[f32]) -> Result<Codes> {
        self.check_input(x)?;
        let Inner { spec, weights, packed, .. } = &*self.0;
        let (rows, width) = (&weights.encoder, spec.input_width());
        if rows.len() > SMALL_WEIGHT {
            return Ok(encode::codes(spec, weights, x, &PackedRows::pack(rows, width)));
        }
        Ok(encode::codes(spec, weights, x, packed.get_or_init(|| PackedRows::pack_alone(rows, width))))
    }

    /// The activations of some features only, `[tokens, features.len()]`: the very values of
    /// [`Dictionary::codes`], at a fraction of the cost where features do not compete.
    ///
    /// # Errors
    /// If `x` is not a whole number of tokens, or there is no such feature.
    pub fn encode_features(&self, x: &[f32], features: &[u32]) -> Result<Vec<f32>> {
        self.feature_reader(features)?.encode(x)
    }

    /// Encodes the same features again and again, with their weights gathered once.
    ///
    /// # Errors
    /// If there is no such feature.
    pub fn feature_reader(&self, features: &[u32]) -> Result<FeatureReader> {
        if let Some(bad) = features.iter().find(|feature| **feature as usize >= self.features()) {
            return Err(Error::request(format!("expected a feature below {}, found {bad}", self.features())));
        }
        let Inner { spec, weights, .. } = &*self.0;
        let compete = matches!(spec.activation, Activation::Topk { .. } | Activation::SignedTopk { .. });
        let encoder = (!compete).then(|| Arc::new(encode::gather(spec, weights, features)));
        Ok(FeatureReader { dictionary: self.clone(), features: features.into(), encoder })
    }

    fn check_input(&self, x: &[f32]) -> Result<()> {
        let width = self.0.spec.input_width();
        if x.len().is_multiple_of(width) {
            return Ok(());
        }
        Err(Error::request(format!(
            "expected tokens of {} inputs x {} values, found {} values",
            self.0.spec.inputs.len(),
            self.0.spec.d_in,
            x.len()
        )))
    }

    /// Reconstructs tokens from their codes: `[tokens, outputs * d_out]`. `x` are the inputs that were
    /// encoded; only dictionaries with a skip path or layer normalisation look at them. Terms are summed in f64: with
    /// thousands of active features a running f32 sum would be off by more than the weights are.
    ///
    /// # Errors
    /// If codes and inputs are not of the same tokens.
    pub fn reconstruct(&self, codes: &Codes, x: &[f32]) -> Result<Vec<f32>> {
        self.check_input(x)?;
        let Inner { spec, weights, .. } = &*self.0;
        if codes.tokens() * spec.input_width() != x.len() {
            return Err(Error::request(format!(
                "expected the inputs of {} tokens, found {}",
                codes.tokens(),
                x.len() / spec.input_width()
            )));
        }
        let (width, read) = (spec.output_width(), spec.input_width());
        let mut output = vec![0.0; codes.tokens() * width];
        let rows = output.par_chunks_exact_mut(width).enumerate();
        rows.for_each_init(
            || vec![0.0f64; width],
            |sums, (token, output)| {
                sums.iter_mut().zip(&weights.decoder_bias).for_each(|(sum, bias)| *sum = f64::from(*bias));
                for (feature, value) in codes.token(token) {
                    add_scaled_f64(sums, value, &weights.decoder[feature * width..(feature + 1) * width]);
                }
                encode::add_skip(weights, &x[token * read..(token + 1) * read], sums);
                output.iter_mut().zip(sums).for_each(|(value, sum)| *value = *sum as f32);
            },
        );
        encode::undo_token_scale(spec, x, &mut output);
        Ok(output)
    }

    /// What feature `feature` writes into output `variant`.
    ///
    /// # Panics
    /// If there is no such feature or output.
    pub fn decoder(&self, feature: usize, variant: usize) -> &[f32] {
        let (d, width) = (self.0.spec.d_out, self.0.spec.output_width());
        &self.0.weights.decoder[feature * width + variant * d..feature * width + (variant + 1) * d]
    }

    /// What feature `feature` reads, all inputs joined: `[inputs * d_in]`.
    ///
    /// # Panics
    /// If there is no such feature.
    pub fn encoder(&self, feature: usize) -> &[f32] {
        let width = self.0.spec.input_width();
        &self.0.weights.encoder[feature * width..(feature + 1) * width]
    }

    /// How a feature's activation moves with what its encoder reads, where it has the activation `value`.
    pub(crate) fn slope(&self, feature: usize, value: f32) -> f32 {
        match self.0.spec.activation {
            Activation::Gated => self.0.weights.magnitude_scale.get(feature).copied().unwrap_or(0.0),
            Activation::TanhRelu => 1.0 - value * value,
            _ => 1.0,
        }
    }

    /// The part of output `variant` that no feature writes.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn decoder_bias(&self, variant: usize) -> &[f32] {
        let d = self.0.spec.d_out;
        &self.0.weights.decoder_bias[variant * d..(variant + 1) * d]
    }

    /// The same dictionary, which reads and writes variant `new` where it did `old`. Dictionaries of other programs
    /// name the model, not its place in a study.
    ///
    /// # Errors
    /// If it has no such variant, or has the new one already.
    pub fn renamed(&self, old: &str, new: &str) -> Result<Self> {
        let mut spec = self.0.spec.clone();
        let sites = || spec.inputs.iter().chain(&spec.outputs);
        let names: Vec<&str> = sites()
            .flat_map(|site| [Some(&site.variant), site.minus.as_ref()])
            .flatten()
            .map(String::as_str)
            .collect();
        if !names.contains(&old) || names.contains(&new) {
            return Err(Error::request(format!(
                "expected a variant of the dictionary and a new name for it, found `{old}` and `{new}`"
            ))
            .hint(format!("its variants are {}", self.variants().join(", "))));
        }
        for site in spec.inputs.iter_mut().chain(&mut spec.outputs) {
            for name in [Some(&mut site.variant), site.minus.as_mut()].into_iter().flatten() {
                if name == old {
                    new.clone_into(name);
                }
            }
        }
        Ok(Self::new(spec, self.0.weights.clone())?.read_as(self.0.reading.clone()))
    }

    /// The same dictionary without negative activations: of each feature with a sign, the positive side keeps its
    /// place, and the negative side becomes a feature of its own, as many places further on, that reads and writes the
    /// opposite. Of the two at most one is active, so the k of largest magnitude are the k largest.
    ///
    /// # Errors
    /// If there would be too many features.
    pub fn split_signs(&self) -> Result<Self> {
        let Inner { spec, weights, reading, .. } = &*self.0;
        let Activation::SignedTopk { k } = spec.activation else { return Ok(self.clone()) };
        let both = |values: &[f32]| values.iter().copied().chain(values.iter().map(|value| -value)).collect();
        let weights = Weights {
            encoder: both(&weights.encoder),
            encoder_bias: both(&weights.encoder_bias),
            decoder: both(&weights.decoder),
            ..weights.clone()
        };
        let mut spec =
            Spec { activation: Activation::Topk { k }, features: 2 * spec.features, ..spec.clone() };
        spec.notes.push(format!(
            "the two signs of each feature were made two features: feature j + {0} is the negative side of j, for j below {0}",
            self.features()
        ));
        Ok(Self::new(spec, weights)?.read_as(reading.clone()))
    }

    /// Picks this dictionary's inputs out of rows of a store, `[tokens, variants, d_model]`.
    ///
    /// # Errors
    /// If the store lacks a variant or has another width.
    pub fn inputs_of(&self, store: &ActivationStore, values: &[f32]) -> Result<Vec<f32>> {
        super::sites::gather(&self.0.spec.inputs, self.0.spec.d_in, store, values)
    }

    /// Picks what `sites` name, in place of this dictionary's own inputs, out of rows of a store.
    ///
    /// # Errors
    /// As [`Dictionary::inputs_of`].
    pub fn inputs_at(&self, sites: &[Site], store: &ActivationStore, values: &[f32]) -> Result<Vec<f32>> {
        super::sites::gather(sites, self.0.spec.d_in, store, values)
    }

    /// Picks this dictionary's targets out of rows of a store, `[tokens, variants, d_model]`.
    ///
    /// # Errors
    /// If the store lacks a variant or has another width.
    pub fn targets_of(&self, store: &ActivationStore, values: &[f32]) -> Result<Vec<f32>> {
        super::sites::gather(&self.0.spec.outputs, self.0.spec.d_out, store, values)
    }
}

/// Encodes some features of a dictionary. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FeatureReader {
    dictionary: Dictionary,
    features: Arc<[u32]>,
    /// Their rows; none where features compete, and all must be known to tell which of these fire.
    encoder: Option<Arc<PackedRows>>,
}

impl FeatureReader {
    /// The features it encodes, in the order of the columns.
    pub fn features(&self) -> &[u32] {
        &self.features
    }

    /// Their activations, `[tokens, features]`: the very values of [`Dictionary::codes`].
    ///
    /// # Errors
    /// If `x` is not a whole number of tokens.
    pub fn encode(&self, x: &[f32]) -> Result<Vec<f32>> {
        self.dictionary.check_input(x)?;
        let Inner { spec, weights, .. } = &*self.dictionary.0;
        Ok(match &self.encoder {
            Some(encoder) => encode::some_features(spec, weights, x, &self.features, encoder),
            None => encode::chosen_of(&self.dictionary.codes(x)?, &self.features),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::Activation;
    use super::*;
    use crate::rng::Stream;

    /// Thousands of active features and large outputs: what an untrained or a wide dictionary is. The golden rule of
    /// 1e-4 must leave room for the other side's rounding.
    #[test]
    fn many_active_features_are_summed_without_losing_bits() {
        let (d, features, tokens) = (8, 6000, 4);
        let mut stream = Stream::new(2, "test.decode", &[]);
        let mut draw =
            |count: usize, scale: f32| -> Vec<f32> { (0..count).map(|_| stream.normal() * scale).collect() };
        let site = |name: &str| vec![Site::of(name)];
        let spec = Spec {
            outputs: site("written"),
            ..Spec::reconstructing(Kind::SkipTranscoder, Activation::Relu, site("read"), d, features)
        };
        let weights = Weights {
            encoder: draw(features * d, 1.0),
            encoder_bias: draw(features, 1.0),
            decoder: draw(features * d, 1.0),
            decoder_bias: draw(d, 100.0),
            skip: draw(d * d, 1.0),
            ..Weights::default()
        };
        let dictionary = Dictionary::new(spec, weights.clone()).unwrap();
        let x = draw(tokens * d, 10.0);
        let codes = dictionary.codes(&x).unwrap();
        let output = dictionary.reconstruct(&codes, &x).unwrap();
        for token in 0..tokens {
            for (at, found) in output[token * d..(token + 1) * d].iter().enumerate() {
                let product = |a: f32, b: f32| f64::from(a) * f64::from(b);
                let around = (0..d).map(|from| product(weights.skip[at * d + from], x[token * d + from]));
                let written = codes
                    .token(token)
                    .map(|(feature, value)| product(value, weights.decoder[feature * d + at]));
                let exact = f64::from(weights.decoder_bias[at]) + around.sum::<f64>() + written.sum::<f64>();
                let gap = (f64::from(*found) - exact).abs() / exact.abs().max(1.0);
                assert!(gap < 1.2e-7, "{found} where {exact} is exact");
            }
        }
    }
}
