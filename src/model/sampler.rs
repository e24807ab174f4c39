//! Drawing completions from anything that yields next-token logits.
//!
//! 1. Each prompt is run once; its row is repeated for every sample.
//! 2. The next token is the arg-max of `logits / temperature` plus Gumbel noise keyed by
//!    (seed, prompt key, sample, position): a row draws the same whatever is beside it.
//! 3. Rows that ended are dropped; when a tenth of the batch is free, the rest moves together.
//!
//! A plain model's rows are shared out among the threads, each of which draws its own from the first token to
//! the last: a step is too short for threads to meet in it.

use super::{Gradients, Hooks, KvCache, Model, TokenBatch};
use crate::error::{Error, Result};
use crate::ops::likelihood::statistics;
use crate::ops::simd::{ln, max, vectorised};
use crate::progress::Observer;
use crate::rng::{self, Stream};
use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// A prompt, and the name of its random stream.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// Token ids; at least one.
    pub tokens: Vec<u32>,
    /// Same key, same Gumbel draws, whatever the batch.
    pub key: u64,
}

/// How to draw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleSettings {
    /// Completions per prompt.
    pub samples: usize,
    /// Tokens per completion at most.
    pub max_new_tokens: usize,
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f32,
    /// Draw from the smallest set of likeliest tokens with this much probability; 1: from all.
    pub top_p: f32,
    /// Keys the random streams.
    pub seed: u64,
    /// Tokens that end a completion.
    pub stop: Vec<u32>,
    /// Rows computed at once. Changes speed and memory, never a result.
    pub batch_rows: usize,
}

impl Default for SampleSettings {
    fn default() -> Self {
        Self {
            samples: 1,
            max_new_tokens: 64,
            temperature: 1.0,
            top_p: 1.0,
            seed: 0,
            stop: Vec::new(),
            batch_rows: 256,
        }
    }
}

impl SampleSettings {
    /// The likeliest token each time, so many tokens at most.
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self { temperature: 0.0, max_new_tokens, ..Self::default() }
    }

    /// Drawn from all tokens at this temperature, so many at most.
    pub fn drawn(temperature: f32, max_new_tokens: usize) -> Self {
        Self { temperature, max_new_tokens, ..Self::default() }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// Names the field that is out of range.
    pub fn check(&self) -> Result<()> {
        let wrong = |field: &str, expected: &str, found: String| {
            Err(Error::request(format!("field `{field}`: expected {expected}, found {found}")))
        };
        if self.samples == 0 {
            return wrong("samples", "at least 1", "0".to_owned());
        }
        if self.max_new_tokens == 0 {
            return wrong("max_new_tokens", "at least 1", "0".to_owned());
        }
        if self.batch_rows == 0 {
            return wrong("batch_rows", "at least 1", "0".to_owned());
        }
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return wrong("temperature", "a number of at least 0", self.temperature.to_string());
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return wrong("top_p", "a number above 0 and at most 1", self.top_p.to_string());
        }
        Ok(())
    }
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// A stop token was drawn.
    Stop,
    /// The limit was reached.
    Length,
}

/// One completion of one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Index of the prompt.
    pub prompt: usize,
    /// Index of the sample.
    pub sample: usize,
    /// Drawn tokens, the stop token included.
    pub tokens: Vec<u32>,
    /// Nats, under the model without temperature or top-p.
    pub log_probabilities: Vec<f32>,
    /// Nats: the entropy of the distribution before each token, without temperature or top-p.
    pub entropies: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

/// A source of next-token logits that remembers the rows it has seen.
pub trait NextToken {
    /// Feeds the next tokens of every row, and returns the logits [rows, vocabulary] after each row's last.
    /// The first call makes the rows.
    ///
    /// # Errors
    /// If the pass fails.
    fn extend(&mut self, tokens: &TokenBatch) -> Result<Tensor>;

    /// Keeps these rows in this order; a row may be named several times or not at all.
    ///
    /// # Errors
    /// If there is no such row.
    fn select(&mut self, rows: &[usize]) -> Result<()>;

    /// Forgets all rows; the next call of `extend` makes new ones.
    fn reset(&mut self);

    /// The tokens that a row can have at most, as [`Model::longest`] says; `None`: any number.
    fn longest(&self) -> Option<usize>;
}

/// A plain model with a cache.
struct CachedModel<'a> {
    model: &'a Model,
    cache: Option<KvCache>,
}

