//! Dictionaries on disk: our own format, and everyone else's.
//!
//! | format | read | written | files |
//! |---|---|---|---|
//! | deltascope | yes | yes | `dictionary.json`, `dictionary.safetensors` |
//! | SAELens | yes | yes | `cfg.json`, `sae_weights.safetensors` |
//! | sparsify | yes | no | `cfg.json`, `sae.safetensors` |
//! | dictionary_learning | yes | no | `config.json`, `ae.pt` |
//! | Gemma Scope | yes | no | `params.npz` |
//! | science-of-finetuning crosscoder | yes | yes | `config.json`, `model.safetensors` |
//!
//! Whatever a format does to its inputs (subtract the decoder's bias, centre, scale, rescale features by decoder
//! norm) is folded into the weights when it is read. Only layer normalisation, which depends on the token, stays.

mod crosscoder;
mod dictionary_learning;
mod gemma_scope;
mod native;
mod saelens;
mod sparsify;
mod tensors;

pub(super) use tensors::{Block, Tensors};

use super::dictionary::Dictionary;
use super::spec::{Activation, Kind, Site, Spec};
use super::vectors::{add_scaled, dot, norm};
use super::weights::Weights;
use crate::error::{At, Error, Result, io, nearest};
use serde_json::Value;
use std::path::Path;
use std::str::FromStr;

/// A format that dictionaries are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own: every kind, every variant, nothing lost.
    Deltascope,
    /// SAELens. A crosscoder becomes one SAE per variant, in a folder each; see [`Dictionary::save_as`].
    Saelens,
    /// The crosscoder of science-of-finetuning's dictionary_learning.
    Crosscoder,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known =
            [("deltascope", Self::Deltascope), ("saelens", Self::Saelens), ("crosscoder", Self::Crosscoder)];
        known.into_iter().find(|(name, _)| *name == text).map(|(_, format)| format).ok_or_else(|| {
            let error = Error::request(format!("unknown dictionary format `{text}`"));
            match nearest(text, known.map(|(name, _)| name)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(
                    "dictionaries are written as deltascope, saelens or crosscoder, features as neuronpedia",
                ),
            }
        })
    }
}

impl Dictionary {
    /// Reads a dictionary of any known format; which one is told by the files in `dir`.
    ///
    /// # Errors
    /// If the files are of no known format, are damaged, or ask for something that is not supported.
    pub fn load(dir: &Path) -> Result<Self> {
        let has = |file: &str| dir.join(file).is_file();
        let read = if has("dictionary.json") {
            native::read
        } else if has("sae_weights.safetensors") {
            saelens::read
        } else if has("sae.safetensors") {
            sparsify::read
        } else if has("ae.pt") {
            dictionary_learning::read
        } else if has("params.npz") {
            gemma_scope::read
        } else if has("config.json") && has("model.safetensors") {
            crosscoder::read
        } else {
            let names = std::fs::read_dir(dir).map_err(|error| io("read", dir, error))?;
            let mut names: Vec<String> =
                names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            return Err(Error::request(format!(
                "expected a dictionary, found a folder with {}",
                if names.is_empty() { "nothing in it".to_owned() } else { names.join(", ") }
            ))
            .hint("known are SAELens, sparsify, dictionary_learning, Gemma Scope, crosscoders, and our own")
            .at(dir.display()));
        };
        read(dir).at(dir.display())
    }

    /// Writes our own format into `dir`.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn save(&self, dir: &Path) -> Result<()> {
        self.save_as(dir, Format::Deltascope)
    }

    /// Writes the dictionary in a format.
    ///
    /// SAELens has no crosscoder. One SAE per variant is written instead, each in a folder of the variant's name,
    /// with the decoder of that variant and with an encoder that reads that variant's activation in place of all
    /// variants' (the sum of the encoders). Where the variants differ, so do its features from the joint ones.
    ///
    /// # Errors
    /// If the format cannot hold this dictionary, or the disk fails.
    pub fn save_as(&self, dir: &Path, format: Format) -> Result<()> {
        match format {
            Format::Deltascope => native::write(self, dir),
            Format::Saelens => saelens::write(self, dir),
            Format::Crosscoder => crosscoder::write(self, dir),
        }
    }
}

