//! Comparing a dictionary with numbers that another implementation computed for it.

use super::dictionary::Dictionary;
use super::formats::{Block, Tensors, write_tensors};
use crate::error::{At, Error, Result};
use serde::Serialize;
use std::path::Path;

/// How far two activations may lie apart, relative to 1 or to the larger one; and two values of an output, relative to
/// 1 or to the largest of its vector, as sums that cancel keep the rounding of their terms.
pub const TOLERANCE: f64 = 1e-4;

/// Features and output of a dictionary for given inputs.
#[derive(Clone, Debug)]
pub struct Golden {
    tokens: usize,
    x: Vec<f32>,
    x_shape: Vec<usize>,
    features: Option<Vec<f32>>,
    output: Option<Vec<f32>>,
}

/// How far a dictionary is from golden numbers.
#[derive(Clone, Debug, Serialize)]
pub struct GoldenReport {
    /// Tokens compared.
    pub tokens: usize,
    /// Activations that are zero on one side only. This and what follows is absent where the file has nothing to
    /// compare with.
    pub support_differs: Option<usize>,
    /// The largest difference of an activation, relative where it exceeds 1.
    pub features_differ: Option<f64>,
    /// The largest difference of an output value, relative to the largest of its vector where that exceeds 1.
    pub output_differs: Option<f64>,
}

impl GoldenReport {
    /// Whether what was compared has equal supports and no value further off than [`TOLERANCE`].
    pub fn holds(&self) -> bool {
        let close = |gap: Option<f64>| gap.is_none_or(|gap| gap <= TOLERANCE);
        self.support_differs.unwrap_or(0) == 0 && close(self.features_differ) && close(self.output_differs)
    }
}

impl Golden {
    /// Reads a file with `x` (`[tokens, d]` or `[tokens, variants, d]`) and, where they are there, `features`
    /// and `output`.
    ///
    /// # Errors
    /// If it is no safetensors file or does not fit the dictionary.
    pub fn read(path: &Path, dictionary: &Dictionary) -> Result<Self> {
        let spec = dictionary.spec();
        let mut tensors = Tensors::safetensors(path)?;
        let x_shape = tensors.shape("x").at(path.display())?.to_vec();
        let tokens = x_shape.first().copied().unwrap_or(0);
        if x_shape.iter().skip(1).product::<usize>() != spec.input_width() || tokens == 0 {
            return Err(Error::request(format!(
                "tensor `x`: expected [tokens, {}, {}] or [tokens, {}], found {x_shape:?}",
                spec.inputs.len(),
                spec.d_in,
                spec.input_width()
            ))
            .at(path.display()));
        }
        let x = tensors.take("x", &x_shape)?;
        let mut optional = |name: &str, width: usize| -> Result<Option<Vec<f32>>> {
            if !tensors.has(name) {
                return Ok(None);
            }
            let shape = tensors.shape(name)?.to_vec();
            if shape.iter().product::<usize>() != tokens * width {
                return Err(Error::request(format!(
                    "tensor `{name}`: expected {width} values for each of {tokens} tokens, found {shape:?}"
                ))
                .at(path.display()));
            }
            tensors.take(name, &shape).map(Some)
        };
        let features = optional("features", spec.features)?;
        let output = optional("output", spec.output_width())?;
        Ok(Self { tokens, x, x_shape, features, output })
    }

    /// Compares features, outputs, or both. `None` if the file holds nothing to compare with.
    ///
    /// # Errors
    /// If the dictionary cannot encode the inputs.
    pub fn compare(&self, dictionary: &Dictionary) -> Result<Option<GoldenReport>> {
        if self.features.is_none() && self.output.is_none() {
            return Ok(None);
        }
        let (found, guess) = self.compute(dictionary)?;
        let one_sided = |features: &Vec<f32>| {
            features.iter().zip(&found).filter(|(a, b)| (**a != 0.0) != (**b != 0.0)).count()
        };
        Ok(Some(GoldenReport {
            tokens: self.tokens,
            support_differs: self.features.as_ref().map(one_sided),
            features_differ: self.features.as_ref().map(|features| differ(features, &found, 1)),
            output_differs: self.output.as_ref().map(|output| differ(output, &guess, dictionary.d_model())),
        }))
    }

    fn compute(&self, dictionary: &Dictionary) -> Result<(Vec<f32>, Vec<f32>)> {
        let codes = dictionary.codes(&self.x)?;
        let output = dictionary.reconstruct(&codes, &self.x)?;
        Ok((codes.dense(dictionary.features()), output))
    }

    /// Writes `x`, `features` and `output` as this dictionary computes them, in the golden layout.
    ///
    /// # Errors
    /// If the dictionary cannot encode the inputs or the disk fails.
    pub fn write(&self, dictionary: &Dictionary, path: &Path) -> Result<()> {
        let (features, output) = self.compute(dictionary)?;
        let spec = dictionary.spec();
        let mut output_shape = self.x_shape.clone();
        if let Some(last) = output_shape.last_mut() {
            *last = output.len() / self.x_shape.iter().rev().skip(1).product::<usize>().max(1);
        }
        write_tensors(
            path,
            &[
                Block::floats("x", &self.x_shape, &self.x),
                Block::floats("features", &[self.tokens, spec.features], &features),
                Block::floats("output", &output_shape, &output),
            ],
        )
    }
}

