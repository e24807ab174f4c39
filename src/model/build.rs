//! From a configuration and a source of parameters to the blocks of the decoder.

use super::config::{Config, QueryKeyNorm};
use super::family::{AttentionNames, MlpNames, Names};
use super::parameters::Parameters;
use crate::error::Result;
use crate::ops::Parameter;
use crate::ops::attention::Shape;
use crate::ops::likelihood::Unembedding;
use crate::ops::linear::{Linear, Stored};
use crate::ops::matmul::WeightPanels;
use crate::ops::norm::Norm;

/// What a parameter is for: decides how a fresh one is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Embedding,
    Projection { inputs: usize },
    ResidualProjection { inputs: usize },
    Norm,
    Bias,
}

/// Where parameters come from: a checkpoint or a random stream.
pub(super) trait Source {
    fn parameter(&mut self, name: &str, dims: &[usize], role: Role) -> Result<Parameter>;
}

/// The weights of one block.
#[derive(Clone)]
pub(super) struct Block {
    pub(super) attention_norm: Option<Norm>,
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) query_norm: Option<Norm>,
    pub(super) key_norm: Option<Norm>,
    pub(super) output: Linear,
    pub(super) attention_post_norm: Option<Norm>,
    pub(super) mlp_norm: Option<Norm>,
    /// The gate, of a gated MLP.
    pub(super) gate: Option<Linear>,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) mlp_post_norm: Option<Norm>,
    pub(super) shape: Shape,
}

impl Block {
    /// All projections of the block.
    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        let mlp = self.gate.iter().chain([&self.up, &self.down]);
        [&self.query, &self.key, &self.value, &self.output].into_iter().chain(mlp)
    }

    /// All projections of the block, to change.
    pub(super) fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        let mlp = self.gate.iter_mut().chain([&mut self.up, &mut self.down]);
        [&mut self.query, &mut self.key, &mut self.value, &mut self.output].into_iter().chain(mlp)
    }
}

/// The weights of a whole decoder.
#[derive(Clone)]
pub(super) struct Decoder {
    pub(super) embedding: Parameter,
    pub(super) positions: Option<Parameter>,
    pub(super) blocks: Vec<Block>,
    pub(super) final_norm: Norm,
    pub(super) unembedding: Unembedding,
    pub(super) parameters: Parameters,
}

/// Asks `source` for every parameter of the configuration, in order.
pub(super) fn build(config: &Config, source: &mut dyn Source) -> Result<Decoder> {
    let names = config.family.names();
    let mut builder = Builder { config, names, source, parameters: Parameters::default() };
    let embedding = builder.take(
        format!("{}.weight", names.embedding),
        &[config.vocabulary, config.d_model],
        Role::Embedding,
    )?;
    let positions = match names.positions {
        Some(name) => Some(builder.take(
            format!("{name}.weight"),
            &[config.max_positions, config.d_model],
            Role::Embedding,
        )?),
        None => None,
    };
    let blocks = (0..config.layers()).map(|layer| builder.block(layer)).collect::<Result<_>>()?;
    let final_norm = builder.norm(names.final_norm, config.d_model)?;
    let weight = if config.tied {
        embedding.clone()
    } else {
        let name = format!("{}.weight", names.unembedding);
        let role = Role::Projection { inputs: config.d_model };
        builder.take(name, &[config.vocabulary, config.d_model], role)?
    };
    let parameters = builder.parameters;
    let unembedding = Unembedding::new(weight, config.final_soft_cap);
    Ok(Decoder { embedding, positions, blocks, final_norm, unembedding, parameters })
}

struct Builder<'a> {
    config: &'a Config,
    names: Names,
    source: &'a mut dyn Source,
    parameters: Parameters,
}

