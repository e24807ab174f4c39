//! The joint readout: all variants of a dictionary on the same tokens, up to the hook, and their code.

use crate::dictionaries::{Codes, Dictionary};
use crate::diff::Reading;
use crate::error::{Error, Result};
use crate::model::{Gradients, HookPoint, Hooks, KvCache, Model, TokenBatch};

/// The variants of a dictionary, ready to run side by side. Cheap to clone.
#[derive(Clone)]
pub struct Readout {
    names: Vec<String>,
    models: Vec<Model>,
    dictionary: Option<Dictionary>,
    hook: HookPoint,
}

impl Readout {
    /// Finds the model of every variant that the dictionary was fitted over; without a dictionary, all models
    /// are its variants.
    ///
    /// # Errors
    /// If one is missing, or if their widths, vocabularies or devices differ: a joint code needs every variant
    /// at the same token.
    pub fn new(models: &[(String, Model)], dictionary: Option<Dictionary>, hook: HookPoint) -> Result<Self> {
        if let Some(dictionary) = &dictionary {
            dictionary.spec().check_positive("an edit of features")?;
            if dictionary.kind().is_transcoder() {
                return Err(Error::request(format!(
                    "an edit of features writes where the dictionary reads, and a `{}` writes elsewhere",
                    dictionary.kind()
                ))
                .hint("take a dictionary that reconstructs what it reads"));
            }
        }
        let given: Vec<String> = models.iter().map(|(name, _)| name.clone()).collect();
        let names = dictionary.as_ref().map_or(given.clone(), |dictionary| dictionary.variants().to_vec());
        let found = names
            .iter()
            .map(|variant| {
                models.iter().find(|(name, _)| name == variant).map(|(_, model)| model.clone()).ok_or_else(
                    || {
                        Error::request(format!(
                            "the dictionary was fitted over `{variant}`, but no such model was given"
                        ))
                        .hint(format!("the models given are {}", given.join(", ")))
                    },
                )
            })
            .collect::<Result<Vec<_>>>()?;
        let Some(first) = found.first() else {
            return Err(Error::request("expected at least one model, found none"));
        };
        let width = dictionary.as_ref().map_or(first.config().d_model, Dictionary::d_model);
        let expected = first.tokenizer()?;
        for (variant, model) in names.iter().zip(&found) {
            if model.config().d_model != width {
                return Err(Error::request(format!(
                    "expected activations of width {width}, found {} in `{variant}`",
                    model.config().d_model
                )));
            }
            if !model.tokenizer()?.has_tokens_of(expected) {
                return Err(Error::request(format!(
                    "expected one tokenizer for all variants, found other tokens in `{variant}`"
                ))
                .hint("a joint code needs every variant at the same tokens"));
            }
        }
        Ok(Self { names, models: found, dictionary, hook })
    }

    /// The dictionary.
    ///
    /// # Errors
    /// If there is none.
    pub fn dictionary(&self) -> Result<&Dictionary> {
        self.dictionary.as_ref().ok_or_else(|| {
            Error::request("an edit of features needs a dictionary, and none was given")
                .hint("give one, or edit a direction or heads")
        })
    }

    /// The number of features; zero without a dictionary.
    pub(super) fn features(&self) -> usize {
        self.dictionary.as_ref().map_or(0, Dictionary::features)
    }

    /// The width of an activation.
    pub fn d_model(&self) -> usize {
        self.models.first().map_or(0, |model| model.config().d_model)
    }

    /// Where the activations are read and the edits written.
    pub fn hook(&self) -> HookPoint {
        self.hook
    }

    /// The variants' names, in the order of the joint activation.
    pub fn variants(&self) -> &[String] {
        &self.names
    }

    /// The index of a variant.
    ///
    /// # Errors
    /// If it is none of the variants.
    pub fn variant(&self, name: &str) -> Result<usize> {
        self.variants().iter().position(|variant| variant == name).ok_or_else(|| {
            Error::request(format!("expected a variant of the dictionary, found `{name}`"))
                .hint(format!("the variants are {}", self.variants().join(", ")))
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

    /// One variant's activations at the hook on new tokens, packed without padding: `[tokens, d_model]`.
    ///
    /// # Errors
    /// If the forward pass fails, or the hook does not hold `d_model` numbers a token.
    pub(super) fn activations(
        &self,
        variant: usize,
        hook: HookPoint,
        tokens: &TokenBatch,
        cache: Option<&mut KvCache>,
    ) -> Result<Vec<f32>> {
        let mut hooks = Hooks::none().capture(hook).stop_after(hook);
        self.model(variant)?.forward(tokens, cache, &mut hooks, Gradients::Off)?;
        hooks.finish()?;
        let hidden = hooks
            .take(hook)
            .ok_or_else(|| Error::work(format!("the hook `{hook}` did not fire")))?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let width = self.d_model();
        if hidden.len() != tokens.rows() * tokens.width() * width {
            return Err(Error::request(format!("`{hook}` does not hold {width} numbers a token"))
                .hint("edit the residual stream, or what attention or the MLP adds to it"));
        }
        if tokens.lengths().iter().all(|length| *length == tokens.width()) {
            return Ok(hidden);
        }
        Ok(packed(tokens).flat_map(|place| &hidden[place * width..(place + 1) * width]).copied().collect())
    }

    /// The activations of all variants at the readout's own hook on whole texts: `[tokens, variants, d_model]`.
    ///
    /// # Errors
    /// If a forward pass fails.
    pub(super) fn joint(&self, tokens: &TokenBatch) -> Result<Vec<f32>> {
        let (width, variants) = (self.d_model(), self.models.len());
        let real: usize = tokens.lengths().iter().sum();
        let mut joint = vec![0.0; real * variants * width];
        for variant in 0..variants {
            let found = self.activations(variant, self.hook, tokens, None)?;
            let slots = joint.chunks_exact_mut(width).skip(variant).step_by(variants);
            slots.zip(found.chunks_exact(width)).for_each(|(slot, found)| slot.copy_from_slice(found));
        }
        Ok(joint)
    }

    /// Joint activations on whole texts at the readout's own hook, chunk after chunk of texts.
    ///
    /// # Errors
    /// If a forward pass fails, or `visit` does.
    pub(super) fn read(&self, texts: &[Vec<u32>], mut visit: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
        texts.chunks(ROWS).try_for_each(|chunk| visit(&self.joint(&TokenBatch::new(chunk)?)?))
    }

    /// The codes on whole texts, text after text; none without a dictionary.
    ///
    /// # Errors
    /// If a forward pass fails.
    pub fn codes(&self, texts: &[Vec<u32>], reading: &Reading) -> Result<Codes> {
        let mut codes = Codes::new();
        let Some(dictionary) = &self.dictionary else { return Ok(codes) };
        let all: Vec<u32> = (0..dictionary.features() as u32).collect();
        let reader = reading.reader(dictionary, &all)?;
        self.read(texts, |joint| {
            let chunk = reader.codes(joint)?;
            (0..chunk.tokens()).for_each(|token| {
                codes.push(chunk.token(token).map(|(feature, value)| (feature as u32, value)));
            });
            Ok(())
        })?;
        Ok(codes)
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
