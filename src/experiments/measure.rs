//! Samples a suite under many conditions at once and scores what comes out.

use super::conditions::{Condition, groups};
use super::lockstep::{Start, source};
use super::readout::Readout;
use super::settings::ExperimentSettings;
use crate::error::{Error, Result};
use crate::evaluation::REFUSAL_LOG_ODDS;
use crate::interventions::Tallies;
use crate::model::{Prompt, SampleSettings, TokenBatch, Tokenizer, sample};
use crate::progress::Observer;
use crate::tasks::{Half, Problem, Suite};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is measured on: one suite's problems on one half, with the way of sampling.
pub(super) struct Trial<'a> {
    pub(super) readout: &'a Readout,
    pub(super) settings: &'a ExperimentSettings,
    pub(super) suite: &'a Suite,
    pub(super) half: Half,
    /// Prompts at most.
    pub(super) limit: usize,
    /// These problems and no others, whatever their half.
    pub(super) given: Option<Vec<Problem>>,
    pub(super) seed: u64,
}

/// One completion under one condition.
#[derive(Clone, Debug)]
pub(super) struct Sampled {
    pub(super) condition: usize,
    /// Index of the prompt in [`Trial::problems`].
    pub(super) problem: usize,
    pub(super) sample: usize,
    pub(super) tokens: Vec<u32>,
    /// The suite's endpoints, in order.
    pub(super) scores: Vec<f64>,
    /// Whether it was cut off.
    pub(super) truncated: bool,
}

/// The continuous endpoint of (condition, prompt).
type LogOdds = (usize, usize, f64);

/// The completions of one condition on one suite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Said {
    /// Share of completions that are those of the full patch, token by token. `None` without a full patch.
    pub(super) as_patched: Option<f64>,
    /// Different completions of a prompt, over its completions.
    pub(super) distinct: f64,
    /// Mean log-probability of a response token under the unedited receiver, in nats.
    pub(super) likelihood: f64,
    /// The same under base. `None` where base is not one of the models.
    pub(super) base_likelihood: Option<f64>,
}

/// Endpoint values by condition and problem.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// Names of the endpoints; the first is primary.
    pub(super) endpoints: Vec<String>,
    /// Problem ids (units), in order of first appearance.
    pub(super) units: Vec<String>,
    /// `[condition][endpoint][unit]`: the mean over a unit's prompts and samples.
    pub(super) values: Vec<Vec<Vec<f64>>>,
    /// What each condition really did.
    pub(super) tallies: Vec<Tallies>,
    /// Every completion, by condition, then prompt, then sample.
    pub(super) completions: Vec<Sampled>,
    /// The continuous endpoint, where the suite has it, by (condition, prompt).
    pub(super) log_odds: BTreeMap<(usize, usize), f64>,
    /// Response tokens sampled, over all conditions.
    pub(super) tokens: usize,
    /// What is told of the completions of the first conditions; empty where it was not asked.
    pub(super) said: Vec<Said>,
}

impl Measured {
    /// Values by unit of one condition and endpoint.
    pub(super) fn of(&self, condition: usize, endpoint: usize) -> &[f64] {
        self.values.get(condition).and_then(|endpoints| endpoints.get(endpoint)).map_or(&[], Vec::as_slice)
    }

    /// The mean effect of a condition against condition 0, the baseline.
    pub(super) fn effect(&self, condition: usize, endpoint: usize) -> f64 {
        let pairs = self.of(condition, endpoint).iter().zip(self.of(0, endpoint));
        let count = self.units.len().max(1) as f64;
        pairs.map(|(edited, baseline)| edited - baseline).sum::<f64>() / count
    }

    /// Adds a batch whose conditions are `group`.
    fn add(&mut self, group: &[usize], chunk: Chunk) {
        let sampled = chunk.sampled.into_iter();
        self.completions.extend(sampled.map(|one| Sampled { condition: group[one.condition], ..one }));
        let odds = chunk.log_odds.into_iter();
        self.log_odds.extend(odds.map(|(condition, problem, value)| ((group[condition], problem), value)));
        for (condition, tallies) in group.iter().cycle().zip(&chunk.tallies) {
            if let Some(sum) = self.tallies.get_mut(*condition) {
                sum.add(tallies);
            }
        }
    }

    /// The index of an endpoint by name.
    pub(super) fn endpoint(&self, name: &str) -> Option<usize> {
        self.endpoints.iter().position(|endpoint| endpoint == name)
    }
}

