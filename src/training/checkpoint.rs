//! What a run needs to go on after it was stopped: one file, replaced atomically.
//!
//! `state.safetensors` holds every parameter (`parameter/<name>`) and the optimiser's moments
//! (`mean/<name>`, `square/<name>`). Its header carries the rest as JSON: what the run is (settings, seed,
//! the model it began from), the steps done, the rows so far, and a checksum. Random numbers are keyed by
//! (seed, step), so there are no counters to save.

use super::moments::Moments;
use super::optimiser::AdamW;
use super::rows::{TimingRow, TrainingRow};
use crate::error::{At, Error, Result, io};
use crate::ops::Parameter;
use candle_core::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The part of a checkpoint that is not tensors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// What the run is; a checkpoint of another run is refused.
    pub(super) identity: Value,
    pub(super) steps: usize,
    pub(super) updates: u64,
    pub(super) rows: Vec<TrainingRow>,
    pub(super) timings: Vec<TimingRow>,
    /// What a method remembers between steps beside its parameters.
    pub(super) memory: Value,
    pub(super) checksum: String,
}

const FILE: &str = "state.safetensors";
const HEADER: &str = "deltascope";

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Writes the checkpoint beside the old one and renames it into place.
pub(super) fn save(
    folder: &Path,
    progress: &mut Progress,
    parameters: &[Parameter],
    optimiser: &AdamW,
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| io("create", folder, error))?;
    progress.updates = optimiser.updates();
    let mut tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for parameter in parameters {
        let values = parameter.value().flatten_all()?.to_vec1::<f32>()?;
        tensors.insert(format!("parameter/{}", parameter.name()), (parameter.dims(), bytes(&values)));
    }
    for (name, moments) in optimiser.moments()? {
        tensors.insert(format!("mean/{name}"), (vec![moments.mean.len()], bytes(&moments.mean)));
        tensors.insert(format!("square/{name}"), (vec![moments.square.len()], bytes(&moments.square)));
    }
    progress.checksum = checksum(tensors.iter().map(|(name, (_, bytes))| (name.as_str(), bytes.as_slice())));
    let header = serde_json::to_string(progress)
        .map_err(|error| Error::work(format!("the checkpoint's header cannot be written: {error}")))?;
    let views = tensors
        .iter()
        .map(|(name, (dims, bytes))| Ok((name, TensorView::new(Dtype::F32, dims.clone(), bytes)?)))
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(unreadable)?;
    let (partial, whole) = (folder.join(format!("{FILE}.partial")), path(folder));
    let metadata = [(HEADER.to_owned(), header)].into();
    let content = safetensors::serialize(views, Some(metadata)).map_err(unreadable)?;
    std::fs::write(&partial, content).map_err(|error| io("write", &partial, error))?;
    std::fs::rename(&partial, &whole).map_err(|error| io("rename", &partial, error))
}

/// Restores parameters and optimiser from the checkpoint in `folder`, if there is one.
///
/// Nothing is changed unless the whole checkpoint is sound.
///
/// # Errors
/// If it belongs to another run (the error says what differs), or is truncated, damaged or incomplete.
pub(super) fn restore(
    folder: &Path,
    identity: &Value,
    parameters: &[Parameter],
    optimiser: &mut AdamW,
) -> Result<Option<Progress>> {
    let path = path(folder);
    let content = match std::fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("read", &path, error)),
    };
    read(&content, identity, parameters, optimiser)
        .map(Some)
        .map_err(|error| error.hint("delete the checkpoint to start this run afresh"))
        .at(path.display())
}

fn read(
    content: &[u8],
    identity: &Value,
    parameters: &[Parameter],
    optimiser: &mut AdamW,
) -> Result<Progress> {
    let (_, metadata) = SafeTensors::read_metadata(content).map_err(unreadable)?;
    let header = metadata.metadata().as_ref().and_then(|header| header.get(HEADER));
    let header = header.ok_or_else(|| Error::work("this is not a training checkpoint"))?;
    let progress: Progress = serde_json::from_str(header)
        .map_err(|error| Error::work(format!("the checkpoint's header is damaged: {error}")))?;
    if let Some(difference) = difference("", &progress.identity, identity) {
        return Err(Error::request(format!("the checkpoint belongs to another run: {difference}")));
    }
    let file = SafeTensors::deserialize(content).map_err(unreadable)?;
    let mut tensors: Vec<(&str, TensorView<'_>)> = file.iter().collect();
    tensors.sort_by_key(|(name, _)| *name);
    let numbers = |name: String, dims: &[usize]| -> Result<Vec<f32>> {
        let view = file
            .tensor(&name)
            .map_err(|_| Error::work(format!("the checkpoint lacks the tensor `{name}`")))?;
        if view.shape() != dims || view.dtype() != Dtype::F32 {
            return Err(Error::work(format!(
                "the tensor `{name}`: expected f32 {dims:?}, found {} {:?}",
                view.dtype(),
                view.shape()
            )));
        }
        let numbers = view.data().chunks_exact(4);
        Ok(numbers.map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect())
    };
    let mut values = Vec::new();
    let mut moments = BTreeMap::new();
    for parameter in parameters {
        let (name, dims) = (parameter.name(), parameter.dims());
        values.push(Tensor::from_vec(numbers(format!("parameter/{name}"), &dims)?, dims, &Device::Cpu)?);
        if parameter.trainable() && progress.updates > 0 {
            let elements = [parameter.elements()];
            let mean = numbers(format!("mean/{name}"), &elements)?;
            let square = numbers(format!("square/{name}"), &elements)?;
            moments.insert(name.to_owned(), Moments { mean, square });
        }
    }
    if checksum(tensors.iter().map(|(name, view)| (*name, view.data()))) != progress.checksum {
        return Err(Error::work("the checkpoint is damaged: its numbers do not have the checksum they had"));
    }
    for (parameter, value) in parameters.iter().zip(&values) {
        parameter.set_value(value)?;
    }
    optimiser.restore(progress.updates, moments);
    Ok(progress)
}

fn unreadable(error: safetensors::SafeTensorError) -> Error {
    Error::work(format!("the checkpoint is truncated or damaged: {error}"))
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn checksum<'a>(tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, bytes) in tensors {
        hasher.update(name.as_bytes());
        hasher.update(bytes);
    }
    hasher.finalize().to_hex().to_string()
}

