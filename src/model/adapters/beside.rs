//! Adapters beside the weights of a model: put there, copied, merged.

use super::Block;
use super::apply::Beside;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::ops::Parameter;
use crate::ops::linear::{Adapter, Linear};

impl Model {
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
        for linear in self.linears() {
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

    /// Whether the model was made with an adapter that is not merged.
    pub(in crate::model) fn has_adapter(&self) -> bool {
        self.is_adapted
    }

    fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.inner.decoder.blocks.iter().flat_map(Block::linears)
    }

    /// Gives this copy of `other` copies of its adapters.
    pub(in crate::model) fn attach_copies(&mut self, other: &Self) -> Result<()> {
        let mut copies = Beside::new();
        for linear in other.linears() {
            let (Some(adapter), Some(module)) =
                (&linear.adapter, linear.weight.name().strip_suffix(".weight"))
            else {
                continue;
            };
            let halves = (adapter.scale, adapter.down.value().copy()?, adapter.up.value().copy()?);
            copies.insert(module.to_owned(), halves);
        }
        self.is_adapted = other.is_adapted;
        self.attach(copies)
    }

    /// Gives every projection its adapter; projections stored in one tensor share one.
    pub(super) fn attach(&mut self, mut adapters: Beside) -> Result<()> {
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
            let Some(module) = name.strip_suffix(".weight") else { continue };
            let Some((scale, down, up)) = adapters.remove(module) else { continue };
            let half = |half: &str| format!("base_model.model.{module}.lora_{half}.weight");
            let adapter = Adapter {
                down: Parameter::new(half("A"), &down)?,
                up: Parameter::new(half("B"), &up)?,
                scale,
            };
            decoder.parameters.push(adapter.down.clone());
            decoder.parameters.push(adapter.up.clone());
            known.push((name.clone(), adapter.clone()));
            linear.adapter = Some(adapter);
        }
        match adapters.keys().next() {
            None => Ok(()),
            Some(module) => Err(Error::work(format!("the adapter of `{module}` found no projection"))),
        }
    }
}
