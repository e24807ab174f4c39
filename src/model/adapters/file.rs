//! The tensors of an adapter: `adapter_model.safetensors`, or `adapter_model.bin` read as data.

use crate::error::{At, Error, Result};
use crate::foreign::{self, pickle};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) const SAFETENSORS: &str = "adapter_model.safetensors";
pub(super) const PICKLE: &str = "adapter_model.bin";

/// More than any adapter of a model that is read here.
const LARGEST: u64 = 1 << 38;

/// A tensor as the file holds it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub(super) dims: Vec<usize>,
    pub(super) numbers: Vec<f32>,
}

/// What a file of an adapter holds.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) arrays: BTreeMap<String, Array>,
    pub(super) notes: Vec<String>,
}

impl File {
    /// The one file that PEFT would take.
    pub(super) fn load(folder: &Path) -> Result<Self> {
        let is_there = |name: &str| folder.join(name).exists();
        let name = if is_there(SAFETENSORS) || !is_there(PICKLE) { SAFETENSORS } else { PICKLE };
        let path = folder.join(name);
        let arrays = match name {
            SAFETENSORS => safetensors(&path)?,
            _ => foreign::guarded(&path, || {
                let (_file, _size) = foreign::regular(&path, LARGEST)?;
                pickle::read(&path)
            })?
            .into_iter()
            .map(|(name, dims, numbers)| (name, Array { dims, numbers }))
            .collect(),
        };
        let mut notes = Vec::new();
        if name == SAFETENSORS && is_there(PICKLE) {
            notes.push(format!(
                "{PICKLE} is not read: {SAFETENSORS} is beside it, and comes first, as in PEFT"
            ));
        }
        for (tensor, array) in &arrays {
            if let Some(wrong) = array.numbers.iter().find(|number| !number.is_finite()) {
                return Err(Error::request(format!("tensor `{tensor}`: expected numbers, found {wrong}"))
                    .at(path.display()));
            }
        }
        Ok(Self { name, arrays, notes })
    }
}

fn safetensors(path: &Path) -> Result<BTreeMap<String, Array>> {
    let bytes = foreign::bytes(path, LARGEST)?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| Error::request(format!("not a whole safetensors file: {error}")))
        .at(path.display())?;
    let mut arrays = BTreeMap::new();
    for (name, view) in file.tensors() {
        let numbers = foreign::decode(view.dtype(), view.data());
        let numbers = numbers.at(format!("tensor `{name}`")).at(path.display())?;
        arrays.insert(name, Array { dims: view.shape().to_vec(), numbers });
    }
    Ok(arrays)
}
