//! Named tensors of any of the files that dictionaries come in, as f32.

use crate::error::{At, Error, Result};
use crate::foreign::{self, decode, numpy, pickle};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;
use std::path::Path;

/// Named tensors.
#[derive(Debug, Default)]
pub(in super::super) struct Tensors(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Tensors {
    /// Reads a safetensors file.
    pub(in super::super) fn safetensors(path: &Path) -> Result<Self> {
        let bytes = foreign::bytes(path, u64::MAX)?;
        let file = foreign::guarded(path, || {
            SafeTensors::deserialize(&bytes).map_err(|error| {
                Error::work(format!("not a whole safetensors file: {error}")).at(path.display())
            })
        })?;
        let mut tensors = Self::default();
        for (name, view) in file.tensors() {
            let values =
                decode(view.dtype(), view.data()).at(format!("tensor `{name}`")).at(path.display())?;
            tensors.0.insert(name, (view.shape().to_vec(), values));
        }
        Ok(tensors)
    }

    /// Reads a PyTorch file. Its pickle is parsed as data: nothing in it is ever run.
    pub(in super::super) fn pickle(path: &Path) -> Result<Self> {
        let arrays = pickle::read(path)?.into_iter();
        let unwrapped = |name: String| name.strip_prefix("_orig_mod.").map(str::to_owned).unwrap_or(name);
        Ok(Self(arrays.map(|(name, shape, values)| (unwrapped(name), (shape, values))).collect()))
    }

    /// Reads a NumPy archive.
    pub(in super::super) fn npz(path: &Path) -> Result<Self> {
        let arrays = numpy::read(path)?.into_iter();
        Ok(Self(arrays.map(|(name, shape, values)| (name, (shape, values))).collect()))
    }

    pub(in super::super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The shape of a tensor.
    pub(in super::super) fn shape(&self, name: &str) -> Result<&[usize]> {
        self.0.get(name).map(|(shape, _)| &shape[..]).ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
            Error::work(format!("expected a tensor `{name}`, found `{}`", names.join("`, `")))
        })
    }

    /// Takes a tensor of this shape.
    pub(in super::super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let found = self.shape(name)?;
        if found != shape {
            return Err(Error::work(format!("tensor `{name}`: expected shape {shape:?}, found {found:?}")));
        }
        Ok(self.0.remove(name).map(|(_, values)| values).unwrap_or_default())
    }

    /// The shape of a matrix.
    pub(in super::super) fn matrix(&self, name: &str) -> Result<(usize, usize)> {
        match self.shape(name)? {
            &[rows, columns] => Ok((rows, columns)),
            found => Err(Error::work(format!("tensor `{name}`: expected two axes, found shape {found:?}"))),
        }
    }

    /// The length of a vector.
    pub(in super::super) fn length(&self, name: &str) -> Result<usize> {
        match self.shape(name)? {
            &[length] => Ok(length),
            found => Err(Error::work(format!("tensor `{name}`: expected one axis, found shape {found:?}"))),
        }
    }

    /// Takes a tensor of one value, if it is there.
    ///
    /// # Errors
    /// If it holds another number of values.
    pub(in super::super) fn scalar(&mut self, name: &str) -> Result<Option<f32>> {
        match self.0.remove(name) {
            None => Ok(None),
            Some((_, values)) => match values[..] {
                [value] => Ok(Some(value)),
                _ => {
                    Err(Error::work(format!("tensor `{name}`: expected one number, found {}", values.len())))
                }
            },
        }
    }

    /// Takes a tensor on which nothing that is computed depends, whatever its shape is.
    pub(in super::super) fn leave(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Refuses tensors that nobody took: they would change the result.
    pub(in super::super) fn finish(self) -> Result<()> {
        match self.0.keys().next() {
            Some(name) => {
                Err(Error::work(format!("tensor `{name}` is not supported in a dictionary of this kind")))
            }
            None => Ok(()),
        }
    }
}

/// A tensor to be written.
pub(in super::super) struct Block {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Block {
    pub(in super::super) fn floats(name: &'static str, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name, dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    pub(in super::super) fn int32(name: &'static str, value: i32) -> Self {
        Self { name, dtype: Dtype::I32, shape: Vec::new(), bytes: value.to_le_bytes().to_vec() }
    }

    pub(in super::super) fn int64(name: &'static str, value: i64) -> Self {
        Self { name, dtype: Dtype::I64, shape: Vec::new(), bytes: value.to_le_bytes().to_vec() }
    }
}

/// The bytes of a safetensors file.
pub(in super::super) fn serialize(blocks: &[Block]) -> Result<Vec<u8>> {
    let failed =
        |error: safetensors::SafeTensorError| Error::work(format!("weights cannot be written: {error}"));
    let views = blocks
        .iter()
        .map(|block| {
            Ok((block.name, TensorView::new(block.dtype, block.shape.clone(), &block.bytes).map_err(failed)?))
        })
        .collect::<Result<Vec<_>>>()?;
    safetensors::serialize(views, None).map_err(failed)
}
