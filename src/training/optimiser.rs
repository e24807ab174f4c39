//! AdamW (arXiv 1711.05101) on f32 masters, as PyTorch computes it, in one pass over the weights.
//!
//! 1. The norm of the whole gradient is summed in f64 over fixed chunks; above the clip, every gradient
//!    is scaled by `clip / norm`. A norm that is not finite stops the run and names the tensor.
//! 2. `w -= rate * decay * w` for matrices; norms and biases (tensors of one dimension) do not decay.
//! 3. `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`,
//!    `w -= rate / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + epsilon)`.
//!
//! The state is held under the parameters' names; a frozen parameter has none.

use super::moments::{CHUNK, Held, Moments, Step};
use super::settings::OptimiserSettings;
use crate::error::{Error, Result};
use crate::ops::Parameter;
use crate::ops::simd::vectorised;
use candle_core::{DType, Tensor};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The optimiser of a run.
#[derive(Clone, Debug)]
pub struct AdamW {
    settings: OptimiserSettings,
    updates: u64,
    moments: BTreeMap<String, Held>,
}

impl AdamW {
    /// An optimiser that has not made an update.
    pub fn new(settings: OptimiserSettings) -> Self {
        Self { settings, updates: 0, moments: BTreeMap::new() }
    }

    /// The number of updates made.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    pub(super) fn moments(&self) -> Result<BTreeMap<&str, Cow<'_, Moments>>> {
        self.moments.iter().map(|(name, held)| Ok((name.as_str(), held.numbers()?))).collect()
    }

    pub(super) fn restore(&mut self, updates: u64, moments: BTreeMap<String, Moments>) {
        self.updates = updates;
        self.moments = moments.into_iter().map(|(name, moments)| (name, Held::Host(moments))).collect();
    }

    /// One update with the gradients that backward passes have added up, times `scale`. Returns the norm
    /// of the scaled gradient before clipping, and forgets the gradients.
    ///
    /// # Errors
    /// If a trainable parameter has no gradient, or a gradient is not finite. No weight is changed then.
    pub fn update(&mut self, parameters: &[Parameter], rate: f64, scale: f64) -> Result<f64> {
        let trainable: Vec<&Parameter> =
            parameters.iter().filter(|parameter| parameter.trainable()).collect();
        let norm = gradient_norm(&trainable)? * scale.abs();
        self.updates += 1;
        let factor = if norm > self.settings.clip { scale * self.settings.clip / norm } else { scale };
        let correction = |beta: f64| 1.0 - beta.powf(self.updates as f64);
        let mut step = Step {
            gradient_factor: factor as f32,
            keep: 1.0,
            beta1: self.settings.beta1 as f32,
            beta2: self.settings.beta2 as f32,
            rate: (rate / correction(self.settings.beta1)) as f32,
            square_correction: (1.0 / correction(self.settings.beta2)) as f32,
            epsilon: self.settings.epsilon as f32,
        };
        for parameter in trainable {
            let decays = parameter.dims().len() > 1;
            step.keep = if decays { (1.0 - rate * self.settings.weight_decay) as f32 } else { 1.0 };
            let moments = self
                .moments
                .entry(parameter.name().to_owned())
                .or_insert_with(|| Held::zeros(parameter.elements()));
            step.apply(parameter, moments)?;
            parameter.zero_gradient();
        }
        Ok(norm)
    }
}

fn gradient_norm(parameters: &[&Parameter]) -> Result<f64> {
    let (mut total, mut broken) = (0.0, Vec::new());
    for (parameter, squares) in parameters.iter().zip(sums_of_squares(parameters)?) {
        let Some(squares) = squares else {
            return Err(Error::work(format!("parameter `{}` got no gradient", parameter.name()))
                .hint("freeze it, or find the operation that dropped the gradient"));
        };
        if !squares.is_finite() {
            broken.push(parameter.name());
        }
        total += squares;
    }
    match broken.as_slice() {
        [] => Ok(total.sqrt()),
        [only] => Err(not_finite(format!("the gradient of `{only}` is not finite"))),
        [first, .., last] => Err(not_finite(format!(
            "the gradients of {} of {} parameters are not finite, from `{first}` to `{last}`",
            broken.len(),
            parameters.len()
        ))),
    }
}

fn not_finite(message: String) -> Error {
    Error::work(message).hint("lower the learning rate; no weight was changed, and the last save is sound")
}