/// The largest gap, relative to the largest value of its vector of `width` where that exceeds 1.
fn differ(a: &[f32], b: &[f32], width: usize) -> f64 {
    let mut worst = 0.0f64;
    for (a, b) in a.chunks_exact(width).zip(b.chunks_exact(width)) {
        let scale = a.iter().chain(b).fold(1.0f32, |largest, value| largest.max(value.abs()));
        for (a, b) in a.iter().zip(b) {
            let gap = f64::from((a - b).abs() / scale);
            // A NaN on either side is as far off as can be.
            worst = if gap.is_nan() { f64::INFINITY } else { gap.max(worst) };
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionaries::{Declared, Format};
    use std::path::PathBuf;

    fn fixtures() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dictionaries")
    }

    fn names() -> Vec<String> {
        let entries = std::fs::read_dir(fixtures()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(names.len() >= 32);
        names.sort();
        names
    }

    #[test]
    fn gaps_are_relative_to_the_largest_value_of_their_vector() {
        assert!((differ(&[50.0, 1.0, 0.5, 0.1], &[50.0, 1.01, 0.5, 0.2], 2) - 0.1).abs() < 1e-6);
        assert!((differ(&[50.0, 1.0], &[50.0, 1.01], 2) - 2e-4).abs() < 1e-6);
        assert!((differ(&[50.0, 1.0], &[50.0, 1.5], 1) - 0.5 / 1.5).abs() < 1e-6);
        assert_eq!(differ(&[50.0, 1.0], &[50.0, f32::NAN], 2), f64::INFINITY);
    }

    #[test]
    fn what_other_packages_saved_computes_what_they_computed() {
        assert!(names().len() >= 16);
        for name in names() {
            let dir = fixtures().join(&name);
            let declared = Declared { transcoder: name == "gemma_scope-transcoder", ..Declared::default() };
            let dictionary =
                Dictionary::load_as(&dir, &declared).unwrap_or_else(|error| panic!("{name}: {error}"));
            let golden = Golden::read(&dir.join("golden.safetensors"), &dictionary).unwrap();
            let report = golden.compare(&dictionary).unwrap().unwrap();
            println!("{name}: {} {report:?}", dictionary.kind());
            assert!(report.holds(), "{name}: {report:?}");
        }
    }

    #[test]
    fn what_is_written_in_another_format_reads_back_to_the_same_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for name in names() {
            let dir = fixtures().join(&name);
            let dictionary = Dictionary::load(&dir).unwrap();
            let crosscoder = dictionary.kind().is_crosscoder();
            if !crosscoder {
                let refused = dictionary.save_as(&folder.path().join("no"), Format::Crosscoder).unwrap_err();
                assert!(refused.to_string().contains("is no crosscoder"), "{name}: {refused}");
            }
            let formats: &[Format] = match name.as_str() {
                _ if crosscoder => &[Format::Deltascope, Format::Crosscoder],
                // SAELens has no TopK transcoder, and no tanh any more.
                "sparsify-skip_transcoder"
                | "sparsify-transcoder"
                | "sparsify-signed_transcoder"
                | "saelens-tanh_relu" => &[Format::Deltascope],
                _ => &[Format::Deltascope, Format::Saelens],
            };
            for format in formats {
                let out = folder.path().join(format!("{name}-{format:?}"));
                dictionary.save_as(&out, *format).unwrap();
                let again = Dictionary::load(&out).unwrap();
                assert_eq!(again.kind(), dictionary.kind(), "{name} as {format:?}");
                assert_eq!(again.variants(), dictionary.variants(), "{name} as {format:?}");
                if *format != Format::Crosscoder {
                    assert_eq!(again.notes(), dictionary.notes(), "{name} as {format:?}");
                }
                let golden = Golden::read(&dir.join("golden.safetensors"), &dictionary).unwrap();
                let report = golden.compare(&again).unwrap().unwrap();
                assert!(report.holds(), "{name} as {format:?}: {report:?}");
            }
        }
    }

    #[test]
    fn what_a_golden_file_holds_is_compared_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let dir = fixtures().join("saelens-topk");
        let dictionary = Dictionary::load(&dir).unwrap();
        let mut tensors = Tensors::safetensors(&dir.join("golden.safetensors")).unwrap();
        let x_shape = tensors.shape("x").unwrap().to_vec();
        let shape = tensors.shape("features").unwrap().to_vec();
        let x = tensors.take("x", &x_shape).unwrap();
        let mut values = tensors.take("features", &shape).unwrap();
        let path = folder.path().join("golden.safetensors");
        let report = |values: &[f32]| {
            let blocks = [Block::floats("x", &x_shape, &x), Block::floats("features", &shape, values)];
            write_tensors(&path, &blocks).unwrap();
            Golden::read(&path, &dictionary).unwrap().compare(&dictionary).unwrap().unwrap()
        };
        let right = report(&values);
        assert!(right.holds() && right.features_differ.is_some() && right.output_differs.is_none());
        values.iter_mut().for_each(|value| *value *= 1.5);
        assert!(!report(&values).holds());
    }

    #[test]
    fn a_damaged_dictionary_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let from = fixtures().join("saelens-topk");
        for file in ["cfg.json", "sae_weights.safetensors"] {
            std::fs::copy(from.join(file), folder.path().join(file)).unwrap();
        }
        let weights = folder.path().join("sae_weights.safetensors");
        let bytes = std::fs::read(&weights).unwrap();
        std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
        let message = Dictionary::load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("sae_weights.safetensors"), "{message}");
        std::fs::write(folder.path().join("cfg.json"), "{\"d_in\": 24}").unwrap();
        let message = Dictionary::load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("cfg.json") && message.contains("`d_sae`"), "{message}");
    }
}
