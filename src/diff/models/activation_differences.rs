//! Activation difference lens (arXiv 2510.13900): the mean difference on the first tokens of texts that
//! have nothing to do with the training.
//!
//! It is read through the logit lens, added to base with the norm of base's activation (which tokens become
//! likelier?), and projected out of the variant (how much nearer does that bring it to base?).

use super::directions::{add, project_out};
use super::prompts::LabelledPrompt;
use super::reading::{batches, captured, kl, mean, predictions};
use super::rows::ActivationDifferenceRow;
use crate::diff::decoders::dot;
use crate::diff::lens::{lens_tokens, token_names};
use crate::error::{Error, Result};
use crate::model::{Gradients, HookPoint, Hooks, Model};

/// Positions that are read: the first five.
const POSITIONS: usize = 5;

/// The mean difference of every later model from the first at `hook`, on the first positions of `texts`,
/// with the `count` tokens that it promotes and suppresses most in the variant.
///
/// # Errors
/// If there is no base, a model lacks the hook, or a variant has no tokenizer.
pub fn activation_differences(
    models: &[(String, Model)],
    hook: HookPoint,
    texts: &[LabelledPrompt],
    count: usize,
) -> Result<Vec<ActivationDifferenceRow>> {
    let Some(((_, base), others)) = models.split_first() else {
        return Err(Error::request("expected a base and its variants, found no model"));
    };
    let bases = first_activations(base, hook, texts)?;
    let few = &texts[..texts.len().min(TEXTS)];
    let plain = predictions(base, few, &|hooks| hooks)?.next;
    let mut rows = Vec::new();
    for (variant, model) in others {
        let ours = first_activations(model, hook, texts)?;
        let divergence = divergence(&predictions(model, few, &|hooks| hooks)?.next, &plain);
        let tokenizer = model.tokenizer()?;
        for (position, (ours, bases)) in
            ours.iter().zip(&bases).enumerate().filter(|(_, (o, _))| !o.is_empty())
        {
            let differences: Vec<Vec<f32>> = ours
                .iter()
                .zip(bases)
                .map(|(own, base)| own.iter().zip(base).map(|(a, b)| a - b).collect())
                .collect();
            let average = mean(&differences);
            let norm = |x: &[f32]| dot(x, x).sqrt();
            let base_norm = bases.iter().map(|x| norm(x)).sum::<f64>() / bases.len() as f64;
            let cosine = |x: &Vec<f32>| {
                let scale = norm(x) * norm(&average);
                if scale > 0.0 { dot(x, &average) / scale } else { 0.0 }
            };
            let found = lens_tokens(model, &average, count)?;
            let length = norm(&average);
            let unit: Vec<f32> = average
                .iter()
                .map(|x| if length > 0.0 { (f64::from(*x) / length) as f32 } else { 0.0 })
                .collect();
            let steered = predictions(base, few, &|hooks| add(hooks, hook, &unit, base_norm as f32))?.next;
            let without = predictions(model, few, &|hooks| project_out(hooks, hook, &unit))?.next;
            rows.push(ActivationDifferenceRow {
                variant: variant.clone(),
                hook: hook.to_string(),
                position: position as u64,
                relative_norm: if base_norm > 0.0 { norm(&average) / base_norm } else { 0.0 },
                consistency: differences.iter().map(cosine).sum::<f64>() / differences.len() as f64,
                prompts: differences.len() as u64,
                promoted: found
                    .first()
                    .map(|tokens| token_names(tokenizer, &tokens.promoted))
                    .unwrap_or_default(),
                suppressed: found
                    .first()
                    .map(|tokens| token_names(tokenizer, &tokens.suppressed))
                    .unwrap_or_default(),
                steered: token_names(tokenizer, &risen(&plain, &steered, count)),
                kl: divergence,
                kl_projected_out: self::divergence(&without, &plain),
            });
        }
    }
    Ok(rows)
}

/// Texts on which the mean difference is steered with and projected out.
const TEXTS: usize = 64;

/// Mean KL(p | q) over texts.
fn divergence(p: &[Vec<f32>], q: &[Vec<f32>]) -> f64 {
    p.iter().zip(q).map(|(p, q)| kl(p, q)).sum::<f64>() / p.len().max(1) as f64
}

/// The `count` tokens whose log-probability rises most from `before` to `after`, with the rise summed over texts.
fn risen(before: &[Vec<f32>], after: &[Vec<f32>], count: usize) -> Vec<(u32, f32)> {
    let mut sums: Vec<f64> = Vec::new();
    for (before, after) in before.iter().zip(after) {
        sums.resize(before.len(), 0.0);
        let rises = before.iter().zip(after).map(|(before, after)| f64::from(after - before));
        sums.iter_mut().zip(rises).for_each(|(sum, rise)| *sum += rise);
    }
    let mut order: Vec<u32> = (0..sums.len() as u32).collect();
    order.sort_by(|a, b| sums[*b as usize].total_cmp(&sums[*a as usize]).then(a.cmp(b)));
    order.into_iter().take(count).map(|token| (token, sums[token as usize] as f32)).collect()
}

/// `[position][text][d_model]`, of the texts that reach the position.
fn first_activations(model: &Model, hook: HookPoint, texts: &[LabelledPrompt]) -> Result<Vec<Vec<Vec<f32>>>> {
    let mut found = vec![Vec::new(); POSITIONS];
    batches(texts, |_, tokens| {
        let mut hooks = Hooks::none().capture(hook).stop_after(hook);
        model.forward(tokens, None, &mut hooks, Gradients::Off)?;
        hooks.finish()?;
        let value = captured(&mut hooks, hook)?;
        for (row, length) in tokens.lengths().iter().enumerate() {
            for (position, found) in found.iter_mut().enumerate().take(*length) {
                found.push(value.get(row)?.get(position)?.to_vec1::<f32>()?);
            }
        }
        Ok(())
    })?;
    Ok(found)
}
