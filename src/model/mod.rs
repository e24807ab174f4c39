//! One decoder for ten model families.
//!
//! A [`Config`] says what the arithmetic is, free of any family's spelling; [`Model`] holds the weights
//! under their checkpoint names and runs the one forward pass that training, sampling, capture and
//! intervention share. [`Hooks`] read and write at TransformerLens's places. [`sample`] draws completions.
//!
//! * `family`, `config_json`, `rope_scaling`: the differences between families, all of them.
//! * `build`, `pass`: the blocks, and the pass through them.
//! * `weights`, `tokenizer`: repositories in and out.

mod adapters;
mod build;
mod cache;
pub mod chat;
mod checkpoint;
mod config;
mod config_json;
pub mod conformance;
mod family;
mod hook_point;
mod hooks;
pub mod hub;
mod initialise;
mod left_out;
mod parameters;
mod pass;
mod pretrained;
mod reached;
mod recompute;
mod rope_scaling;
mod run;
mod sampler;
#[cfg(test)]
mod tests;
mod text;
mod token_file;
mod tokenizer;
mod tokens;
mod under;
mod weights;

pub use adapters::{AdapterGroup, AdapterMove, AdapterSummary};
pub use cache::KvCache;
pub use config::{BlockConfig, Config, LlamaShape, QueryKeyNorm, Residual};
pub use family::Family;
pub use hook_point::{BlockPoint, HookPoint};
pub use hooks::{HookFunction, HookSite, Hooks};
pub use parameters::Parameters;
pub use rope_scaling::{Rope, RopeScaling};
pub use run::Run;
pub(crate) use sampler::last_hidden;
pub use sampler::{Completion, Finish, NextToken, Prompt, SampleSettings, sample, sample_model};
pub use text::Text;
pub use token_file::TokenFile;
pub use tokenizer::Tokenizer;
pub use tokens::TokenBatch;
pub use under::Under;
pub use weights::save_tensors;

pub use crate::ops::{Gradients, Nonlinearity, NormKind, Parameter, TokenLogProbabilities};

use crate::compute::Compute;
use crate::error::{At, Error, Result};
use crate::ops::attention::{LayerMemory, Memory};
use crate::ops::composed::{self, Composed};
use crate::ops::fused::Fused;
use crate::ops::kernels::Kernels;
use crate::ops::layout::Layout;
use crate::ops::likelihood::token_log_probabilities;
use crate::ops::parallel::on_pool;
use crate::ops::parameter::with_slice;
use crate::ops::rope::Rotation;
use build::{Decoder, Source, build};
use candle_core::{DType, Device, Tensor};
use checkpoint::{Checkpoint, Copied};
use pass::{Halt, Pass};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A decoder with its weights, and its tokenizer if it has one. Cheap to clone; clones share the weights.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
    tokenizer: Option<Tokenizer>,
    /// Whether an adapter was put beside the weights or into them.
    is_adapted: bool,
    notes: Vec<String>,
}

struct Inner {
    config: Config,
    decoder: Decoder,
    compute: Compute,
    rotations: Mutex<Arc<Vec<Option<Rotation>>>>,
}

impl Model {
    /// A model with fresh weights, each drawn from a stream keyed by `seed` and its name.
    ///
    /// # Errors
    /// If the tensors cannot be made.
    pub fn initialise(config: &Config, seed: u64, compute: impl Into<Compute>) -> Result<Self> {
        let compute = compute.into();
        let mut source = initialise::Initialiser::new(config, seed, compute.device());
        Self::from_source(config.clone(), &mut source, compute)
    }

    /// Reads a Hugging Face model repository: `config.json`, `model.safetensors` or shards, and the
    /// tokenizer if it is there. Of the folder of a PEFT adapter, its base with the adapter; see
    /// [`Model::with_adapter`].
    ///
    /// # Errors
    /// If a file is missing or malformed, a tensor is missing, has the wrong shape or is not known, or a
    /// setting is not supported.
    pub fn load(folder: &Path, compute: impl Into<Compute>) -> Result<Self> {
        let compute = compute.into();
        if let Some(base) = Self::base_of_adapter(folder)? {
            let model = Self::load_as(Config::load(&base)?, &base, compute)?.with_adapter(folder)?;
            return model.with_tokenizer_of(folder);
        }
        Self::load_as(Config::load(folder)?, folder, compute)
    }

    fn with_tokenizer_of(self, folder: &Path) -> Result<Self> {
        match folder.join("tokenizer.json").exists() {
            true => Ok(self.with_tokenizer(Tokenizer::load(folder)?)),
            false => Ok(self),
        }
    }

