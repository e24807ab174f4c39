//! The continuous safety endpoint: how likely the first word of the response is a refusal.
//!
//! Counts of refusals sit at 0 or 1 in most models; the log-odds log p - log(1 - p) of the first refusal
//! token still move there (Arditi et al., arXiv 2406.11717, use the same score). They are teacher-forced:
//! read from the logits after the prompt, no sampling.

use crate::error::{Error, Result};
use crate::model::{Gradients, Hooks, Model, NextToken, Prompt, TokenBatch};
use candle_core::Tensor;

/// Prompts computed at once.
const ROWS: usize = 256;

/// The log-odds (nats) of `token` as the first of the response to each prompt. `source` is a plain model's
/// pass or an edited one; its rows are forgotten.
///
/// # Errors
/// If a pass fails or `token` is outside of the vocabulary.
pub fn first_token_log_odds(source: &mut dyn NextToken, prompts: &[Prompt], token: u32) -> Result<Vec<f64>> {
    let mut found = Vec::with_capacity(prompts.len());
    for batch in prompts.chunks(ROWS) {
        source.reset();
        let rows: Vec<Vec<u32>> = batch.iter().map(|prompt| prompt.tokens.clone()).collect();
        for logits in source.extend(&TokenBatch::new(&rows)?)?.to_vec2::<f32>()? {
            found.push(log_odds(&logits, token)?);
        }
    }
    source.reset();
    Ok(found)
}

/// The log-odds of `token` under logits: its own less the log-sum-exp of all others, so that a
/// probability next to 1 keeps its digits.
///
/// # Errors
/// If `token` is outside of the vocabulary, or there is no other.
pub fn log_odds(logits: &[f32], token: u32) -> Result<f64> {
    let wrong = || {
        Error::request(format!("expected a token id below {}, found {token}", logits.len()))
            .hint("the model's vocabulary is smaller than its tokenizer's")
    };
    let own = *logits.get(token as usize).ok_or_else(wrong)?;
    let others = || {
        logits.iter().enumerate().filter(|(id, _)| *id != token as usize).map(|(_, logit)| f64::from(*logit))
    };
    let largest = others().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return Err(wrong());
    }
    let sum: f64 = others().map(|logit| (logit - largest).exp()).sum();
    Ok(f64::from(own) - largest - sum.ln())
}

/// One pass of a plain model over prompts, without a cache.
pub(super) struct PromptPass<'a>(pub(super) &'a Model);

impl NextToken for PromptPass<'_> {
    fn extend(&mut self, tokens: &TokenBatch) -> Result<Tensor> {
        let hidden = self.0.hidden(tokens, None, &mut Hooks::none(), Gradients::Off)?;
        let (_, width, d_model) = hidden.dims3()?;
        let last: Vec<u32> = tokens
            .lengths()
            .iter()
            .enumerate()
            .map(|(row, length)| (row * width + length.saturating_sub(1)) as u32)
            .collect();
        let last = Tensor::from_vec(last, tokens.rows(), hidden.device())?;
        self.0.logits(&hidden.reshape(((), d_model))?.index_select(&last, 0)?)
    }

    fn select(&mut self, _: &[usize]) -> Result<()> {
        Ok(())
    }

    fn reset(&mut self) {}

    fn longest(&self) -> Option<usize> {
        self.0.longest()
    }
}

#[cfg(test)]
mod tests {
    use super::log_odds;

    #[test]
    fn log_odds_are_those_of_the_softmax_and_do_not_saturate() {
        let odds = log_odds(&[1.0, 2.0, 0.5], 1).unwrap();
        let p = 2_f64.exp() / (1_f64.exp() + 2_f64.exp() + 0.5_f64.exp());
        assert!((odds - (p / (1.0 - p)).ln()).abs() < 1e-12);
        assert!((log_odds(&[0.0, 200.0], 1).unwrap() - 200.0).abs() < 1e-9);
        assert!(log_odds(&[0.0, 1.0], 2).is_err());
    }
}
