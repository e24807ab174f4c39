//! A plan carried out: a copy of the base with the adapter in it.
//!
//! Plain adapters of matrices in blocks stay beside the weights, where they can be trained and taken off. All else is
//! written into the weights: it computes the same, and cannot be trained.

use super::file::Array;
use super::modules::Kind;
use super::plan::{Lora, Plan};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::model::build::{Role, Source};
use crate::model::parameters::Parameters;
use crate::ops::Parameter;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;

/// Adapters of matrices, by module.
pub(super) type Beside = BTreeMap<String, (f32, Tensor, Tensor)>;

impl Array {
    fn tensor(&self, device: &Device) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.numbers, self.dims.as_slice(), device)?)
    }
}

impl Lora {
    /// What is added to the matrix as it is stored.
    fn delta(&self, device: &Device) -> Result<Tensor> {
        let product = (self.up.tensor(device)?.matmul(&self.down.tensor(device)?)? * self.scale)?;
        Ok(match self.kind {
            Kind::Linear | Kind::Other => product,
            Kind::Columns | Kind::Embedding => product.t()?.contiguous()?,
        })
    }

    /// `weight`, as it is stored, with the adapter in it.
    fn applied(&self, weight: &Tensor) -> Result<Tensor> {
        let device = weight.device();
        let changed = (weight + self.delta(device)?)?;
        let Some(magnitude) = &self.magnitude else { return Ok(changed) };
        // The outputs of a matrix are its rows, but where it is stored as [inputs, outputs].
        let (inputs, shape) = match self.kind {
            Kind::Linear | Kind::Other => (1, (magnitude.numbers.len(), 1)),
            Kind::Columns | Kind::Embedding => (0, (1, magnitude.numbers.len())),
        };
        let length = changed.sqr()?.sum_keepdim(inputs)?.sqrt()?;
        let wanted = magnitude.tensor(device)?.reshape(shape)?;
        Ok(changed.broadcast_mul(&(wanted / length)?)?)
    }
}

/// Parameters of a base, but for some.
struct Changed<'a> {
    base: &'a Parameters,
    values: BTreeMap<String, Tensor>,
}

impl Source for Changed<'_> {
    fn parameter(&mut self, name: &str, dims: &[usize], _: Role) -> Result<Parameter> {
        let value = match self.values.remove(name) {
            Some(value) => value,
            None => value_of(self.base, name)?.copy()?,
        };
        if value.dims() != dims {
            return Err(Error::request(format!(
                "tensor `{name}`: expected shape {dims:?} after the adapter, found {:?}",
                value.dims()
            )));
        }
        let parameter = Parameter::new(name, &value)?;
        parameter.set_trainable(false);
        Ok(parameter)
    }
}

fn value_of(parameters: &Parameters, name: &str) -> Result<Tensor> {
    let held = parameters.get(name);
    held.map(Parameter::value)
        .ok_or_else(|| Error::work(format!("parameter `{name}` is missing in the base")))
}

impl Model {
    /// A copy of this model with all that a plan says.
    pub(super) fn with_plan(&self, plan: &Plan) -> Result<Self> {
        let device = self.device();
        let names = self.config().family.names();
        let (embedding, head) =
            (format!("{}.weight", names.embedding), format!("{}.weight", names.unembedding));
        let mut values: BTreeMap<String, Tensor> = BTreeMap::new();
        for (name, array) in &plan.replaced {
            values.insert(name.clone(), array.tensor(device)?);
        }
        let tables = Tables::new(self, plan, &mut values, &embedding, &head)?;
        for (name, array) in &plan.copies {
            if *name != embedding && *name != head {
                values.insert(name.clone(), array.tensor(device)?);
            }
        }
        let mut beside = Beside::new();
        for (module, lora) in &plan.lora {
            let name = format!("{module}.weight");
            if name == embedding || name == head {
                continue;
            }
            if lora.magnitude.is_none() && lora.kind != Kind::Embedding {
                let halves = (lora.scale as f32, lora.down.tensor(device)?, lora.up.tensor(device)?);
                beside.insert(module.clone(), halves);
                continue;
            }
            let weight = match values.get(&name) {
                Some(value) => value.clone(),
                None => value_of(self.parameters(), &name)?,
            };
            values.insert(name, lora.applied(&weight)?);
        }
        let mut config = self.config().clone().with_vocabulary(plan.vocabulary);
        if tables.apart {
            config = config.untied();
            values.insert(head, tables.head);
        }
        values.insert(embedding, tables.embedding);
        let mut source = Changed { base: self.parameters(), values };
        let mut model = Self::from_source(config, &mut source, self.compute().clone())?;
        model.tokenizer = self.tokenizer.clone();
        model.attach(beside)?;
        Ok(model)
    }
}