impl NextToken for CachedModel<'_> {
    fn extend(&mut self, tokens: &TokenBatch) -> Result<Tensor> {
        let cache = self.cache.get_or_insert_with(|| self.model.cache(tokens.rows()));
        let hidden = self.model.hidden(tokens, Some(cache), &mut Hooks::none(), Gradients::Off)?;
        self.model.logits(&last_hidden(&hidden, tokens.lengths())?)
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        self.cache.as_mut().map_or(Ok(()), |cache| cache.select(rows))
    }

    fn reset(&mut self) {
        self.cache = None;
    }

    fn longest(&self) -> Option<usize> {
        self.model.longest()
    }
}

/// The hidden state of each row's last token: [rows, width, d_model] to [rows, d_model].
///
/// # Errors
/// If a row is empty.
pub(crate) fn last_hidden(hidden: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let (_, width, d_model) = hidden.dims3()?;
    let mut index = Vec::with_capacity(lengths.len());
    for (row, length) in lengths.iter().enumerate() {
        let last = length.checked_sub(1).ok_or_else(|| Error::work(format!("row {row} has no new token")))?;
        index.push((row * width + last) as u32);
    }
    let index = Tensor::from_vec(index, lengths.len(), hidden.device())?;
    Ok(hidden.reshape(((), d_model))?.index_select(&index, 0)?)
}

