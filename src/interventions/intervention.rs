//! One intervention: what is done, where, and at which tokens.

use super::arithmetic::Arithmetic;
use super::edit::Positions;
use super::heads::HeadWriter;
use super::reading::Reading;
use super::tally::{Tallies, TextPart};
use super::writer::Writer;
use crate::dictionaries::Dictionary;
use crate::error::{Error, Result};
use crate::model::HookPoint;
use candle_core::Tensor;
use std::collections::BTreeSet;

/// What is done to a model while it reads or writes, where, and at which tokens. Cheap to clone.
///
/// Made by a [`Dictionary`] (`sae.ablate(&[3])?`), a [`Direction`](super::Direction), a [`Head`](super::Head), another
/// model's [`Run`](crate::model::Run) (`run.patch("blocks.3.hook_resid_post")?`), or of tensors, as here. The same value
/// goes into [`Intervene::generate`](crate::interventions::Intervene::generate), into [`HooksUnder::under`](super::HooksUnder::under), into
/// training, and into the conditions of a study.
///
/// It acts on prompt and response, at every position but those of the begin token; what it does not name keeps every
/// bit. A run in which it never acts is an error, unless it is [`Intervention::optional`].
#[derive(Clone, Debug)]
pub struct Intervention {
    operation: Operation,
    positions: Positions,
    only: Option<BTreeSet<usize>>,
    with_begin: bool,
    optional: bool,
}

/// What is done.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Arithmetic of tensors at a hook point, of all its heads or of some.
    Arithmetic { hook: HookPoint, what: Arithmetic, heads: Option<BTreeSet<usize>> },
    /// A writer's delta at a hook point.
    Write(Write),
    /// Heads, perhaps of several layers.
    Heads(HeadWriter),
}

/// A writer in its place.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// Where activations are read and the delta is written.
    pub(crate) hook: HookPoint,
    /// How codes are made of the activations, where the writer needs codes.
    pub(crate) reading: Reading,
    /// What is written.
    pub(crate) writer: Writer,
    /// What encodes, where the writer needs codes.
    pub(crate) dictionary: Option<Dictionary>,
}

impl Intervention {
    /// Writes `value` in the place of what is there. It has the shape of the hook point's value, or one that
    /// broadcasts to it: a vector as long as the last axis, one number.
    ///
    /// # Errors
    /// If there is no such hook point; the nearest is named.
    pub fn replace(at: impl TryInto<HookPoint, Error: Into<Error>>, value: Tensor) -> Result<Self> {
        Self::arithmetic(at, Arithmetic::Replace(value))
    }

    /// Adds `value`, shaped as in [`Intervention::replace`].
    ///
    /// # Errors
    /// As [`Intervention::replace`].
    pub fn add(at: impl TryInto<HookPoint, Error: Into<Error>>, value: Tensor) -> Result<Self> {
        Self::arithmetic(at, Arithmetic::Add(value))
    }

    /// Multiplies by `factor`.
    ///
    /// # Errors
    /// As [`Intervention::replace`].
    pub fn scale(at: impl TryInto<HookPoint, Error: Into<Error>>, factor: f64) -> Result<Self> {
        Self::arithmetic(at, Arithmetic::Scale(factor))
    }

    /// Takes out what lies along `direction`, a vector as long as the last axis, of any length but 0:
    /// `x − (x · u) u` with the unit vector `u`.
    ///
    /// # Errors
    /// As [`Intervention::replace`].
    pub fn project_out(at: impl TryInto<HookPoint, Error: Into<Error>>, direction: Tensor) -> Result<Self> {
        Self::arithmetic(at, Arithmetic::ProjectOut(direction))
    }

    pub(super) fn arithmetic(
        at: impl TryInto<HookPoint, Error: Into<Error>>,
        what: Arithmetic,
    ) -> Result<Self> {
        let hook = at.try_into().map_err(Into::into)?;
        Ok(Self::new(Operation::Arithmetic { hook, what, heads: None }))
    }

    /// What `writer` writes at `hook`, of codes that are made by `reading` with `dictionary`.
    pub fn written(
        hook: HookPoint,
        reading: Reading,
        writer: Writer,
        dictionary: Option<Dictionary>,
    ) -> Self {
        Self::new(Operation::Write(Write { hook, reading, writer, dictionary }))
    }

    /// What `writer` does to heads.
    pub fn of_heads(writer: HeadWriter) -> Self {
        Self::new(Operation::Heads(writer))
    }

    fn new(operation: Operation) -> Self {
        let positions = Positions::All;
        Self { operation, positions, only: None, with_begin: false, optional: false }
    }

    /// At these positions alone, counted from the start of a row (of attention scores and patterns: those of the
    /// query).
    #[must_use]
    pub fn at(mut self, positions: impl IntoIterator<Item = usize>) -> Self {
        self.only = Some(positions.into_iter().collect());
        self
    }

