//! How far a model's activations are from another's: what a null study is matched by (PROTOCOL 9).

use super::prompts::LabelledPrompt;
use super::reading::{batches, captured};
use crate::error::{Error, Result};
use crate::model::{Gradients, HookPoint, Hooks, Model};

/// Mean over the tokens of `texts` of ‖h_model − h_base‖² at `hook`, in squared units of the activation.
///
/// # Errors
/// If there is no token, a model lacks the hook, or the two are not of one width.
pub fn activation_change(
    base: &Model,
    model: &Model,
    hook: HookPoint,
    texts: &[LabelledPrompt],
) -> Result<f64> {
    let (mut sum, mut count) = (0.0, 0_usize);
    batches(texts, |_, tokens| {
        let read = |model: &Model| {
            let mut hooks = Hooks::none().capture(hook);
            model.forward(tokens, None, &mut hooks, Gradients::Off)?;
            hooks.finish()?;
            captured(&mut hooks, hook)
        };
        let (ours, bases) = (read(model)?, read(base)?);
        if ours.dims() != bases.dims() {
            return Err(Error::request(format!(
                "expected activations of one shape at `{hook}`, found {:?} and {:?}",
                ours.dims(),
                bases.dims()
            ))
            .hint("only models of one width can be compared activation by activation"));
        }
        for (row, length) in tokens.lengths().iter().enumerate() {
            let tokens = |all: &candle_core::Tensor| all.get(row)?.narrow(0, 0, *length)?.to_vec2::<f32>();
            for (ours, base) in tokens(&ours)?.iter().zip(&tokens(&bases)?) {
                sum += ours.iter().zip(base).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
                count += 1;
            }
        }
        Ok(())
    })?;
    match count {
        0 => Err(Error::request("expected texts with at least one token, found none")),
        _ => Ok(sum / count as f64),
    }
}
