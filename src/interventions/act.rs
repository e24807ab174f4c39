//! Interventions as the hooks of a pass through one model, and what they did there.

use super::arithmetic::at_heads;
use super::heads::HeadWriter;
use super::intervention::{Intervention, Operation, Write};
use super::reading::CodeReader;
use super::tally::{Tallies, Tally, TextPart};
use super::writer::{Position, Slope};
use crate::dictionaries::{Codes, Dictionary};
use crate::error::{Error, Result};
use crate::model::{HookPoint, HookSite, Hooks, Under};
use candle_core::{DType, Device, Tensor};
use std::sync::{Arc, Mutex, PoisonError};

/// Which tokens of the rows of a pass are what.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// Tokens of each row's prompt; what follows is the response. Rows that are not named are prompt.
    pub(super) prompts: Vec<usize>,
    /// Tokens of the response after which nobody reads.
    pub(super) ending: Vec<u32>,
}

/// Interventions made ready for passes through one model, with the count of what they did.
#[derive(Clone)]
pub(super) struct Plan {
    all: Arc<Vec<Ready>>,
    tallies: Arc<Mutex<Vec<Tallies>>>,
}

struct Ready {
    intervention: Intervention,
    reader: Option<CodeReader>,
}

impl Plan {
    pub(super) fn new(interventions: &[Intervention]) -> Result<Self> {
        let ready = interventions.iter().map(Ready::new).collect::<Result<Vec<_>>>()?;
        let tallies = Arc::new(Mutex::new(vec![Tallies::default(); ready.len()]));
        Ok(Self { all: Arc::new(ready), tallies })
    }

    /// Adds the interventions to the hooks of a pass.
    pub(super) fn add_to(&self, mut hooks: Hooks, scope: &Scope) -> Hooks {
        let scope = Arc::new(scope.clone());
        for (index, ready) in self.all.iter().enumerate() {
            for point in ready.intervention.hook_points() {
                let (plan, scope) = (self.clone(), scope.clone());
                let act = move |site: &HookSite, value: &Tensor| plan.act(index, site, value, &scope);
                hooks = hooks.edit(point, Box::new(act));
            }
        }
        hooks
    }

    fn act(&self, index: usize, site: &HookSite, value: &Tensor, scope: &Scope) -> Result<Tensor> {
        let Some(ready) = self.all.get(index) else { return Ok(value.clone()) };
        let places = ready.places(site, value, scope)?;
        if places.iter().all(Option::is_none) {
            return Ok(value.clone());
        }
        let after = ready.apply(site, value, &places)?;
        let done = count(site.point, value, &after, &places)?;
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = tallies.get_mut(index) {
            sum.add(&done);
        }
        Ok(after)
    }

    /// What every intervention did so far.
    pub(super) fn tallies(&self) -> Vec<Tallies> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What every intervention did.
    ///
    /// # Errors
    /// If one that is not optional never acted: its effect would be mistaken for no effect.
    pub(super) fn done(&self) -> Result<Vec<Tallies>> {
        let tallies = self.tallies();
        for (index, (ready, done)) in self.all.iter().zip(&tallies).enumerate() {
            ready.intervention.check(index, done)?;
        }
        Ok(tallies)
    }
}

/// Interventions as what a model reads under, for training.
///
/// # Errors
/// If one of them cannot act on one model alone.
pub fn under(interventions: &[Intervention]) -> Result<Arc<dyn Under>> {
    Ok(Arc::new(Plan::new(interventions)?))
}

impl Under for Plan {
    fn hooks(&self, prompts: &[usize]) -> Hooks {
        let scope = Scope { prompts: prompts.to_vec(), ending: Vec::new() };
        self.add_to(Hooks::none(), &scope)
    }

    fn identity(&self) -> Result<Vec<String>> {
        self.all.iter().map(|ready| ready.intervention.identity()).collect()
    }

    fn finish(&self) -> Result<()> {
        self.done().map(drop)
    }
}

/// Hooks that hold interventions.
pub trait HooksUnder {
    /// Adds an intervention, for one pass. All of what is read is its prompt.
    ///
    /// # Errors
    /// If it cannot act on one model alone. The pass fails if it holds no position at which the intervention acts.
    fn under(self, intervention: &Intervention) -> Result<Self>
    where
        Self: Sized;
}

impl HooksUnder for Hooks {
    fn under(mut self, intervention: &Intervention) -> Result<Self> {
        let ready = Arc::new(Ready::new(intervention)?);
        for point in intervention.hook_points() {
            let ready = ready.clone();
            let act = move |site: &HookSite, value: &Tensor| {
                let places = ready.places(site, value, &Scope::default())?;
                match places.iter().all(Option::is_none) && !ready.intervention.is_optional() {
                    true => Err(ready.nowhere(site)),
                    false => ready.apply(site, value, &places),
                }
            };
            self = self.edit(point, Box::new(act));
        }
        Ok(self)
    }
}

