//! Shuffled batches, each a function of (seed, index) alone.

use super::manifest::Part;
use super::store::ActivationStore;
use crate::error::{Error, Result};
use crate::rng::Stream;
use std::ops::Range;

/// Tokens that lie together on disk and move together between buffers.
const CHUNK: usize = 256;

/// The keyed order in which the tokens of a store are served, epoch after epoch.
#[derive(Clone, Debug)]
pub struct Order {
    /// The served tokens as runs of consecutive tokens, at most [`CHUNK`] long.
    chunks: Vec<Range<usize>>,
    tokens: usize,
    seed: u64,
    buffer: usize,
}

impl Order {
    /// Tokens `range` of the store but the first of each example, in a buffer of about `buffer` tokens.
    ///
    /// # Errors
    /// If no token is left.
    pub fn new(store: &ActivationStore, range: Range<usize>, seed: u64, buffer: usize) -> Result<Self> {
        let mut chunks: Vec<Range<usize>> = Vec::new();
        for (token, part) in store.parts().iter().enumerate().take(range.end).skip(range.start) {
            match chunks.last_mut() {
                _ if *part == Part::First => {}
                Some(last) if last.end == token && last.len() < CHUNK => last.end += 1,
                _ => chunks.push(token..token + 1),
            }
        }
        let tokens = chunks.iter().map(Range::len).sum();
        if tokens == 0 {
            return Err(Error::request("expected tokens besides the first of each example, found none"));
        }
        Ok(Self { chunks, tokens, seed, buffer: buffer.max(1) })
    }

    /// The number of tokens in one epoch.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The buffers of an epoch: lists of chunks, in the order in which they are read.
    fn epoch(&self, epoch: u64) -> Vec<Vec<Range<usize>>> {
        let mut chunks = self.chunks.clone();
        Stream::new(self.seed, "activations.chunks", &[epoch]).shuffle(&mut chunks);
        let (mut buffers, mut held) = (vec![Vec::new()], 0);
        for chunk in chunks {
            if held >= self.buffer {
                buffers.push(Vec::new());
                held = 0;
            }
            held += chunk.len();
            if let Some(last) = buffers.last_mut() {
                last.push(chunk);
            }
        }
        buffers
    }
}

/// Serves batches of a store in a keyed order. Holds one buffer in memory.
#[derive(Debug)]
pub struct Batches {
    store: ActivationStore,
    order: Order,
    batch: usize,
    epoch: u64,
    buffers: Vec<Vec<Range<usize>>>,
    /// The token at which each buffer of the epoch starts, and the epoch's length at the end.
    starts: Vec<usize>,
    held: Option<(usize, Vec<f32>)>,
}

impl Batches {
    /// Batches of `batch` tokens of `store` in `order`.
    pub fn new(store: &ActivationStore, order: Order, batch: usize) -> Self {
        let mut batches = Self {
            store: store.clone(),
            order,
            batch: batch.max(1),
            epoch: 0,
            buffers: Vec::new(),
            starts: Vec::new(),
            held: None,
        };
        batches.enter(0);
        batches
    }

    fn enter(&mut self, epoch: u64) {
        self.buffers = self.order.epoch(epoch);
        self.starts = vec![0];
        for buffer in &self.buffers {
            let tokens: usize = buffer.iter().map(Range::len).sum();
            self.starts.push(self.starts.last().copied().unwrap_or(0) + tokens);
        }
        self.epoch = epoch;
        self.held = None;
    }

