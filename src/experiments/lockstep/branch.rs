//! Edits at one hook: the trunk reads, each row takes its own edited activation on from there.

use super::super::readout::Readout;
use super::rows::{Row, Rows, Start};
use super::trunk::{Shared, Trunk};
use super::{Source, last_logits};
use crate::dictionaries::Codes;
use crate::diff::{CodeReader, Reading};
use crate::error::{Error, Result};
use crate::experiments::conditions::{Change, Condition};
use crate::interventions::{Position, Tallies, Tally, Writer};
use crate::model::{BlockPoint, Gradients, HookPoint, Hooks, KvCache, NextToken, TokenBatch};
use candle_core::Tensor;
use rayon::prelude::*;
use std::sync::Arc;

/// A source of next-token logits in which every row stands under its own edit at one hook.
pub(super) struct Branches {
    readout: Readout,
    hook: HookPoint,
    receiver: usize,
    rows: Rows,
    /// Encodes the features that some condition needs; `None` where none needs any.
    reader: Option<CodeReader>,
    trunk: Trunk,
    branch: Option<KvCache>,
}

impl Branches {
    /// # Errors
    /// As [`super::source`].
    pub(super) fn new(
        readout: &Readout,
        receiver: usize,
        conditions: Arc<[Condition]>,
        starts: &[Start],
    ) -> Result<Self> {
        let place = conditions.iter().find_map(|condition| match &condition.change {
            Change::Write { hook, reading, .. } => Some((*hook, reading.clone())),
            _ => None,
        });
        let (hook, reading) = place.unwrap_or((readout.hook(), Reading::Joint));
        let writers: Vec<&Writer> = conditions.iter().filter_map(Condition::writer).collect();
        let mut features: Vec<u32> = writers.iter().flat_map(|writer| writer.features()).copied().collect();
        features.sort_unstable();
        features.dedup();
        let codes = writers.iter().any(|writer| writer.needs_codes()) && !features.is_empty();
        let mut wanted = match codes {
            true => reading.reads(readout.variants().len()),
            false => vec![false; readout.variants().len()],
        };
        for variant in writers.iter().filter_map(|writer| writer.donor()).chain([receiver]) {
            if let Some(wanted) = wanted.get_mut(variant) {
                *wanted = true;
            }
        }
        let reader = codes.then(|| reading.reader(readout.dictionary()?, &features)).transpose()?;
        let rows = Rows::new(conditions.clone(), starts, receiver, readout.model(receiver)?.tokenizer()?)?;
        let trunk = Trunk::new(readout, hook, wanted);
        Ok(Self { readout: readout.clone(), hook, receiver, rows, reader, trunk, branch: None })
    }

    /// The receiver's activations of every row with its delta added, `[rows, width, d_model]`, zero at padding.
    fn edited(&mut self, tokens: &TokenBatch, shared: &Shared) -> Result<Vec<f32>> {
        let codes = match &self.reader {
            Some(reader) => reader.codes(&shared.joint)?,
            None => Codes::new(),
        };
        let d_model = self.readout.d_model();
        let width = tokens.width() * d_model;
        let first = shared.first_places();
        let mut edited = vec![0.0; self.rows.now.len() * width];
        let this = &*self;
        let written: Vec<Tallies> = edited
            .par_chunks_mut(width.max(1))
            .zip(this.rows.now.par_iter().zip(&shared.of_row))
            .enumerate()
            .map(|(index, (out, (row, trunk)))| {
                let start = first.get(*trunk).copied().unwrap_or(0);
                this.write_row(row, tokens.row(index), start, (&shared.joint, &codes), out)
            })
            .collect();
        self.rows.count(&written);
        Ok(edited)
    }

