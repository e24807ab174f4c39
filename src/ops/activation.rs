//! The nonlinearity of the MLP, plain or gated: `y = act(a)` or `y = act(a) · b`.

use super::parallel;
use super::simd::{erf, exp, sigmoid, tanh, vectorised};
use super::tape::{Tape, Value};

/// The nonlinearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonlinearity {
    /// `x / (1 + e^-x)`
    Silu,
    /// `x Φ(x)`, with the error function.
    Gelu,
    /// `x Φ(x)` by its tanh approximation.
    GeluTanh,
    /// `x · sigmoid(1.702 x)`
    QuickGelu,
    /// `max(x, 0)`
    Relu,
    /// `max(x, 0)²`
    ReluSquared,
}

const ROOT_2_OVER_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

impl Nonlinearity {
    /// (value, derivative) at `x`.
    #[inline(always)]
    fn both(self, x: f32) -> (f32, f32) {
        match self {
            Self::Silu => {
                let gate = sigmoid(x);
                (x * gate, gate * (1.0 + x * (1.0 - gate)))
            }
            Self::Gelu => {
                let cumulative = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
                let density = 0.398_942_3 * exp(-0.5 * x * x);
                (x * cumulative, cumulative + x * density)
            }
            Self::GeluTanh => {
                let curve = tanh(ROOT_2_OVER_PI * (x + CUBIC * x * x * x));
                let slope = (1.0 - curve * curve) * ROOT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x);
                (0.5 * x * (1.0 + curve), 0.5 * (1.0 + curve) + 0.5 * x * slope)
            }
            Self::QuickGelu => {
                let gate = sigmoid(1.702 * x);
                (x * gate, gate * (1.0 + 1.702 * x * (1.0 - gate)))
            }
            Self::Relu => (if x > 0.0 { x } else { 0.0 }, if x > 0.0 { 1.0 } else { 0.0 }),
            Self::ReluSquared => {
                let kept = if x > 0.0 { x } else { 0.0 };
                (kept * kept, 2.0 * kept)
            }
        }
    }

    /// `act(pre)`, times `linear` where the MLP is gated.
    pub(crate) fn forward(self, tape: &Tape, pre: &Value, linear: Option<&Value>) -> Value {
        let width = pre.width();
        let mut post = vec![0f32; pre.data().len()];
        let gate = linear.map(Value::data);
        // One loop per nonlinearity, or the choice inside would keep it from vectorising.
        match self {
            Self::Silu => values(&mut post, pre.data(), gate, |x| Self::Silu.both(x).0),
            Self::Gelu => values(&mut post, pre.data(), gate, |x| Self::Gelu.both(x).0),
            Self::GeluTanh => values(&mut post, pre.data(), gate, |x| Self::GeluTanh.both(x).0),
            Self::QuickGelu => values(&mut post, pre.data(), gate, |x| Self::QuickGelu.both(x).0),
            Self::Relu => values(&mut post, pre.data(), gate, |x| Self::Relu.both(x).0),
            Self::ReluSquared => values(&mut post, pre.data(), gate, |x| Self::ReluSquared.both(x).0),
        }
        let post = tape.value(post, width);
        if let (Some(from), Some(to)) = (pre.slot(), post.slot()) {
            let pre = pre.share();
            let linear = linear.and_then(|linear| Some((linear.slot()?, linear.share())));
            tape.push(move |slots| {
                let Some(gradient) = slots.take(to) else { return Ok(()) };
                let (to_gate, gate) = match linear {
                    Some((slot, gate)) => (Some(slot), Some(gate)),
                    None => (None, None),
                };
                let (to_pre, to_linear) = self.backward(gradient, &pre, gate.as_ref().map(|gate| &gate[..]));
                slots.add(from, to_pre);
                if let Some(slot) = to_gate {
                    slots.add(slot, to_linear);
                }
                Ok(())
            });
        }
        post
    }

    fn backward(self, gradient: Vec<f32>, pre: &[f32], gate: Option<&[f32]>) -> (Vec<f32>, Vec<f32>) {
        match self {
            Self::Silu => gradients(gradient, pre, gate, |x| Self::Silu.both(x)),
            Self::Gelu => gradients(gradient, pre, gate, |x| Self::Gelu.both(x)),
            Self::GeluTanh => gradients(gradient, pre, gate, |x| Self::GeluTanh.both(x)),
            Self::QuickGelu => gradients(gradient, pre, gate, |x| Self::QuickGelu.both(x)),
            Self::Relu => gradients(gradient, pre, gate, |x| Self::Relu.both(x)),
            Self::ReluSquared => gradients(gradient, pre, gate, |x| Self::ReluSquared.both(x)),
        }
    }
}

#[inline(always)]
fn values(post: &mut [f32], pre: &[f32], gate: Option<&[f32]>, value: impl Fn(f32) -> f32 + Sync + Send) {
    parallel::rows(post, 1, |first, post| {
        vectorised(
            #[inline(always)]
            || {
                let pre = &pre[first..][..post.len()];
                match gate {
                    Some(gate) => {
                        let gate = &gate[first..][..post.len()];
                        for index in 0..post.len() {
                            post[index] = value(pre[index]) * gate[index];
                        }
                    }
                    None => {
                        for index in 0..post.len() {
                            post[index] = value(pre[index]);
                        }
                    }
                }
            },
        );
    });
}

/// (gradient of pre, gradient of the gate's linear half: empty without a gate).
#[inline(always)]
fn gradients(
    mut gradient: Vec<f32>,
    pre: &[f32],
    gate: Option<&[f32]>,
    both: impl Fn(f32) -> (f32, f32) + Sync + Send,
) -> (Vec<f32>, Vec<f32>) {
    let Some(gate) = gate else {
        parallel::rows(&mut gradient, 1, |first, chunk| {
            vectorised(
                #[inline(always)]
                || {
                    let pre = &pre[first..][..chunk.len()];
                    for index in 0..chunk.len() {
                        chunk[index] *= both(pre[index]).1;
                    }
                },
            );
        });
        return (gradient, Vec::new());
    };
    let mut to_gate = vec![0f32; gradient.len()];
    let shared = parallel::Disjoint::new(&mut gradient);
    parallel::rows(&mut to_gate, 1, |first, to_gate| {
        // SAFETY: chunks of `to_gate` are disjoint, and so are these; `gradient` outlives the call.
        let chunk = unsafe { shared.part(first, to_gate.len()) };
        vectorised(
            #[inline(always)]
            || {
                let pre = &pre[first..][..chunk.len()];
                let gate = &gate[first..][..chunk.len()];
                let to_gate = &mut to_gate[..chunk.len()];
                for index in 0..chunk.len() {
                    let (value, slope) = both(pre[index]);
                    to_gate[index] = chunk[index] * value;
                    chunk[index] *= slope * gate[index];
                }
            },
        );
    });
    (gradient, to_gate)
}
