//! Token files: `input_ids` and `attention_mask` in safetensors, padded at either end.
//!
//! The decoder packs rows and forgets the padding; what goes back to the user stands where the tokens
//! stood in the file. Every tensor of the file is used, checked, or named in a note ([`TokenFile::notes`]).

mod numbers;

use super::TokenBatch;
use crate::error::{At, Error, Result};
use crate::foreign;
use candle_core::{Device, Tensor};
use numbers::Numbers;
use safetensors::SafeTensors;
use std::path::Path;

/// The largest file that is read.
const LARGEST: u64 = 64 << 30;

/// A batch and the columns that its tokens had in the file.
#[derive(Clone, Debug)]
pub struct TokenFile {
    /// The real tokens.
    pub batch: TokenBatch,
    width: usize,
    firsts: Vec<usize>,
    notes: Vec<String>,
}

impl TokenFile {
    /// Reads a file for a model of so many tokens. Without `attention_mask` every token is real. Integers, truths and
    /// whole floating-point numbers of any width are read; `position_ids` must be those that the decoder counts.
    ///
    /// # Errors
    /// If the file is not safetensors, has no `input_ids` [rows, width], a token is none of the vocabulary, or a mask or
    /// positions do not fit. Row and column are named.
    pub fn load(path: &Path, vocabulary: usize) -> Result<Self> {
        let bytes = foreign::bytes(path, LARGEST)?;
        foreign::guarded(path, || Self::read(&bytes, vocabulary).at(path.display()))
    }

