//! Dictionaries on disk: our own format, and everyone else's.
//!
//! | format | read | written | files |
//! |---|---|---|---|
//! | deltascope | yes | yes | `dictionary.json`, `dictionary.safetensors` |
//! | SAELens | yes | yes | `cfg.json`, `sae_weights.safetensors` |
//! | sparsify | yes | no | `cfg.json`, `sae.safetensors` |
//! | dictionary_learning | yes | no | `config.json`, `ae.pt` |
//! | Gemma Scope | yes | no | `params.npz`; nothing in it tells a transcoder from an SAE: [`Declared`] does |
//! | science-of-finetuning crosscoder | yes | yes | `config.json`, `model.safetensors` |
//!
//! Whatever a format does to its inputs (subtract the decoder's bias, centre, scale, rescale features by decoder
//! norm) is folded into the weights when it is read. Only layer normalisation, which depends on the token, stays.
//!
//! Whatever a file says is used, refused by name, or told: `FileReading::folded` names what became part of the weights,
//! `FileReading::about` what was said of how it was made, and `Spec::notes` what changes how its numbers are to be read.

mod crosscoder;
mod dictionary_learning;
mod gemma_scope;
mod native;
mod saelens;
mod saelens_config;
mod sparsify;
mod tensors;
#[cfg(test)]
mod tests;

pub(super) use tensors::{Block, Tensors};

use super::dictionary::Dictionary;
use super::reading::{Declared, FileReading};
use super::spec::{Activation, Kind, Site, Spec};
use super::vectors::{add_scaled, dot, norm};
use super::weights::Weights;
use crate::error::{At, Error, Result, io, nearest};
use crate::foreign::{self, Object};
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
    /// If the files are of no known format or of several, are damaged, or ask for something that is not supported.
    pub fn load(dir: &Path) -> Result<Self> {
        Self::load_as(dir, &Declared::default())
    }

    /// As [`Dictionary::load`], with what the user says where files do not.
    ///
    /// # Errors
    /// As [`Dictionary::load`], or if the files say otherwise.
    pub fn load_as(dir: &Path, declared: &Declared) -> Result<Self> {
        let has = |file: &&str| dir.join(file).is_file();
        let found: Vec<&Reader> = READERS.iter().filter(|reader| reader.files.iter().all(has)).collect();
        let reader = match found[..] {
            [reader] => reader,
            [] => return Err(unknown(dir)?),
            _ => {
                let names: Vec<&str> = found.iter().map(|reader| reader.name).collect();
                return Err(Error::request(format!(
                    "expected the files of one dictionary, found those of {}",
                    names.join(" and ")
                ))
                .hint("move one of them to a folder of its own")
                .at(dir.display()));
            }
        };
        let dictionary = foreign::guarded(dir, || (reader.read)(dir, declared).at(dir.display()))?;
        if declared.transcoder && !dictionary.kind().is_transcoder() {
            return Err(Error::request(format!(
                "it was declared a transcoder, and its files say that it is a `{}` dictionary",
                dictionary.kind()
            ))
            .hint("leave out --transcoder; it is for Gemma Scope, whose files do not say")
            .at(dir.display()));
        }
        let overridden: Vec<&str> = declared.overrides.keys().map(String::as_str).collect();
        if reader.name == "SAELens" || overridden.is_empty() {
            return Ok(dictionary);
        }
        dictionary.noted(format!(
            "left out of the table of releases, as only SAELens's own files have such keys: `{}`",
            overridden.join("`, `")
        ))
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

/// A format that is read.
struct Reader {
    name: &'static str,
    /// What tells it from the others: a folder has all of these.
    files: &'static [&'static str],
    read: fn(&Path, &Declared) -> Result<Dictionary>,
}

const READERS: &[Reader] = &[
    Reader {
        name: "deltascope",
        files: &["dictionary.json", "dictionary.safetensors"],
        read: |dir, _| native::read(dir),
    },
    Reader { name: "SAELens", files: &["cfg.json", "sae_weights.safetensors"], read: saelens::read },
    Reader { name: "sparsify", files: &["cfg.json", "sae.safetensors"], read: |dir, _| sparsify::read(dir) },
    Reader {
        name: "dictionary_learning",
        files: &["config.json", "ae.pt"],
        read: |dir, _| dictionary_learning::read(dir),
    },
    Reader { name: "Gemma Scope", files: &["params.npz"], read: gemma_scope::read },
    Reader {
        name: "crosscoder",
        files: &["config.json", "model.safetensors"],
        read: |dir, _| crosscoder::read(dir),
    },
];