    /// On this part of the text alone.
    #[must_use]
    pub fn on(mut self, positions: Positions) -> Self {
        self.positions = positions;
        self
    }

    /// At the begin token, too, which is left alone otherwise.
    #[must_use]
    pub fn with_begin(mut self) -> Self {
        self.with_begin = true;
        self
    }

    /// Lets a run pass in which it never acts, as when a feature does not fire there: what it did is still counted.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// At these heads alone: query heads, or key heads where the point has those.
    ///
    /// # Errors
    /// If it is none of a hook point with heads: features, directions and whole heads name what they are of.
    pub fn at_heads(mut self, chosen: impl IntoIterator<Item = usize>) -> Result<Self> {
        match &mut self.operation {
            Operation::Arithmetic { heads, .. } => *heads = Some(chosen.into_iter().collect()),
            _ => {
                return Err(Error::request(
                    "expected an intervention on a hook point with heads, found another",
                )
                .hint("make one by `Intervention::scale(\"blocks.0.attn.hook_z\", 0.0)`, or take a `Head`"));
            }
        }
        Ok(self)
    }

    /// The hook points that it writes at, in the order of the layers.
    pub fn hook_points(&self) -> Vec<HookPoint> {
        match &self.operation {
            Operation::Arithmetic { hook, .. } | Operation::Write(Write { hook, .. }) => vec![*hook],
            Operation::Heads(writer) => writer.hook_points(),
        }
    }

    /// Refuses one that is not optional and never acted: its effect would be mistaken for no effect.
    pub(super) fn check(&self, index: usize, done: &Tallies) -> Result<()> {
        let done = done.total();
        if self.optional || done.acted > 0 {
            return Ok(());
        }
        let places: Vec<String> = self.hook_points().iter().map(HookPoint::to_string).collect();
        let why = match done.positions {
            0 => "there was no position to act on".to_owned(),
            positions => format!("it changed nothing at any of {positions} positions"),
        };
        let message = format!("intervention {} at `{}` never acted: {why}", index + 1, places.join(", "));
        Err(Error::request(message).hint(
            "take features that fire there and positions that are there (the begin token is left alone unless \
             `.with_begin()`), or let it pass by `.optional()`",
        ))
    }

    /// Whether a run in which it never acts is sound.
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    /// What tells it from every other, its numbers included.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub(crate) fn identity(&self) -> Result<String> {
        let mut hash = blake3::Hasher::new();
        hash.update(format!("{:?} {:?} {}", self.positions, self.only, self.with_begin).as_bytes());
        match &self.operation {
            Operation::Heads(writer) => {
                hash.update(format!("{writer:?}").as_bytes());
            }
            Operation::Arithmetic { hook, what, heads } => {
                hash.update(format!("{hook} {heads:?} ").as_bytes());
                let (name, numbers) = what.identity()?;
                hash.update(name.as_bytes());
                let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                hash.update(&bytes);
            }
            Operation::Write(Write { hook, reading, writer, dictionary }) => {
                hash.update(format!("{hook} {} {writer:?}", reading.name()).as_bytes());
                if let Some(dictionary) = dictionary {
                    hash.update(format!("{:?}", dictionary.spec()).as_bytes());
                    let read = writer.features().iter().map(|feature| dictionary.encoder(*feature as usize));
                    let bytes: Vec<u8> = read.flatten().flat_map(|number| number.to_le_bytes()).collect();
                    hash.update(&bytes);
                }
            }
        }
        Ok(hash.finalize().to_hex().to_string())
    }

    pub(crate) fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The same for the model with this index, where it is of a direction or of heads, which any model has.
    #[must_use]
    pub(crate) fn for_receiver(self, index: usize) -> Self {
        let operation = match self.operation.clone() {
            Operation::Write(write) if write.dictionary.is_none() && write.writer.donor().is_none() => {
                Operation::Write(Write { writer: write.writer.for_receiver(index), ..write })
            }
            Operation::Heads(writer) if writer.donor().is_none() => {
                Operation::Heads(writer.for_receiver(index))
            }
            other => other,
        };
        self.with_operation(operation)
    }

    /// The same with another operation in its place.
    #[must_use]
    pub(crate) fn with_operation(self, operation: Operation) -> Self {
        Self { operation, ..self }
    }

    /// The positions that it names, where it names some.
    pub(super) fn only(&self) -> Option<&BTreeSet<usize>> {
        self.only.as_ref()
    }

    /// Whether it may act at a position of this part of a text, which holds the begin token or not.
    pub(crate) fn acts_at(&self, part: TextPart, position: usize, is_begin: bool) -> bool {
        self.positions.contain(part)
            && (self.with_begin || !is_begin)
            && self.only.as_ref().is_none_or(|only| only.contains(&position))
    }
}