impl Trial<'_> {
    /// The prompts: the first of the suite's fair order that are on this half.
    pub(super) fn problems(&self) -> Vec<Problem> {
        if let Some(given) = &self.given {
            return given.clone();
        }
        let problems = self.suite.problems(self.seed).into_iter();
        problems.filter(|problem| problem.half == self.half).take(self.limit).collect()
    }

    /// Samples every problem under every condition in `receiver`. Equal problems and samples have equal random
    /// numbers under all conditions. The first condition should be the baseline. `label` names the work in the
    /// progress display.
    ///
    /// # Errors
    /// If a forward pass fails, or the observer asks to stop.
    pub(super) fn measure(
        &self,
        receiver: usize,
        conditions: &[Condition],
        label: &str,
        observer: &Observer,
    ) -> Result<Measured> {
        let problems = self.problems();
        let total = conditions.len() * problems.len() * self.settings.samples;
        let bar = Mutex::new(observer.bar(label, total as u64, "completions"));
        let mut measured = self.empty(&problems, conditions.len())?;
        for group in groups(conditions) {
            let chosen: Arc<[Condition]> = group.iter().map(|index| conditions[*index].clone()).collect();
            let size = self.chunk_size(problems.len(), chosen.len());
            let chunks: Vec<(usize, &[Problem])> = chunks(&problems, size).collect();
            let sampled: Vec<Result<Chunk>> = chunks
                .into_par_iter()
                .with_max_len(1)
                .map(|(first, problems)| {
                    observer.check()?;
                    let chunk = self.sample_chunk(receiver, &chosen, first, problems, observer)?;
                    let done = chunk.sampled.len() as u64;
                    bar.lock().unwrap_or_else(PoisonError::into_inner).advance(done);
                    Ok(chunk)
                })
                .collect();
            for chunk in sampled {
                measured.add(&group, chunk?);
            }
        }
        measured.completions.sort_by_key(|sampled| (sampled.condition, sampled.problem, sampled.sample));
        measured.tokens = measured.completions.iter().map(|completion| completion.tokens.len()).sum();
        average(&mut measured, &problems, conditions.len());
        Ok(measured)
    }

    /// Problems of a chunk. Each chunk runs on one thread from its first token to its last, because a decoding step is
    /// too short for threads to meet in it; those on their way at once together have the rows that the setting allows,
    /// and no thread runs out of chunks much before the others.
    fn chunk_size(&self, problems: usize, conditions: usize) -> usize {
        let threads = rayon::current_num_threads();
        let rows = (conditions * self.settings.samples).max(1);
        let most = (self.settings.batch_rows / threads / rows).max(1);
        let chunks = problems.div_ceil(most).next_multiple_of(threads);
        problems.div_ceil(chunks).max(1)
    }

    fn empty(&self, problems: &[Problem], conditions: usize) -> Result<Measured> {
        if problems.is_empty() {
            return Err(Error::work(format!(
                "suite `{}` has no problem on the half `{}`",
                self.suite.name(),
                self.half.name()
            )));
        }
        let mut units: Vec<String> = Vec::new();
        for problem in problems {
            if !units.contains(&problem.id) {
                units.push(problem.id.clone());
            }
        }
        Ok(Measured {
            endpoints: endpoints(self.suite),
            units,
            tallies: vec![Tallies::default(); conditions],
            ..Measured::default()
        })
    }

    /// Completions of some problems under conditions that share a batch.
    fn sample_chunk(
        &self,
        receiver: usize,
        conditions: &Arc<[Condition]>,
        first: usize,
        problems: &[Problem],
        observer: &Observer,
    ) -> Result<Chunk> {
        let tokenizer = self.readout.model(receiver)?.tokenizer()?;
        let mut prompts = Vec::new();
        let mut starts = Vec::new();
        for problem in problems {
            let tokens = problem.tokens(tokenizer)?;
            for condition in 0..conditions.len() {
                prompts.push(Prompt { tokens: tokens.clone(), key: problem.key });
                starts.push(Start { condition, key: problem.key, prompt: tokens.len() });
            }
        }
        let mut lockstep = source(self.readout, receiver, conditions.clone(), &starts)?;
        let sampling = SampleSettings {
            samples: self.settings.samples,
            max_new_tokens: self.settings.max_new_tokens,
            temperature: self.settings.temperature,
            top_p: 1.0,
            seed: self.seed,
            stop: tokenizer.stop_tokens().to_vec(),
            batch_rows: prompts.len() * self.settings.samples,
        };
        let completions = sample(&mut *lockstep, &prompts, &sampling, observer)?;
        let count = conditions.len();
        let said: Vec<(usize, String, bool)> = completions
            .iter()
            .map(|completion| {
                let asked = prompts.get(completion.prompt).map_or(&[][..], |prompt| &prompt.tokens);
                let judged = self.suite.judged(tokenizer, asked, completion);
                (completion.prompt / count, judged.text, judged.truncated)
            })
            .collect();
        let judged = said.iter().filter_map(|(problem, text, truncated)| {
            Some((problems.get(*problem)?, text.as_str(), *truncated))
        });
        self.suite.ask_ahead(&judged.collect::<Vec<_>>(), observer)?;
        let sampled = completions
            .into_iter()
            .zip(&said)
            .map(|(completion, (problem, text, truncated))| {
                let condition = completion.prompt % count;
                let scores: Vec<f64> = problems.get(*problem).map_or_else(Vec::new, |problem| {
                    self.suite.score(problem, text, *truncated).iter().map(|(_, value)| value).collect()
                });
                // An effect is a difference of pairs: one that lacks a side would tilt it.
                if scores.iter().any(|score| score.is_nan()) {
                    return Err(Error::work("what judges the suite gave no score for a response")
                        .hint("the log says why; what was answered is kept: run the same command again")
                        .at(self.suite.name()));
                }
                let (problem, sample, truncated) = (first + problem, completion.sample, *truncated);
                Ok(Sampled { condition, problem, sample, tokens: completion.tokens, scores, truncated })
            })
            .collect::<Result<Vec<_>>>()?;
        let tallies = lockstep.tallies().to_vec();
        let mut log_odds = Vec::new();
        if let Some(refusal) = refusal_token(self.suite, tokenizer).transpose()? {
            let texts: Vec<Vec<u32>> = prompts.into_iter().map(|prompt| prompt.tokens).collect();
            lockstep.reset();
            let logits = lockstep.extend(&TokenBatch::new(&texts)?)?.to_vec2::<f32>()?;
            let rows = logits.iter().enumerate();
            log_odds = rows
                .map(|(row, logits)| (row % count, first + row / count, self::log_odds(logits, refusal)))
                .collect();
        }
        Ok(Chunk { sampled, log_odds, tallies })
    }
}