/// The files of all formats, a list for each: what is fetched of a dictionary that lies on the hub.
pub(super) fn files() -> Vec<&'static [&'static str]> {
    READERS.iter().map(|reader| reader.files).collect()
}

/// The error of a folder that holds no dictionary.
///
/// # Errors
/// If there is no such folder.
fn unknown(dir: &Path) -> Result<Error> {
    let names = std::fs::read_dir(dir).map_err(|error| io("read", dir, error))?;
    let mut names: Vec<String> =
        names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.truncate(20);
    Ok(Error::request(format!(
        "expected a dictionary, found a folder with {}",
        if names.is_empty() { "nothing in it".to_owned() } else { names.join(", ") }
    ))
    .hint("known are SAELens, sparsify, dictionary_learning, Gemma Scope, crosscoders, and our own")
    .at(dir.display()))
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

/// A whole number that must be there.
fn count(config: &Object, key: &str) -> Result<usize> {
    let number = config.count(key)?.ok_or_else(|| config.wrong(key, "a whole number"))?;
    usize::try_from(number).map_err(|_| config.wrong(key, "a whole number that can be counted"))
}

/// An object inside another, of which every key is accounted for, too.
fn nested(config: &Object, key: &str) -> Result<Object> {
    match config.get(key) {
        None => Ok(Object::default()),
        Some(Value::Object(keys)) => Ok(Object::new(keys.clone())),
        Some(_) => Err(config.wrong(key, "an object")),
    }
}

/// Tells what these keys hold, on which nothing that is computed depends.
fn tell(config: &Object, keys: &[&str], reading: &mut FileReading) {
    for key in keys {
        if let Some(value) = config.get(key) {
            reading.about.push(format!("{key}: {}", short(value)));
        }
    }
}

/// A value in few characters.
fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The note of keys that were left out because nobody knows them, where a format lets anybody add some.
fn left_out(config: &Object, place: &str) -> Option<String> {
    let keys = config.left_out();
    (!keys.is_empty()).then(|| {
        format!(
            "left out of {place}, as it is not known what they mean: `{}`; if they change what the dictionary computes, \
             that is not done here",
            keys.join("`, `")
        )
    })
}

/// Refuses a size that a configuration states and the weights do not have.
fn agree(what: &str, stated: usize, found: usize) -> Result<()> {
    if stated == found {
        return Ok(());
    }
    Err(Error::request(format!("`{what}` is {stated}, and the weights have {found}"))
        .hint("configuration and weights are of different dictionaries, or one of them is damaged"))
}

/// The specification of a dictionary over one variant, whose sizes make sense.
fn single(
    kind: Kind,
    activation: Activation,
    variant: &str,
    widths: (usize, usize),
    features: usize,
) -> Result<Spec> {
    let (read, written) = widths;
    let spec = Spec {
        d_out: written,
        ..Spec::reconstructing(kind, activation, vec![Site::of(variant)], read, features)
    };
    spec.check()?;
    Ok(spec)
}

/// Folds `encode(x - bias)` into the encoder's bias, and into the magnitude path's where there is one.
///
/// # Errors
/// If the bias is not as wide as what the encoder reads.
fn subtract_from_input(weights: &mut Weights, bias: &[f32]) -> Result<()> {
    let features = weights.encoder_bias.len();
    if features.checked_mul(bias.len()) != Some(weights.encoder.len()) {
        return Err(Error::request(format!(
            "a bias of {} numbers cannot be subtracted from an input of {}",
            bias.len(),
            weights.encoder.len().checked_div(features).unwrap_or(0)
        )));
    }
    let rows = weights.encoder.chunks_exact(bias.len().max(1)).zip(&mut weights.encoder_bias);
    let shifts: Vec<f32> = rows
        .map(|(row, own)| {
            let shift = dot(row, bias);
            *own -= shift;
            shift
        })
        .collect();
    let magnitudes = weights.magnitude_bias.iter_mut().zip(&weights.magnitude_scale).zip(&shifts);
    magnitudes.for_each(|((magnitude, scale), shift)| *magnitude -= scale * shift);
    Ok(())
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
