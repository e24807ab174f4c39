//! Low-rank adapters (LoRA, arXiv 2106.09685) for every method.
//!
//! An adapted weight is `W = W0 + s B A`, with A `[rank, inputs]`, B `[outputs, rank]` and s = alpha / rank
//! (alpha / sqrt(rank) for rsLoRA). The model holds the merged W, so the forward pass is the one forward
//! pass. After backward, the chain rule turns the gradient of W into those of A and B,
//! `dB = s dW A^T` and `dA = s B^T dW`; the optimiser moves A and B, and W is merged anew.

use super::optimiser::AdamW;
use super::settings::{at_least_one, field, positive};
use crate::error::{Error, Result, io};
use crate::model::Model;
use crate::ops::Parameter;
use crate::rng::{Stream, stable_hash};
use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;

/// Which weights are adapted, and by how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraSettings {
    /// Width of the bottleneck.
    pub rank: usize,
    /// The adapters' scale times the rank.
    pub alpha: f64,
    /// Scale by `alpha / sqrt(rank)` instead of `alpha / rank` (rsLoRA).
    pub rank_stabilised: bool,
    /// The last part of the adapted modules' names, as PEFT's `target_modules`.
    pub targets: Vec<String>,
}

impl Default for LoraSettings {
    fn default() -> Self {
        let targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
        Self { rank: 8, alpha: 16.0, rank_stabilised: false, targets: targets.map(str::to_owned).to_vec() }
    }
}

impl LoraSettings {
    pub(super) fn check(&self) -> Result<()> {
        at_least_one("lora.rank", self.rank)?;
        positive("lora.alpha", self.alpha)?;
        match self.targets.is_empty() {
            true => Err(field("lora.targets", "at least one module name", "none")),
            false => Ok(()),
        }
    }

    fn scale(&self) -> f32 {
        let rank = self.rank as f64;
        (self.alpha / if self.rank_stabilised { rank.sqrt() } else { rank }) as f32
    }
}

/// What training changes of a model: all of it, or adapters.
pub(super) struct Weights {
    pub(super) model: Model,
    lora: Option<(LoraSettings, Vec<Adapter>)>,
}

struct Adapter {
    /// The adapted module, as in `model.layers.0.self_attn.q_proj`.
    module: String,
    weight: Parameter,
    original: Tensor,
    /// Whether the model computes in tensor operations, on any device.
    composed: bool,
    inputs: usize,
    a: Parameter,
    b: Parameter,
}

impl Weights {
    /// All of the model, or adapters on the modules that `lora` names; the rest is frozen until the drop.
    pub(super) fn new(model: &Model, lora: Option<&LoraSettings>, seed: u64) -> Result<Self> {
        let Some(settings) = lora else { return Ok(Self { model: model.clone(), lora: None }) };
        settings.check()?;
        let composed = !model.compute().is_fused();
        let mut adapters = Vec::new();
        for parameter in model.parameters().iter() {
            match target(parameter.name(), settings) {
                Some(module) => adapters.push(Adapter::new(module, parameter, settings, seed, composed)?),
                None => parameter.set_trainable(false),
            }
        }
        let weights = Self { model: model.clone(), lora: Some((settings.clone(), adapters)) };
        match weights.parameters().is_empty() {
            false => Ok(weights),
            true => Err(field("lora.targets", "names of modules of this model", settings.targets.join(", "))),
        }
    }

    pub(super) fn parameters(&self) -> Vec<Parameter> {
        match &self.lora {
            None => self.model.parameters().iter().cloned().collect(),
            Some((_, adapters)) => {
                adapters.iter().flat_map(|adapter| [adapter.a.clone(), adapter.b.clone()]).collect()
            }
        }
    }

    /// One update of these weights and `others`. See [`AdamW::update`].
    pub(super) fn update(
        &self,
        optimiser: &mut AdamW,
        others: &[Parameter],
        rate: f64,
        scale: f64,
    ) -> Result<f64> {
        if let Some((settings, adapters)) = &self.lora {
            adapters.iter().try_for_each(|adapter| adapter.take_gradient(settings.scale()))?;
        }
        let parameters = [self.parameters().as_slice(), others].concat();
        let norm = optimiser.update(&parameters, rate, scale)?;
        self.merge()?;
        Ok(norm)
    }

