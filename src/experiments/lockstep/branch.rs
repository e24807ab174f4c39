//! Edits at one hook: the trunk reads, each row takes its own edited activation on from there.

use super::super::readout::Readout;
use super::rows::{Row, Rows, Start};
use super::trunk::{Shared, Trunk};
use super::{Source, last_logits};
use crate::dictionaries::Codes;
use crate::error::{Error, Result};
use crate::experiments::conditions::Condition;
use crate::interventions::{CodeReader, Position, Reading, Tallies, Tally, Writer};
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
    /// What each condition has to be told.
    needs: Vec<Needs>,
    /// Encodes the features that some condition needs; `None` where none needs any.
    reader: Option<CodeReader>,
    trunk: Trunk,
    branch: Option<KvCache>,
}

/// What a condition has to be told of a text.
struct Needs {
    /// The variants that must read it.
    variants: Vec<bool>,
    /// Whether the code of its tokens must be made.
    codes: bool,
}

impl Needs {
    fn of(condition: &Condition, reading: &Reading, receiver: usize, variants: usize) -> Self {
        let writer = condition.writer();
        let codes = writer.is_some_and(|writer| writer.needs_codes() && !writer.features().is_empty());
        let mut wanted = if codes { reading.reads(variants) } else { vec![false; variants] };
        for variant in writer.and_then(Writer::donor).into_iter().chain([receiver]) {
            if let Some(wanted) = wanted.get_mut(variant) {
                *wanted = true;
            }
        }
        Self { variants: wanted, codes }
    }
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
        let place = conditions.iter().find_map(Condition::write);
        let place = place.map(|write| (write.hook, write.reading.clone()));
        let (hook, reading) = place.unwrap_or((readout.hook(), Reading::Joint));
        let writers: Vec<&Writer> = conditions.iter().filter_map(Condition::writer).collect();
        let mut features: Vec<u32> = writers.iter().flat_map(|writer| writer.features()).copied().collect();
        features.sort_unstable();
        features.dedup();
        let variants = readout.variants().len();
        let needs: Vec<Needs> =
            conditions.iter().map(|condition| Needs::of(condition, &reading, receiver, variants)).collect();
        let codes = needs.iter().any(|needs| needs.codes);
        let reader = codes.then(|| reading.reader(readout.dictionary()?, &features)).transpose()?;
        let rows = Rows::new(conditions.clone(), starts, receiver, readout.model(receiver)?.tokenizer()?)?;
        let trunk = Trunk::new(readout, hook);
        Ok(Self { readout: readout.clone(), hook, receiver, rows, needs, reader, trunk, branch: None })
    }

    /// The codes of the trunk rows that some condition wants coded, and where those of each trunk row begin.
    fn codes(&self, shared: &Shared) -> Result<(Codes, Vec<usize>)> {
        let places = shared.places();
        let Some(reader) = &self.reader else { return Ok((Codes::new(), places)) };
        let mut coded = vec![false; shared.tokens.rows()];
        for (row, trunk) in self.rows.now.iter().zip(&shared.of_row) {
            coded[*trunk] |= self.needs[row.start.condition].codes;
        }
        let width = self.readout.variants().len() * self.readout.d_model();
        let mut starts = Vec::with_capacity(coded.len());
        let mut joint = Vec::with_capacity(shared.joint.len());
        for (bounds, coded) in places.windows(2).zip(coded) {
            starts.push(joint.len() / width);
            if coded {
                joint.extend_from_slice(&shared.joint[bounds[0] * width..bounds[1] * width]);
            }
        }
        let codes = if joint.is_empty() { Codes::new() } else { reader.codes(&joint)? };
        Ok((codes, starts))
    }

    /// The receiver's activations of every row with its delta added, `[rows, width, d_model]`, zero at padding.
    fn edited(&mut self, tokens: &TokenBatch, shared: &Shared) -> Result<Vec<f32>> {
        let (codes, coded) = self.codes(shared)?;
        let places = shared.places();
        let width = tokens.width() * self.readout.d_model();
        let mut edited = vec![0.0; self.rows.now.len() * width];
        let this = &*self;
        let written: Vec<Tallies> = edited
            .par_chunks_mut(width.max(1))
            .zip(this.rows.now.par_iter().zip(&shared.of_row))
            .enumerate()
            .map(|(index, (out, (row, trunk)))| {
                let seen =
                    Seen { joint: &shared.joint, place: places[*trunk], codes: &codes, code: coded[*trunk] };
                this.write_row(row, tokens.row(index), seen, out)
            })
            .collect();
        self.rows.count(&written);
        Ok(edited)
    }

    /// One row: the receiver's activations of its new tokens, each with its delta.
    fn write_row(&self, row: &Row, tokens: &[u32], seen: Seen<'_>, out: &mut [f32]) -> Tallies {
        let (d_model, variants) = (self.readout.d_model(), self.readout.variants().len());
        let mut tallies = Tallies::default();
        let mut delta = vec![0.0; d_model];
        let writer = self.rows.condition(row).and_then(Condition::writer);
        let coded = self.needs[row.start.condition].codes;
        let joints = seen.joint.chunks_exact(variants * d_model).skip(seen.place);
        let new = tokens.iter().zip(joints).zip(out.chunks_exact_mut(d_model));
        for (column, ((token, joint), out)) in new.enumerate() {
            let own = &joint[self.receiver * d_model..(self.receiver + 1) * d_model];
            out.copy_from_slice(own);
            let (Some(writer), Some(part)) = (writer, self.rows.part(row, column, *token)) else { continue };
            let (features, values) =
                if coded { seen.codes.entries(seen.code + column) } else { Default::default() };
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

/// What was read of one row's new tokens.
#[derive(Clone, Copy)]
struct Seen<'a> {
    /// Activations of all trunk rows, `[tokens, variants, d_model]`.
    joint: &'a [f32],
    /// The row's first new token in them.
    place: usize,
    codes: &'a Codes,
    /// The row's first new token in the codes.
    code: usize,
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
        let rows = self.rows.now.iter();
        let wanted: Vec<&[bool]> =
            rows.map(|row| self.needs[row.start.condition].variants.as_slice()).collect();
        let shared = self.trunk.extend(tokens, &wanted)?;
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