impl Ready {
    fn new(intervention: &Intervention) -> Result<Self> {
        let reader = match intervention.operation() {
            Operation::Write(write) if write.writer.donor().is_some() => {
                return Err(Error::request(
                    "expected an intervention on one model, found a transplant from another",
                )
                .hint(
                    "patch it from the other model's run, or run both side by side by `experiments::say`",
                ));
            }
            Operation::Write(write) if write.writer.needs_codes() => {
                let dictionary = dictionary(write)?;
                if dictionary.spec().inputs.len() != 1 {
                    return Err(Error::request(format!(
                        "expected a dictionary that reads one model, found one that reads {}",
                        dictionary.variants().join(", ")
                    ))
                    .hint("`experiments::say` runs the models side by side"));
                }
                Some(write.reading.reader(dictionary, write.writer.features())?)
            }
            _ => None,
        };
        Ok(Self { intervention: intervention.clone(), reader })
    }

    /// The part of the text at every place `[row, position]` at which it may act.
    fn places(&self, site: &HookSite, value: &Tensor, scope: &Scope) -> Result<Vec<Option<TextPart>>> {
        let width = value.dim(site.point.position_axis())?;
        let reach = match self.intervention.operation() {
            Operation::Arithmetic { what, .. } => what.reaches(),
            _ => None,
        };
        let mut places = Vec::with_capacity(site.starts.len() * width);
        for (row, (start, length)) in site.starts.iter().zip(&site.lengths).enumerate() {
            let tokens = site.tokens.row(row);
            places.extend((0..width).map(|column| {
                let (position, token) = (start + column, tokens.get(column).copied());
                let is_prompt = scope.prompts.get(row).is_none_or(|prompt| position < *prompt);
                let part = if is_prompt { TextPart::Prompt } else { TextPart::Response };
                let ended = !is_prompt && token.is_some_and(|token| scope.ending.contains(&token));
                let is_begin = token.is_some() && token == site.begin;
                let is_there = column < *length && reach.is_none_or(|reach| position < reach);
                let acts = is_there && !ended && self.intervention.acts_at(part, position, is_begin);
                acts.then_some(part)
            }));
        }
        Ok(places)
    }

    fn nowhere(&self, site: &HookSite) -> Error {
        let ends = site.starts.iter().zip(&site.lengths).map(|(start, length)| start + length);
        let (first, end) = (site.starts.iter().min().copied().unwrap_or(0), ends.max().unwrap_or(0));
        match self.intervention.only() {
            Some(positions) => Error::request(format!(
                "expected one of the positions {positions:?} in the pass, found {first} up to {end}, which is not in it"
            )),
            None => Error::request(format!(
                "expected a position to act on in the pass, found none from {first} up to {end}"
            )),
        }
        .hint("the begin token is left alone unless `.with_begin()`")
    }

    /// The value with what is written at these places. What is not named keeps every bit.
    fn apply(&self, site: &HookSite, value: &Tensor, places: &[Option<TextPart>]) -> Result<Tensor> {
        let after = match self.intervention.operation() {
            Operation::Write(write) => return self.write(write, site, value, places),
            Operation::Heads(writer) => heads(writer, site, value)?,
            Operation::Arithmetic { what, heads, .. } => {
                let changed = what.of(site, value)?;
                match heads {
                    Some(heads) => chosen(&at_heads(heads, site, value)?, &changed, value)?,
                    None => changed,
                }
            }
        };
        let axis = site.point.position_axis();
        let mut dims = vec![1; value.rank()];
        (dims[0], dims[axis]) = (value.dim(0)?, value.dim(axis)?);
        let mask: Vec<u8> = places.iter().map(|place| u8::from(place.is_some())).collect();
        chosen(&Tensor::from_vec(mask, dims, &Device::Cpu)?, &after, value)
    }

    /// The writer's delta at these places, as a study writes it.
    fn write(
        &self,
        write: &Write,
        site: &HookSite,
        value: &Tensor,
        places: &[Option<TextPart>],
    ) -> Result<Tensor> {
        let width = write.writer.d_model();
        let per_place: usize = value.dims().get(2..).unwrap_or_default().iter().product();
        if site.point.position_axis() != 1 || per_place != width || write.writer.receiver() != 0 {
            return Err(Error::request(format!(
                "expected {width} numbers a token at `{}`, found the shape {:?}",
                site.point,
                value.dims()
            ))
            .hint("write at the place that the dictionary or the direction is of"));
        }
        let flat = value.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        let allowed: Vec<usize> = (0..places.len()).filter(|place| places[*place].is_some()).collect();
        let joint: Vec<f32> =
            allowed.iter().flat_map(|place| &flat[place * width..(place + 1) * width]).copied().collect();
        let codes = match &self.reader {
            Some(reader) => reader.codes(&joint)?,
            None => Codes::new(),
        };
        let mut deltas = vec![0.0; flat.len()];
        let mut edited = flat.clone();
        for (index, place) in allowed.iter().enumerate() {
            let (features, values) = codes.entries(index);
            let row = place / site.tokens.width().max(1);
            let position = site.starts.get(row).copied().unwrap_or(0) + place % site.tokens.width().max(1);
            let joint = &joint[index * width..(index + 1) * width];
            let delta = &mut deltas[place * width..(place + 1) * width];
            let at = Position { joint, features, values, key: [0, row as u64, position as u64] };
            if write.writer.delta(at, delta) {
                let edited = &mut edited[place * width..(place + 1) * width];
                edited.iter_mut().zip(delta.iter()).for_each(|(edited, delta)| *edited += delta);
            }
        }
        let tensor = |numbers| -> Result<Tensor> {
            Ok(Tensor::from_vec(numbers, value.dims(), value.device())?.to_dtype(value.dtype())?)
        };
        if !value.track_op() {
            return tensor(edited);
        }
        // The delta as it is, with the gradient of what it is made of: the last two terms are equal numbers.
        let moved = (value + tensor(deltas)?)?;
        match self.moving(write, value, &codes, &allowed)? {
            Some(moving) => Ok((moved + (&moving - moving.detach())?)?),
            None => Ok(moved),
        }
    }

