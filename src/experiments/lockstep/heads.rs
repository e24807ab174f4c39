//! Edits of attention heads: a plain pass through the receiver in which `attn.hook_z` is written, with the
//! donors' values of the same tokens beside it.

use super::super::readout::Readout;
use super::branch::squared;
use super::rows::{Rows, Start};
use super::{Source, last_logits};
use crate::error::{Error, Result};
use crate::experiments::conditions::Condition;
use crate::interventions::{Head, HeadWriter, Tallies, Tally, TextPart};
use crate::model::{BlockPoint, Gradients, HookPoint, HookSite, Hooks, KvCache, NextToken, TokenBatch};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A source of next-token logits in which every row stands under its own edit of heads.
pub(super) struct Heads {
    readout: Readout,
    receiver: usize,
    rows: Rows,
    layers: Vec<usize>,
    /// The variants that are read beside the receiver, each with its cache once it has read something.
    donors: BTreeMap<usize, Option<KvCache>>,
    cache: Option<KvCache>,
}

/// What a row of one pass is told: the writer, and the part of each new token where it may act.
type Told = (Option<HeadWriter>, Vec<Option<TextPart>>);

/// Values of heads by variant and layer, `[rows, width, heads, head_dim]` flat.
type Values = BTreeMap<(usize, usize), Vec<f32>>;

impl Heads {
    /// # Errors
    /// As [`super::source`], or if there is no such head.
    pub(super) fn new(
        readout: &Readout,
        receiver: usize,
        conditions: Arc<[Condition]>,
        starts: &[Start],
    ) -> Result<Self> {
        let config = readout.model(receiver)?.config();
        let writers: Vec<&HeadWriter> = conditions.iter().filter_map(Condition::heads).collect();
        let heads = || writers.iter().flat_map(|writer| writer.heads());
        if let Some(bad) = heads().find(|head| head.layer >= config.layers() || head.head >= config.heads) {
            return Err(Error::request(format!(
                "there is no head {bad} in `{}`",
                readout.variants()[receiver]
            ))
            .hint(format!(
                "its layers are 0 to {}, each with heads 0 to {}",
                config.layers().saturating_sub(1),
                config.heads.saturating_sub(1)
            )));
        }
        let mut layers: Vec<usize> = heads().map(|head| head.layer).collect();
        layers.sort_unstable();
        layers.dedup();
        let donors = writers.iter().filter_map(|writer| writer.donor()).map(|donor| (donor, None)).collect();
        let rows = Rows::new(conditions.clone(), starts, receiver, readout.model(receiver)?.tokenizer()?)?;
        Ok(Self { readout: readout.clone(), receiver, rows, layers, donors, cache: None })
    }

    /// The donors' values on the new tokens of every row.
    fn donated(&mut self, tokens: &TokenBatch) -> Result<Values> {
        let mut values = Values::new();
        for (donor, cache) in &mut self.donors {
            let model = self.readout.model(*donor)?;
            let cache = cache.get_or_insert_with(|| model.cache(tokens.rows()));
            let points = self.layers.iter().map(|layer| mixed(*layer));
            let mut hooks = points.fold(Hooks::none(), Hooks::capture);
            if let Some(last) = self.layers.last() {
                hooks = hooks.stop_after(mixed(*last));
            }
            model.forward(tokens, Some(cache), &mut hooks, Gradients::Off)?;
            hooks.finish()?;
            for layer in &self.layers {
                let value = hooks.take(mixed(*layer));
                let value = value.ok_or_else(|| Error::work(format!("`{}` did not fire", mixed(*layer))))?;
                values.insert((*donor, *layer), value.flatten_all()?.to_vec1()?);
            }
        }
        Ok(values)
    }