    /// Reads batch `index` as `[batch, variants, d_model]`. Going forward reads each token once an epoch: a buffer's
    /// chunks lie scattered over the store, and are read in its order.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn read(&mut self, index: u64) -> Result<Vec<f32>> {
        let row = self.store.variants().len() * self.store.d_model();
        let mut values = Vec::with_capacity(self.batch * row);
        let mut at = index * self.batch as u64;
        let mut left = self.batch;
        while left > 0 {
            let (epoch, token) = (at / self.order.tokens as u64, (at % self.order.tokens as u64) as usize);
            if epoch != self.epoch {
                self.enter(epoch);
            }
            let buffer = self.starts.partition_point(|start| *start <= token).saturating_sub(1);
            let start = self.starts.get(buffer).copied().unwrap_or(0);
            let held = self.fill(buffer)?;
            let rows = held.len() / row;
            let first = token - start;
            let count = left.min(rows.saturating_sub(first)).max(1);
            values.extend_from_slice(held.get(first * row..(first + count) * row).unwrap_or(&[]));
            at += count as u64;
            left -= count;
        }
        Ok(values)
    }

    /// The shuffled values of a buffer, read if it is not the one held.
    fn fill(&mut self, buffer: usize) -> Result<&[f32]> {
        if self.held.as_ref().is_none_or(|(index, _)| *index != buffer) {
            // The old buffer goes before the new one comes: memory holds one.
            self.held = None;
            let chunks = self.buffers.get(buffer).cloned().unwrap_or_default();
            let row = self.store.variants().len() * self.store.d_model();
            let tokens: usize = chunks.iter().map(Range::len).sum();
            let mut places: Vec<usize> = (0..tokens).collect();
            Stream::new(self.order.seed, "activations.buffer", &[self.epoch, buffer as u64])
                .shuffle(&mut places);
            let mut values = vec![0.0; tokens * row];
            let mut rest = &places[..];
            let mut reads: Vec<(Range<usize>, &[usize])> = Vec::with_capacity(chunks.len());
            for chunk in chunks {
                let (own, others) = rest.split_at(chunk.len());
                reads.push((chunk, own));
                rest = others;
            }
            // Where a token goes is settled: read in the order of the disk.
            reads.sort_by_key(|(chunk, _)| chunk.start);
            for (chunk, places) in reads {
                for (vector, place) in self.store.read(chunk)?.chunks_exact(row).zip(places) {
                    values[place * row..(place + 1) * row].copy_from_slice(vector);
                }
            }
            self.held = Some((buffer, values));
        }
        Ok(self.held.as_ref().map_or(&[], |(_, values)| values))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ElementType, ExampleMeta, Header, Part, StoreWriter, TokenMeta};
    use super::*;

    fn store(dir: &std::path::Path, tokens: usize) -> ActivationStore {
        let header = Header {
            variants: vec!["a".into(), "b".into()],
            hook: "blocks.0.hook_resid_post".into(),
            d_model: 2,
            element: ElementType::F32,
            provenance: Vec::new(),
        };
        let mut writer = StoreWriter::create(dir, header).unwrap().with_shard_bytes(4096);
        for example in 0..tokens / 10 {
            let value = |token: usize, slot: usize| (example * 10 + token) as f32 * 4.0 + slot as f32 + 1.0;
            let values: Vec<f32> = (0..40).map(|index| value(index / 4, index % 4)).collect();
            let meta: Vec<TokenMeta> = (0..10)
                .map(|position| TokenMeta {
                    token: 7,
                    position,
                    example: example as u32,
                    part: if position == 0 { Part::First } else { Part::Response },
                })
                .collect();
            let about = ExampleMeta { tokens: 10, ..ExampleMeta::default() };
            writer.push(&values, &meta, &[about]).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn an_epoch_serves_every_token_but_the_first_ones_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), 1000);
        let order = Order::new(&store, 0..1000, 3, 200).unwrap();
        assert_eq!(order.tokens(), 900);
        let mut batches = Batches::new(&store, order, 60);
        let mut seen: Vec<i64> = Vec::new();
        for index in 0..15 {
            seen.extend(batches.read(index).unwrap().chunks(4).map(|vector| vector[0] as i64 / 4));
        }
        assert_ne!(seen, {
            let mut sorted = seen.clone();
            sorted.sort_unstable();
            sorted
        });
        seen.sort_unstable();
        let expected: Vec<i64> = (0..1000).filter(|token| token % 10 != 0).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_batch_depends_on_seed_and_index_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), 1000);
        let new = |seed| Batches::new(&store, Order::new(&store, 0..1000, seed, 200).unwrap(), 70);
        let mut forward = new(3);
        let all: Vec<Vec<f32>> = (0..40).map(|index| forward.read(index).unwrap()).collect();
        let mut again = new(3);
        for index in [33, 5, 12, 39] {
            assert_eq!(again.read(index as u64).unwrap(), all[index]);
        }
        assert_ne!(new(4).read(0).unwrap(), all[0]);
    }
}