/// Reads a JSON object.
fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|error| io("read", path, error))?;
    serde_json::from_str(&text).map_err(|error| Error::work(format!("not JSON: {error}")).at(path.display()))
}

/// Writes files so that each is there whole or not at all.
fn write_files(dir: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|error| io("create", dir, error))?;
    for (file, bytes) in files {
        let (partial, path) = (dir.join(format!("{file}.partial")), dir.join(file));
        std::fs::write(&partial, bytes).map_err(|error| io("write", &partial, error))?;
        std::fs::rename(&partial, &path).map_err(|error| io("rename", &partial, error))?;
    }
    Ok(())
}

/// Writes tensors to one file, whole or not at all.
pub(super) fn write_tensors(path: &Path, blocks: &[Block]) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    write_files(dir, &[(&name, &tensors::serialize(blocks)?)])
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn flag(value: &Value, key: &str, default: bool) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(default)
}

fn count(value: &Value, key: &str) -> Result<usize> {
    let number = value.get(key).and_then(Value::as_u64);
    number.map(|number| number as usize).ok_or_else(|| {
        let found = value.get(key).map_or("nothing".to_owned(), ToString::to_string);
        Error::work(format!("field `{key}`: expected a whole number, found {found}"))
    })
}

/// The specification of a dictionary over one variant.
fn single(
    kind: Kind,
    activation: Activation,
    variant: &str,
    widths: (usize, usize),
    features: usize,
) -> Spec {
    let (read, written) = widths;
    Spec { d_out: written, ..Spec::reconstructing(kind, activation, vec![Site::of(variant)], read, features) }
}

/// Folds `encode(x - bias)` into the encoder's bias, and into the magnitude path's where there is one.
fn subtract_from_input(weights: &mut Weights, bias: &[f32]) {
    for (feature, row) in weights.encoder.chunks_exact(bias.len().max(1)).enumerate() {
        let shift = dot(row, bias);
        weights.encoder_bias[feature] -= shift;
        if let Some(magnitude) = weights.magnitude_bias.get_mut(feature) {
            *magnitude -= weights.magnitude_scale[feature] * shift;
        }
    }
}

/// Multiplies each feature's activation by its factor and divides its decoder by it. Reconstructions stay.
fn rescale(weights: &mut Weights, factors: &[f32]) {
    let features = factors.len().max(1);
    let (width_in, width_out) = (weights.encoder.len() / features, weights.decoder.len() / features);
    for (feature, factor) in factors.iter().enumerate().filter(|(_, factor)| **factor > 0.0) {
        let decoder = &mut weights.decoder[feature * width_out..(feature + 1) * width_out];
        decoder.iter_mut().for_each(|value| *value /= factor);
        let encoder = &mut weights.encoder[feature * width_in..(feature + 1) * width_in];
        encoder.iter_mut().for_each(|value| *value *= factor);
        weights.encoder_bias[feature] *= factor;
        if let Some(threshold) = weights.threshold.get_mut(feature) {
            *threshold *= factor;
        }
    }
}

/// The sum of the norms of what each feature writes to each output of width `d`.
fn decoder_norms(decoder: &[f32], features: usize, d: usize) -> Vec<f32> {
    let width = decoder.len() / features.max(1);
    decoder.chunks_exact(width.max(1)).map(|row| row.chunks_exact(d).map(norm).sum()).collect()
}

/// The sum of the encoders of all inputs, `[features, d]`.
fn joined_encoder(spec: &Spec, encoder: &[f32]) -> Vec<f32> {
    let mut joined = vec![0.0; spec.features * spec.d_in];
    let rows = joined.chunks_exact_mut(spec.d_in).zip(encoder.chunks_exact(spec.input_width()));
    rows.for_each(|(joined, row)| row.chunks_exact(spec.d_in).for_each(|part| add_scaled(joined, 1.0, part)));
    joined
}

/// The transpose of a `[rows, columns]` matrix.
fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns.max(1);
    let mut transposed = Vec::with_capacity(values.len());
    for column in 0..columns {
        transposed.extend((0..rows).map(|row| values[row * columns + column]));
    }
    transposed
}