/// The sum of squares of every gradient that is there. Those of tensors are brought from their device
/// together: each would have to be waited for.
fn sums_of_squares(parameters: &[&Parameter]) -> Result<Vec<Option<f64>>> {
    let mut sums = Vec::with_capacity(parameters.len());
    let mut composed = Vec::new();
    for (index, parameter) in parameters.iter().enumerate() {
        if let Some(gradient) = parameter.device_gradient()? {
            composed.push((index, gradient.to_dtype(DType::F64)?.sqr()?.sum_all()?));
            sums.push(None);
        } else {
            sums.push(parameter.with_gradient(|gradient| {
                let chunks: Vec<f64> = gradient.par_chunks(CHUNK).map(squares).collect();
                chunks.iter().sum::<f64>()
            })?);
        }
    }
    if !composed.is_empty() {
        let (places, tensors): (Vec<usize>, Vec<Tensor>) = composed.into_iter().unzip();
        for (place, found) in places.into_iter().zip(Tensor::stack(&tensors, 0)?.to_vec1::<f64>()?) {
            sums[place] = Some(found);
        }
    }
    Ok(sums)
}

/// The sum of squares, in lanes that do not wait for each other.
fn squares(numbers: &[f32]) -> f64 {
    vectorised(
        #[inline(always)]
        || {
            let mut lanes = [0f64; 8];
            let (blocks, rest) = numbers.as_chunks::<8>();
            for block in blocks {
                for (lane, number) in lanes.iter_mut().zip(block) {
                    *lane += f64::from(*number) * f64::from(*number);
                }
            }
            let rest: f64 = rest.iter().map(|number| f64::from(*number) * f64::from(*number)).sum();
            lanes.iter().sum::<f64>() + rest
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn parameter(name: &str, values: &[f32], dims: &[usize]) -> Parameter {
        Parameter::new(name, &Tensor::from_slice(values, dims, &Device::Cpu).unwrap()).unwrap()
    }

    fn set_gradient(parameter: &Parameter, gradient: &[f32]) {
        parameter.zero_gradient();
        parameter.accumulate(|buffer, _| buffer.copy_from_slice(gradient));
    }

    /// The formula of PyTorch's documentation, one number at a time in f64.
    #[test]
    fn three_updates_are_those_of_the_formula() {
        let settings = OptimiserSettings { weight_decay: 0.1, clip: 1.0, ..OptimiserSettings::default() };
        let matrix = parameter("w", &[1.0, -2.0], &[1, 2]);
        let bias = parameter("b", &[0.5], &[1]);
        let mut optimiser = AdamW::new(settings.clone());
        let mut expected = [1.0, -2.0, 0.5];
        let (mut mean, mut square) = ([0.0; 3], [0.0; 3]);
        for update in 1..=3 {
            let gradient = [0.3 * f64::from(update), -2.0, 0.7];
            set_gradient(&matrix, &[gradient[0] as f32, gradient[1] as f32]);
            set_gradient(&bias, &[gradient[2] as f32]);
            let norm = optimiser.update(&[matrix.clone(), bias.clone()], 0.01, 0.5).unwrap();
            let exact = 0.5 * gradient.iter().map(|value| value * value).sum::<f64>().sqrt();
            assert!((norm - exact).abs() < 1e-6);
            for index in 0..3 {
                let value = 0.5 * gradient[index] * (1.0 / exact).min(1.0);
                mean[index] = 0.9 * mean[index] + 0.1 * value;
                square[index] = 0.98 * square[index] + 0.02 * value * value;
                let decay = if index < 2 { 0.1 } else { 0.0 };
                expected[index] -= 0.01 * decay * expected[index];
                let (m, v) =
                    (mean[index] / (1.0 - 0.9f64.powi(update)), square[index] / (1.0 - 0.98f64.powi(update)));
                expected[index] -= 0.01 * m / (v.sqrt() + 1e-8);
            }
        }
        let mut found = matrix.value().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        found.extend(bias.value().to_vec1::<f32>().unwrap());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn a_missing_or_broken_gradient_stops_the_run_and_changes_nothing() {
        let (one, two) = (parameter("one", &[1.0], &[1]), parameter("two", &[1.0], &[1]));
        let mut optimiser = AdamW::new(OptimiserSettings::default());
        set_gradient(&one, &[1.0]);
        let error = optimiser.update(&[one.clone(), two.clone()], 0.1, 1.0).unwrap_err().to_string();
        assert!(error.contains("`two` got no gradient"), "{error}");
        set_gradient(&two, &[f32::NAN]);
        let error = optimiser.update(&[one.clone(), two.clone()], 0.1, 1.0).unwrap_err().to_string();
        assert!(error.contains("`two` is not finite"), "{error}");
        set_gradient(&one, &[f32::INFINITY]);
        let error = optimiser.update(&[one.clone(), two.clone()], 0.1, 1.0).unwrap_err().to_string();
        assert!(error.contains("2 of 2 parameters are not finite, from `one` to `two`"), "{error}");
        set_gradient(&one, &[1.0]);
        assert_eq!(one.value().to_vec1::<f32>().unwrap(), [1.0]);
        two.set_trainable(false);
        optimiser.update(&[one, two], 0.1, 1.0).unwrap();
    }
}