    fn plan(&self, tokens: &TokenBatch) -> Vec<Told> {
        let rows = self.rows.now.iter().enumerate();
        rows.map(|(index, row)| {
            let parts = tokens.row(index).iter().enumerate();
            let parts = parts.map(|(column, token)| self.rows.part(row, column, *token)).collect();
            (self.rows.condition(row).and_then(Condition::heads).cloned(), parts)
        })
        .collect()
    }
}

fn mixed(layer: usize) -> HookPoint {
    HookPoint::Block(layer, BlockPoint::Mixed)
}

/// Adds every row's deltas to the values of one layer, and counts them.
fn write(
    layer: usize,
    plan: &[Told],
    donated: &Values,
    value: &Tensor,
    tallies: &mut [Tallies],
) -> Result<Tensor> {
    let (_, width, heads, size) = value.dims4()?;
    let mut flat = value.flatten_all()?.to_vec1::<f32>()?;
    let mut delta = vec![0.0; size];
    for (row, ((writer, parts), tallies)) in plan.iter().zip(tallies).enumerate() {
        let Some(writer) = writer else { continue };
        let from = writer.donor().and_then(|donor| donated.get(&(donor, layer)));
        let edited: Vec<Head> = writer.heads().filter(|head| head.layer == layer).collect();
        for (column, part) in parts.iter().enumerate() {
            let Some(part) = part.filter(|_| !edited.is_empty()) else { continue };
            let mut tally = Tally { positions: 1, ..Tally::default() };
            for head in &edited {
                let start = ((row * width + column) * heads + head.head) * size;
                let donor = from.and_then(|from| from.get(start..start + size)).unwrap_or(&[]);
                let Some(own) = flat.get_mut(start..start + size) else { continue };
                tally.hidden_squared += squared(own);
                if writer.delta(*head, own, donor, &mut delta) {
                    tally.acted = 1;
                    tally.delta_squared += squared(&delta);
                    own.iter_mut().zip(&delta).for_each(|(own, delta)| *own += delta);
                }
            }
            tallies.part_mut(part).add(&tally);
        }
    }
    Ok(Tensor::from_vec(flat, value.dims(), value.device())?)
}

impl Source for Heads {
    fn hidden(&mut self, tokens: &TokenBatch) -> Result<Tensor> {
        let plan = Arc::new(self.plan(tokens));
        let donated = Arc::new(self.donated(tokens)?);
        let written = Arc::new(Mutex::new(vec![Tallies::default(); plan.len()]));
        let mut hooks = Hooks::none();
        for layer in self.layers.clone() {
            let (plan, donated, written) = (plan.clone(), donated.clone(), written.clone());
            let edit = move |_: &HookSite, value: &Tensor| {
                let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
                write(layer, &plan, &donated, value, &mut written)
            };
            hooks = hooks.edit(mixed(layer), Box::new(edit));
        }
        let model = self.readout.model(self.receiver)?;
        let cache = self.cache.get_or_insert_with(|| model.cache(tokens.rows()));
        let hidden = model.hidden(tokens, Some(cache), &mut hooks, Gradients::Off)?;
        drop(hooks);
        self.rows.count(&written.lock().unwrap_or_else(PoisonError::into_inner));
        self.rows.advance(tokens.lengths());
        Ok(hidden)
    }

    fn tallies(&self) -> &[Tallies] {
        self.rows.tallies()
    }
}

impl NextToken for Heads {
    fn extend(&mut self, tokens: &TokenBatch) -> Result<Tensor> {
        let hidden = self.hidden(tokens)?;
        last_logits(self.readout.model(self.receiver)?, &hidden, tokens)
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        self.rows.select(rows)?;
        self.donors.values_mut().flatten().chain(&mut self.cache).try_for_each(|cache| cache.select(rows))
    }

    fn reset(&mut self) {
        self.rows.reset();
        self.donors.values_mut().for_each(|cache| *cache = None);
        self.cache = None;
    }

    fn longest(&self) -> Option<usize> {
        // All variants have one architecture.
        self.readout.model(self.receiver).ok()?.longest()
    }
}
