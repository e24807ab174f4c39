//! What is read from a forward pass, and what is written into it.

use super::hook_point::HookPoint;
use super::tokens::TokenBatch;
use crate::error::{Error, Result, nearest};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Where and for which tokens a hook was called.
#[derive(Clone, Debug)]
pub struct HookSite {
    /// The place.
    pub point: HookPoint,
    /// Absolute position of column 0 of each row.
    pub starts: Vec<usize>,
    /// Real new tokens of each row; columns after them are padding, zero on the way in and dropped on the
    /// way out.
    pub lengths: Vec<usize>,
    /// The new tokens.
    pub tokens: TokenBatch,
    /// The token that begins texts, where the model's tokenizer has one.
    pub begin: Option<u32>,
}

/// What is done at a site: the new value there, of the same shape.
pub type HookFunction = Box<dyn FnMut(&HookSite, &Tensor) -> Result<Tensor> + Send>;

/// A gradient that a backward pass will fill in.
pub(super) type GradientSlot = Arc<Mutex<Option<Tensor>>>;

/// Captures, edits and a stop for one or more forward passes.
///
/// At one point edits run in the order in which they were added; captures see the edited value. Dropping
/// the hooks after a pass without [`Hooks::finish`] skips the check that everything fired.
#[derive(Default)]
pub struct Hooks {
    edits: Vec<(HookPoint, HookFunction, usize)>,
    captures: BTreeMap<HookPoint, Option<Tensor>>,
    gradients: BTreeMap<HookPoint, (GradientSlot, bool)>,
    start: Option<(usize, Tensor)>,
    /// Where the pass ends, and whether one has ended there.
    stop: Option<(HookPoint, bool)>,
}

impl Hooks {
    /// No hooks.
    pub fn none() -> Self {
        Self::default()
    }

    /// Keeps the value at `point`, for [`Hooks::take`].
    #[must_use]
    pub fn capture(mut self, point: HookPoint) -> Self {
        self.captures.insert(point, None);
        self
    }

    /// Replaces the value at `point` by what `edit` returns.
    #[must_use]
    pub fn edit(mut self, point: HookPoint, edit: HookFunction) -> Self {
        self.edits.push((point, edit, 0));
        self
    }

    /// Keeps the gradient of the value at `point` (after its edits), for [`Hooks::take_gradient`] once the
    /// loss has been run backward.
    #[must_use]
    pub fn gradient(mut self, point: HookPoint) -> Self {
        self.gradients.insert(point, (GradientSlot::default(), false));
        self
    }

    /// Ends the pass after `point`: it then returns no hidden state, and nothing behind it is computed.
    #[must_use]
    pub fn stop_after(mut self, point: HookPoint) -> Self {
        self.stop = Some((point, false));
        self
    }

    /// Begins the pass at `blocks.{layer}.hook_resid_pre` with this residual stream [rows, width, d_model];
    /// embeddings and earlier blocks are not computed, and their layers of a cache are left alone. The number
    /// of blocks as `layer` begins after the last.
    #[must_use]
    pub fn start_from(mut self, layer: usize, residual: Tensor) -> Self {
        self.start = Some((layer, residual));
        self
    }

    /// The captured value, once: of the last pass. Tracked if that pass recorded gradients.
    pub fn take(&mut self, point: HookPoint) -> Option<Tensor> {
        self.captures.get_mut(&point).and_then(Option::take)
    }

