//! What a norm divides by, as a value that hooks may change: TransformerLens's `hook_scale`.
//!
//! * `s = √(mean (x − m)² + ε)` with the mean `m` of LayerNorm, 0 for RMSNorm: `dx = ds (x − m) / (length · s)`.
//! * `y = n · s / t` divides by `t` what was divided by `s`: `dn = dy · s / t`, and with `r = Σ dy n` over the group
//!   `ds = r / t`, `dt = −r s / t²`.

use super::norm::Norm;
use super::tape::{Tape, Value};

impl Norm {
    /// What is divided by, [tokens, groups].
    pub(crate) fn scales(&self, tape: &Tape, x: &Value) -> Value {
        let group = self.weight.elements();
        let statistics = self.statistics(x.data(), group);
        let scales: Vec<f32> = statistics.inverse.iter().map(|inverse| 1.0 / inverse).collect();
        let scales = tape.value(scales, x.width() / group.max(1));
        if let (Some(from), Some(to)) = (x.slot(), scales.slot()) {
            let x = x.share();
            tape.push(move |slots| {
                let Some(gradient) = slots.take(to) else { return Ok(()) };
                let mut dx = x.to_vec();
                for (row, dx) in dx.chunks_exact_mut(group).enumerate() {
                    let factor = gradient[row] * statistics.inverse[row] / group as f32;
                    dx.iter_mut().for_each(|x| *x = (*x - statistics.mean[row]) * factor);
                }
                slots.add(from, dx);
                Ok(())
            });
        }
        scales
    }
}

/// `normalised · scales / others`, each scale for a group of equally many numbers.
pub(crate) fn divide_instead(tape: &Tape, normalised: &Value, scales: &Value, others: &Value) -> Value {
    let group = normalised.width() / scales.width().max(1);
    let mut y = normalised.data().to_vec();
    for (y, (scale, other)) in y.chunks_exact_mut(group).zip(scales.data().iter().zip(others.data())) {
        let factor = scale / other;
        y.iter_mut().for_each(|y| *y *= factor);
    }
    let y = tape.value(y, normalised.width());
    if let (Some(of_normalised), Some(of_scales), Some(of_others), Some(to)) =
        (normalised.slot(), scales.slot(), others.slot(), y.slot())
    {
        let (normalised, scales, others) = (normalised.share(), scales.share(), others.share());
        tape.push(move |slots| {
            let Some(mut gradient) = slots.take(to) else { return Ok(()) };
            let (mut to_scales, mut to_others) = (vec![0f32; scales.len()], vec![0f32; others.len()]);
            for (row, gradient) in gradient.chunks_exact_mut(group).enumerate() {
                let (scale, other) = (scales[row], others[row]);
                let along: f32 = gradient.iter().zip(&normalised[row * group..]).map(|(g, n)| g * n).sum();
                to_scales[row] = along / other;
                to_others[row] = -along * scale / (other * other);
                gradient.iter_mut().for_each(|gradient| *gradient *= scale / other);
            }
            slots.add(of_normalised, gradient);
            slots.add(of_scales, to_scales);
            slots.add(of_others, to_others);
            Ok(())
        });
    }
    y
}
