//! Fresh weights: embedding N(0, 0.02), projections N(0, 1/√inputs), the two projections that write into
//! the residual stream a further 1/√(2 · blocks); norm weights neutral, biases zero.

use super::build::{Role, Source};
use super::config::Config;
use crate::error::Result;
use crate::ops::Parameter;
use crate::rng::{Stream, stable_hash};
use candle_core::{Device, Tensor};

/// Draws each parameter from a stream keyed by its name, so that adding one changes no other.
pub(super) struct Initialiser {
    seed: u64,
    layers: usize,
    norm_offset: f32,
    device: Device,
}

impl Initialiser {
    pub(super) fn new(config: &Config, seed: u64, device: &Device) -> Self {
        Self { seed, layers: config.layers(), norm_offset: config.norm_offset, device: device.clone() }
    }
}

impl Source for Initialiser {
    fn parameter(&mut self, name: &str, dims: &[usize], role: Role) -> Result<Parameter> {
        let count = dims.iter().product();
        let deviation = match role {
            Role::Embedding => 0.02,
            Role::Projection { inputs } => 1.0 / (inputs as f32).sqrt(),
            Role::ResidualProjection { inputs } => 1.0 / (inputs as f32 * 2.0 * self.layers as f32).sqrt(),
            Role::Norm | Role::Bias => 0.0,
        };
        let neutral = if role == Role::Norm { 1.0 - self.norm_offset } else { 0.0 };
        let values: Vec<f32> = if deviation > 0.0 {
            let mut stream = Stream::new(self.seed, "initialise", &[stable_hash(name)]);
            (0..count).map(|_| stream.normal() * deviation).collect()
        } else {
            vec![neutral; count]
        };
        Parameter::new(name, &Tensor::from_vec(values, dims, &self.device)?)
    }
}