    /// Makes the model's weights those that the adapters say.
    pub(super) fn merge(&self) -> Result<()> {
        match &self.lora {
            None => Ok(()),
            Some((settings, adapters)) => {
                adapters.iter().try_for_each(|adapter| adapter.merge(settings.scale()))
            }
        }
    }

    /// Writes the adapters as PEFT does, if there are any.
    pub(super) fn save_adapter(&self, folder: &Path) -> Result<()> {
        let Some((settings, adapters)) = &self.lora else { return Ok(()) };
        std::fs::create_dir_all(folder).map_err(|error| io("create", folder, error))?;
        let config = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": null,
            "r": settings.rank,
            "lora_alpha": settings.alpha,
            "use_rslora": settings.rank_stabilised,
            "lora_dropout": 0.0,
            "target_modules": settings.targets,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
        });
        let text = serde_json::to_string_pretty(&config).map_err(|error| {
            Error::work(format!("the adapter's configuration cannot be written: {error}"))
        })?;
        let path = folder.join("adapter_config.json");
        std::fs::write(&path, text).map_err(|error| io("write", &path, error))?;
        let tensors = adapters
            .iter()
            .flat_map(|adapter| {
                let name = |part| format!("base_model.model.{}.{part}.weight", adapter.module);
                [(name("lora_A"), adapter.a.value()), (name("lora_B"), adapter.b.value())]
            })
            .collect::<Vec<_>>();
        let path = folder.join("adapter_model.safetensors");
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        safetensors::serialize_to_file(tensors, Some(metadata), &path)
            .map_err(|error| Error::work(format!("cannot write {}: {error}", path.display())))
    }
}

impl Drop for Weights {
    fn drop(&mut self) {
        if self.lora.is_some() {
            self.model.parameters().iter().for_each(|parameter| parameter.set_trainable(true));
        }
    }
}

/// The module of a weight that the settings name.
fn target<'a>(parameter: &'a str, settings: &LoraSettings) -> Option<&'a str> {
    let module = parameter.strip_suffix(".weight")?;
    let last = module.rsplit('.').next()?;
    settings.targets.iter().any(|target| target == last).then_some(module)
}

impl Adapter {
    fn new(
        module: &str,
        weight: &Parameter,
        settings: &LoraSettings,
        seed: u64,
        composed: bool,
    ) -> Result<Self> {
        let dims = weight.dims();
        let &[outputs, inputs] = dims.as_slice() else {
            return Err(field("lora.targets", "matrices", format!("`{module}` of shape {dims:?}")));
        };
        let bound = (inputs as f32).sqrt().recip();
        let mut stream = Stream::new(seed, "training/lora", &[stable_hash(module)]);
        let drawn: Vec<f32> =
            (0..settings.rank * inputs).map(|_| (2.0 * stream.uniform() - 1.0) * bound).collect();
        let parameter = |part: &str, values: Vec<f32>, dims: [usize; 2]| {
            Parameter::new(
                format!("{module}.{part}"),
                &Tensor::from_vec(values, &dims, weight.value().device())?,
            )
        };
        Ok(Self {
            module: module.to_owned(),
            weight: weight.clone(),
            original: weight.value().copy()?,
            composed,
            inputs,
            a: parameter("lora_A", drawn, [settings.rank, inputs])?,
            b: parameter("lora_B", vec![0.0; outputs * settings.rank], [outputs, settings.rank])?,
        })
    }

