//! Dictionaries by name, and tensors in and out.

use super::dictionary::Dictionary;
use super::reading::Declared;
use super::spec::{Activation, Kind, Site, Spec, TokenScale};
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::model::HookPoint;
use candle_core::{DType, Device, Tensor};
use std::path::Path;

impl Dictionary {
    /// The dictionary of a name: a folder, a folder of the Hugging Face hub (`owner/name[@revision]/sub/folder`), or
    /// SAELens's `release/sae_id`, of any format that is read. See [`Dictionary::find`].
    ///
    /// # Errors
    /// If there is none of that name, or it cannot be read.
    pub fn from_pretrained(name: impl AsRef<Path>) -> Result<Self> {
        let name = name.as_ref();
        let text = name
            .to_str()
            .ok_or_else(|| Error::request(format!("expected a name in UTF-8, found `{}`", name.display())))?;
        Self::find(text, &Declared::default())
    }

    /// A ReLU dictionary of one's own numbers, fitted at `hook`: encoder and decoder `[features, width]`, their biases
    /// `[features]` and `[width]`.
    ///
    /// # Errors
    /// If there is no such hook point (the nearest is named), or the sizes do not fit.
    pub fn from_tensors(
        hook: impl TryInto<HookPoint, Error: Into<Error>>,
        encoder: &Tensor,
        encoder_bias: &Tensor,
        decoder: &Tensor,
        decoder_bias: &Tensor,
    ) -> Result<Self> {
        let hook = hook.try_into().map_err(Into::into)?.to_string();
        let (features, width) = encoder.dims2()?;
        for (name, found, expected) in [
            ("encoder's bias", encoder_bias, vec![features]),
            ("decoder", decoder, vec![features, width]),
            ("decoder's bias", decoder_bias, vec![width]),
        ] {
            if found.dims() != expected {
                return Err(Error::request(format!(
                    "expected the {name} of an encoder {:?} to be {expected:?}, found {:?}",
                    encoder.dims(),
                    found.dims()
                )));
            }
        }
        let site = vec![Site::of("model")];
        let spec = Spec {
            output_hook: hook.clone(),
            hook,
            ..Spec::reconstructing(Kind::Standard, Activation::Relu, site, width, features)
        };
        let weights = Weights {
            encoder: numbers(encoder)?,
            encoder_bias: numbers(encoder_bias)?,
            decoder: numbers(decoder)?,
            decoder_bias: numbers(decoder_bias)?,
            ..Weights::default()
        };
        Self::new(spec, weights)
    }

    /// The same dictionary, said to have been fitted at this hook point, which it reads and writes.
    ///
    /// # Errors
    /// If there is no such hook point (the nearest is named), or it is a transcoder, which has two.
    pub fn at_hook(&self, hook: impl TryInto<HookPoint, Error: Into<Error>>) -> Result<Self> {
        let hook = hook.try_into().map_err(Into::into)?.to_string();
        if self.kind().is_transcoder() {
            return Err(Error::request(
                "expected a dictionary that writes where it reads, found a transcoder",
            ));
        }
        let spec = Spec { output_hook: hook.clone(), hook, ..self.spec().clone() };
        Ok(Self::new(spec, self.weights().clone())?.read_as(self.reading().clone()))
    }

    /// The features' activations `[.., features]` of what stood at the hook point, `[.., width]`: those of
    /// [`Dictionary::codes`], the zeros with them. Of values by heads `[.., head, head_dim]` both last axes are read. No
    /// gradient goes through.
    ///
    /// # Errors
    /// If the dictionary reads another width.
    pub fn encode(&self, x: &Tensor) -> Result<Tensor> {
        let width = self.spec().input_width();
        let lead = leading(x, width).ok_or_else(|| {
            Error::request(format!(
                "expected activations of {} x {} numbers, found the shape {:?}",
                self.spec().inputs.len(),
                self.spec().d_in,
                x.dims()
            ))
        })?;
        let dense = self.codes(&numbers(x)?)?.dense(self.features());
        Ok(Tensor::from_vec(dense, [lead, vec![self.features()]].concat(), x.device())?)
    }

    /// The reconstruction `[.., outputs x width]` of activations `[.., features]`. No gradient goes through.
    ///
    /// # Errors
    /// If there are more or fewer features, or the dictionary must see what it read, too: then there is
    /// [`Dictionary::reconstruct`].
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let spec = self.spec();
        if !self.weights().skip.is_empty() || spec.token_scale != TokenScale::None {
            return Err(Error::request("this dictionary's reconstruction depends on what it read, too")
                .hint("`Dictionary::reconstruct` takes both"));
        }
        let Some(lead) = leading(latents, spec.features).filter(|lead| lead.len() + 1 == latents.rank())
        else {
            return Err(Error::request(format!(
                "expected activations of {} features, found the shape {:?}",
                spec.features,
                latents.dims()
            )));
        };
        let latents_of = numbers(latents)?;
        let mut codes = super::codes::Codes::new();
        for row in latents_of.chunks_exact(spec.features) {
            let active = (0u32..).zip(row.iter().copied());
            codes.push(active.filter(|(_, value)| *value != 0.0));
        }
        let unread = vec![0.0; codes.tokens() * spec.input_width()];
        let output = self.reconstruct(&codes, &unread)?;
        Ok(Tensor::from_vec(output, [lead, vec![spec.output_width()]].concat(), latents.device())?)
    }
}

/// The axes before those that hold `width` numbers.
fn leading(x: &Tensor, width: usize) -> Option<Vec<usize>> {
    let dims = x.dims();
    (1..=dims.len().min(2)).find_map(|last| {
        let (lead, held) = dims.split_at(dims.len() - last);
        (held.iter().product::<usize>() == width).then(|| lead.to_vec())
    })
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}
