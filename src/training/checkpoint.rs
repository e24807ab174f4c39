//! What a run needs to go on after it was stopped: one file, replaced atomically.
//!
//! `state.safetensors` holds every parameter (`parameter/<name>`), the optimiser's moments (`mean/<name>`,
//! `square/<name>`), and the rest as JSON in the bytes of one more tensor, `progress`: what the run is (settings, seed,
//! the model it began from), the steps done, the rows so far. That grows with the run, and a header may not: it is
//! limited to 100 MB. The header carries a checksum of all tensors. Random numbers are keyed by (seed, step), so there
//! are no counters to save.

use super::moments::Moments;
use super::optimiser::AdamW;
use super::rows::{TimingRow, TrainingRow};
use crate::error::{At, Error, Result, io};
use crate::foreign;
use crate::ops::Parameter;
use candle_core::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
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
}

const FILE: &str = "state.safetensors";
/// The tensor of bytes that holds the [`Progress`].
const PROGRESS: &str = "progress";
/// The entry of the header that holds the checksum.
const CHECKSUM: &str = "checksum";

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
    let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    let mut add = |name: String, dims: Vec<usize>, values: &[f32]| {
        tensors.insert(name, (Dtype::F32, dims, bytes(values)));
    };
    for parameter in parameters {
        let values = parameter.value().flatten_all()?.to_vec1::<f32>()?;
        add(format!("parameter/{}", parameter.name()), parameter.dims(), &values);
    }
    for (name, moments) in optimiser.moments()? {
        add(format!("mean/{name}"), vec![moments.mean.len()], &moments.mean);
        add(format!("square/{name}"), vec![moments.square.len()], &moments.square);
    }
    let text = serde_json::to_vec(progress)
        .map_err(|error| Error::work(format!("the checkpoint's progress cannot be written: {error}")))?;
    tensors.insert(PROGRESS.to_owned(), (Dtype::U8, vec![text.len()], text));
    let checksum = checksum(tensors.iter().map(|(name, (_, _, bytes))| (name.as_str(), bytes.as_slice())));
    let views = tensors
        .iter()
        .map(|(name, (kind, dims, bytes))| Ok((name, TensorView::new(*kind, dims.clone(), bytes)?)))
        .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(unreadable)?;
    let (partial, whole) = (folder.join(format!("{FILE}.partial")), path(folder));
    let metadata = [(CHECKSUM.to_owned(), checksum)].into();
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
    let Some(content) = foreign::bytes_if_any(&path, foreign::DATA)? else { return Ok(None) };
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
    let expected = metadata.metadata().as_ref().and_then(|header| header.get(CHECKSUM));
    let file = SafeTensors::deserialize(content).map_err(unreadable)?;
    let (Some(expected), Ok(text)) = (expected, file.tensor(PROGRESS)) else {
        return Err(Error::work("this is not a training checkpoint of this release"));
    };
    let mut tensors: Vec<(&str, TensorView<'_>)> = file.iter().collect();
    tensors.sort_by_key(|(name, _)| *name);
    let found = checksum(tensors.iter().map(|(name, view)| (*name, view.data())));
    let damaged = || Error::work("the checkpoint is damaged: its contents do not have the checksum they had");
    let progress: Progress =
        serde_json::from_slice(text.data()).map_err(|error| match found == *expected {
            true => Error::work(format!("the checkpoint is of another release: {error}")),
            false => damaged(),
        })?;
    let differences = differences("", &progress.identity, identity);
    if !differences.is_empty() {
        let what = differences.join("; ");
        return Err(Error::request(format!("the checkpoint belongs to another run: {what}")));
    }
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
    if found != *expected {
        return Err(damaged());
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

/// The places where two identities differ, in words. Those that a person wrote, the settings and the seed, come first:
/// the hash of an artifact differs whenever they do.
fn differences(place: &str, theirs: &Value, ours: &Value) -> Vec<String> {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
            let mut keys: Vec<&String> = keys.into_iter().collect();
            keys.sort_by_key(|key| !["settings", "seed"].contains(&key.as_str()));
            let side = |object: &serde_json::Map<String, Value>, key: &String| {
                object.get(key).cloned().unwrap_or(Value::Null)
            };
            let of_key = |key: &String| {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                differences(&place, &side(theirs, key), &side(ours, key))
            };
            keys.into_iter().flat_map(of_key).collect()
        }
        (theirs, ours) if theirs == ours => Vec::new(),
        (theirs, ours) => vec![format!("`{place}` was {theirs} there and is {ours} here")],
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

    /// More rows than a header may hold, and a header that lies.
    #[test]
    fn a_long_run_is_saved_and_a_changed_count_is_seen() {
        let (folder, identity) = (tempfile::tempdir().unwrap(), json!({ "seed": 1 }));
        let (parameter, optimiser) = trained();
        let memory = Value::from("x".repeat(101_000_000));
        let mut progress = Progress { identity: identity.clone(), steps: 60, memory, ..Progress::default() };
        save(folder.path(), &mut progress, std::slice::from_ref(&parameter), &optimiser).unwrap();
        let attempt = || {
            let mut optimiser = AdamW::new(OptimiserSettings::default());
            restore(folder.path(), &identity, std::slice::from_ref(&parameter), &mut optimiser)
        };
        assert_eq!(attempt().unwrap().unwrap().steps, 60);
        let path = path(folder.path());
        let mut content = std::fs::read(&path).unwrap();
        let steps = b"\"steps\":60";
        let place = content.windows(steps.len()).position(|bytes| bytes == steps).unwrap();
        content[place..place + steps.len()].copy_from_slice(b"\"steps\":30");
        std::fs::write(&path, content).unwrap();
        assert!(attempt().unwrap_err().to_string().contains("checksum"));
    }

    #[test]
    fn another_runs_a_truncated_an_incomplete_and_a_damaged_checkpoint_are_refused() {
        let identity = json!({"origin": "a", "settings": {"batch": 8, "learning_rate": 0.1}, "seed": 1});
        let (folder, _, _) = saved(identity.clone());
        let attempt = |identity: &Value, parameters: &[Parameter]| {
            let mut optimiser = AdamW::new(OptimiserSettings::default());
            restore(folder.path(), identity, parameters, &mut optimiser).unwrap_err().to_string()
        };
        let other = json!({"origin": "b", "settings": {"batch": 4, "learning_rate": 0.2}, "seed": 1});
        let error = attempt(&other, &[parameter(0.0)]);
        let settings = "`settings.batch` was 8 there and is 4 here; `settings.learning_rate` was 0.1 there and is 0.2 \
                        here; `origin` was";
        assert!(error.contains(settings), "{error}");
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
