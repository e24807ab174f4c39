//! Reading activations and predictions of a model on prompts, a few rows at a time.

use super::prompts::LabelledPrompt;
use crate::error::{Error, Result};
use crate::model::{Gradients, HookPoint, Hooks, Model, TokenBatch};
use candle_core::{Device, Tensor};

/// Prompts that are run at once.
const ROWS: usize = 64;

/// Runs `visit` on the batches of `prompts`: their indices and tokens.
pub(super) fn batches(
    prompts: &[LabelledPrompt],
    mut visit: impl FnMut(std::ops::Range<usize>, &TokenBatch) -> Result<()>,
) -> Result<()> {
    for start in (0..prompts.len()).step_by(ROWS) {
        let range = start..(start + ROWS).min(prompts.len());
        let rows: Vec<Vec<u32>> = prompts[range.clone()].iter().map(|prompt| prompt.tokens.clone()).collect();
        visit(range, &TokenBatch::new(&rows)?)?;
    }
    Ok(())
}

/// Activations of every prompt, one `[d_model]` vector a prompt for each of `points`: at its last token, or the mean
/// over its response.
pub(super) fn span_activations(
    model: &Model,
    points: &[HookPoint],
    prompts: &[LabelledPrompt],
) -> Result<Vec<Vec<Vec<f32>>>> {
    let mut found = vec![Vec::with_capacity(prompts.len()); points.len()];
    batches(prompts, |range, tokens| {
        let mut hooks = points.iter().fold(Hooks::none(), |hooks, point| hooks.capture(*point));
        model.forward(tokens, None, &mut hooks, Gradients::Off)?;
        hooks.finish()?;
        for (point, found) in points.iter().zip(&mut found) {
            let value = captured(&mut hooks, *point)?;
            for (row, prompt) in prompts[range.clone()].iter().enumerate() {
                let span = prompt.span();
                let rows = value.get(row)?.narrow(0, span.start, span.len())?.to_vec2::<f32>()?;
                found.push(mean(&rows));
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// A captured value `[rows, width, d_model]` on the CPU.
pub(super) fn captured(hooks: &mut Hooks, point: HookPoint) -> Result<Tensor> {
    let value = hooks.take(point).ok_or_else(|| Error::work(format!("nothing was captured at `{point}`")))?;
    Ok(value.to_device(&Device::Cpu)?)
}

/// What a model predicts after the last token of every prompt.
#[derive(Clone, Debug)]
pub(super) struct Predictions {
    /// Log-probabilities `[vocabulary]`, one a prompt.
    pub(super) next: Vec<Vec<f32>>,
    /// Final hidden states `[d_model]`, one a prompt.
    pub(super) hidden: Vec<Vec<f32>>,
}

/// Predictions after the last token, under the hooks that `hooked` adds.
pub(super) fn predictions(
    model: &Model,
    prompts: &[LabelledPrompt],
    hooked: &dyn Fn(Hooks) -> Hooks,
) -> Result<Predictions> {
    let mut found = Predictions { next: Vec::new(), hidden: Vec::new() };
    batches(prompts, |_, tokens| {
        let mut hooks = hooked(Hooks::none());
        let hidden = model.hidden(tokens, None, &mut hooks, Gradients::Off)?;
        for (row, length) in tokens.lengths().iter().enumerate() {
            let last = hidden.get(row)?.get(length.saturating_sub(1))?;
            found.hidden.push(last.to_device(&Device::Cpu)?.to_vec1::<f32>()?);
            found.next.push(log_softmax(&model.logits(&last)?.to_vec1::<f32>()?));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Log-probabilities of logits.
pub(super) fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - largest).exp()).sum();
    let normaliser = largest + sum.ln() as f32;
    logits.iter().map(|x| x - normaliser).collect()
}

/// KL(p | q) in nats, of log-probabilities.
pub(super) fn kl(p: &[f32], q: &[f32]) -> f64 {
    let terms = p.iter().zip(q).filter(|(p, _)| p.is_finite());
    terms.map(|(p, q)| f64::from(*p).exp() * f64::from(p - q)).sum::<f64>().max(0.0)
}

/// log P - log(1 - P), with P the summed probability of `tokens` (1e-8 added to both, as Arditi et al.).
pub(super) fn log_odds(log_probabilities: &[f32], tokens: &[u32]) -> f64 {
    let sum: f64 = tokens
        .iter()
        .filter_map(|token| log_probabilities.get(*token as usize))
        .map(|x| f64::from(*x).exp())
        .sum();
    (sum + 1e-8).ln() - ((1.0 - sum).max(0.0) + 1e-8).ln()
}

/// The mean of vectors of one width; empty if there is none.
pub(super) fn mean<'a>(vectors: impl IntoIterator<Item = &'a Vec<f32>>) -> Vec<f32> {
    let mut sum: Vec<f64> = Vec::new();
    let mut count = 0.0;
    for vector in vectors {
        sum.resize(vector.len(), 0.0);
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += f64::from(*x));
        count += 1.0;
    }
    sum.into_iter().map(|sum| (sum / count) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_zero_at_home_and_positive_elsewhere() {
        let (p, q) = (log_softmax(&[1.0, 2.0, 0.5]), log_softmax(&[1.0, 0.0, 0.5]));
        assert_eq!(kl(&p, &p), 0.0);
        let expected: f64 = p.iter().zip(&q).map(|(a, b)| f64::from(a.exp()) * f64::from(a - b)).sum();
        assert!((kl(&p, &q) - expected).abs() < 1e-6 && expected > 0.1);
    }

    #[test]
    fn log_odds_are_the_published_ones() {
        let next = [0.25_f32.ln(), 0.75_f32.ln()];
        assert!((log_odds(&next, &[0]) - (1.0_f64 / 3.0).ln()).abs() < 1e-5);
        assert!(log_odds(&next, &[0, 1]) > 10.0);
    }
}