/// The first place where two identities differ, in words.
fn difference(place: &str, theirs: &Value, ours: &Value) -> Option<String> {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let keys: std::collections::BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
            keys.into_iter().find_map(|key| {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                let side =
                    |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or(Value::Null);
                difference(&place, &side(theirs), &side(ours))
            })
        }
        (theirs, ours) if theirs == ours => None,
        (theirs, ours) => Some(format!("`{place}` was {theirs} there and is {ours} here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::settings::OptimiserSettings;
    use serde_json::json;

    fn parameter(value: f32) -> Parameter {
        Parameter::new("w", &Tensor::new(&[value, value], &Device::Cpu).unwrap()).unwrap()
    }

    fn trained() -> (Parameter, AdamW) {
        let (parameter, mut optimiser) = (parameter(1.0), AdamW::new(OptimiserSettings::default()));
        parameter.accumulate(|gradient, _| gradient.fill(0.5));
        optimiser.update(std::slice::from_ref(&parameter), 0.1, 1.0).unwrap();
        (parameter, optimiser)
    }

    fn saved(identity: Value) -> (tempfile::TempDir, Parameter, AdamW) {
        let folder = tempfile::tempdir().unwrap();
        let (parameter, optimiser) = trained();
        let mut progress = Progress { identity, steps: 3, ..Progress::default() };
        save(folder.path(), &mut progress, std::slice::from_ref(&parameter), &optimiser).unwrap();
        (folder, parameter, optimiser)
    }

    #[test]
    fn what_was_saved_comes_back() {
        let (folder, parameter_then, then) = saved(json!({"seed": 1}));
        let (now, mut optimiser) = (parameter(0.0), AdamW::new(OptimiserSettings::default()));
        let found = restore(folder.path(), &json!({"seed": 1}), std::slice::from_ref(&now), &mut optimiser);
        assert_eq!(found.unwrap().unwrap().steps, 3);
        assert_eq!(now.value().to_vec1::<f32>().unwrap(), parameter_then.value().to_vec1::<f32>().unwrap());
        assert_eq!((optimiser.updates(), optimiser.moments().unwrap()), (1, then.moments().unwrap()));
    }

    #[test]
    fn another_runs_a_truncated_an_incomplete_and_a_damaged_checkpoint_are_refused() {
        let identity = json!({"settings": {"learning_rate": 0.1}, "seed": 1});
        let (folder, _, _) = saved(identity.clone());
        let attempt = |identity: &Value, parameters: &[Parameter]| {
            let mut optimiser = AdamW::new(OptimiserSettings::default());
            restore(folder.path(), identity, parameters, &mut optimiser).unwrap_err().to_string()
        };
        let other = json!({"settings": {"learning_rate": 0.2}, "seed": 1});
        let error = attempt(&other, &[parameter(0.0)]);
        assert!(error.contains("`settings.learning_rate` was 0.1 there and is 0.2 here"), "{error}");
        let second = Parameter::new("other", &Tensor::new(&[0f32], &Device::Cpu).unwrap()).unwrap();
        let error = attempt(&identity, &[parameter(0.0), second]);
        assert!(error.contains("lacks the tensor `parameter/other`"), "{error}");
        let path = path(folder.path());
        let mut content = std::fs::read(&path).unwrap();
        if let Some(last) = content.last_mut() {
            *last ^= 1;
        }
        std::fs::write(&path, &content).unwrap();
        assert!(attempt(&identity, &[parameter(0.0)]).contains("checksum"));
        std::fs::write(&path, &content[..content.len() - 3]).unwrap();
        let untouched = parameter(7.0);
        assert!(attempt(&identity, std::slice::from_ref(&untouched)).contains("truncated or damaged"));
        assert_eq!(untouched.value().to_vec1::<f32>().unwrap(), [7.0, 7.0]);
    }
}
