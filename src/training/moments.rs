//! One step of AdamW for one parameter, where its weights are: on the CPU in one pass over the numbers, with
//! a gradient that is a tensor in tensor operations.

use crate::error::Result;
use crate::ops::Parameter;
use crate::ops::simd::vectorised;
use candle_core::Tensor;
use rayon::prelude::*;
use std::borrow::Cow;

/// Numbers per chunk of parallel work. Fixed, so that sums do not depend on the number of threads.
pub(super) const CHUNK: usize = 1 << 14;

/// The running mean of a parameter's gradient, and of its square.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: Vec<f32>,
    pub(super) square: Vec<f32>,
}

/// Moments where the weights are updated.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Host(Moments),
    Device { mean: Tensor, square: Tensor },
}

impl Held {
    /// Those of a parameter that has not been updated.
    pub(super) fn zeros(elements: usize) -> Self {
        Self::Host(Moments { mean: vec![0.0; elements], square: vec![0.0; elements] })
    }

    /// The numbers, to save.
    pub(super) fn numbers(&self) -> Result<Cow<'_, Moments>> {
        let flat = |tensor: &Tensor| -> Result<Vec<f32>> { Ok(tensor.flatten_all()?.to_vec1()?) };
        Ok(match self {
            Self::Host(moments) => Cow::Borrowed(moments),
            Self::Device { mean, square } => Cow::Owned(Moments { mean: flat(mean)?, square: flat(square)? }),
        })
    }

    fn host(&mut self) -> Result<&mut Moments> {
        if let Self::Device { .. } = self {
            *self = Self::Host(self.numbers()?.into_owned());
        }
        match self {
            Self::Host(moments) => Ok(moments),
            Self::Device { .. } => unreachable!("brought to the host above"),
        }
    }

    /// As tensors like `gradient`.
    fn device(&self, gradient: &Tensor) -> Result<(Tensor, Tensor)> {
        let like = |numbers: &[f32]| Tensor::from_slice(numbers, gradient.dims(), gradient.device());
        Ok(match self {
            Self::Host(moments) => (like(&moments.mean)?, like(&moments.square)?),
            Self::Device { mean, square } => (mean.clone(), square.clone()),
        })
    }
}

/// The numbers of one update that all parameters share, except `keep`.
pub(super) struct Step {
    pub(super) gradient_factor: f32,
    pub(super) keep: f32,
    pub(super) beta1: f32,
    pub(super) beta2: f32,
    pub(super) rate: f32,
    pub(super) square_correction: f32,
    pub(super) epsilon: f32,
}

impl Step {
    /// Changes the weights of a parameter that has a gradient, and its moments.
    pub(super) fn apply(&self, parameter: &Parameter, moments: &mut Held) -> Result<()> {
        if let Some(gradient) = parameter.device_gradient()? {
            return self.compose(parameter, &gradient, moments);
        }
        let moments = moments.host()?;
        parameter.update(|weights, gradient| self.run(weights, gradient, moments))?;
        Ok(())
    }

    fn run(&self, weights: &mut [f32], gradient: &[f32], moments: &mut Moments) {
        weights
            .par_chunks_mut(CHUNK)
            .zip(gradient.par_chunks(CHUNK))
            .zip(moments.mean.par_chunks_mut(CHUNK).zip(moments.square.par_chunks_mut(CHUNK)))
            .for_each(|((weights, gradient), (mean, square))| {
                let moments = mean.iter_mut().zip(square);
                let numbers = weights.iter_mut().zip(gradient).zip(moments);
                vectorised(
                    #[inline(always)]
                    || {
                        for ((weight, gradient), (mean, square)) in numbers {
                            let gradient = gradient * self.gradient_factor;
                            *mean += (1.0 - self.beta1) * (gradient - *mean);
                            *square = self.beta2 * *square + (1.0 - self.beta2) * gradient * gradient;
                            let root = (*square * self.square_correction).sqrt() + self.epsilon;
                            *weight = *weight * self.keep - self.rate * *mean / root;
                        }
                    },
                );
            });
    }

    fn compose(&self, parameter: &Parameter, gradient: &Tensor, moments: &mut Held) -> Result<()> {
        let gradient = (gradient * f64::from(self.gradient_factor))?;
        let (mean, square) = moments.device(&gradient)?;
        let mean = (&mean + ((&gradient - &mean)? * f64::from(1.0 - self.beta1))?)?;
        let kept = (square * f64::from(self.beta2))?;
        let square = (kept + (gradient.sqr()? * f64::from(1.0 - self.beta2))?)?;
        let root = ((&square * f64::from(self.square_correction))?.sqrt()? + f64::from(self.epsilon))?;
        let kept = (parameter.value() * f64::from(self.keep))?;
        parameter.set_value(&(kept - ((&mean / root)? * f64::from(self.rate))?)?)?;
        *moments = Held::Device { mean, square };
        Ok(())
    }
}
