//! The joint readout: all variants of a dictionary on the same tokens, up to the hook, and their code.

use crate::dictionaries::{Codes, Dictionary};
use crate::error::{Error, Result};
use crate::model::{Gradients, HookPoint, Hooks, KvCache, Model, TokenBatch};

/// The variants of a dictionary, ready to run side by side. Cheap to clone.
#[derive(Clone)]
pub struct Readout {
    models: Vec<Model>,
    dictionary: Dictionary,
    hook: HookPoint,
}

impl Readout {
    /// Finds the model of every variant that the dictionary was fitted over.
    ///
    /// # Errors
    /// If one is missing, or if their widths, vocabularies or devices differ: a joint code needs every variant
    /// at the same token.
    pub fn new(models: &[(String, Model)], dictionary: Dictionary, hook: HookPoint) -> Result<Self> {
        let names: Vec<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
        let found = dictionary
            .variants()
            .iter()
            .map(|variant| {
                models.iter().find(|(name, _)| name == variant).map(|(_, model)| model.clone()).ok_or_else(
                    || {
                        Error::request(format!(
                            "the dictionary was fitted over `{variant}`, but no such model was given"
                        ))
                        .hint(format!("the models given are {}", names.join(", ")))
                    },
                )
            })
            .collect::<Result<Vec<_>>>()?;
        for (variant, model) in dictionary.variants().iter().zip(&found) {
            if model.config().d_model != dictionary.d_model() {
                return Err(Error::request(format!(
                    "expected activations of width {} (the dictionary's), found {} in `{variant}`",
                    dictionary.d_model(),
                    model.config().d_model
                )));
            }
        }
        let vocabulary = |model: &Model| model.tokenizer().map(crate::model::Tokenizer::vocabulary);
        if let Some(first) = found.first() {
            let expected = vocabulary(first)?;
            for (variant, model) in dictionary.variants().iter().zip(&found) {
                if vocabulary(model)? != expected {
                    return Err(Error::request(format!(
                        "expected one tokenizer for all variants, found another vocabulary in `{variant}`"
                    ))
                    .hint("a joint code needs every variant at the same tokens"));
                }
            }
        }
        Ok(Self { models: found, dictionary, hook })
    }

    /// The dictionary.
    pub fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// Where the activations are read and the edits written.
    pub fn hook(&self) -> HookPoint {
        self.hook
    }

    /// The variants' names, in the order of the joint activation.
    pub fn variants(&self) -> &[String] {
        self.dictionary.variants()
    }

    /// The index of a variant.
    ///
    /// # Errors
    /// If the dictionary was not fitted over it.
    pub fn variant(&self, name: &str) -> Result<usize> {
        self.variants().iter().position(|variant| variant == name).ok_or_else(|| {
            Error::request(format!("expected a variant of the dictionary, found `{name}`"))
                .hint(format!("the dictionary was fitted over {}", self.variants().join(", ")))
        })
    }

    /// The model of a variant by index.
    ///
    /// # Errors
    /// If there is no such variant.
    pub fn model(&self, variant: usize) -> Result<&Model> {
        self.models
            .get(variant)
            .ok_or_else(|| Error::work(format!("there is no variant {variant} in this dictionary")))
    }

    /// Empty caches, one a variant, for `rows` rows.
    pub(super) fn caches(&self, rows: usize) -> Vec<KvCache> {
        self.models.iter().map(|model| model.cache(rows)).collect()
    }

    /// The activations at the hook on new tokens, packed without padding: `[tokens, variants, d_model]`.
    /// Variants that are not `wanted` stay zero and do not run.
    ///
    /// # Errors
    /// If a forward pass fails.
    pub(super) fn joint(
        &self,
        tokens: &TokenBatch,
        mut caches: Option<&mut [KvCache]>,
        wanted: &[bool],
    ) -> Result<Vec<f32>> {
        let width = self.dictionary.d_model();
        let real: usize = tokens.lengths().iter().sum();
        let row = self.models.len() * width;
        let mut joint = vec![0.0; real * row];
        for (variant, model) in self.models.iter().enumerate() {
            if !wanted.get(variant).copied().unwrap_or(false) {
                continue;
            }
            let mut hooks = Hooks::none().capture(self.hook).stop_after(self.hook);
            let cache = caches.as_deref_mut().and_then(|caches| caches.get_mut(variant));
            model.forward(tokens, cache, &mut hooks, Gradients::Off)?;
            hooks.finish()?;
            let hidden = hooks
                .take(self.hook)
                .ok_or_else(|| Error::work(format!("the hook `{}` did not fire", self.hook)))?;
            let hidden = hidden.flatten_all()?.to_vec1::<f32>()?;
            let places = packed(tokens).zip(joint.chunks_exact_mut(row));
            for (place, joint) in places {
                let from = hidden.get(place * width..(place + 1) * width).unwrap_or(&[]);
                if let Some(to) = joint.get_mut(variant * width..(variant + 1) * width) {
                    to.copy_from_slice(from);
                }
            }
        }
        Ok(joint)
    }

    /// The joint codes on whole texts, text after text.
    ///
    /// # Errors
    /// If a forward pass fails.
    pub(super) fn codes(&self, texts: &[Vec<u32>]) -> Result<Codes> {
        let wanted = vec![true; self.models.len()];
        let mut joint = Vec::new();
        for chunk in texts.chunks(ROWS) {
            joint.extend(self.joint(&TokenBatch::new(chunk)?, None, &wanted)?);
        }
        self.dictionary.encode(&joint)
    }
}

/// Rows of a forward pass over whole texts.
const ROWS: usize = 64;

/// The places `row * width + column` of the real tokens of a batch.
pub(super) fn packed(tokens: &TokenBatch) -> impl Iterator<Item = usize> + '_ {
    let width = tokens.width();
    tokens
        .lengths()
        .iter()
        .enumerate()
        .flat_map(move |(row, length)| (0..*length).map(move |column| row * width + column))
}