    /// What moves with the value in the delta: `mask * (x W^T) D`, of the same gradient as the delta.
    fn moving(
        &self,
        write: &Write,
        value: &Tensor,
        codes: &Codes,
        allowed: &[usize],
    ) -> Result<Option<Tensor>> {
        let width = write.writer.d_model();
        let rows = value.elem_count() / width.max(1);
        let (read, mask, written) = match write.writer.slope()? {
            Slope::Nothing => return Ok(None),
            Slope::Along(direction, factor) => {
                let written: Vec<f32> = direction.iter().map(|x| factor * x).collect();
                let mut mask = vec![0.0; rows];
                allowed.iter().for_each(|place| mask[*place] = 1.0);
                (direction.to_vec(), mask, written)
            }
            Slope::Codes(weights) => {
                let (dictionary, features) = (dictionary(write)?, write.writer.features());
                let read = features.iter().flat_map(|feature| dictionary.encoder(*feature as usize));
                let mut mask = vec![0.0; rows * features.len()];
                for (index, place) in allowed.iter().enumerate() {
                    for (feature, activation) in codes.token(index) {
                        if let Ok(column) = features.binary_search(&(feature as u32)) {
                            mask[place * features.len() + column] = dictionary.slope(feature, activation);
                        }
                    }
                }
                (read.copied().collect(), mask, weights.to_vec())
            }
        };
        let count = read.len() / width.max(1);
        let tensor = |numbers: Vec<f32>, rows: usize, columns: usize| -> Result<Tensor> {
            Ok(Tensor::from_vec(numbers, (rows, columns), value.device())?.to_dtype(value.dtype())?)
        };
        let x = value.reshape((rows, width))?;
        let pre = x.matmul(&tensor(read, count, width)?.t()?)?;
        let activations = (pre * tensor(mask, rows, count)?)?;
        Ok(Some(activations.matmul(&tensor(written, count, width)?)?.reshape(value.dims())?))
    }
}

fn dictionary(write: &Write) -> Result<&Dictionary> {
    write
        .dictionary
        .as_ref()
        .ok_or_else(|| Error::request("an intervention on features needs their dictionary"))
}

fn heads(writer: &HeadWriter, site: &HookSite, value: &Tensor) -> Result<Tensor> {
    match site.point {
        HookPoint::Block(layer, _) => writer.apply(layer, value),
        _ => Ok(value.clone()),
    }
}

/// `changed` where the mask is 1, else `value`.
fn chosen(mask: &Tensor, changed: &Tensor, value: &Tensor) -> Result<Tensor> {
    Ok(mask.to_device(value.device())?.broadcast_as(value.shape())?.where_cond(changed, value)?)
}

/// How often something was written at these places, and how much.
fn count(point: HookPoint, before: &Tensor, after: &Tensor, places: &[Option<TextPart>]) -> Result<Tallies> {
    let numbers = |tensor: &Tensor| -> Result<Vec<f32>> {
        // Rows and positions first, whatever stands between them.
        let tensor = if point.position_axis() == 2 { tensor.transpose(1, 2)? } else { tensor.clone() };
        Ok(tensor.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?)
    };
    let (before, after) = (numbers(before)?, numbers(after)?);
    let per_place = (before.len() / places.len().max(1)).max(1);
    let mut tallies = Tallies::default();
    let pairs = before.chunks_exact(per_place).zip(after.chunks_exact(per_place)).zip(places);
    for ((before, after), part) in pairs {
        let Some(part) = part else { continue };
        let mut tally = Tally { positions: 1, ..Tally::default() };
        for (before, after) in before.iter().zip(after).map(|(a, b)| (f64::from(*a), f64::from(*b))) {
            // Masked scores are infinite on both sides.
            if before != after {
                tally.acted = 1;
                tally.delta_squared += (after - before).powi(2);
            }
            if before.is_finite() {
                tally.hidden_squared += before.powi(2);
            }
        }
        tallies.part_mut(*part).add(&tally);
    }
    Ok(tallies)
}
