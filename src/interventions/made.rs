//! Interventions by what they are made of: features of a dictionary, a direction, a head, another model's run.

use super::arithmetic::Arithmetic;
use super::edit::Edit;
use super::heads::{Head, HeadWriter};
use super::intervention::Intervention;
use super::reading::Reading;
use super::reference::{CodeBank, Reference};
use super::writer::Writer;
use crate::dictionaries::{Dictionary, TokenScale};
use crate::error::{At, Error, Result};
use crate::model::{HookPoint, Run};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Interventions on a model by the features of a dictionary that reads this model alone, at the hook point that it was
/// fitted at. What the dictionary does not explain is kept: each writes the difference that it makes to the features'
/// part of the activation.
pub trait Features {
    /// Takes what the features write away.
    ///
    /// # Errors
    /// If there is no such feature, or the dictionary reads several models, writes elsewhere than it reads, or does not
    /// say where it was fitted.
    fn ablate(&self, features: &[u32]) -> Result<Intervention>;

    /// Multiplies the features' activations.
    ///
    /// # Errors
    /// As [`Features::ablate`].
    fn scale(&self, features: &[u32], factor: f32) -> Result<Intervention>;

    /// Adds `strength` times the features' decoder vectors, whether they fire or not.
    ///
    /// # Errors
    /// As [`Features::ablate`].
    fn steer(&self, features: &[u32], strength: f32) -> Result<Intervention>;

    /// Sets the features' activations to `value`.
    ///
    /// # Errors
    /// As [`Features::ablate`].
    fn clamp(&self, features: &[u32], value: f32) -> Result<Intervention>;

    /// What a feature writes, as a direction.
    ///
    /// # Errors
    /// As [`Features::ablate`].
    fn direction(&self, feature: u32) -> Result<Direction>;
}

impl Features for Dictionary {
    fn ablate(&self, features: &[u32]) -> Result<Intervention> {
        edited(self, &Edit::Zero, 1.0, features)
    }

    fn scale(&self, features: &[u32], factor: f32) -> Result<Intervention> {
        edited(self, &Edit::Scale, factor, features)
    }

    fn steer(&self, features: &[u32], strength: f32) -> Result<Intervention> {
        edited(self, &Edit::Steer, strength, features)
    }

    fn clamp(&self, features: &[u32], value: f32) -> Result<Intervention> {
        edited(self, &Edit::Clamp, value, features)
    }

    fn direction(&self, feature: u32) -> Result<Direction> {
        edited(self, &Edit::Zero, 1.0, &[feature])?;
        Direction::new(self.decoder(feature as usize, 0).to_vec())
    }
}

fn edited(dictionary: &Dictionary, edit: &Edit, dose: f32, features: &[u32]) -> Result<Intervention> {
    if features.is_empty() {
        return Err(Error::request("expected at least one feature, found none"));
    }
    let spec = dictionary.spec();
    spec.check_positive("an intervention on features")?;
    if let ([_, _, ..], _) | (_, true) =
        (spec.inputs.as_slice(), spec.inputs.iter().any(|site| site.minus.is_some()))
    {
        return Err(Error::request(format!(
            "this dictionary reads {} at every token, and one model alone was to be edited",
            spec.inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ))
        .hint("`experiments::say` and `deltascope sample --intervene` run the models side by side"));
    }
    if spec.kind.is_transcoder() || spec.inputs != spec.outputs {
        return Err(Error::request(format!(
            "an edit of features writes where the dictionary reads, and a `{}` writes elsewhere",
            spec.kind
        ))
        .hint("take a dictionary that reconstructs what it reads"));
    }
    if spec.token_scale != TokenScale::None {
        return Err(Error::request(
            "this dictionary scales every token before it reads it, and what its features write with it: \
                 that cannot be edited yet",
        ));
    }
    if dictionary.hook().is_empty() {
        return Err(Error::request("this dictionary does not say at which hook point it was fitted")
            .hint("say so: `sae.at_hook(\"blocks.3.hook_resid_post\")?`"));
    }
    let hook: HookPoint = dictionary.hook().parse().at("the dictionary")?;
    // The unit of a strength is that of the activations.
    let reference = Reference { means: Vec::new(), percentiles: vec![1.0; dictionary.features()] };
    let variant = dictionary.variants().first().map_or("", String::as_str);
    let writer = Writer::new(edit, dose, features, variant, dictionary, &reference, &CodeBank::default())?;
    Ok(Intervention::written(hook, Reading::Joint, writer, Some(dictionary.clone())))
}

/// A direction in the activations, with a length. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction(Arc<[f32]>);