impl Builder<'_> {
    fn take(&mut self, name: String, dims: &[usize], role: Role) -> Result<Parameter> {
        if let Some(held) = self.parameters.get(&name) {
            return Ok(held.clone());
        }
        let parameter = self.source.parameter(&name, dims, role)?;
        self.parameters.push(parameter.clone());
        Ok(parameter)
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm> {
        let weight = self.take(format!("{name}.weight"), &[width], Role::Norm)?;
        let bias = match self.config.norm {
            crate::ops::NormKind::Rms => None,
            crate::ops::NormKind::Layer => Some(self.take(format!("{name}.bias"), &[width], Role::Bias)?),
        };
        Ok(Norm {
            kind: self.config.norm,
            weight,
            bias,
            offset: self.config.norm_offset,
            epsilon: self.config.norm_epsilon,
        })
    }

    /// A projection that is `outputs` of the `total` outputs of a tensor.
    fn linear(
        &mut self,
        name: &str,
        stored: Stored,
        (inputs, outputs, total): (usize, usize, usize),
        has_bias: bool,
        writes_residual: bool,
    ) -> Result<Linear> {
        let role =
            if writes_residual { Role::ResidualProjection { inputs } } else { Role::Projection { inputs } };
        let dims = match stored {
            Stored::Columns { .. } => [inputs, total],
            Stored::Rows { .. } | Stored::Heads { .. } => [total, inputs],
        };
        let weight = self.take(format!("{name}.weight"), &dims, role)?;
        let bias = match has_bias {
            true => Some(self.take(format!("{name}.bias"), &[total], Role::Bias)?),
            false => None,
        };
        Ok(Linear { weight, bias, stored, inputs, outputs, adapter: None, panels: WeightPanels::default() })
    }

    fn block(&mut self, layer: usize) -> Result<Block> {
        let (config, names) = (self.config, self.names);
        let block = &config.blocks[layer];
        let prefix = |name: &str| format!("{}{layer}.{name}", names.block);
        let (d_model, head_dim) = (config.d_model, config.head_dim);
        let (q, kv) = (config.heads * head_dim, config.key_heads * head_dim);
        let attention_norm = self.optional_norm(names.attention_norm.map(prefix), d_model)?;
        let bias = config.query_key_value_bias;
        let [query, key, value] = match names.attention {
            AttentionNames::Separate([query, key, value]) => {
                let mut one = |name: &str, outputs| {
                    let sizes = (d_model, outputs, outputs);
                    self.linear(&prefix(name), Stored::Rows { start: 0 }, sizes, bias, false)
                };
                [one(query, q)?, one(key, kv)?, one(value, kv)?]
            }
            AttentionNames::Rows(name) | AttentionNames::Columns(name) | AttentionNames::Heads(name) => {
                let total = q + 2 * kv;
                let mut one = |index: usize, start, outputs| {
                    let stored = match names.attention {
                        AttentionNames::Columns(_) => Stored::Columns { start },
                        AttentionNames::Heads(_) => {
                            Stored::Heads { start: index * head_dim, stride: 3 * head_dim, size: head_dim }
                        }
                        _ => Stored::Rows { start },
                    };
                    self.linear(&prefix(name), stored, (d_model, outputs, total), bias, false)
                };
                [one(0, 0, q)?, one(1, q, kv)?, one(2, q + kv, kv)?]
            }
        };
        let norm_widths = match config.query_key_norm {
            QueryKeyNorm::None => None,
            QueryKeyNorm::Head => Some((head_dim, head_dim)),
            QueryKeyNorm::Whole => Some((q, kv)),
        };
        let (query_norm, key_norm) = match norm_widths {
            Some((q, kv)) => (
                Some(self.norm(&prefix(names.query_norm), q)?),
                Some(self.norm(&prefix(names.key_norm), kv)?),
            ),
            None => (None, None),
        };
        let is_columns = matches!(names.attention, AttentionNames::Columns(_));
        let stored = if is_columns { Stored::Columns { start: 0 } } else { Stored::Rows { start: 0 } };
        let output =
            self.linear(&prefix(names.output), stored, (q, d_model, d_model), config.output_bias, true)?;
        let attention_post_norm = self.optional_norm(names.attention_post_norm.map(prefix), d_model)?;
        let mlp_norm = self.optional_norm(names.mlp_norm.map(prefix), d_model)?;
        let (d_mlp, bias) = (config.d_mlp, config.mlp_bias);
        let rows = |start| Stored::Rows { start };
        let (gate, up) = match names.mlp {
            MlpNames::Gated([gate, up]) => {
                let sizes = (d_model, d_mlp, d_mlp);
                let gate = self.linear(&prefix(gate), rows(0), sizes, bias, false)?;
                (Some(gate), self.linear(&prefix(up), rows(0), sizes, bias, false)?)
            }
            MlpNames::GatedRows(name) => {
                let sizes = (d_model, d_mlp, 2 * d_mlp);
                let gate = self.linear(&prefix(name), rows(0), sizes, bias, false)?;
                (Some(gate), self.linear(&prefix(name), rows(d_mlp), sizes, bias, false)?)
            }
            MlpNames::Plain(name) => {
                (None, self.linear(&prefix(name), rows(0), (d_model, d_mlp, d_mlp), bias, false)?)
            }
            MlpNames::PlainColumns(name) => {
                let stored = Stored::Columns { start: 0 };
                (None, self.linear(&prefix(name), stored, (d_model, d_mlp, d_mlp), bias, false)?)
            }
        };
        let down = self.linear(&prefix(names.down), stored, (d_mlp, d_model, d_model), bias, true)?;
        let mlp_post_norm = self.optional_norm(names.mlp_post_norm.map(prefix), d_model)?;
        let shape = Shape {
            heads: config.heads,
            key_heads: config.key_heads,
            head_dim,
            scale: block.attention_scale,
            soft_cap: config.attention_soft_cap,
            window: block.window,
        };
        Ok(Block {
            attention_norm,
            query,
            key,
            value,
            query_norm,
            key_norm,
            output,
            attention_post_norm,
            mlp_norm,
            gate,
            up,
            down,
            mlp_post_norm,
            shape,
        })
    }

    fn optional_norm(&mut self, name: Option<String>, width: usize) -> Result<Option<Norm>> {
        name.map(|name| self.norm(&name, width)).transpose()
    }
}
