//! The heavy arithmetic of a step in tensor operations, for any device: what [`super::trainer`] does on flat buffers.
//!
//! Encoder and decoder, with their moments, stay on the device. What is dense there is what is dense on the host: the
//! products of inputs and encoder, and Adam. Decoding and the gradients of encoder and decoder rows touch active
//! features alone ([`sparse`]), and so need no tensor [tokens, features] beside the products.
//!
//! Features are chosen on the host, by the recipes that choose there for the CPU: of the products, the device hands
//! over those above their bounds. For the kinds that keep the largest these are few, once a cut is known; an L1 or
//! gated dictionary takes all that are positive, at the beginning half of the products.

#[cfg(feature = "cuda")]
mod kernels;
mod reconstruct;
mod roles;
mod sparse;
#[cfg(test)]
mod tests;
mod update;

pub(super) use reconstruct::Task;
pub(super) use update::{Constraints, Entries};

use super::super::kinds::{Candidate, Chosen, Recipe, View};
use super::adam::{Adam, BETA_1, BETA_2, EPSILON, Parameter};
use super::scan::{Burial, Dead, bury};
use super::trainer::State;
use crate::error::{Error, Result};
use candle_core::{Device, Tensor};

/// Products that are made at once: more tokens are encoded in turns.
const PRODUCTS: usize = 1 << 28;

/// Encoder and decoder of a fit, away from the host.
pub(super) struct OnDevice {
    device: Device,
    encoder: Moved,
    decoder: Moved,
}

/// A parameter [features, width] with its moments.
struct Moved {
    value: Tensor,
    first: Tensor,
    second: Tensor,
}

impl Moved {
    fn new(parameter: &Parameter, features: usize, device: &Device) -> Result<Self> {
        let tensor = |numbers: &[f32]| -> Result<Tensor> {
            Ok(Tensor::from_slice(numbers, (features, numbers.len() / features), device)?)
        };
        Ok(Self {
            value: tensor(&parameter.value)?,
            first: tensor(&parameter.first)?,
            second: tensor(&parameter.second)?,
        })
    }

    fn back(&self) -> Result<Parameter> {
        let numbers = |tensor: &Tensor| -> Result<Vec<f32>> { Ok(tensor.flatten_all()?.to_vec1()?) };
        Ok(Parameter {
            value: numbers(&self.value)?,
            first: numbers(&self.first)?,
            second: numbers(&self.second)?,
        })
    }

    /// Dense Adam, as [`Adam::update`].
    fn update(&mut self, adam: &Adam, gradient: &Tensor) -> Result<()> {
        let [beta_1, beta_2] = [BETA_1, BETA_2].map(f64::from);
        self.first = ((&self.first * beta_1)? + (gradient * (1.0 - beta_1))?)?;
        self.second = ((&self.second * beta_2)? + (gradient.sqr()? * (1.0 - beta_2))?)?;
        let spread = ((&self.second * f64::from(adam.second_correction))?.sqrt()? + f64::from(EPSILON))?;
        self.value = (&self.value - (self.first.div(&spread)? * f64::from(adam.rate))?)?;
        Ok(())
    }
}

impl OnDevice {
    pub(super) fn new(state: &State, features: usize, device: &Device) -> Result<Self> {
        Ok(Self {
            device: device.clone(),
            encoder: Moved::new(&state.encoder, features, device)?,
            decoder: Moved::new(&state.decoder, features, device)?,
        })
    }

    /// Where it is.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Brings the parameters and their moments to the host.
    pub(super) fn bring_back(&self, state: &mut State) -> Result<()> {
        state.encoder = self.encoder.back()?;
        state.decoder = self.decoder.back()?;
        Ok(())
    }

    /// Rows of a step, [tokens, width].
    pub(super) fn rows(&self, numbers: &[f32], width: usize) -> Result<Tensor> {
        Ok(Tensor::from_slice(numbers, (numbers.len() / width, width), &self.device)?)
    }

    /// Per feature, the norms of its decoders added up.
    pub(super) fn decoder_norms(&self, d: usize) -> Result<Vec<f32>> {
        Ok(norms(&self.decoder.value, d)?.sum((1, 2))?.to_vec1()?)
    }

    /// Encodes `inputs` and lets the recipe choose. See [`super::scan::choose`].
    pub(super) fn choose(
        &self,
        recipe: &dyn Recipe,
        view: &View<'_>,
        inputs: &Tensor,
        burial: &Burial<'_>,
    ) -> Result<(Chosen, Vec<Dead>)> {
        let (tokens, features) = (inputs.dim(0)?, view.bias.len());
        for patient in [view.last_cut <= 0.0, true] {
            let bounds = Tensor::from_vec(recipe.bounds(view, patient), features, &self.device)?;
            let (mut rows, mut dead) = (Vec::with_capacity(tokens), Vec::with_capacity(tokens));
            for (first, count) in turns(tokens, features) {
                let products = inputs.narrow(0, first, count)?.matmul(&self.encoder.value.t()?)?;
                let found = sparse::above(&products, &bounds)?;
                let candidate =
                    |(feature, product): (&u32, &f32)| Candidate { feature: *feature, product: *product };
                rows.extend(found.rows().map(|(features, products)| {
                    features.iter().zip(products).map(candidate).collect::<Vec<_>>()
                }));
                dead.extend(self.buried(&products, view.bias, burial)?);
            }
            if let Some(chosen) = recipe.choose(view, rows, patient) {
                return Ok((chosen, dead));
            }
        }
        Err(Error::work("a recipe did not choose from patient bounds"))
    }

    /// Per token of a block, the dead features that would fire most strongly.
    fn buried(&self, products: &Tensor, bias: &[f32], burial: &Burial<'_>) -> Result<Vec<Dead>> {
        let count = burial.dead.len();
        if count == 0 {
            return Ok(vec![Vec::new(); products.dim(0)?]);
        }
        let dead = Tensor::from_slice(burial.dead, count, &self.device)?;
        let products: Vec<f32> = products.index_select(&dead, 1)?.flatten_all()?.to_vec1()?;
        let of_token = |products: &[f32]| {
            let pre = burial.dead.iter().zip(products);
            bury(pre.map(|(feature, product)| (*feature, product + bias[*feature as usize])), burial.keep)
        };
        Ok(products.chunks_exact(count).map(of_token).collect())
    }
}

/// The norm of each output's decoder, [features, outputs, 1].
fn norms(decoder: &Tensor, d: usize) -> Result<Tensor> {
    let (features, width) = decoder.dims2()?;
    Ok(decoder.reshape((features, width / d, d))?.sqr()?.sum_keepdim(2)?.sqrt()?)
}

/// (first, count) of the tokens that are encoded at a time.
fn turns(tokens: usize, features: usize) -> impl Iterator<Item = (usize, usize)> {
    let most = (PRODUCTS / features.max(1)).clamp(1, tokens.max(1));
    (0..tokens).step_by(most).map(move |first| (first, most.min(tokens - first)))
}
