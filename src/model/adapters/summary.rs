//! What was understood of an adapter, before a long run.

use super::file::File;
use super::plan::Plan;
use super::settings::{CONFIG, Settings};
use crate::error::{At, Result};
use crate::foreign::Object;
use crate::model::{Gradients, Hooks, Model, conformance};
use candle_core::{D, DType, Tensor};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The same module of several layers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdapterGroup {
    /// The name, with `*` for the number of the layer.
    pub module: String,
    /// Width of the bottleneck.
    pub rank: usize,
    /// `lora_alpha`, where the base was at hand to say which module has which.
    pub alpha: Option<f64>,
    /// The factor on the product of the two halves.
    pub scale: Option<f64>,
    /// The layers; none of a module outside of them.
    pub layers: Vec<usize>,
    /// Trained numbers.
    pub parameters: usize,
}

/// What an adapter is, as it was read.
#[derive(Clone, Debug, Serialize)]
pub struct AdapterSummary {
    /// `LoRA` or `DoRA`.
    pub kind: &'static str,
    /// `base_model_name_or_path`.
    pub base: Option<String>,
    /// The file of the tensors.
    pub file: &'static str,
    /// Trained numbers that are used.
    pub parameters: usize,
    /// The adapted modules.
    pub groups: Vec<AdapterGroup>,
    /// Parameters of which the file holds trained copies (`modules_to_save`).
    pub copies: Vec<String>,
    /// Parameters that stand in the place of the base's own: embeddings, biases.
    pub replaced: Vec<String>,
    /// Tokens whose rows were trained, by module.
    pub tokens: BTreeMap<String, Vec<usize>>,
    /// Tokens of the model with the adapter, where a base was at hand.
    pub vocabulary: Option<usize>,
    /// Modules that the config names and the file holds nothing of.
    pub unchanged: Vec<String>,
    /// Tensors that are not used.
    pub left_out: Vec<String>,
    /// How far the logits of drawn tokens move, where a base was at hand.
    pub moved: Option<AdapterMove>,
    /// What else should be known.
    pub notes: Vec<String>,
}

/// How far an adapter moves the logits of drawn tokens.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AdapterMove {
    /// The largest difference of a logit.
    pub most: f32,
    /// The mean Kullback-Leibler divergence of the adapted model's next token from the base's, in nats.
    pub divergence: f32,
    /// Of the positions, how many have another likeliest token.
    pub share_of_other_tokens: f32,
}

impl AdapterSummary {
    /// Reads the adapter in `folder`, and brings it together with `base`, if there is one.
    ///
    /// # Errors
    /// If the adapter is refused, or does not fit the base.
    pub fn of(folder: &Path, base: Option<&Model>) -> Result<Self> {
        let settings = Settings::load(folder)?;
        let file = File::load(folder).at(folder.display())?;
        let name = file.name;
        let mut summary = Self {
            kind: if settings.dora { "DoRA" } else { "LoRA" },
            base: Object::load(&folder.join(CONFIG))?.text("base_model_name_or_path")?.map(str::to_owned),
            file: name,
            parameters: 0,
            groups: Vec::new(),
            copies: Vec::new(),
            replaced: Vec::new(),
            tokens: BTreeMap::new(),
            vocabulary: None,
            unchanged: Vec::new(),
            left_out: Vec::new(),
            moved: None,
            notes: Vec::new(),
        };
        match base {
            Some(base) => {
                let plan = Plan::new(&settings, file, base).at(folder.display())?;
                summary.fill(plan);
                let adapted = base.with_adapter(folder)?;
                summary.moved = Some(AdapterMove::between(base, &adapted)?);
            }
            None => summary.alone(file),
        }
        Ok(summary)
    }

