//! Low-rank adapters (LoRA, arXiv 2106.09685) for every method.
//!
//! An adapted weight is `W = W0 + s B A`, with A `[rank, inputs]`, B `[outputs, rank]` and s = alpha / rank
//! (alpha / sqrt(rank) for rsLoRA). The model holds the merged W, so the forward pass is the one forward
//! pass. After backward, the chain rule turns the gradient of W into those of its two factors; the optimiser
//! moves them, and W is merged anew.
//!
//! GPT-2's checkpoints hold Wᵀ `[inputs, outputs]`. So the code speaks of the factors by their place,
//! `stored = W0 + s left right`: they are B and A, but for GPT-2, where they are Aᵀ and Bᵀ.

use super::optimiser::AdamW;
use super::settings::{at_least_one, field, positive};
use crate::error::{Error, Result, io};
use crate::model::{Family, Model, hub};
use crate::ops::Parameter;
use crate::rng::{Stream, stable_hash};
use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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

    /// Every target must name a module, and none an embedding: PEFT writes those in another form, and tied ones are
    /// the unembedding, too.
    fn refuse_unmatched(&self, model: &Model) -> Result<()> {
        let modules = || model.parameters().iter().filter_map(|parameter| module(parameter.name()));
        let lacking = |target: &&String| !modules().any(|(_, last)| last == target.as_str());
        let unmatched: Vec<&str> = self.targets.iter().filter(lacking).map(String::as_str).collect();
        if !unmatched.is_empty() {
            let known: BTreeSet<&str> = modules().map(|(_, last)| last).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(field("lora.targets", "names of modules of this model", unmatched.join(", "))
                .hint(format!("its modules are {known}")));
        }
        match self.targets.iter().find(|target| EMBEDDINGS.contains(&target.as_str())) {
            Some(embedding) => Err(field("lora.targets", "modules that multiply by a matrix", embedding)
                .hint("embeddings cannot be adapted; train all weights to change them")),
            None => Ok(()),
        }
    }

    fn scale(&self) -> f32 {
        let rank = self.rank as f64;
        (self.alpha / if self.rank_stabilised { rank.sqrt() } else { rank }) as f32
    }
}

/// Where the model is that adapters are for.
#[derive(Clone, Debug, PartialEq)]
pub enum BaseName {
    /// A folder, as a path that is absolute or begins in the adapter's own.
    Folder(PathBuf),
    /// A repository of the hub, `owner/name`, and its commit.
    Hub {
        /// `owner/name`.
        repository: String,
        /// The commit.
        commit: String,
    },
}

impl BaseName {
    /// What `--model NAME` is: `folder` is where it was found. `None` if it is itself an adapter, which no name of
    /// a base includes.
    ///
    /// # Errors
    /// If the folder does not exist, or the base of an adapter is not found.
    pub fn of(name: &str, folder: &Path) -> Result<Option<Self>> {
        if Model::base_of_adapter(folder)?.is_some() {
            return Ok(None);
        }
        let identity = hub::identity(name);
        if let Some((repository, commit)) = identity.as_deref().and_then(|identity| identity.split_once('@'))
        {
            return Ok(Some(Self::Hub { repository: repository.to_owned(), commit: commit.to_owned() }));
        }
        let whole = folder.canonicalize().map_err(|error| io("read", folder, error))?;
        Ok(Some(Self::Folder(whole)))
    }

    fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Hub { repository, .. } => repository.clone(),
        }
    }

    fn revision(&self) -> Option<&str> {
        match self {
            Self::Folder(_) => None,
            Self::Hub { commit, .. } => Some(commit),
        }
    }
}

/// The embeddings of tokens and positions, by the names that the families give them.
const EMBEDDINGS: [&str; 5] = ["embed_tokens", "embed_in", "embed_positions", "wte", "wpe"];

/// What training changes of a model: all of it, or adapters.
pub(super) struct Weights {
    pub(super) model: Model,
    lora: Option<(LoraSettings, Vec<Adapter>)>,
}