impl Direction {
    /// The direction of these numbers.
    ///
    /// # Errors
    /// If they are not all finite, or all zero.
    pub fn new(values: Vec<f32>) -> Result<Self> {
        let length = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        match length.is_finite() && length > 0.0 {
            true => Ok(Self(values.into())),
            false => Err(Error::request(format!(
                "expected a direction of positive length, found the length {length}"
            ))),
        }
    }

    /// From the mean of some activations to the mean of others, `[.., d_model]` each: a difference of means.
    ///
    /// # Errors
    /// If they are of different widths, or have equal means.
    pub fn between(from: &Tensor, to: &Tensor) -> Result<Self> {
        let (from, to) = (mean(from)?, mean(to)?);
        if from.len() != to.len() {
            return Err(Error::request(format!(
                "expected activations of one width, found {} and {}",
                from.len(),
                to.len()
            )));
        }
        Self::new(to.iter().zip(from).map(|(to, from)| to - from).collect())
    }

    /// Its numbers.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// Its length.
    pub fn length(&self) -> f64 {
        self.0.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
    }

    /// How much of each activation `[.., d_model]` lies along it, in units of its own length 1: `[..]`.
    ///
    /// # Errors
    /// If the last axis is not as long as the direction.
    pub fn along(&self, activations: &Tensor) -> Result<Tensor> {
        let unit: Vec<f32> = self.0.iter().map(|x| (f64::from(*x) / self.length()) as f32).collect();
        let unit = Tensor::from_vec(unit, self.0.len(), activations.device())?;
        if activations.dims().last() != Some(&self.0.len()) {
            return Err(Error::request(format!(
                "expected activations of width {}, found {:?}",
                self.0.len(),
                activations.dims()
            )));
        }
        Ok(activations.to_dtype(DType::F32)?.broadcast_mul(&unit)?.sum(activations.rank() - 1)?)
    }

    /// Adds it, `strength` times.
    ///
    /// # Errors
    /// If there is no such hook point; the nearest is named.
    pub fn add(
        &self,
        at: impl TryInto<HookPoint, Error: Into<Error>>,
        strength: f32,
    ) -> Result<Intervention> {
        self.edited(at, &Edit::AddDirection, strength)
    }

    /// Takes out what lies along it.
    ///
    /// # Errors
    /// As [`Direction::add`].
    pub fn project_out(&self, at: impl TryInto<HookPoint, Error: Into<Error>>) -> Result<Intervention> {
        self.edited(at, &Edit::ProjectOut, 1.0)
    }

    fn edited(
        &self,
        at: impl TryInto<HookPoint, Error: Into<Error>>,
        edit: &Edit,
        dose: f32,
    ) -> Result<Intervention> {
        let hook = at.try_into().map_err(Into::into)?;
        Ok(Intervention::written(hook, Reading::Joint, Writer::along(edit, dose, &self.0, 0)?, None))
    }
}

/// The mean over all axes but the last.
fn mean(activations: &Tensor) -> Result<Vec<f32>> {
    let width = activations.dims().last().copied().unwrap_or(0);
    let rows = activations.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.reshape(((), width))?;
    if rows.dim(0)? == 0 {
        return Err(Error::request("expected activations of at least one token, found none"));
    }
    Ok(rows.mean(0)?.to_vec1()?)
}

impl Head {
    /// Head `head` of block `layer`, both from 0.
    pub fn new(layer: usize, head: usize) -> Self {
        Self { layer, head }
    }

    /// Takes the head out.
    pub fn ablate(self) -> Result<Intervention> {
        self.edited(&Edit::Zero, 1.0)
    }

    /// Multiplies what the head mixes.
    pub fn scale(self, factor: f32) -> Result<Intervention> {
        self.edited(&Edit::Scale, factor)
    }

    fn edited(self, edit: &Edit, dose: f32) -> Result<Intervention> {
        Ok(Intervention::of_heads(HeadWriter::new(edit, dose, &[self], (0, None), &BTreeMap::new())?))
    }
}

/// A run whose values can be written into another.
pub trait Patch {
    /// What stood at a hook point of this run, to be written into another at the same positions: an activation patch.
    /// Choose positions by [`Intervention::at`], and heads by [`Intervention::at_heads`].
    ///
    /// # Errors
    /// If the run did not keep that hook point.
    fn patch(&self, at: &str) -> Result<Intervention>;
}

impl Patch for Run {
    fn patch(&self, at: &str) -> Result<Intervention> {
        let value = self.get(at)?.detach();
        Intervention::arithmetic(at, Arithmetic::Patch(value.squeeze(0)?))
    }
}