    fn fill(&mut self, plan: Plan) {
        let count = |array: &super::file::Array| array.numbers.len();
        for (module, lora) in &plan.lora {
            let magnitude = lora.magnitude.as_ref().map_or(0, count);
            let parameters = count(&lora.down) + count(&lora.up) + magnitude;
            self.add(module, lora.rank, Some((lora.alpha, lora.scale)), parameters);
        }
        let own = plan.copies.values().chain(plan.replaced.values());
        self.parameters += own.map(count).sum::<usize>();
        self.parameters += plan.rows.values().map(|rows| count(&rows.rows)).sum::<usize>();
        self.copies = plan.copies.into_keys().collect();
        self.replaced = plan.replaced.into_keys().collect();
        self.tokens = plan.rows.into_iter().map(|(module, rows)| (module, rows.ids)).collect();
        self.vocabulary = Some(plan.vocabulary);
        self.unchanged = plan.unchanged;
        self.left_out = plan.left_out;
        self.notes = plan.notes;
    }

    /// What the files say by themselves.
    fn alone(&mut self, file: File) {
        let mut halves: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for (name, array) in &file.arrays {
            let rest = name.strip_prefix("base_model.model.").unwrap_or(name);
            match rest.split_once(".lora_") {
                Some((module, half)) => {
                    let found = halves.entry(module.to_owned()).or_default();
                    found.1 += array.numbers.len();
                    if half.starts_with("A.") || half == "embedding_A" {
                        found.0 = array.dims.first().copied().unwrap_or(0);
                    }
                }
                None => {
                    self.parameters += array.numbers.len();
                    self.copies.push(rest.to_owned());
                }
            }
        }
        for (module, (rank, parameters)) in halves {
            self.add(&module, rank, None, parameters);
        }
        self.notes = file.notes;
        self.notes.push(
            "no base was at hand: whether the adapter fits, with which scale, and what of it is left out is not known"
                .to_owned(),
        );
    }

    fn add(&mut self, module: &str, rank: usize, scale: Option<(f64, f64)>, parameters: usize) {
        self.parameters += parameters;
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let layer = module.split('.').find(|part| is_number(part)).and_then(|part| part.parse().ok());
        let parts: Vec<&str> =
            module.split('.').map(|part| if is_number(part) { "*" } else { part }).collect();
        let (name, (alpha, scale)) = (parts.join("."), (scale.map(|pair| pair.0), scale.map(|pair| pair.1)));
        let known = self.groups.iter_mut().find(|group| {
            group.module == name && group.rank == rank && group.alpha == alpha && group.scale == scale
        });
        match known {
            Some(group) => {
                group.layers.extend(layer);
                group.layers.sort_unstable();
                group.parameters += parameters;
            }
            None => self.groups.push(AdapterGroup {
                module: name,
                rank,
                alpha,
                scale,
                layers: layer.into_iter().collect(),
                parameters,
            }),
        }
    }
}

impl AdapterMove {
    fn between(base: &Model, adapted: &Model) -> Result<Self> {
        let tokens = conformance::drawn_tokens(base)?.batch;
        let common = base.config().vocabulary.min(adapted.config().vocabulary);
        let logits = |model: &Model| -> Result<Tensor> {
            let hidden = model.hidden(&tokens, None, &mut Hooks::none(), Gradients::Off)?;
            let rows = tokens.lengths().iter().enumerate();
            let rows = rows.map(|(row, length)| hidden.get(row)?.narrow(0, 0, *length));
            let hidden = Tensor::cat(&rows.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
            Ok(model.logits(&hidden)?.to_dtype(DType::F32)?.narrow(1, 0, common)?.contiguous()?)
        };
        let (before, after) = (logits(base)?, logits(adapted)?);
        let logs = |logits: &Tensor| -> Result<Tensor> {
            let most = logits.max_keepdim(D::Minus1)?;
            let shifted = logits.broadcast_sub(&most)?;
            Ok(shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?)
        };
        let (log_before, log_after) = (logs(&before)?, logs(&after)?);
        let divergence = (log_after.exp()? * (&log_after - &log_before)?)?.sum(D::Minus1)?.mean_all()?;
        let other = before.argmax(D::Minus1)?.ne(&after.argmax(D::Minus1)?)?;
        Ok(Self {
            most: (after - before)?.abs()?.max_all()?.to_scalar::<f32>()?,
            divergence: divergence.to_scalar::<f32>()?.max(0.0),
            share_of_other_tokens: other.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?,
        })
    }
}
