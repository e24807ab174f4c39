//! PEFT LoRA adapters: `y = x Wᵀ + scale · (x Aᵀ) Bᵀ`, applied beside the weights or merged into them.

use super::build::Block;
use super::{Model, weights};
use crate::error::{At, Error, Result, io};
use crate::ops::Parameter;
use crate::ops::linear::{Adapter, Linear};
use candle_core::{Device, Tensor};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

const CONFIG: &str = "adapter_config.json";

/// Keys of `adapter_config.json` that change the numbers and that we do not do: they must be null, false
/// or empty.
const REFUSED: [&str; 20] = [
    "alora_invocation_tokens",
    "alpha_pattern",
    "arrow_config",
    "bdlora_config",
    "corda_config",
    "eva_config",
    "kasa_config",
    "layer_replication",
    "loftq_config",
    "lora_bias",
    "megatron_config",
    "modules_to_save",
    "monteclora_config",
    "rank_pattern",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
];

/// The tensors of an adapter by module.
struct Adapters {
    scale: f32,
    tensors: weights::Tensors,
}

impl Model {
    /// The folder of the base that the adapter in `folder` is for; `None` if no adapter is there alone.
    ///
    /// `base_model_name_or_path` is a folder, seen from here, from the adapter or from the folder that the
    /// adapter is in, or a name on the hub, whose `revision` counts.
    ///
    /// # Errors
    /// If the base is not found.
    pub fn base_of_adapter(folder: &Path) -> Result<Option<PathBuf>> {
        let path = folder.join(CONFIG);
        if folder.join("config.json").exists() || !path.exists() {
            return Ok(None);
        }
        let document = super::tokenizer::optional_object(&path)?;
        let text = |key: &str| document.get(key)?.as_str().filter(|text| !text.is_empty());
        let Some(base) = text("base_model_name_or_path") else {
            return Err(Error::request("field `base_model_name_or_path`: expected the adapter's base")
                .hint("name its folder, or its name on the hub, in adapter_config.json")
                .at(path.display()));
        };
        let beside = [Some(folder), folder.parent()].into_iter().flatten().map(|place| place.join(base));
        let found = std::iter::once(PathBuf::from(base)).chain(beside).find(|base| base.is_dir());
        if found.is_some() {
            return Ok(found);
        }
        let name = text("revision").map_or_else(|| base.to_owned(), |revision| format!("{base}@{revision}"));
        super::hub::find(&name).at("field `base_model_name_or_path`").at(path.display()).map(Some)
    }

    /// A copy of this model with a PEFT LoRA adapter beside its weights. The adapter's parameters can be
    /// trained; all others are frozen.
    ///
    /// # Errors
    /// If the adapter is of another kind, a setting is not supported, or a module does not exist here.
    pub fn with_adapter(&self, folder: &Path) -> Result<Self> {
        let mut adapters = Adapters::load(folder, self.device()).at(folder.display())?;
        let mut model = self.copy()?;
        model.parameters().iter().for_each(|parameter| parameter.set_trainable(false));
        model.attach(&mut adapters).at(folder.display())?;
        match adapters.tensors.keys().next() {
            None => Ok(model),
            Some(name) => Err(Error::request(format!(
                "tensor `{name}` of the adapter belongs to no module of a {} model",
                self.config().family.model_type()
            ))
            .at(folder.display())),
        }
    }

    /// This model with all that it is in its weights, for what reads or trains those: itself, or
    /// [`Model::merged`] where an adapter is beside them.
    ///
    /// # Errors
    /// If a tensor cannot be made.
    pub fn into_merged(self) -> Result<Self> {
        if self.has_adapter() { self.merged() } else { Ok(self) }
    }

    /// A copy of this model with its adapter added into the weights; all parameters can be trained.
    ///
    /// # Errors
    /// If a tensor cannot be made.
    pub fn merged(&self) -> Result<Self> {
        let model = self.copy_without_adapter()?;
        let mut done: Vec<&str> = Vec::new();
        for linear in self.inner.decoder.blocks.iter().flat_map(Block::linears) {
            let Some(adapter) = linear.adapter.as_ref().filter(|_| !done.contains(&linear.weight.name()))
            else {
                continue;
            };
            done.push(linear.weight.name());
            if let Some(weight) = model.parameters().get(linear.weight.name()) {
                weight.set_value(&(weight.value() + linear.delta(adapter)?)?)?;
            }
        }
        model.parameters().iter().for_each(|parameter| parameter.set_trainable(true));
        Ok(model)
    }
}