/// How a model holds its weights.
#[derive(Clone, Copy)]
struct Form {
    /// For tensor operations, on any device.
    composed: bool,
    /// As [inputs, outputs].
    transposed: bool,
}

struct Adapter {
    /// The adapted module, as in `model.layers.0.self_attn.q_proj`.
    module: String,
    weight: Parameter,
    original: Tensor,
    form: Form,
    columns: usize,
    /// [rows, rank]
    left: Parameter,
    /// [rank, columns]
    right: Parameter,
}

impl Weights {
    /// All of the model, or adapters on the modules that `lora` names; the rest is frozen until the drop.
    pub(super) fn new(model: &Model, lora: Option<&LoraSettings>, seed: u64) -> Result<Self> {
        let Some(settings) = lora else { return Ok(Self { model: model.clone(), lora: None }) };
        settings.check()?;
        let form =
            Form { composed: !model.compute().is_fused(), transposed: model.config().family == Family::Gpt2 };
        settings.refuse_unmatched(model)?;
        let mut adapters = Vec::new();
        for parameter in model.parameters().iter() {
            match target(parameter.name(), settings) {
                Some(module) => adapters.push(Adapter::new(module, parameter, form, settings, seed)?),
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
                adapters.iter().flat_map(|adapter| [adapter.left.clone(), adapter.right.clone()]).collect()
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

    /// Writes the adapters as PEFT does, if there are any; they name `base`.
    pub(super) fn save_adapter(&self, base: Option<&BaseName>, folder: &Path) -> Result<()> {
        let Some((settings, adapters)) = &self.lora else { return Ok(()) };
        std::fs::create_dir_all(folder).map_err(|error| io("create", folder, error))?;
        let config = json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base.map(BaseName::name),
            "revision": base.and_then(BaseName::revision),
            "r": settings.rank,
            "lora_alpha": settings.alpha,
            "use_rslora": settings.rank_stabilised,
            "lora_dropout": 0.0,
            "target_modules": settings.targets,
            "bias": "none",
            "fan_in_fan_out": adapters.iter().all(|adapter| adapter.form.transposed),
            "inference_mode": true,
        });
        let text = serde_json::to_string_pretty(&config).map_err(|error| {
            Error::work(format!("the adapter's configuration cannot be written: {error}"))
        })?;
        let path = folder.join("adapter_config.json");
        std::fs::write(&path, text).map_err(|error| io("write", &path, error))?;
        let mut tensors = Vec::new();
        for adapter in adapters {
            let (a, b) = adapter.as_published()?;
            let name = |part| format!("base_model.model.{}.{part}.weight", adapter.module);
            tensors.extend([(name("lora_A"), a), (name("lora_B"), b)]);
        }
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
    let (module, last) = module(parameter)?;
    settings.targets.iter().any(|target| target == last).then_some(module)
}

/// The module that a weight belongs to, and the last part of its name.
fn module(parameter: &str) -> Option<(&str, &str)> {
    let module = parameter.strip_suffix(".weight")?;
    Some((module, module.rsplit('.').next()?))
}

impl Adapter {
    /// An adapter that changes nothing yet: A is drawn, B is zero.
    fn new(module: &str, weight: &Parameter, form: Form, settings: &LoraSettings, seed: u64) -> Result<Self> {
        let dims = weight.dims();
        let &[rows, columns] = dims.as_slice() else {
            return Err(field("lora.targets", "matrices", format!("`{module}` of shape {dims:?}")));
        };
        let inputs = if form.transposed { rows } else { columns };
        let bound = (inputs as f32).sqrt().recip();
        let mut stream = Stream::new(seed, "training/lora", &[stable_hash(module)]);
        let mut factor = |place: &str, dims: [usize; 2], is_drawn: bool| {
            let mut number = || if is_drawn { (2.0 * stream.uniform() - 1.0) * bound } else { 0.0 };
            let numbers: Vec<f32> = (0..dims[0] * dims[1]).map(|_| number()).collect();
            let tensor = Tensor::from_vec(numbers, &dims, weight.value().device())?;
            Parameter::new(format!("{module}.{place}"), &tensor)
        };
        Ok(Self {
            module: module.to_owned(),
            weight: weight.clone(),
            original: weight.value().copy()?,
            form,
            columns,
            left: factor("left", [rows, settings.rank], form.transposed)?,
            right: factor("right", [settings.rank, columns], !form.transposed)?,
        })
    }

    /// A [rank, inputs] and B [outputs, rank].
    fn as_published(&self) -> Result<(Tensor, Tensor)> {
        let (left, right) = (self.left.value(), self.right.value());
        Ok(match self.form.transposed {
            true => (left.t()?.contiguous()?, right.t()?.contiguous()?),
            false => (right, left),
        })
    }

    /// Turns the gradient of the merged weight into those of its factors: `s dW rightᵀ` and `s leftᵀ dW`.
    fn take_gradient(&self, scale: f32) -> Result<()> {
        if let Some(gradient) = self.weight.device_gradient()? {
            let scaled = (gradient * f64::from(scale))?;
            self.weight.zero_gradient();
            self.right.accumulate_tensor(&self.left.value().t()?.matmul(&scaled)?)?;
            return self.left.accumulate_tensor(&scaled.matmul(&self.right.value().t()?)?);
        }
        let (left, right) = self.factors()?;
        let columns = self.columns;
        let rank = right.len() / columns;
        let products = self.weight.with_gradient(|gradient| {
            let of_left: Vec<f32> = gradient
                .par_chunks(columns)
                .flat_map_iter(|row| {
                    let dot = |other: &[f32]| scale * row.iter().zip(other).map(|(x, y)| x * y).sum::<f32>();
                    right.chunks(columns).map(dot).collect::<Vec<_>>()
                })
                .collect();
            let of_right: Vec<f32> = (0..rank)
                .into_par_iter()
                .flat_map_iter(|index| {
                    let mut total = vec![0f32; columns];
                    for (row, left) in gradient.chunks(columns).zip(left.chunks(rank)) {
                        let factor = scale * left[index];
                        total.iter_mut().zip(row).for_each(|(total, value)| *total += factor * value);
                    }
                    total
                })
                .collect();
            (of_left, of_right)
        })?;
        let Some((of_left, of_right)) = products else {
            return Err(Error::work(format!("parameter `{}` got no gradient", self.weight.name())));
        };
        self.weight.zero_gradient();
        self.left.accumulate(|buffer, _| buffer.copy_from_slice(&of_left));
        self.right.accumulate(|buffer, _| buffer.copy_from_slice(&of_right));
        Ok(())
    }

    fn merge(&self, scale: f32) -> Result<()> {
        if self.form.composed {
            let added = (self.left.value().matmul(&self.right.value())? * f64::from(scale))?;
            return self.weight.set_value(&(&self.original + added)?);
        }
        let (left, right) = self.factors()?;
        let columns = self.columns;
        let mut merged = self.original.flatten_all()?.to_vec1::<f32>()?;
        merged.par_chunks_mut(columns).zip(left.par_chunks(right.len() / columns)).for_each(|(row, left)| {
            for (right, left) in right.chunks(columns).zip(left) {
                let factor = scale * left;
                row.iter_mut().zip(right).for_each(|(weight, right)| *weight += factor * right);
            }
        });
        self.weight.set_value(&Tensor::from_vec(merged, self.weight.dims(), self.original.device())?)
    }

    fn factors(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        Ok((self.left.value().flatten_all()?.to_vec1()?, self.right.value().flatten_all()?.to_vec1()?))
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
        for (composed, transposed) in [(false, false), (true, false), (false, true)] {
            gradients_follow(&weight, &settings, Form { composed, transposed });
        }
    }

    fn gradients_follow(weight: &Parameter, settings: &LoraSettings, form: Form) {
        let adapter = Adapter::new("m.q_proj", weight, form, settings, 1).unwrap();
        let merged = || {
            adapter.merge(settings.scale()).unwrap();
            weight.value().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(merged(), adapter.original.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        let (_, b) = adapter.as_published().unwrap();
        assert_eq!(b.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap(), 0.0, "B starts at zero");
        let numbers = |count: usize| (0..count).map(|index| (index as f32 + 0.7).sin()).collect();
        for factor in [&adapter.left, &adapter.right] {
            let drawn = Tensor::from_vec(numbers(factor.elements()), factor.dims(), &Device::Cpu).unwrap();
            factor.set_value(&drawn).unwrap();
        }
        let slopes = [1f32, -2.0, 0.5, 3.0, 0.25, -1.0];
        let value =
            || merged().iter().zip(slopes).map(|(weight, slope)| f64::from(weight * slope)).sum::<f64>();
        match form.composed {
            false => weight.accumulate(|buffer, _| buffer.copy_from_slice(&slopes)),
            true => {
                let slopes = Tensor::from_slice(&slopes, (2, 3), &Device::Cpu).unwrap();
                weight.accumulate_tensor(&slopes).unwrap();
            }
        }
        adapter.take_gradient(settings.scale()).unwrap();
        for factor in [&adapter.left, &adapter.right] {
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
        weight.set_value(&adapter.original).unwrap();
    }

    #[test]
    fn a_base_is_named_unless_it_is_an_adapter() -> Result<()> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let (base, adapter) = (fixtures.join("models/llama"), fixtures.join("adapters/lora-llama"));
        let named = |folder: &Path| BaseName::of(&folder.display().to_string(), folder);
        assert_eq!(named(&base)?, Some(BaseName::Folder(base.canonicalize().unwrap())));
        assert_eq!(named(&adapter)?, None);
        let hub = BaseName::Hub { repository: "owner/tiny".to_owned(), commit: "c0ffee".to_owned() };
        assert_eq!((hub.name().as_str(), hub.revision()), ("owner/tiny", Some("c0ffee")));
        Ok(())
    }

    /// Every way to store a weight: rows, fused rows, GPT-2's columns, the heads of GPT-NeoX side by side.
    #[test]
    fn a_written_adapter_reads_back_as_what_was_trained() -> Result<()> {
        for (fixture, targets) in [
            ("models/llama", ["q_proj", "down_proj"]),
            ("options/phi3-partial", ["qkv_proj", "gate_up_proj"]),
            ("options/gpt2-inner", ["c_attn", "c_fc"]),
            ("options/neox-sequential", ["query_key_value", "dense"]),
        ] {
            let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
            let load = || Model::load(&fixture, &Device::Cpu);
            let (trained, base) = (load()?, load()?);
            let targets = targets.map(str::to_owned).to_vec();
            let settings = LoraSettings { rank: 3, alpha: 5.0, targets, ..LoraSettings::default() };
            let weights = Weights::new(&trained, Some(&settings), 1)?;
            for factor in weights.parameters() {
                let numbers = (0..factor.elements()).map(|index| (index as f32).sin()).collect();
                factor.set_value(&Tensor::from_vec(numbers, factor.dims(), &Device::Cpu)?)?;
            }
            weights.merge()?;
            let folder = tempfile::tempdir().unwrap();
            weights.save_adapter(Some(&BaseName::Folder(fixture.clone())), folder.path())?;
            // The folder of the adapter is a model by itself.
            let read = Model::load(folder.path(), &Device::Cpu)?.merged()?;
            let mut moved = 0;
            for (parameter, before) in trained.parameters().iter().zip(base.parameters().iter()) {
                let most = |other: &Tensor| -> Result<f32> {
                    Ok((parameter.value() - other)?.abs()?.max_all()?.to_scalar::<f32>()?)
                };
                let found = read.parameters().get(parameter.name()).unwrap().value();
                assert!(most(&found)? < 1e-5, "{} of {}", parameter.name(), fixture.display());
                moved += usize::from(most(&before.value())? > 1e-3);
            }
            assert_eq!(moved, 2 * trained.config().layers(), "{}", fixture.display());
        }
        Ok(())
    }
}
