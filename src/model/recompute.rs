//! Activation checkpointing (Chen et al. 2016, arXiv 1604.06174): a pass that keeps the residual stream between
//! blocks alone, and computes each block again on its way back.
//!
//! The memory of a training pass is then that of one block and one stream per block, for a third more work. The
//! gradients are those of a pass that keeps everything: on the fused kernels, bit for bit.

use super::hook_point::{BlockPoint, HookPoint};
use super::hooks::Hooks;
use super::{Model, TokenBatch};
use crate::error::{Error, Result};
use crate::ops::Gradients;
use crate::ops::composed::attached;
use candle_core::{DType, Tensor, Var};

fn before(layer: usize) -> HookPoint {
    HookPoint::Block(layer, BlockPoint::ResidPre)
}

/// The hidden states after the final norm, as [`Model::forward`] gives them.
pub(super) fn forward(model: &Model, tokens: &TokenBatch) -> Result<Tensor> {
    let layers = model.config().layers();
    // What goes into each block but the first, which is computed again from the tokens.
    let mut hooks = (1..layers).fold(Hooks::none(), |hooks, layer| hooks.capture(before(layer)));
    let hidden = model.hidden(tokens, None, &mut hooks, Gradients::Off)?;
    let streams: Vec<Tensor> = (1..layers).filter_map(|layer| hooks.take(before(layer))).collect();
    let root = Var::zeros(1, DType::F32, model.device())?;
    let (model, tokens) = (model.clone(), tokens.clone());
    attached(root.as_tensor(), hidden, move |root, gradient| {
        backward(&model, &tokens, &streams, gradient.clone())?;
        Ok(root.zeros_like()?)
    })
}

/// Runs every block again, the last one first, and takes the gradient of what it gave to that of what it got.
fn backward(model: &Model, tokens: &TokenBatch, streams: &[Tensor], mut gradient: Tensor) -> Result<()> {
    for layer in (0..model.config().layers()).rev() {
        let stream = match layer.checked_sub(1).and_then(|index| streams.get(index)) {
            Some(stream) => Some(Var::from_tensor(stream)?),
            None => None,
        };
        let mut hooks = Hooks::none();
        if let Some(stream) = &stream {
            hooks = hooks.start_from(layer, stream.as_tensor().clone());
        }
        if layer < streams.len() {
            hooks = hooks.capture(before(layer + 1)).stop_after(before(layer + 1));
        }
        let out = match model.forward(tokens, None, &mut hooks, Gradients::On)? {
            Some(hidden) => Some(hidden),
            None => hooks.take(before(layer + 1)),
        };
        let out = out.ok_or_else(|| Error::work("a block that was computed again gave nothing"))?;
        let found = out.mul(&gradient)?.sum_all()?.backward()?;
        let Some(stream) = stream else { break };
        gradient = found
            .get(stream.as_tensor())
            .cloned()
            .ok_or_else(|| Error::work("a block that was computed again got no gradient"))?;
    }
    Ok(())
}