impl Adapters {
    fn load(folder: &Path, device: &Device) -> Result<Self> {
        let path = folder.join(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(|error| io("read", &path, error))?;
        let config: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|error| Error::request(format!("expected a JSON object: {error}")))?;
        let found = |key: &str| config.get(key).unwrap_or(&Value::Null);
        let refused = |key: &str| Error::request(format!("field `{key}`: {} is not supported", found(key)));
        if found("peft_type") != "LORA" {
            return Err(refused("peft_type"));
        }
        if !matches!(found("bias"), Value::Null) && found("bias") != "none" {
            return Err(refused("bias"));
        }
        for key in REFUSED {
            let is_off = match found(key) {
                Value::Null | Value::Bool(false) => true,
                Value::Object(inner) => inner.is_empty(),
                Value::Array(inner) => inner.is_empty(),
                _ => false,
            };
            if !is_off {
                return Err(refused(key));
            }
        }
        // Others change the base when PEFT loads the adapter: they take the first product of its halves from it.
        match found("init_lora_weights") {
            Value::Null | Value::Bool(_) => {}
            Value::String(name) if ["gaussian", "orthogonal"].contains(&name.to_lowercase().as_str()) => {}
            _ => {
                return Err(refused("init_lora_weights").hint(
                    "convert it into a plain adapter: in PEFT, save_pretrained with \
                     path_initial_model_for_weight_conversion",
                ));
            }
        }
        let number = |key: &str| {
            found(key).as_f64().filter(|number| *number > 0.0).ok_or_else(|| {
                Error::request(format!("field `{key}`: expected a positive number, found {}", found(key)))
            })
        };
        let (rank, alpha) = (number("r")?, number("lora_alpha")?);
        let rank_stabilised = found("use_rslora").as_bool().unwrap_or(false);
        let scale = if rank_stabilised { alpha / rank.sqrt() } else { alpha / rank };
        let tensors = weights::load_file(&folder.join("adapter_model.safetensors"), device)?;
        Ok(Self { scale: scale as f32, tensors })
    }

    /// The adapter of the module that holds `weight` [total, inputs], if there is one.
    fn take(&mut self, linear: &Linear) -> Result<Option<Adapter>> {
        let Some(module) = linear.weight.name().strip_suffix(".weight") else { return Ok(None) };
        let mut one = |half: &str| -> Result<Option<(String, Tensor)>> {
            let name = format!("base_model.model.{module}.lora_{half}.weight");
            Ok(self.tensors.remove(&name).map(|tensor| (name, tensor)))
        };
        let (down, up) = match (one("A")?, one("B")?) {
            (Some(down), Some(up)) => (down, up),
            (None, None) => return Ok(None),
            _ => return Err(Error::request(format!("module `{module}`: expected both lora_A and lora_B"))),
        };
        let rank = down.1.dims().first().copied().unwrap_or(0);
        let total = linear.total();
        if down.1.dims() != [rank, linear.inputs] || up.1.dims() != [total, rank] {
            return Err(Error::request(format!(
                "module `{module}`: expected lora_A [r, {}] and lora_B [{total}, r], found {:?} and {:?}",
                linear.inputs,
                down.1.dims(),
                up.1.dims()
            )));
        }
        Ok(Some(Adapter {
            down: Parameter::new(down.0, &down.1)?,
            up: Parameter::new(up.0, &up.1)?,
            scale: self.scale,
        }))
    }
}

impl Model {
    /// Whether an adapter is beside the weights.
    pub(super) fn has_adapter(&self) -> bool {
        let mut linears = self.inner.decoder.blocks.iter().flat_map(Block::linears);
        linears.any(|linear| linear.adapter.is_some())
    }

    /// Gives this copy of `other` copies of its adapters.
    pub(super) fn attach_copies(&mut self, other: &Self) -> Result<()> {
        let mut scale = None;
        let mut tensors = weights::Tensors::new();
        for adapter in other
            .inner
            .decoder
            .blocks
            .iter()
            .flat_map(Block::linears)
            .filter_map(|linear| linear.adapter.as_ref())
        {
            scale = Some(adapter.scale);
            for half in [&adapter.down, &adapter.up] {
                tensors.insert(half.name().to_owned(), half.value().copy()?);
            }
        }
        match scale {
            Some(scale) => self.attach(&mut Adapters { scale, tensors }),
            None => Ok(()),
        }
    }

    /// Gives every projection its adapter; projections stored in one tensor share one.
    fn attach(&mut self, adapters: &mut Adapters) -> Result<()> {
        let inner = std::sync::Arc::get_mut(&mut self.inner)
            .ok_or_else(|| Error::work("an adapter was attached to a model in use"))?;
        let decoder = &mut inner.decoder;
        let mut known: Vec<(String, Adapter)> = Vec::new();
        for linear in decoder.blocks.iter_mut().flat_map(Block::linears_mut) {
            let name = linear.weight.name().to_owned();
            if let Some((_, adapter)) = known.iter().find(|(known, _)| *known == name) {
                linear.adapter = Some(adapter.clone());
                continue;
            }
            if let Some(adapter) = adapters.take(linear)? {
                decoder.parameters.push(adapter.down.clone());
                decoder.parameters.push(adapter.up.clone());
                known.push((name, adapter.clone()));
                linear.adapter = Some(adapter);
            }
        }
        Ok(())
    }
}