/// Embedding and head, which may be one.
struct Tables {
    embedding: Tensor,
    head: Tensor,
    /// Whether they are stored as two.
    apart: bool,
}

impl Tables {
    fn new(
        base: &Model,
        plan: &Plan,
        values: &mut BTreeMap<String, Tensor>,
        embedding: &str,
        head: &str,
    ) -> Result<Self> {
        let device = base.device();
        let own = (values.remove(embedding), values.remove(head));
        let module = |parameter: &str| parameter.trim_end_matches(".weight").to_owned();
        let mut tables = match base.config().tied {
            true => {
                let shared = match own {
                    (Some(one), Some(_)) => match plan.replaced.get(embedding) == plan.replaced.get(head) {
                        true => one,
                        false => {
                            return Err(Error::request(format!(
                                "expected one table, as `{embedding}` and `{head}` are tied in the base, found two \
                                 that differ"
                            )));
                        }
                    },
                    (Some(one), None) | (None, Some(one)) => one,
                    (None, None) => value_of(base.parameters(), embedding)?,
                };
                Self { embedding: shared.clone(), head: shared, apart: false }
            }
            false => {
                let or_base = |found: Option<Tensor>, name: &str| match found {
                    Some(found) => Ok(found),
                    None => value_of(base.parameters(), name),
                };
                Self { embedding: or_base(own.0, embedding)?, head: or_base(own.1, head)?, apart: true }
            }
        };
        let follows = base.config().tied && plan.together;
        if let Some(copy) = plan.copies.get(embedding) {
            tables.change_embedding(follows, |_| copy.tensor(device))?;
        }
        if let Some(copy) = plan.copies.get(head).filter(|_| !follows) {
            tables.change_head(|_| copy.tensor(device))?;
        }
        if let Some(rows) = plan.rows.get(&module(embedding)) {
            let follows = base.config().tied && !plan.rows.contains_key(&module(head));
            tables.change_embedding(follows, |table| with_rows(table, &rows.ids, &rows.rows))?;
        }
        if let Some(rows) = plan.rows.get(&module(head)) {
            tables.change_head(|table| with_rows(table, &rows.ids, &rows.rows))?;
        }
        if let Some(lora) = plan.lora.get(&module(embedding)) {
            tables.change_embedding(follows, |table| lora.applied(table))?;
        }
        if let Some(lora) = plan.lora.get(&module(head)) {
            tables.change_head(|table| lora.applied(table))?;
        }
        Ok(tables)
    }

    fn change_embedding(&mut self, follows: bool, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
        self.embedding = change(&self.embedding)?;
        match follows && !self.apart {
            true => self.head = self.embedding.clone(),
            false => self.apart = true,
        }
        Ok(())
    }

    fn change_head(&mut self, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
        self.head = change(&self.head)?;
        self.apart = true;
        Ok(())
    }
}

/// A table with other rows at some ids.
fn with_rows(table: &Tensor, ids: &[usize], rows: &Array) -> Result<Tensor> {
    let width = table.dim(1)?;
    let mut numbers = table.flatten_all()?.to_vec1::<f32>()?;
    for (id, row) in ids.iter().zip(rows.numbers.chunks_exact(width.max(1))) {
        if let Some(place) = numbers.chunks_exact_mut(width.max(1)).nth(*id) {
            place.copy_from_slice(row);
        }
    }
    Ok(Tensor::from_vec(numbers, table.dims(), table.device())?)
}
