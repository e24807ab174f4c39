//! One text read once: what stood at the hook points that were asked for, by their names.

use super::hooks::Hooks;
use super::{Gradients, HookPoint, Model, Text, TokenBatch};
use crate::error::{At, Error, Result, nearest};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::ops::Index;

/// What was seen while a model read a text. `run["blocks.3.hook_resid_post"]` is a tensor `[1, position, d_model]`.
#[derive(Clone, Debug)]
pub struct Run {
    tokens: Vec<u32>,
    labels: Vec<String>,
    logits: Tensor,
    values: BTreeMap<String, Tensor>,
}

impl Run {
    /// The value at a hook point. Axes are those of [`HookPoint`]; there is one row.
    ///
    /// # Errors
    /// If the run did not keep that one; the nearest that it kept is named.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.values.get(name).ok_or_else(|| {
            let kept = self.values.keys().map(String::as_str);
            let error = Error::request(format!("this run did not keep `{name}`"));
            match nearest(name, kept.clone()) {
                Some(near) => error.hint(format!("the nearest that it kept is `{near}`")),
                None => error.hint(format!("it kept {}", kept.collect::<Vec<_>>().join(", "))),
            }
        })
    }

    /// The names of what was kept.
    pub fn names(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    /// The tokens that were read.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The tokens as text, each by itself; their numbers where the model has no tokenizer.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The logits of the next token after every position, `[1, position, vocabulary]`.
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }
}

/// Notebooks write `run["blocks.3.hook_resid_post"]`; [`Run::get`] says what is wrong in place of a panic.
///
/// # Panics
/// If the run did not keep that hook point; the message names the nearest that it kept.
impl Index<&str> for Run {
    type Output = Tensor;

    fn index(&self, name: &str) -> &Tensor {
        match self.get(name) {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Model {
    /// Reads a text and keeps what stands at these hook points (TransformerLens's names). With none named, all are kept
    /// but those that TransformerLens, too, computes on request only ([`HookPoint::is_on_request`]).
    ///
    /// # Errors
    /// If a name is none of a hook point (the nearest is named) or none of this model's, or the text cannot be read.
    pub fn run_with_cache(&self, text: impl Into<Text>, names: &[&str]) -> Result<Run> {
        self.run_hooked(text, names, |_| Ok(Hooks::none()))
    }

    /// As [`Model::run_with_cache`], with the hooks that `hooks` makes for the tokens; what is kept is what they leave.
    pub(crate) fn run_hooked(
        &self,
        text: impl Into<Text>,
        names: &[&str],
        hooks: impl FnOnce(&[u32]) -> Result<Hooks>,
    ) -> Result<Run> {
        let tokens = self.tokens(text)?;
        let points = self.points(names)?;
        let mut hooks = points.iter().fold(hooks(&tokens)?, |hooks, point| hooks.capture(*point));
        let batch = TokenBatch::new(std::slice::from_ref(&tokens))?;
        let hidden = self.hidden(&batch, None, &mut hooks, Gradients::Off)?;
        let values = points.into_iter().filter_map(|point| Some((point.to_string(), hooks.take(point)?)));
        let label = |token: &u32| match self.tokenizer() {
            Ok(tokenizer) => tokenizer.decode(&[*token]),
            Err(_) => token.to_string(),
        };
        Ok(Run {
            labels: tokens.iter().map(label).collect(),
            logits: self.logits(&hidden)?,
            values: values.collect(),
            tokens,
        })
    }

    fn points(&self, names: &[&str]) -> Result<Vec<HookPoint>> {
        if names.is_empty() {
            return Ok(self.hook_points().into_iter().filter(|point| !point.is_on_request()).collect());
        }
        let all = self.hook_points();
        let point = |name: &&str| -> Result<HookPoint> {
            let point = name.parse::<HookPoint>();
            match point {
                Ok(point) if all.contains(&point) => Ok(point),
                Err(error) => Err(error),
                Ok(_) => {
                    let texts: Vec<String> = all.iter().map(HookPoint::to_string).collect();
                    let near = nearest(name, texts.iter().map(String::as_str)).unwrap_or("hook_embed");
                    Err(Error::request(format!("this model has no hook point `{name}`")).hint(format!(
                        "the nearest that it has is `{near}`; its blocks are 0 to {}",
                        self.config().layers().saturating_sub(1)
                    )))
                }
            }
        };
        names.iter().map(point).collect::<Result<Vec<_>>>().at("run_with_cache")
    }
}
