//! Where the packed tokens of a pass stand in padded rows, as index tensors on the device; made once a pass.

use crate::error::Result;
use crate::ops::attention::{Shape, keys};
use crate::ops::layout::Layout;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// candle gathers zeros, and scatters nothing, where an index is this.
const NOWHERE: u32 = u32::MAX;

/// The tokens of one pass. Cheap to clone.
#[derive(Clone)]
pub(super) struct Places(Arc<Inner>);

struct Inner {
    layout: Layout,
    device: Device,
    /// The absolute position of every token, [tokens].
    positions: Tensor,
    /// (packed token of every padded place, padded place of every packed token), where rows are padded.
    ragged: Option<(Tensor, Tensor)>,
    /// Attention masks by window.
    masks: Mutex<BTreeMap<Option<usize>, Option<Tensor>>>,
    /// What [`Places::append`] gathers, by the places of a row before: all layers have the same.
    appended: Mutex<BTreeMap<usize, Tensor>>,
}

impl Places {
    pub(super) fn new(layout: Layout, device: &Device) -> Result<Self> {
        let index = |values: Vec<u32>| {
            let count = values.len();
            Tensor::from_vec(values, count, device)
        };
        let positions = index(layout.positions().into_iter().map(|position| position as u32).collect())?;
        let ragged = match layout.is_full() {
            true => None,
            false => {
                let (width, mut padded, mut packed) = (layout.width(), Vec::new(), Vec::new());
                for (row, length) in layout.lengths().iter().enumerate() {
                    let first = layout.offsets()[row];
                    for column in 0..width {
                        padded.push(if column < *length { (first + column) as u32 } else { NOWHERE });
                    }
                    packed.extend((0..*length).map(|column| (row * width + column) as u32));
                }
                Some((index(padded)?, index(packed)?))
            }
        };
        let device = device.clone();
        let (masks, appended) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { layout, device, positions, ragged, masks, appended })))
    }

    /// The rows of the pass.
    pub(super) fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// The absolute position of every token, [tokens].
    pub(super) fn positions(&self) -> &Tensor {
        &self.0.positions
    }

    /// [tokens, columns] to [rows, width, columns], zero where there is no token.
    pub(super) fn pad(&self, packed: &Tensor) -> Result<Tensor> {
        let shape = (self.0.layout.rows(), self.0.layout.width(), packed.dim(1)?);
        Ok(match &self.0.ragged {
            Some((index, _)) => packed.contiguous()?.index_select(index, 0)?.reshape(shape)?,
            None => packed.reshape(shape)?,
        })
    }

    /// [rows, width, columns] to [tokens, columns].
    pub(super) fn pack(&self, padded: &Tensor) -> Result<Tensor> {
        let flat = padded.flatten(0, 1)?;
        Ok(match &self.0.ragged {
            Some((_, index)) => flat.contiguous()?.index_select(index, 0)?,
            None => flat,
        })
    }

    /// The tokens seen before, [rows, places, columns], and the packed new ones behind them or their trunk: the first
    /// places of each row hold its tokens, and all rows have as many places as the longest needs.
    pub(super) fn append(&self, old: Option<&Tensor>, new: &Tensor) -> Result<Tensor> {
        let layout = &self.0.layout;
        let Some(old) = old else {
            return match layout.branches() {
                true => {
                    let shape = (layout.rows(), keys(layout), new.dim(1)?);
                    Ok(new.contiguous()?.index_select(&self.appended(0)?, 0)?.reshape(shape)?)
                }
                false => self.pad(new),
            };
        };
        let (rows, places, columns) = old.dims3()?;
        if layout.is_full() && layout.starts().iter().all(|start| *start == places) {
            return Ok(Tensor::cat(&[old, &self.pad(new)?], 1)?);
        }
        let all = Tensor::cat(&[&old.flatten(0, 1)?, new], 0)?;
        Ok(all.index_select(&self.appended(places)?, 0)?.reshape((rows, keys(layout), columns))?)
    }

    /// Which of the old places, row after row, and the new tokens behind them stands at each new place.
    fn appended(&self, places: usize) -> Result<Tensor> {
        let mut known = self.0.appended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = known.get(&places) {
            return Ok(index.clone());
        }
        let layout = &self.0.layout;
        let (rows, total) = (layout.rows(), keys(layout));
        let mut index = Vec::with_capacity(rows * total);
        for (row, (start, length)) in layout.starts().iter().zip(layout.lengths()).enumerate() {
            index.extend((0..total).map(|place| match place {
                _ if place >= start + length => NOWHERE,
                _ if place < *start && layout.trunk(row).is_none() => (row * places + place) as u32,
                _ => (rows * places + layout.packed(row, place)) as u32,
            }));
        }
        let index = Tensor::from_vec(index, rows * total, &self.0.device)?;
        known.insert(places, index.clone());
        Ok(index)
    }

    /// [rows, 1, width, keys]: 0 where a query sees a key, −∞ where not; `None` where all see all.
    pub(super) fn mask(&self, shape: Shape) -> Result<Option<Tensor>> {
        let mut masks = self.0.masks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mask) = masks.get(&shape.window) {
            return Ok(mask.clone());
        }
        let layout = &self.0.layout;
        let (width, total) = (layout.width(), keys(layout));
        let mut numbers = Vec::with_capacity(layout.rows() * width * total);
        for (start, length) in layout.starts().iter().zip(layout.lengths()) {
            for query in 0..width {
                let position = start + query;
                let seen = shape.first_key(position)..position + 1;
                let sees = |key: usize| query < *length && seen.contains(&key);
                numbers.extend((0..total).map(|key| if sees(key) { 0.0 } else { f32::NEG_INFINITY }));
            }
        }
        let mask = match numbers.iter().all(|number| *number == 0.0) {
            true => None,
            false => Some(Tensor::from_vec(numbers, (layout.rows(), 1, width, total), &self.0.device)?),
        };
        masks.insert(shape.window, mask.clone());
        Ok(mask)
    }
}