/// What one batch gave; conditions are indices into the batch's own.
struct Chunk {
    sampled: Vec<Sampled>,
    log_odds: Vec<LogOdds>,
    /// By problem, then condition.
    tallies: Vec<Tallies>,
}

/// The endpoint that every suite with sampled answers has under edits: the share of them that were cut off.
pub const CUT_OFF: &str = "cut_off";

/// The endpoints of a suite: its scores, whether the answer was cut off, and the log-odds of refusing where that
/// is one of them.
pub(super) fn endpoints(suite: &Suite) -> Vec<String> {
    let mut names: Vec<String> = suite.endpoints().iter().map(|endpoint| endpoint.name.to_owned()).collect();
    names.push(CUT_OFF.to_owned());
    if suite.refusal_word().is_some() {
        names.push(REFUSAL_LOG_ODDS.to_owned());
    }
    names
}

/// The first token of a refusal, for suites with the continuous endpoint.
pub(super) fn refusal_token(suite: &Suite, tokenizer: &Tokenizer) -> Option<Result<u32>> {
    let word = suite.refusal_word()?;
    let token = tokenizer.id(word);
    Some(token.ok_or_else(|| Error::work(format!("the tokenizer has no token `{word}`"))))
}

/// `log p - log (1 - p)` of one token.
fn log_odds(logits: &[f32], token: u32) -> f64 {
    let is_token = |id: &usize| *id == token as usize;
    let others =
        || logits.iter().enumerate().filter(|(id, _)| !is_token(id)).map(|(_, logit)| f64::from(*logit));
    let highest = others().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = others().map(|logit| (logit - highest).exp()).sum();
    let own = logits.get(token as usize).map_or(f64::NEG_INFINITY, |logit| f64::from(*logit));
    own - highest - sum.ln()
}

/// `(index of the first, items)` of consecutive chunks.
fn chunks<T>(items: &[T], size: usize) -> impl Iterator<Item = (usize, &[T])> {
    items.chunks(size).enumerate().map(move |(index, chunk)| (index * size, chunk))
}

fn average(measured: &mut Measured, problems: &[Problem], conditions: usize) {
    let unit_of: BTreeMap<&str, usize> =
        measured.units.iter().enumerate().map(|(index, id)| (id.as_str(), index)).collect();
    let unit =
        |problem: usize| problems.get(problem).and_then(|problem| unit_of.get(problem.id.as_str())).copied();
    let shape = || vec![vec![vec![0.0; measured.units.len()]; measured.endpoints.len()]; conditions];
    let (mut sums, mut counts) = (shape(), shape());
    let mut add = |condition: usize, endpoint: usize, problem: usize, value: f64| {
        let Some(unit) = unit(problem) else { return };
        if let Some(sum) =
            sums.get_mut(condition).and_then(|row| row.get_mut(endpoint)).and_then(|row| row.get_mut(unit))
        {
            *sum += value;
            counts[condition][endpoint][unit] += 1.0;
        }
    };
    for sampled in &measured.completions {
        for (endpoint, value) in sampled.scores.iter().enumerate() {
            add(sampled.condition, endpoint, sampled.problem, *value);
        }
        add(sampled.condition, sampled.scores.len(), sampled.problem, f64::from(u8::from(sampled.truncated)));
    }
    for ((condition, problem), value) in &measured.log_odds {
        add(*condition, measured.endpoints.len() - 1, *problem, *value);
    }
    for (sum, count) in sums.iter_mut().flatten().flatten().zip(counts.iter().flatten().flatten()) {
        *sum /= count;
    }
    measured.values = sums;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_odds_are_those_of_the_softmax() {
        let logits = [1.0, 2.0, 0.5];
        let total: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
        let p = 2.0f64.exp() / total;
        assert!((log_odds(&logits, 1) - (p / (1.0 - p)).ln()).abs() < 1e-6);
        assert_eq!(log_odds(&[1000.0, -1000.0], 0), 2000.0, "a ceiling does not overflow");
    }
}
