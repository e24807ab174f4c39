//! Parameters of a decoder out of the tensors of a checkpoint, or out of another model.

use super::Model;
use super::build::{Role, Source};
use super::config::Config;
use super::family::Names;
use super::parameters::Parameters;
use super::weights::Tensors;
use crate::error::{Error, Result};
use crate::ops::Parameter;
use candle_core::Tensor;

/// What most call the head, and some checkpoints of families with another name for it.
const LM_HEAD: &str = "lm_head.weight";

/// Parameters out of a checkpoint's tensors.
pub(super) struct Checkpoint {
    tensors: Tensors,
    base: &'static str,
}

impl Checkpoint {
    /// Takes over the tensors, and settles whether the head is the embedding.
    ///
    /// `tie_word_embeddings` alone does not decide, as in transformers: where the checkpoint holds both and
    /// they differ they stay two, and where it holds the head alone the embedding is the head.
    pub(super) fn new(mut config: Config, mut tensors: Tensors) -> Result<(Config, Self)> {
        let names = config.family.names();
        let base = names.base;
        if config.tied {
            let embedding = format!("{}.weight", names.embedding);
            let find = |wanted: &[&str]| {
                wanted.iter().find(|name| tensors.contains_key(**name)).map(|name| (*name).to_owned())
            };
            let stored = find(&[&embedding, without(base, &embedding)]);
            match (stored, find(&heads(&names).each_ref().map(String::as_str))) {
                (Some(embedding), Some(head)) => {
                    if same(&tensors[&embedding], &tensors[&head])? {
                        tensors.remove(&head);
                    } else {
                        config = config.untied();
                    }
                }
                (None, Some(head)) => {
                    if let Some(tensor) = tensors.remove(&head) {
                        tensors.insert(embedding, tensor);
                    }
                }
                _ => {}
            }
        }
        Ok((config, Self { tensors, base }))
    }

    /// Refuses tensors that nothing has read: they would have changed the numbers.
    pub(super) fn finish(mut self, model: &Model) -> Result<()> {
        // Buffers of old checkpoints.
        let is_buffer = |name: &str| {
            name.ends_with("rotary_emb.inv_freq")
                || name.ends_with(".attn.bias")
                || name.ends_with(".attn.masked_bias")
                || name.ends_with(".attention.bias")
                || name.ends_with(".attention.masked_bias")
        };
        self.tensors.retain(|name, _| !is_buffer(name));
        match self.tensors.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::request(format!(
                "{} tensors of the checkpoint are not part of a {} decoder, the first is `{name}`",
                self.tensors.len(),
                model.config().family.model_type()
            ))),
        }
    }
}

impl Source for Checkpoint {
    fn parameter(&mut self, name: &str, dims: &[usize], _: Role) -> Result<Parameter> {
        let found =
            spellings(self.base, name).into_iter().find_map(|held| Some((held, self.tensors.remove(held)?)));
        let Some((held, tensor)) = found else {
            return Err(Error::request(format!("tensor `{name}` {dims:?}: expected it, found none")));
        };
        if tensor.dims() != dims {
            return Err(Error::request(format!(
                "tensor `{held}`: expected shape {dims:?}, found {:?}",
                tensor.dims()
            )));
        }
        Parameter::new(name, &tensor)
    }
}

/// The names under which a checkpoint may hold a parameter. The model holds it under the first: so it is the same
/// one in every variant, and the one that an adapter names, whatever program wrote the checkpoint.
fn spellings<'a>(base: &str, name: &'a str) -> [&'a str; 3] {
    // Later versions of transformers call GPT-NeoX's head `lm_head`.
    let head = if name == "embed_out.weight" { LM_HEAD } else { name };
    [name, without(base, name), head]
}

/// The name without the prefix that checkpoints of the bare decoder leave out.
fn without<'a>(base: &str, name: &'a str) -> &'a str {
    name.strip_prefix(base).unwrap_or(name)
}

/// What the head may be called.
fn heads(names: &Names) -> [String; 2] {
    [format!("{}.weight", names.unembedding), LM_HEAD.to_owned()]
}

fn same(one: &Tensor, other: &Tensor) -> Result<bool> {
    Ok(one.dims() == other.dims()
        && one.flatten_all()?.to_vec1::<f32>()? == other.flatten_all()?.to_vec1::<f32>()?)
}

/// Parameters copied from another model.
pub(super) struct Copied<'a>(pub(super) &'a Parameters);

impl Source for Copied<'_> {
    fn parameter(&mut self, name: &str, _: &[usize], _: Role) -> Result<Parameter> {
        let held = self
            .0
            .get(name)
            .ok_or_else(|| Error::work(format!("parameter `{name}` is missing in the model to copy")))?;
        let copy = Parameter::new(name, &held.value().copy()?)?;
        copy.set_trainable(held.trainable());
        Ok(copy)
    }
}
