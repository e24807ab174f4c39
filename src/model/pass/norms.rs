//! Norms with their hooks: what is divided by, and what is divided.

use super::{Halt, Pass};
use crate::model::hook_point::{BlockPoint, HookPoint};
use crate::ops::NormKind;
use crate::ops::kernels::Kernels;
use crate::ops::norm::Norm;

/// Where the norms around a sublayer are shown: before it, then after it.
pub(super) struct Around([[BlockPoint; 2]; 2]);

pub(super) const AROUND_ATTENTION: Around = Around([
    [BlockPoint::Norm1Scale, BlockPoint::Norm1Normalized],
    [BlockPoint::Norm1PostScale, BlockPoint::Norm1PostNormalized],
]);

pub(super) const AROUND_MLP: Around = Around([
    [BlockPoint::Norm2Scale, BlockPoint::Norm2Normalized],
    [BlockPoint::Norm2PostScale, BlockPoint::Norm2PostNormalized],
]);

impl<K: Kernels> Pass<'_, K> {
    /// The norm of a sublayer's input; without one, the input.
    pub(super) fn before(
        &mut self,
        layer: usize,
        norm: Option<&Norm>,
        x: &K::Value,
        around: &Around,
    ) -> Result<K::Value, Halt> {
        match norm {
            Some(norm) => self.stream_norm(norm, x, around.0[0].map(|point| HookPoint::Block(layer, point))),
            None => Ok(x.clone()),
        }
    }

    /// The norm of a sublayer's output, where there is one. In a block that has no norm before the sublayer it is
    /// shown as that one (OLMo 2).
    pub(super) fn after(
        &mut self,
        layer: usize,
        (before, after): (Option<&Norm>, Option<&Norm>),
        out: K::Value,
        around: &Around,
    ) -> Result<K::Value, Halt> {
        let points = around.0[usize::from(before.is_some())].map(|point| HookPoint::Block(layer, point));
        match after {
            Some(norm) => self.stream_norm(norm, &out, points),
            None => Ok(out),
        }
    }

    /// A norm over d_model numbers.
    pub(super) fn stream_norm(
        &mut self,
        norm: &Norm,
        x: &K::Value,
        points: [HookPoint; 2],
    ) -> Result<K::Value, Halt> {
        self.norm(norm, x, points, [&[1], &[self.config.d_model]])
    }

    /// A norm with its hooks, `[scale, normalized]` with their axes: what it divides by, and what comes of it, before
    /// the weight for RMSNorm and at the end for LayerNorm.
    ///
    /// The norm divides by its own scale whatever stands at the hook; an edit's change is a factor, so that one that
    /// changes nothing is 1 and leaves every bit as it was.
    pub(super) fn norm(
        &mut self,
        norm: &Norm,
        x: &K::Value,
        [scale, normalized]: [HookPoint; 2],
        [scale_axes, axes]: [&[usize]; 2],
    ) -> Result<K::Value, Halt> {
        let mut divided = None;
        if self.hooks.asks(scale) {
            let scales = self.kernels.norm_scales(norm, x)?;
            // Before the hook, as the kept scale is read again below.
            let shown = self.kernels.scale(scales.clone(), 1.0)?;
            let shown = self.hook(scale, shown, scale_axes)?;
            if self.hooks.acts(scale) {
                let normalised = self.kernels.normalise(norm, x)?;
                divided = Some(self.kernels.divide_instead(&normalised, &scales, &shown)?);
            }
        }
        match norm.kind {
            NormKind::Layer => {
                let y = match divided {
                    Some(divided) => self.kernels.rescale(norm, &divided)?,
                    None => self.kernels.norm(norm, x)?,
                };
                self.hook(normalized, y, axes)
            }
            NormKind::Rms if divided.is_none() && !self.hooks.asks(normalized) => {
                Ok(self.kernels.norm(norm, x)?)
            }
            NormKind::Rms => {
                let normalised = match divided {
                    Some(divided) => divided,
                    None => self.kernels.normalise(norm, x)?,
                };
                let normalised = self.hook(normalized, normalised, axes)?;
                Ok(self.kernels.rescale(norm, &normalised)?)
            }
        }
    }
}
