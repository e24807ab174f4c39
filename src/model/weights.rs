//! safetensors in and out: one file or shards with an index, f32, bf16 or f16.

use crate::error::{At, Error, Result};
use crate::foreign;
use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The largest index of shards.
const LARGEST_INDEX: u64 = 256 << 20;

/// The tensors of a model repository by name.
pub(super) type Tensors = BTreeMap<String, Tensor>;

/// Reads every tensor of a repository, as f32 on `device`.
pub(super) fn load(folder: &Path, device: &Device) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    for file in files(folder)? {
        tensors.extend(load_file(&file, device)?);
    }
    Ok(tensors)
}

/// Reads one safetensors file; floating-point tensors become f32, truths (the mask buffers of old checkpoints) become
/// bytes. What the header declares is held against the file's length before anything is made of it.
pub(super) fn load_file(file: &Path, device: &Device) -> Result<Tensors> {
    let bytes = foreign::bytes(file, u64::MAX)?;
    foreign::guarded(file, || {
        let wrong = |error| Error::work(format!("not a readable safetensors file: {error}"));
        let held = SafeTensors::deserialize(&bytes).map_err(wrong).at(file.display())?;
        let tensor = |(name, view): (String, TensorView<'_>)| {
            let tensor = match view.dtype() {
                Dtype::BOOL | Dtype::I8 => Tensor::from_slice(view.data(), view.shape(), device)?,
                _ => view.load(device)?,
            };
            let tensor = if tensor.dtype().is_float() { tensor.to_dtype(DType::F32)? } else { tensor };
            Ok((name, tensor))
        };
        held.tensors().into_iter().map(tensor).collect::<Result<Tensors>>().at(file.display())
    })
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    // As in transformers, a file that holds all comes before an index.
    let single = folder.join("model.safetensors");
    if single.exists() {
        return Ok(vec![single]);
    }
    let index = folder.join("model.safetensors.index.json");
    if !index.exists() {
        return Err(Error::request(format!(
            "expected model.safetensors or model.safetensors.index.json in {}",
            folder.display()
        ))
        .hint("pass a Hugging Face model repository"));
    }
    Ok(shards(&index)?.into_iter().map(|name| folder.join(name)).collect())
}

/// The names of the files that an index lists; none leads out of the folder.
pub(super) fn shards(index: &Path) -> Result<Vec<String>> {
    let text = foreign::text(index, LARGEST_INDEX)?;
    let wrong = |why: String| Error::work(why).at(index.display());
    let document: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| wrong(format!("expected JSON: {error}")))?;
    let map = document.get("weight_map").and_then(serde_json::Value::as_object);
    let map = map.ok_or_else(|| wrong("expected an object `weight_map`".to_owned()))?;
    let mut names = Vec::new();
    for (tensor, file) in map {
        let file = file.as_str().filter(|file| !file.contains(['/', '\\']) && !file.starts_with('.'));
        let file = file.ok_or_else(|| wrong(format!("tensor `{tensor}`: expected a file of this folder")))?;
        names.push(file.to_owned());
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Writes tensors to one safetensors file.
///
/// # Errors
/// If the file cannot be written.
pub fn save_tensors(file: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into_iter().collect());
    let tensors = tensors
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), tensor.to_device(&Device::Cpu)?.contiguous()?)))
        .collect::<Result<Vec<_>>>()?;
    safetensors::serialize_to_file(tensors, metadata, file)
        .map_err(|error| Error::work(format!("cannot write {}: {error}", file.display())))
}