    /// One row: the receiver's activations from `start` on in the trunk, each with its delta.
    fn write_row(
        &self,
        row: &Row,
        tokens: &[u32],
        start: usize,
        (joint, codes): (&[f32], &Codes),
        out: &mut [f32],
    ) -> Tallies {
        let (d_model, variants) = (self.readout.d_model(), self.readout.variants().len());
        let mut tallies = Tallies::default();
        let mut delta = vec![0.0; d_model];
        let writer = self.rows.condition(row).and_then(Condition::writer);
        for (column, (token, out)) in tokens.iter().zip(out.chunks_exact_mut(d_model)).enumerate() {
            let place = start + column;
            let joint =
                joint.get(place * variants * d_model..(place + 1) * variants * d_model).unwrap_or(&[]);
            let own = joint.get(self.receiver * d_model..(self.receiver + 1) * d_model).unwrap_or(&[]);
            out.copy_from_slice(own);
            let (Some(writer), Some(part)) = (writer, self.rows.part(row, column, *token)) else { continue };
            let (features, values) = entries(codes, place);
            let key = Rows::key(row, column);
            let acted = writer.delta(Position { joint, features, values, key }, &mut delta);
            tallies.part_mut(part).add(&Tally {
                positions: 1,
                acted: u64::from(acted),
                delta_squared: squared(&delta),
                hidden_squared: squared(own),
            });
            if acted {
                out.iter_mut().zip(&delta).for_each(|(out, delta)| *out += delta);
            }
        }
        tallies
    }
}

/// The firing features of one token and their codes.
pub(super) fn entries(codes: &Codes, token: usize) -> (&[u32], &[f32]) {
    let bounds = codes.starts.get(token).copied().zip(codes.starts.get(token + 1).copied());
    let (start, end) = bounds.unwrap_or((0, 0));
    (codes.features.get(start..end).unwrap_or(&[]), codes.values.get(start..end).unwrap_or(&[]))
}

/// Hooks that run the layers after `hook` on this value. At a residual stream nothing before it is computed
/// again; elsewhere the value replaces what the pass would have had there.
fn continue_from(hook: HookPoint, value: Tensor) -> Hooks {
    match hook {
        HookPoint::Block(layer, BlockPoint::ResidPre) => Hooks::none().start_from(layer, value),
        HookPoint::Block(layer, BlockPoint::ResidPost) => Hooks::none().start_from(layer + 1, value),
        _ => Hooks::none().edit(hook, Box::new(move |_, found| Ok(value.reshape(found.dims())?))),
    }
}

pub(super) fn squared(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum()
}

impl Source for Branches {
    fn hidden(&mut self, tokens: &TokenBatch) -> Result<Tensor> {
        if tokens.rows() != self.rows.now.len() {
            return Err(Error::work(format!(
                "expected {} rows, found {}",
                self.rows.now.len(),
                tokens.rows()
            )));
        }
        let shared = self.trunk.extend(tokens)?;
        let edited = self.edited(tokens, &shared)?;
        let model = self.readout.model(self.receiver)?;
        let shape = (tokens.rows(), tokens.width(), self.readout.d_model());
        let mut hooks = continue_from(self.hook, Tensor::from_vec(edited, shape, model.device())?);
        let branch = self.branch.get_or_insert_with(|| model.cache(tokens.rows()));
        let hidden = model.hidden(tokens, Some(branch), &mut hooks, Gradients::Off)?;
        self.rows.advance(tokens.lengths());
        Ok(hidden)
    }

    fn tallies(&self) -> &[Tallies] {
        self.rows.tallies()
    }
}

impl NextToken for Branches {
    fn extend(&mut self, tokens: &TokenBatch) -> Result<Tensor> {
        let hidden = self.hidden(tokens)?;
        last_logits(self.readout.model(self.receiver)?, &hidden, tokens)
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        self.rows.select(rows)?;
        self.trunk.select(rows)?;
        self.branch.as_mut().map_or(Ok(()), |branch| branch.select(rows))
    }

    fn reset(&mut self) {
        self.rows.reset();
        self.trunk.reset();
        self.branch = None;
    }

    fn longest(&self) -> Option<usize> {
        // All variants have one architecture.
        self.readout.model(self.receiver).ok()?.longest()
    }
}
