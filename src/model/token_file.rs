//! Token files: `input_ids` and `attention_mask` in safetensors, padded at either end.
//!
//! The decoder packs rows and forgets the padding; what goes back to the user stands where the tokens
//! stood in the file.

use super::TokenBatch;
use super::weights;
use crate::error::{At, Error, Result};
use candle_core::{DType, Device, Tensor};
use std::path::Path;

/// A batch and the columns that its tokens had in the file.
#[derive(Clone, Debug)]
pub struct TokenFile {
    /// The real tokens.
    pub batch: TokenBatch,
    width: usize,
    firsts: Vec<usize>,
}

impl TokenFile {
    /// Reads a file. Without `attention_mask` every token is real.
    ///
    /// # Errors
    /// If the file is not safetensors, has no `input_ids` [rows, width], or the mask does not fit.
    pub fn load(path: &Path) -> Result<Self> {
        let tensors = weights::load_file(path, &Device::Cpu)?;
        let rows = |name: &str| -> Result<Option<Vec<Vec<u32>>>> {
            let Some(tensor) = tensors.get(name) else { return Ok(None) };
            let tensor = tensor.to_dtype(DType::U32)?;
            tensor.to_vec2::<u32>().map(Some).map_err(|_| {
                Error::request(format!("`{name}`: expected [rows, width], found {:?}", tensor.dims()))
            })
        };
        let ids = rows("input_ids").at(path.display())?;
        let ids = ids.ok_or_else(|| Error::request("expected a tensor `input_ids`").at(path.display()))?;
        let mask = rows("attention_mask").at(path.display())?;
        let mask = mask.unwrap_or_else(|| ids.iter().map(|row| vec![1; row.len()]).collect());
        Self::new(&ids, &mask).at(path.display())
    }

    /// Padded rows and their mask.
    ///
    /// # Errors
    /// As [`TokenBatch::from_mask`].
    pub fn new(ids: &[Vec<u32>], mask: &[Vec<u32>]) -> Result<Self> {
        let batch = TokenBatch::from_mask(ids, mask)?;
        let first = |row: &Vec<u32>| row.iter().position(|real| *real != 0).unwrap_or(0);
        Ok(Self { batch, width: ids.first().map_or(0, Vec::len), firsts: mask.iter().map(first).collect() })
    }

    /// The first `length` tokens of each row, unpadded at the left.
    ///
    /// # Errors
    /// If nothing is left.
    pub(super) fn truncated(&self, length: usize) -> Result<Self> {
        let rows = 0..self.batch.rows();
        let first = |row| self.batch.row(row).iter().copied().take(length).collect();
        let batch = TokenBatch::new(&rows.clone().map(first).collect::<Vec<Vec<u32>>>())?;
        Ok(Self { width: batch.width(), firsts: vec![0; batch.rows()], batch })
    }

    /// `input_ids` in the file's layout, zeros at padding.
    ///
    /// # Errors
    /// If the tensor cannot be made.
    pub fn ids(&self) -> Result<Tensor> {
        self.laid_out(|row| row.iter().map(|id| i64::from(*id)).collect())
    }

    /// `attention_mask` in the file's layout.
    ///
    /// # Errors
    /// If the tensor cannot be made.
    pub fn mask(&self) -> Result<Tensor> {
        self.laid_out(|row| vec![1; row.len()])
    }

    fn laid_out(&self, values: impl Fn(&[u32]) -> Vec<i64>) -> Result<Tensor> {
        let mut all = vec![0i64; self.firsts.len() * self.width];
        for (row, first) in self.firsts.iter().enumerate() {
            let values = values(self.batch.row(row));
            all.iter_mut().skip(row * self.width + first).zip(values).for_each(|(slot, value)| *slot = value);
        }
        Ok(Tensor::from_vec(all, (self.firsts.len(), self.width), &Device::Cpu)?)
    }

    /// Moves the tokens of a result [rows, ...] back to their columns along `axes` (1 for most values, 2
    /// and 3 for attention scores and patterns); zeros elsewhere.
    ///
    /// # Errors
    /// If the tensor does not belong to this batch.
    pub fn aligned(&self, value: &Tensor, axes: &[usize]) -> Result<Tensor> {
        let mut rows = Vec::with_capacity(self.firsts.len());
        for (row, (first, length)) in self.firsts.iter().zip(self.batch.lengths()).enumerate() {
            let mut part = value.narrow(0, row, 1)?;
            for axis in axes {
                let right = self.width - first - length;
                part = part.narrow(*axis, 0, *length)?.pad_with_zeros(*axis, *first, right)?;
            }
            rows.push(part);
        }
        Ok(Tensor::cat(&rows, 0)?.contiguous()?)
    }

    /// The inverse of [`TokenFile::aligned`]: the real tokens of a tensor in the file's layout, right-padded.
    ///
    /// # Errors
    /// If the tensor does not have the file's layout.
    pub fn gathered(&self, value: &Tensor, axes: &[usize]) -> Result<Tensor> {
        let mut rows = Vec::with_capacity(self.firsts.len());
        for (row, (first, length)) in self.firsts.iter().zip(self.batch.lengths()).enumerate() {
            let mut part = value.narrow(0, row, 1)?;
            for axis in axes {
                let right = self.batch.width() - length;
                part = part.narrow(*axis, *first, *length)?.pad_with_zeros(*axis, 0, right)?;
            }
            rows.push(part);
        }
        Ok(Tensor::cat(&rows, 0)?.contiguous()?)
    }
}