/// Draws completions from a model. See [`sample`].
///
/// # Errors
/// As [`sample`].
pub fn sample_model(
    model: &Model,
    prompts: &[Prompt],
    settings: &SampleSettings,
    observer: &Observer,
) -> Result<Vec<Completion>> {
    check(prompts, settings, model.longest())?;
    let rows = rows(prompts, settings);
    // Samples of one prompt share its pass, so a share holds whole prompts where it can.
    let share = rows.len().div_ceil(rayon::current_num_threads()).next_multiple_of(settings.samples);
    let bar = Mutex::new(observer.bar("sample", rows.len() as u64, "completions"));
    let batches: Vec<&[(usize, usize)]> = rows.chunks(share.min(settings.batch_rows).max(1)).collect();
    let drawn: Vec<Result<Vec<Completion>>> = batches
        .into_par_iter()
        .with_max_len(1)
        .map(|batch| {
            observer.check()?;
            let completions = draw(&mut CachedModel { model, cache: None }, prompts, batch, settings)?;
            bar.lock().unwrap_or_else(PoisonError::into_inner).advance(batch.len() as u64);
            Ok(completions)
        })
        .collect();
    Ok(drawn.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

/// Refuses what would fail, before anything is drawn.
fn check(prompts: &[Prompt], settings: &SampleSettings, longest: Option<usize>) -> Result<()> {
    settings.check()?;
    let new = settings.max_new_tokens;
    for (index, prompt) in prompts.iter().enumerate() {
        let length = prompt.tokens.len();
        if length == 0 {
            return Err(Error::request(format!("prompt {index}: expected at least one token, found none")));
        }
        // The last token drawn is not read again.
        let Some(longest) = longest.filter(|longest| length + new - 1 > *longest) else { continue };
        let message = format!(
            "prompt {index}: expected at most {longest} tokens in a row (learned positions), found a prompt of \
             {length} and max_new_tokens {new}"
        );
        return Err(Error::request(message).hint(match (longest + 1).saturating_sub(length) {
            0 => "shorten the prompt".to_owned(),
            left => format!("set max_new_tokens to {left} at most, or shorten the prompt"),
        }));
    }
    Ok(())
}

/// (prompt, sample) of every completion.
fn rows(prompts: &[Prompt], settings: &SampleSettings) -> Vec<(usize, usize)> {
    (0..prompts.len()).flat_map(|prompt| (0..settings.samples).map(move |sample| (prompt, sample))).collect()
}

/// Draws `settings.samples` completions of every prompt, in the order of prompts and samples. The result
/// does not depend on `batch_rows` or the number of threads.
///
/// # Errors
/// If a setting is out of range, a prompt is empty or leaves no positions for `max_new_tokens`, a pass fails, or a
/// stop was asked for.
pub fn sample(
    source: &mut dyn NextToken,
    prompts: &[Prompt],
    settings: &SampleSettings,
    observer: &Observer,
) -> Result<Vec<Completion>> {
    check(prompts, settings, source.longest())?;
    let rows = rows(prompts, settings);
    let mut bar = observer.bar("sample", rows.len() as u64, "completions");
    let mut completions = Vec::with_capacity(rows.len());
    for batch in rows.chunks(settings.batch_rows) {
        observer.check()?;
        completions.extend(draw(source, prompts, batch, settings)?);
        bar.advance(batch.len() as u64);
    }
    Ok(completions)
}

struct Row {
    completion: Completion,
    key: u64,
    done: bool,
}

fn draw(
    source: &mut dyn NextToken,
    prompts: &[Prompt],
    batch: &[(usize, usize)],
    settings: &SampleSettings,
) -> Result<Vec<Completion>> {
    let mut distinct: Vec<usize> = batch.iter().map(|(prompt, _)| *prompt).collect();
    distinct.dedup();
    let first = distinct.first().copied().unwrap_or(0);
    source.reset();
    let tokens: Vec<Vec<u32>> = distinct.iter().map(|prompt| prompts[*prompt].tokens.clone()).collect();
    let mut logits = source.extend(&TokenBatch::new(&tokens)?)?;
    // Prompts of a batch are consecutive: the row of a prompt is its distance from the first.
    let repeats: Vec<usize> = batch.iter().map(|(prompt, _)| prompt - first).collect();
    source.select(&repeats)?;
    logits = logits.index_select(&indices(&repeats, &logits)?, 0)?;

    let mut rows: Vec<Row> = batch
        .iter()
        .map(|(prompt, sample)| Row {
            completion: Completion {
                prompt: *prompt,
                sample: *sample,
                tokens: Vec::new(),
                log_probabilities: Vec::new(),
                entropies: Vec::new(),
                finish: Finish::Length,
            },
            key: prompts[*prompt].key,
            done: false,
        })
        .collect();
    // The rows that the source holds, as indices into `rows`.
    let mut held: Vec<usize> = (0..rows.len()).collect();
    for step in 0..settings.max_new_tokens {
        choose(&mut rows, &held, &logits, settings)?;
        let alive: Vec<usize> = (0..held.len()).filter(|index| !rows[held[*index]].done).collect();
        if alive.is_empty() || step + 1 == settings.max_new_tokens {
            break;
        }
        if alive.len() * 10 <= held.len() * 9 {
            source.select(&alive)?;
            held = alive.iter().map(|index| held[*index]).collect();
        }
        // A row that ended but is still held is fed its stop token again; nobody reads the result.
        let next: Vec<Vec<u32>> = held
            .iter()
            .map(|row| rows[*row].completion.tokens.last().copied().into_iter().collect())
            .collect();
        logits = source.extend(&TokenBatch::new(&next)?)?;
    }
    Ok(rows.into_iter().map(|row| row.completion).collect())
}

fn indices(rows: &[usize], like: &Tensor) -> Result<Tensor> {
    let rows: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
    Ok(Tensor::from_vec(rows.clone(), rows.len(), like.device())?)
}

/// Draws one token for every held row that has not ended.
fn choose(rows: &mut [Row], held: &[usize], logits: &Tensor, settings: &SampleSettings) -> Result<()> {
    let vocabulary = logits.dims2()?.1;
    let logits = logits.flatten_all()?.to_vec1::<f32>()?;
    let drawn: Vec<Option<Drawn>> = held
        .par_iter()
        .zip(logits.par_chunks(vocabulary.max(1)))
        .map(|(row, logits)| {
            let row = &rows[*row];
            (!row.done).then(|| next_token(row, logits, settings)).transpose()
        })
        .collect::<Result<_>>()?;
    for (row, drawn) in held.iter().zip(drawn) {
        let Some(Drawn { token, log_probability, entropy }) = drawn else { continue };
        let row = &mut rows[*row];
        row.completion.tokens.push(token);
        row.completion.log_probabilities.push(log_probability);
        row.completion.entropies.push(entropy);
        if settings.stop.contains(&token) {
            row.completion.finish = Finish::Stop;
            row.done = true;
        }
    }
    Ok(())
}

/// The next token of a row, and what is known of it.
struct Drawn {
    token: u32,
    log_probability: f32,
    entropy: f32,
}

fn next_token(row: &Row, logits: &[f32], settings: &SampleSettings) -> Result<Drawn> {
    if logits.iter().any(|logit| logit.is_nan()) {
        return Err(Error::work(format!(
            "prompt {}, sample {}: the model's logits are not numbers",
            row.completion.prompt, row.completion.sample
        )));
    }
    let (log_sum, entropy) = statistics(logits);
    let token = if settings.temperature == 0.0 {
        arg_max(logits.iter().copied())
    } else {
        let position = row.completion.tokens.len() as u64;
        let indices = [row.key, row.completion.sample as u64, position];
        let stream = Stream::new(settings.seed, "gumbel", &indices);
        let least = nucleus(logits, settings);
        largest_with_noise(stream, logits, settings.temperature, least)
    };
    Ok(Drawn { token: token as u32, log_probability: logits[token] - log_sum, entropy })
}

/// The smallest logit inside the nucleus.
fn nucleus(logits: &[f32], settings: &SampleSettings) -> f32 {
    if settings.top_p >= 1.0 {
        return f32::NEG_INFINITY;
    }
    let mut sorted = logits.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let most = sorted.first().copied().unwrap_or(0.0);
    let weight = |logit: f32| f64::from((logit - most) / settings.temperature).exp();
    let total: f64 = sorted.iter().map(|logit| weight(*logit)).sum();
    let mut seen = 0.0;
    for logit in &sorted {
        seen += weight(*logit);
        if seen >= total * f64::from(settings.top_p) {
            return *logit;
        }
    }
    f32::NEG_INFINITY
}

/// The arg-max of `logits / temperature` plus Gumbel noise, over logits of at least `least`.
///
/// A fast estimate rules out all but the few that may be it; only those get the noise of [`rng::gumbel`],
/// whose logarithms would take longer than the rest of a small model's step.
fn largest_with_noise(mut stream: Stream, logits: &[f32], temperature: f32, least: f32) -> usize {
    let words: Vec<u32> = logits.iter().map(|_| stream.word()).collect();
    let mut estimates = vec![f32::NEG_INFINITY; logits.len()];
    let best = vectorised(
        #[inline(always)]
        || {
            for index in 0..estimates.len() {
                let noise = -ln(-ln(rng::unit(words[index])));
                let sum = logits[index] / temperature + noise as f32;
                estimates[index] = if logits[index] < least { f32::NEG_INFINITY } else { sum };
            }
            max(&estimates)
        },
    );
    // Far more than the estimates can be wrong.
    let within = best - 1e-3 - 1e-5 * best.abs();
    let candidates = estimates.iter().enumerate().filter(|(_, estimate)| **estimate >= within);
    let exact = candidates.map(|(index, _)| (index, logits[index] / temperature + rng::gumbel(words[index])));
    exact.fold((0, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best }).0
}

fn arg_max(values: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in values.enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_learned_positions_cannot_hold_is_refused_before_anything_is_drawn() {
        let prompts = [Prompt { tokens: vec![1], key: 0 }, Prompt { tokens: vec![1; 6], key: 1 }];
        let complaint = |max_new_tokens: usize, longest: Option<usize>| {
            let settings = SampleSettings { max_new_tokens, ..SampleSettings::default() };
            check(&prompts, &settings, longest).err().map(|error| format!("{error:?}"))
        };
        assert_eq!(complaint(5, Some(10)), None, "the last token needs no position");
        assert_eq!(complaint(500, None), None);
        let error = complaint(6, Some(10)).unwrap();
        assert!(error.contains("prompt 1") && error.contains("max_new_tokens to 5"), "{error}");
        assert!(complaint(1, Some(5)).unwrap().contains("shorten the prompt"));
    }

    #[test]
    fn the_estimate_never_changes_the_draw() {
        for seed in 0..2000 {
            let mut stream = Stream::new(seed, "logits", &[]);
            let scale = [0.01, 1.0, 30.0, 3000.0][seed as usize % 4];
            let logits: Vec<f32> = (0..37 + seed as usize % 64).map(|_| stream.normal() * scale).collect();
            for (temperature, least) in [(1.0, f32::NEG_INFINITY), (0.3, 0.0), (2.5, logits[3])] {
                let noise = Stream::new(seed, "noise", &[]);
                let mut exact = noise.clone();
                let expected = arg_max(logits.iter().map(|logit| {
                    let noise = exact.gumbel();
                    if *logit < least { f32::NEG_INFINITY } else { logit / temperature + noise }
                }));
                assert_eq!(largest_with_noise(noise, &logits, temperature, least), expected);
            }
        }
    }
}