    /// The gradient at `point`, once, after the backward pass.
    pub fn take_gradient(&mut self, point: HookPoint) -> Option<Tensor> {
        let (slot, _) = self.gradients.get(&point)?;
        slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Checks that every edit, capture, gradient and stop was reached by some pass.
    ///
    /// # Errors
    /// If one was not: its effect would be mistaken for no effect.
    pub fn finish(&mut self) -> Result<()> {
        let silent = |point: &HookPoint, what: &str| {
            Error::work(format!("the {what} at `{point}` never fired"))
                .hint("the pass stopped before it, or no pass was run")
        };
        for (point, _, fired) in &self.edits {
            if *fired == 0 {
                return Err(silent(point, "edit"));
            }
        }
        if let Some((point, _)) = self.gradients.iter().find(|(_, (_, fired))| !fired) {
            return Err(silent(point, "gradient hook"));
        }
        if let Some((point, _)) = self.captures.iter().find(|(_, value)| value.is_none()) {
            return Err(silent(point, "capture").hint("or its value was already taken: finish first"));
        }
        if let Some((point, false)) = &self.stop {
            return Err(silent(point, "stop"));
        }
        Ok(())
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.captures.is_empty() && self.gradients.is_empty() && self.stop.is_none()
    }

    /// The block and the residual stream that the pass begins with.
    pub(super) fn start(&self) -> Option<(usize, Tensor)> {
        self.start.clone()
    }

    /// Whether the pass must show the value at `point`.
    pub(super) fn wants(&self, point: HookPoint) -> bool {
        !self.is_empty()
            && (self.captures.contains_key(&point)
                || self.gradients.contains_key(&point)
                || self.edits(point))
    }

    /// Whether the pass ends here.
    pub(super) fn stops_after(&self, point: HookPoint) -> bool {
        self.stop.is_some_and(|(stop, _)| stop == point)
    }

    /// Notes that a pass ended at the stop.
    pub(super) fn stopped(&mut self) {
        if let Some((_, reached)) = &mut self.stop {
            *reached = true;
        }
    }

    /// Whether the pass must compute the value at `point`, to show it or to end there.
    pub(super) fn asks(&self, point: HookPoint) -> bool {
        self.wants(point) || self.stops_after(point)
    }

    /// Whether what follows must be computed from the value at `point`: it may change, or its gradient is wanted.
    pub(super) fn acts(&self, point: HookPoint) -> bool {
        self.edits(point) || self.gradients.contains_key(&point)
    }

    /// Whether an edit waits at `point`.
    pub(super) fn edits(&self, point: HookPoint) -> bool {
        self.edits.iter().any(|(at, _, _)| *at == point)
    }

    /// Runs the edits of the site on `value`, one after the other.
    pub(super) fn run_edits(&mut self, site: &HookSite, value: Tensor) -> Result<Tensor> {
        let mut before = value;
        for (point, edit, fired) in &mut self.edits {
            if *point != site.point {
                continue;
            }
            let after = edit(site, &before).map_err(|error| error.at(format!("edit at `{point}`")))?;
            if after.dims() != before.dims() {
                return Err(Error::work(format!(
                    "edit at `{point}`: expected shape {:?}, found {:?}",
                    before.dims(),
                    after.dims()
                )));
            }
            *fired += 1;
            before = after;
        }
        Ok(before)
    }

    /// Whether a capture waits at `point`.
    pub(super) fn captures(&self, point: HookPoint) -> bool {
        self.captures.contains_key(&point)
    }

    /// Keeps a captured value.
    pub(super) fn keep(&mut self, point: HookPoint, value: Tensor) {
        self.captures.insert(point, Some(value));
    }

    /// Where the gradient of `point` goes, if one was asked for.
    pub(super) fn gradient_slot(&mut self, point: HookPoint) -> Option<GradientSlot> {
        let (slot, fired) = self.gradients.get_mut(&point)?;
        *fired = true;
        Some(slot.clone())
    }

    /// Refuses points that the model does not have.
    pub(super) fn check(
        &self,
        has: impl Fn(HookPoint) -> bool,
        all: impl Fn() -> Vec<HookPoint>,
    ) -> Result<()> {
        let named = self.edits.iter().map(|(point, _, _)| point);
        for point in named
            .chain(self.captures.keys())
            .chain(self.gradients.keys())
            .chain(self.stop.as_ref().map(|(point, _)| point))
        {
            if !has(*point) {
                let names: Vec<String> = all().iter().map(HookPoint::to_string).collect();
                let name = point.to_string();
                let error = Error::request(format!("this model has no hook point `{name}`"));
                return Err(match nearest(&name, names.iter().map(String::as_str)) {
                    Some(near) => error.hint(format!("the nearest that it has is `{near}`")),
                    None => error,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_that_no_pass_reached_is_an_error() {
        let mut hooks = Hooks::none().stop_after(HookPoint::Embed);
        let error = hooks.finish().unwrap_err().to_string();
        assert!(error.contains("stop at `hook_embed` never fired"), "{error}");
        hooks.stopped();
        hooks.finish().unwrap();
    }
}