    /// As [`Model::load`], with `config` in place of the repository's own.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_as(config: Config, folder: &Path, compute: impl Into<Compute>) -> Result<Self> {
        let compute = compute.into();
        let (config, mut source) = Checkpoint::new(config, weights::load(folder, compute.device())?)?;
        let model = Self::from_source(config, &mut source, compute).at(folder.display())?;
        source.finish(&model).at(folder.display())?;
        let mut model = model.with_tokenizer_of(folder)?;
        model.notes.extend(left_out::notes(model.config(), folder)?);
        Ok(model)
    }

    fn from_source(config: Config, source: &mut dyn Source, compute: Compute) -> Result<Self> {
        let decoder = build(&config, source)?;
        let rotations = Mutex::new(Arc::new(vec![None; config.layers()]));
        let inner = Inner { config, decoder, compute, rotations };
        Ok(Self { inner: Arc::new(inner), tokenizer: None, is_adapted: false, notes: Vec::new() })
    }

    /// Writes a Hugging Face model repository that transformers loads. An adapter is merged into what is
    /// written.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        if self.has_adapter() {
            return self.merged()?.save(folder);
        }
        std::fs::create_dir_all(folder)
            .map_err(|error| crate::error::io("create the folder", folder, error))?;
        self.config().save(folder)?;
        let tensors: Vec<(String, Tensor)> = self
            .parameters()
            .iter()
            .map(|parameter| (parameter.name().to_owned(), parameter.value()))
            .collect();
        weights::save_tensors(&folder.join("model.safetensors"), &tensors)?;
        match &self.tokenizer {
            Some(tokenizer) => tokenizer.save(folder),
            None => Ok(()),
        }
    }

    /// The same model with this tokenizer.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: Tokenizer) -> Self {
        self.tokenizer = Some(tokenizer);
        self
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// If the model has none.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer.as_ref().ok_or_else(|| {
            Error::request("this model has no tokenizer").hint("put its tokenizer.json beside config.json")
        })
    }

    /// A model with its own copy of the weights: a reference policy, a base to compare with.
    ///
    /// # Errors
    /// If the copy cannot be made.
    pub fn copy(&self) -> Result<Self> {
        let mut copy = self.copy_without_adapter()?;
        copy.attach_copies(self)?;
        Ok(copy)
    }

    fn copy_without_adapter(&self) -> Result<Self> {
        let mut source = Copied(self.parameters());
        let mut copy = Self::from_source(self.config().clone(), &mut source, self.compute().clone())?;
        copy.tokenizer = self.tokenizer.clone();
        copy.notes = self.notes.clone();
        Ok(copy)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        self.compute().device()
    }

    /// Where the weights are, and what computes with them.
    pub fn compute(&self) -> &Compute {
        &self.inner.compute
    }

    /// All weights, in the order of the decoder.
    pub fn parameters(&self) -> &Parameters {
        &self.inner.decoder.parameters
    }

    /// The BLAKE3 hash of all names, shapes and weights, with an adapter merged into them.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub fn weights_hash(&self) -> Result<String> {
        self.clone().into_merged()?.parameters().hash()
    }

    /// An empty cache for `rows` rows.
    pub fn cache(&self, rows: usize) -> KvCache {
        let config = self.config();
        let empty = match self.compute().composed_format() {
            Some(_) => Composed::empty_memory(),
            None => LayerMemory::Host(vec![Memory::new(config.key_heads * config.head_dim); rows]),
        };
        KvCache::new(config.layers(), rows, empty)
    }

    /// Whether positions are learned, so that [`Config::max_positions`] is a hard limit.
    pub fn has_learned_positions(&self) -> bool {
        self.inner.decoder.positions.is_some()
    }

    /// The tokens that a row can have at most: [`Config::max_positions`] where positions are learned, else any number.
    pub fn longest(&self) -> Option<usize> {
        self.has_learned_positions().then_some(self.config().max_positions)
    }

    /// Every hook point that a pass through this model reaches, in the order of the pass.
    pub fn hook_points(&self) -> Vec<HookPoint> {
        self.config().hook_points()
    }

    /// The hidden states after the final norm [rows, width, d_model] of a pass that no hook ends and in which
    /// every hook fires. See [`Self::forward`].
    ///
    /// # Errors
    /// As [`Self::forward`], or if a hook ended the pass or was not reached.
    pub fn hidden(
        &self,
        tokens: &TokenBatch,
        cache: Option<&mut KvCache>,
        hooks: &mut Hooks,
        gradients: Gradients,
    ) -> Result<Tensor> {
        let hidden = self.forward(tokens, cache, hooks, gradients)?;
        hooks.finish()?;
        hidden.ok_or_else(|| Error::work("the forward pass stopped before its end"))
    }

    /// The one forward pass. `tokens` are the new tokens of each row; with a cache they follow those seen
    /// before and are added to it. Returns the hidden states after the final norm [rows, width, d_model],
    /// zero at padding, or `None` when a hook ended the pass.
    ///
    /// With [`Gradients::On`] the result is tracked, and the backward of a loss adds into the gradients of
    /// trainable [`Parameters`]. Each pass can be run backward once. [`Gradients::Recomputed`] does the same in less
    /// memory, for a pass without hooks.
    ///
    /// # Errors
    /// If a token is outside of the vocabulary, a row is longer than learned positions reach, the cache
    /// has another number of rows or is combined with gradients, a hook names a point that the model does
    /// not have, or an edit fails. A batch whose rows branch takes no cache.
    pub fn forward(
        &self,
        tokens: &TokenBatch,
        cache: Option<&mut KvCache>,
        hooks: &mut Hooks,
        gradients: Gradients,
    ) -> Result<Option<Tensor>> {
        hooks.check(|point| self.config().has(point), || self.hook_points())?;
        let (lengths, width) = (tokens.lengths().to_vec(), tokens.width());
        let layout = match &cache {
            Some(cache) if gradients != Gradients::Off => {
                let rows = cache.rows();
                return Err(Error::request(format!(
                    "a pass with gradients needs whole sequences, found a cache of {rows} rows"
                )));
            }
            Some(cache) if cache.rows() != tokens.rows() => {
                return Err(Error::request(format!(
                    "expected as many token rows as the cache has ({}), found {}",
                    cache.rows(),
                    tokens.rows()
                )));
            }
            Some(_) if tokens.trunks().iter().any(Option::is_some) => {
                return Err(Error::request("a batch whose rows branch is read without a cache, found one"));
            }
            Some(cache) => Layout::new(cache.lengths(), lengths, width),
            None => Layout::branching(tokens.trunks().to_vec(), lengths, width),
        };
        if gradients == Gradients::Recomputed {
            return match hooks.is_empty() && hooks.start().is_none() {
                true => recompute::forward(self, tokens).map(Some),
                false => Err(Error::request("a pass that is computed again has no hooks, found some")),
            };
        }
        match self.compute().composed_format() {
            None => {
                let kernels = Fused::new(layout.clone(), gradients)?;
                on_pool(|| self.pass(kernels, layout, tokens, cache, hooks))
            }
            Some(format) => {
                let kernels = Composed::new(layout.clone(), self.device(), format, gradients)?;
                self.pass(kernels, layout, tokens, cache, hooks)
            }
        }
    }

    fn pass(
        &self,
        kernels: impl Kernels,
        layout: Layout,
        tokens: &TokenBatch,
        cache: Option<&mut KvCache>,
        hooks: &mut Hooks,
    ) -> Result<Option<Tensor>> {
        let ids = self.ids(tokens)?;
        let rotations = self.rotations(&layout)?;
        let (config, decoder) = (self.config(), &self.inner.decoder);
        let begin = self.tokenizer.as_ref().and_then(Tokenizer::bos);
        let read = (tokens, begin);
        let mut pass = Pass { config, decoder, rotations: &rotations, kernels, layout, hooks, cache, read };
        let outcome = pass.run(ids);
        if let (Some(cache), false) = (&mut pass.cache, matches!(outcome, Err(Halt::Failed(_)))) {
            cache.advance(tokens.lengths());
        }
        match outcome {
            Ok(hidden) => Ok(Some(hidden)),
            Err(Halt::Stopped) => {
                pass.hooks.stopped();
                Ok(None)
            }
            Err(Halt::Failed(error)) => Err(error),
        }
    }

    fn ids(&self, tokens: &TokenBatch) -> Result<Vec<usize>> {
        let vocabulary = self.config().vocabulary;
        let mut ids = Vec::with_capacity(tokens.lengths().iter().sum());
        for row in 0..tokens.rows() {
            for (position, id) in tokens.row(row).iter().enumerate() {
                if *id as usize >= vocabulary {
                    return Err(Error::request(format!(
                        "row {row}, position {position}: expected a token id below {vocabulary}, found {id}"
                    )));
                }
                ids.push(*id as usize);
            }
        }
        Ok(ids)
    }

    /// Rotation tables of all layers that reach far enough; tables only grow.
    fn rotations(&self, layout: &Layout) -> Result<Arc<Vec<Option<Rotation>>>> {
        let needed = crate::ops::attention::keys(layout);
        let config = self.config();
        if self.has_learned_positions() && needed > config.max_positions {
            return Err(Error::request(format!(
                "expected at most {} tokens in a row (learned positions), found {needed}",
                config.max_positions
            )));
        }
        let mut held = self.inner.rotations.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = held.iter().flatten().all(|rotation| rotation.positions() >= needed);
        let built =
            held.iter().any(Option::is_some) || config.blocks.iter().all(|block| block.rope.is_none());
        if !(enough && built) {
            let positions = needed.next_power_of_two().max(64);
            let mut made: Vec<(&Rope, Rotation)> = Vec::new();
            let tables = config.blocks.iter().map(|block| {
                let rope = block.rope.as_ref()?;
                if let Some((_, rotation)) = made.iter().find(|(known, _)| *known == rope) {
                    return Some(rotation.clone());
                }
                let rotation = Rotation::new(&rope.frequencies, rope.factor, positions);
                made.push((rope, rotation.clone()));
                Some(rotation)
            });
            *held = Arc::new(tables.collect());
        }
        Ok(held.clone())
    }

    /// Logits [..., vocabulary] of hidden states [..., d_model]. Not tracked: train through
    /// [`Model::token_log_probabilities`].
    ///
    /// # Errors
    /// If the last axis is not d_model.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let mut dims = hidden.dims().to_vec();
        let width = self.config().d_model;
        match dims.last_mut() {
            Some(last) if *last == width => *last = self.config().vocabulary,
            _ => {
                return Err(Error::request(format!(
                    "expected hidden states [.., {width}], found {:?}",
                    hidden.dims()
                )));
            }
        }
        let unembedding = &self.inner.decoder.unembedding;
        if let Some(format) = self.compute().composed_format() {
            let hidden = hidden.to_device(self.device())?.reshape(((), width))?;
            return Ok(composed::logits(unembedding, &hidden, format)?.reshape(dims)?);
        }
        let hidden = hidden.to_dtype(DType::F32)?.contiguous()?;
        let logits = with_slice(&hidden, |hidden| unembedding.logits(hidden))??;
        Ok(Tensor::from_vec(logits, dims, &Device::Cpu)?)
    }

    /// Log-probabilities of `targets` after the positions `at` (row, position) of `hidden`
    /// [rows, width, d_model]; tracked when `hidden` is. Never holds the logits of all positions.
    ///
    /// # Errors
    /// If the counts differ, or a position or target is out of range.
    pub fn token_log_probabilities(
        &self,
        hidden: &Tensor,
        at: &[(usize, usize)],
        targets: &[u32],
    ) -> Result<TokenLogProbabilities> {
        let (rows, width, _) = hidden.dims3()?;
        let vocabulary = self.config().vocabulary;
        if at.len() != targets.len() {
            return Err(Error::request(format!(
                "expected one target per position ({}), found {}",
                at.len(),
                targets.len()
            )));
        }
        if let Some((row, position)) = at.iter().find(|(row, position)| *row >= rows || *position >= width) {
            return Err(Error::request(format!(
                "expected positions within [{rows}, {width}], found ({row}, {position})"
            )));
        }
        if let Some(target) = targets.iter().find(|target| **target as usize >= vocabulary) {
            return Err(Error::request(format!("expected targets below {vocabulary}, found {target}")));
        }
        let at = at.iter().map(|(row, position)| row * width + position).collect();
        let (unembedding, targets) = (&self.inner.decoder.unembedding, targets.to_vec());
        match self.compute().composed_format() {
            None => token_log_probabilities(unembedding, hidden, at, targets),
            Some(format) => composed::token_log_probabilities(unembedding, hidden, at, targets, format),
        }
    }
}

/// The tokens that end a completion: `eos_token_id` of `generation_config.json`, else of `config.json`, and
/// the tokenizer's EOS. The files are those of the base where `folder` holds a PEFT adapter.
///
/// # Errors
/// If a file is there but malformed, or an adapter's base is not found.
pub fn stop_tokens(folder: &Path, tokenizer: Option<&Tokenizer>) -> Result<Vec<u32>> {
    let base = Model::base_of_adapter(folder)?;
    let folder = base.as_deref().unwrap_or(folder);
    let mut stop = Vec::new();
    for file in ["generation_config.json", "config.json"] {
        let path = folder.join(file);
        let document = tokenizer::optional_object(&path)?;
        stop.extend(tokenizer::token_ids(&document, "eos_token_id").at(path.display())?);
        if !stop.is_empty() {
            break;
        }
    }
    stop.extend(tokenizer.and_then(Tokenizer::eos));
    stop.sort_unstable();
    stop.dedup();
    Ok(stop)
}
