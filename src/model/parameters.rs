//! All parameters of a model, in the order of the decoder.

use crate::error::{Error, Result};
use crate::ops::Parameter;

/// An ordered list of parameters, each under its checkpoint name. Cheap to clone; clones share.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<Parameter>);

impl Parameters {
    pub(super) fn push(&mut self, parameter: Parameter) {
        if !self.0.iter().any(|held| held.name() == parameter.name()) {
            self.0.push(parameter);
        }
    }

    /// All parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter()
    }

    /// All parameters in order, as an optimiser takes them.
    pub fn to_vec(&self) -> Vec<Parameter> {
        self.0.clone()
    }

    /// The parameter of this name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.iter().find(|parameter| parameter.name() == name)
    }

    /// The number of parameters (tensors).
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of weights.
    pub fn elements(&self) -> usize {
        self.0.iter().map(Parameter::elements).sum()
    }

    /// Forgets all gradients.
    pub fn zero_gradients(&self) {
        self.0.iter().for_each(Parameter::zero_gradient);
    }

    /// Names of trainable parameters that no gradient has reached.
    pub fn missing_gradients(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|parameter| parameter.trainable() && !parameter.has_gradient())
            .map(|parameter| parameter.name().to_owned())
            .collect()
    }

    /// The BLAKE3 hash of names, shapes and bytes, in order.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub fn hash(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        for parameter in &self.0 {
            hasher.update(format!("{} {:?}\n", parameter.name(), parameter.dims()).as_bytes());
            let numbers = parameter.value().flatten_all()?.to_vec1::<f32>()?;
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Errors if a trainable parameter got no gradient.
    ///
    /// # Errors
    /// Names the first few of them.
    pub fn require_gradients(&self) -> Result<()> {
        let missing = self.missing_gradients();
        match missing.first() {
            None => Ok(()),
            Some(first) => Err(Error::work(format!(
                "{} trainable parameters got no gradient, the first is `{first}`",
                missing.len()
            ))),
        }
    }
}