    /// Turns the gradient of the merged weight into those of A and B.
    fn take_gradient(&self, scale: f32) -> Result<()> {
        if let Some(gradient) = self.weight.device_gradient()? {
            let scaled = (gradient * f64::from(scale))?;
            self.weight.zero_gradient();
            self.a.accumulate_tensor(&self.b.value().t()?.matmul(&scaled)?)?;
            return self.b.accumulate_tensor(&scaled.matmul(&self.a.value().t()?)?);
        }
        let (a, b) = self.factors()?;
        let inputs = self.inputs;
        let rank = a.len() / inputs;
        let products = self.weight.with_gradient(|gradient| {
            let of_b: Vec<f32> = gradient
                .par_chunks(inputs)
                .flat_map_iter(|row| {
                    let dot = |a: &[f32]| scale * row.iter().zip(a).map(|(row, a)| row * a).sum::<f32>();
                    a.chunks(inputs).map(dot).collect::<Vec<_>>()
                })
                .collect();
            let of_a: Vec<f32> = (0..rank)
                .into_par_iter()
                .flat_map_iter(|index| {
                    let mut total = vec![0f32; inputs];
                    for (row, b) in gradient.chunks(inputs).zip(b.chunks(rank)) {
                        let factor = scale * b[index];
                        total.iter_mut().zip(row).for_each(|(total, value)| *total += factor * value);
                    }
                    total
                })
                .collect();
            (of_a, of_b)
        })?;
        let Some((of_a, of_b)) = products else {
            return Err(Error::work(format!("parameter `{}` got no gradient", self.weight.name())));
        };
        self.weight.zero_gradient();
        self.a.accumulate(|buffer, _| buffer.copy_from_slice(&of_a));
        self.b.accumulate(|buffer, _| buffer.copy_from_slice(&of_b));
        Ok(())
    }

    fn merge(&self, scale: f32) -> Result<()> {
        if self.composed {
            let added = (self.b.value().matmul(&self.a.value())? * f64::from(scale))?;
            return self.weight.set_value(&(&self.original + added)?);
        }
        let (a, b) = self.factors()?;
        let inputs = self.inputs;
        let mut merged = self.original.flatten_all()?.to_vec1::<f32>()?;
        merged.par_chunks_mut(inputs).zip(b.par_chunks(a.len() / inputs)).for_each(|(row, b)| {
            for (a, b) in a.chunks(inputs).zip(b) {
                let factor = scale * b;
                row.iter_mut().zip(a).for_each(|(weight, a)| *weight += factor * a);
            }
        });
        self.weight.set_value(&Tensor::from_vec(merged, self.weight.dims(), self.original.device())?)
    }

    fn factors(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok((self.a.value().flatten_all()?.to_vec1()?, self.b.value().flatten_all()?.to_vec1()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// `f(W) = sum(C . W)` has the gradient C, so the chain rule can be checked by finite differences.
    #[test]
    fn gradients_of_the_factors_are_those_of_the_merged_weight() {
        let settings = LoraSettings { rank: 2, alpha: 3.0, ..LoraSettings::default() };
        let tensor = Tensor::new(&[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu).unwrap();
        let weight = Parameter::new("m.q_proj.weight", &tensor).unwrap();
        gradients_follow(&weight, &settings, false);
        gradients_follow(&weight, &settings, true);
    }

    fn gradients_follow(weight: &Parameter, settings: &LoraSettings, composed: bool) {
        let adapter = Adapter::new("m.q_proj", weight, settings, 1, composed).unwrap();
        let b = Tensor::new(&[[0.5f32, -1.0], [2.0, 0.25]], &Device::Cpu).unwrap();
        adapter.b.set_value(&b).unwrap();
        let slopes = [1f32, -2.0, 0.5, 3.0, 0.25, -1.0];
        let value = || {
            adapter.merge(settings.scale()).unwrap();
            let merged = weight.value().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            merged.iter().zip(slopes).map(|(weight, slope)| f64::from(weight * slope)).sum::<f64>()
        };
        match composed {
            false => weight.accumulate(|buffer, _| buffer.copy_from_slice(&slopes)),
            true => {
                let slopes = Tensor::from_slice(&slopes, (2, 3), &Device::Cpu).unwrap();
                weight.accumulate_tensor(&slopes).unwrap();
            }
        }
        adapter.take_gradient(settings.scale()).unwrap();
        for factor in [&adapter.a, &adapter.b] {
            let gradient =
                factor.gradient().unwrap().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let start = factor.value().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (index, gradient) in gradient.iter().enumerate() {
                let at = |step: f32| {
                    let mut moved = start.clone();
                    moved[index] += step;
                    factor.set_value(&Tensor::from_vec(moved, factor.dims(), &Device::Cpu).unwrap()).unwrap();
                    value()
                };
                let slope = (at(0.5) - at(-0.5)) as f32;
                factor
                    .set_value(&Tensor::from_vec(start.clone(), factor.dims(), &Device::Cpu).unwrap())
                    .unwrap();
                assert!((slope - gradient).abs() < 1e-3, "{slope} {gradient}");
            }
        }
    }
}