    fn read(bytes: &[u8], vocabulary: usize) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| Error::request(format!("not a readable safetensors file: {error}")))?;
        let numbers = |name: &str| match file.tensor(name) {
            Ok(view) => Numbers::read(name, &view).map(Some),
            Err(_) => Ok(None),
        };
        let ids = numbers("input_ids")?
            .ok_or_else(|| Error::request("expected a tensor `input_ids`, found none"))?;
        let rows = ids.rows()?;
        let mask = match numbers("attention_mask")? {
            None => (0..rows).map(|row| vec![1; ids.row(row).len()]).collect(),
            Some(mask) if mask.rows()? == rows && mask.dims == ids.dims => {
                (0..rows).map(|row| truths(&mask, row)).collect::<Result<Vec<_>>>()?
            }
            Some(mask) => {
                return Err(Error::request(format!(
                    "`attention_mask`: expected the shape of `input_ids`, {:?}, found {:?}",
                    ids.dims, mask.dims
                )));
            }
        };
        let tokens = (0..rows).zip(&mask).map(|(row, mask)| tokens(&ids, row, mask, vocabulary));
        let mut read = Self::new(&tokens.collect::<Result<Vec<_>>>()?, &mask)?;
        if let Some(positions) = numbers("position_ids")? {
            read.check_positions(&positions)?;
        }
        if let Some(types) = numbers("token_type_ids")?
            && types.all().iter().any(|kind| *kind != Some(0))
        {
            return Err(Error::request(
                "`token_type_ids`: expected zeros, found others: the decoder has no types",
            ));
        }
        read.notes = left_out(&file);
        let empty: Vec<String> = mask
            .iter()
            .enumerate()
            .filter(|(_, mask)| mask.iter().all(|real| *real == 0))
            .map(|(row, _)| row.to_string())
            .collect();
        if !empty.is_empty() {
            let shown = empty.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
            let more = if empty.len() > 10 { ", …" } else { "" };
            read.notes.push(format!(
                "{} of {} rows of the token file are all padding (rows {shown}{more}, counted from 0): nothing is computed of \
                 them",
                empty.len(),
                mask.len()
            ));
        }
        Ok(read)
    }

    /// Refuses positions that are not those of the decoder: from 0 at each row's first real token.
    fn check_positions(&self, positions: &Numbers) -> Result<()> {
        let rows = self.firsts.len();
        let held = match positions.dims.as_slice() {
            [width] | [1, width] if *width == self.width => 1,
            [count, width] if *count == rows && *width == self.width => rows,
            dims => {
                return Err(Error::request(format!(
                    "`position_ids`: expected [{rows}, {}], found {dims:?}",
                    self.width
                )));
            }
        };
        for (row, (first, length)) in self.firsts.iter().zip(self.batch.lengths()).enumerate() {
            let row = if held == 1 { 0 } else { row };
            for place in 0..*length {
                let column = first + place;
                if positions.row(row).get(column).copied().flatten() != Some(place as i128) {
                    let expected = format!("{place}: positions count from each row's first real token");
                    return Err(positions.wrong(row, column, &expected));
                }
            }
        }
        Ok(())
    }

    /// What of the file was left out, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Padded rows and their mask.
    ///
    /// # Errors
    /// As [`TokenBatch::from_mask`].
    pub fn new(ids: &[Vec<u32>], mask: &[Vec<u32>]) -> Result<Self> {
        let batch = TokenBatch::from_mask(ids, mask)?;
        let first = |row: &Vec<u32>| row.iter().position(|real| *real != 0).unwrap_or(0);
        Ok(Self {
            batch,
            width: ids.first().map_or(0, Vec::len),
            firsts: mask.iter().map(first).collect(),
            notes: Vec::new(),
        })
    }

    /// The first `length` tokens of each row, unpadded at the left.
    ///
    /// # Errors
    /// If nothing is left.
    pub(super) fn truncated(&self, length: usize) -> Result<Self> {
        let rows = 0..self.batch.rows();
        let first = |row| self.batch.row(row).iter().copied().take(length).collect();
        let batch = TokenBatch::new(&rows.clone().map(first).collect::<Vec<Vec<u32>>>())?;
        Ok(Self { width: batch.width(), firsts: vec![0; batch.rows()], notes: self.notes.clone(), batch })
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

/// The tokens of a row. What stands at padding is nobody's concern.
fn tokens(ids: &Numbers, row: usize, mask: &[u32], vocabulary: usize) -> Result<Vec<u32>> {
    let one = |(column, (id, real)): (usize, (&Option<i128>, &u32))| {
        let known = id.and_then(|id| u32::try_from(id).ok()).filter(|id| (*id as usize) < vocabulary);
        match (known, real) {
            (Some(id), _) => Ok(id),
            (None, 0) => Ok(0),
            (None, _) => {
                Err(ids.wrong(row, column, &format!("a token id, a whole number from 0 below {vocabulary}")))
            }
        }
    };
    ids.row(row).iter().zip(mask).enumerate().map(one).collect()
}

/// A row of a mask.
fn truths(mask: &Numbers, row: usize) -> Result<Vec<u32>> {
    let one = |(column, truth): (usize, &Option<i128>)| match truth {
        Some(0) => Ok(0),
        Some(1) => Ok(1),
        _ => Err(mask.wrong(row, column, "0 or 1")),
    };
    mask.row(row).iter().enumerate().map(one).collect()
}

/// Names the tensors that are neither tokens nor what a reference file holds.
fn left_out(file: &SafeTensors<'_>) -> Vec<String> {
    const USED: [&str; 7] =
        ["input_ids", "attention_mask", "position_ids", "token_type_ids", "logits", "loss", "greedy"];
    let of_a_reference =
        |name: &str| ["hidden.", "attn.", "grad."].iter().any(|start| name.starts_with(start));
    let mut names: Vec<&str> =
        file.names().into_iter().filter(|name| !USED.contains(name) && !of_a_reference(name)).collect();
    names.sort_unstable();
    match names.as_slice() {
        [] => Vec::new(),
        names => vec![format!(
            "left out of the token file: {}; which tokens are real is said by `attention_mask` alone",
            names.join(", ")
        )],
    }
}

#[cfg(test)]
mod tests;
