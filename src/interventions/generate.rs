//! A model that reads, writes and learns under interventions.

use super::act::{Plan, Scope};
use super::intervention::Intervention;
use super::tally::Tallies;
use crate::error::{Error, Result};
use crate::model::{
    Completion, Gradients, Hooks, KvCache, Model, NextToken, Prompt, Run, SampleSettings, Text, TokenBatch,
    Tokenizer, last_hidden, sample, sample_model,
};
use crate::progress::Observer;
use candle_core::Tensor;
use std::fmt;
use std::ops::Deref;

/// What a model wrote. It is used as the text of the first completion: printed, compared, searched.
#[derive(Clone, Debug)]
pub struct Generation {
    texts: Vec<String>,
    completions: Vec<Completion>,
    tallies: Vec<Tallies>,
}

impl Generation {
    /// What was written, and what the interventions did.
    ///
    /// # Errors
    /// If one that is not optional never acted.
    pub(crate) fn new(
        tokenizer: &Tokenizer,
        completions: Vec<Completion>,
        tallies: Vec<Tallies>,
        interventions: &[Intervention],
    ) -> Result<Self> {
        interventions
            .iter()
            .zip(&tallies)
            .enumerate()
            .try_for_each(|(index, (one, done))| one.check(index, done))?;
        let text = |completion: &Completion| tokenizer.decode_response(&completion.tokens);
        Ok(Self { texts: completions.iter().map(text).collect(), completions, tallies })
    }

    /// The text of every completion, without the tokens that end one.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The completions: tokens, their log-probabilities, and why each ended.
    pub fn completions(&self) -> &[Completion] {
        &self.completions
    }

    /// What each intervention did, in the order in which they were given.
    pub fn tallies(&self) -> &[Tallies] {
        &self.tallies
    }
}

impl Deref for Generation {
    type Target = str;

    fn deref(&self) -> &str {
        self.texts.first().map_or("", String::as_str)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self)
    }
}

/// A model that reads, writes and learns under interventions.
pub trait Intervene {
    /// Goes on with a text, under interventions or (`&[]`) as the model is. Where the settings name no stop tokens, the
    /// tokenizer's end a completion. The draws of a text do not depend on the interventions.
    ///
    /// # Errors
    /// If a setting is out of range, the text cannot be read, or an intervention cannot act on this model or never
    /// acted.
    fn generate(
        &self,
        text: impl Into<Text>,
        settings: &SampleSettings,
        interventions: &[Intervention],
    ) -> Result<Generation>;

    /// Reads a text under interventions, and keeps what stands at these hook points then. See
    /// [`Model::run_with_cache`].
    ///
    /// # Errors
    /// As [`Model::run_with_cache`], or if an intervention cannot act on this model or never acted.
    fn run_under(&self, text: impl Into<Text>, names: &[&str], interventions: &[Intervention])
    -> Result<Run>;

    /// The mean of `-log p` over the tokens of a text after the first, in nats, under interventions: a tensor to be run
    /// backward, whose gradient flows through them to the weights.
    ///
    /// # Errors
    /// If the text has one token only, or as [`Intervene::run_under`].
    fn loss(&self, text: impl Into<Text>, interventions: &[Intervention]) -> Result<Tensor>;
}

impl Intervene for Model {
    fn generate(
        &self,
        text: impl Into<Text>,
        settings: &SampleSettings,
        interventions: &[Intervention],
    ) -> Result<Generation> {
        let prompts = [Prompt { tokens: self.tokens(text)?, key: 0 }];
        let tokenizer = self.tokenizer()?;
        let (completions, tallies) =
            sample_under(self, &prompts, &ending(settings, tokenizer), interventions, &Observer::silent())?;
        Generation::new(tokenizer, completions, tallies, interventions)
    }

    fn run_under(
        &self,
        text: impl Into<Text>,
        names: &[&str],
        interventions: &[Intervention],
    ) -> Result<Run> {
        let plan = Plan::new(interventions)?;
        let run = self.run_hooked(text, names, |_| Ok(plan.add_to(Hooks::none(), &Scope::default())))?;
        plan.done()?;
        Ok(run)
    }

    fn loss(&self, text: impl Into<Text>, interventions: &[Intervention]) -> Result<Tensor> {
        let tokens = self.tokens(text)?;
        let (plan, batch) = (Plan::new(interventions)?, TokenBatch::new(std::slice::from_ref(&tokens))?);
        let targets = tokens.get(1..).unwrap_or_default();
        if targets.is_empty() {
            return Err(Error::request("expected a text of two tokens at least, found one"));
        }
        let mut hooks = plan.add_to(Hooks::none(), &Scope::default());
        let hidden = self.hidden(&batch, None, &mut hooks, Gradients::On)?;
        let at: Vec<(usize, usize)> = (0..targets.len()).map(|position| (0, position)).collect();
        let found = self.token_log_probabilities(&hidden, &at, targets)?;
        plan.done()?;
        Ok((found.log_probabilities.sum_all()? * (-1.0 / targets.len() as f64))?)
    }
}

/// The settings with the tokenizer's stop tokens, where they name none.
pub(crate) fn ending(settings: &SampleSettings, tokenizer: &Tokenizer) -> SampleSettings {
    let mut settings = settings.clone();
    if settings.stop.is_empty() {
        settings.stop = tokenizer.stop_tokens().to_vec();
    }
    settings
}

/// Draws completions under interventions, which act on prompts and responses as each says. Returns what every
/// intervention did, too. See [`sample`].
///
/// # Errors
/// As [`sample`], or if an intervention cannot act on this model, or never acted.
pub fn sample_under(
    model: &Model,
    prompts: &[Prompt],
    settings: &SampleSettings,
    interventions: &[Intervention],
    observer: &Observer,
) -> Result<(Vec<Completion>, Vec<Tallies>)> {
    if interventions.is_empty() {
        return Ok((sample_model(model, prompts, settings, observer)?, Vec::new()));
    }
    let plan = Plan::new(interventions)?;
    let scope = Scope { prompts: Vec::new(), ending: settings.stop.clone() };
    let mut source = Edited { model, plan, scope, cache: None };
    let completions = sample(&mut source, prompts, settings, observer)?;
    Ok((completions, source.plan.done()?))
}

/// A model with a cache, under interventions.
struct Edited<'a> {
    model: &'a Model,
    plan: Plan,
    scope: Scope,
    cache: Option<KvCache>,
}

impl NextToken for Edited<'_> {
    fn extend(&mut self, tokens: &TokenBatch) -> Result<Tensor> {
        if self.cache.is_none() {
            self.scope.prompts = tokens.lengths().to_vec();
        }
        let cache = self.cache.get_or_insert_with(|| self.model.cache(tokens.rows()));
        let mut hooks = self.plan.add_to(Hooks::none(), &self.scope);
        let hidden = self.model.hidden(tokens, Some(cache), &mut hooks, Gradients::Off)?;
        self.model.logits(&last_hidden(&hidden, tokens.lengths())?)
    }

    fn select(&mut self, rows: &[usize]) -> Result<()> {
        self.scope.prompts = rows
            .iter()
            .map(|row| {
                let prompt = self.scope.prompts.get(*row).copied();
                prompt.ok_or_else(|| Error::work(format!("there is no row {row}")))
            })
            .collect::<Result<_>>()?;
        self.cache.as_mut().map_or(Ok(()), |cache| cache.select(rows))
    }

    fn reset(&mut self) {
        self.cache = None;
    }

    fn longest(&self) -> Option<usize> {
        self.model.longest()
    }
}
