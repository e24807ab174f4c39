//! Our own format: `dictionary.json` ([`Spec`]) and `dictionary.safetensors`.

use super::super::dictionary::Dictionary;
use super::super::spec::Spec;
use super::super::weights::Weights;
use crate::error::{At, Error, Result, io};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::path::Path;

const SPEC: &str = "dictionary.json";
const WEIGHTS: &str = "dictionary.safetensors";

/// The tensors of a dictionary: name, values, shape.
fn tensors<'a>(spec: &Spec, weights: &'a Weights) -> [(&'static str, &'a [f32], Vec<usize>); 8] {
    let (inputs, outputs, features) = (spec.inputs.len(), spec.outputs.len(), spec.features);
    [
        ("encoder.weight", &weights.encoder, vec![features, inputs, spec.d_in]),
        ("encoder.bias", &weights.encoder_bias, vec![features]),
        ("decoder.weight", &weights.decoder, vec![features, outputs, spec.d_out]),
        ("decoder.bias", &weights.decoder_bias, vec![outputs, spec.d_out]),
        ("threshold", &weights.threshold, vec![features]),
        ("magnitude.scale", &weights.magnitude_scale, vec![features]),
        ("magnitude.bias", &weights.magnitude_bias, vec![features]),
        ("skip.weight", &weights.skip, vec![spec.output_width(), spec.input_width()]),
    ]
}

impl Dictionary {
    /// Writes `dictionary.json` and `dictionary.safetensors` into `dir`.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn save(&self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|error| io("create", dir, error))?;
        let blocks: Vec<(&str, Vec<u8>, Vec<usize>)> = tensors(self.spec(), self.weights())
            .into_iter()
            .filter(|(_, values, _)| !values.is_empty())
            .map(|(name, values, shape)| {
                (name, values.iter().flat_map(|value| value.to_le_bytes()).collect(), shape)
            })
            .collect();
        let failed =
            |error: &dyn std::fmt::Display| Error::work(format!("dictionary cannot be written: {error}"));
        let views = blocks
            .iter()
            .map(|(name, bytes, shape)| {
                let view =
                    TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|error| failed(&error))?;
                Ok((*name, view))
            })
            .collect::<Result<Vec<_>>>()?;
        let bytes = safetensors::serialize(views, None).map_err(|error| failed(&error))?;
        let text = serde_json::to_string_pretty(self.spec()).map_err(|error| failed(&error))?;
        for (file, bytes) in [(WEIGHTS, bytes), (SPEC, text.into_bytes())] {
            let (partial, path) = (dir.join(format!("{file}.partial")), dir.join(file));
            std::fs::write(&partial, bytes).map_err(|error| io("write", &partial, error))?;
            std::fs::rename(&partial, &path).map_err(|error| io("rename", &partial, error))?;
        }
        Ok(())
    }

    /// Reads a dictionary that [`Dictionary::save`] wrote.
    ///
    /// # Errors
    /// If a file is missing, damaged, or does not fit its specification.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(SPEC);
        let text = std::fs::read_to_string(&path).map_err(|error| io("read", &path, error))?;
        let spec: Spec = serde_json::from_str(&text)
            .map_err(|error| Error::work(format!("not a dictionary: {error}")).at(path.display()))?;
        let path = dir.join(WEIGHTS);
        let bytes = std::fs::read(&path).map_err(|error| io("read", &path, error))?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|error| Error::work(format!("not a safetensors file: {error}")).at(path.display()))?;
        let read = |name: &str| -> Vec<f32> {
            let data = file.tensor(name).ok().filter(|tensor| tensor.dtype() == Dtype::F32);
            let words = data.map(|tensor| tensor.data().as_chunks::<4>().0).unwrap_or_default();
            words.iter().map(|word| f32::from_le_bytes(*word)).collect()
        };
        let weights = Weights {
            encoder: read("encoder.weight"),
            encoder_bias: read("encoder.bias"),
            decoder: read("decoder.weight"),
            decoder_bias: read("decoder.bias"),
            threshold: read("threshold"),
            magnitude_scale: read("magnitude.scale"),
            magnitude_bias: read("magnitude.bias"),
            skip: read("skip.weight"),
        };
        Dictionary::new(spec, weights).at(path.display())
    }
}
