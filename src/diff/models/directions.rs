//! Difference-of-means directions of labelled prompts (Arditi et al. 2024), in every variant.
//!
//! 1. Half of the problems give the direction at the end of every block, at the last token of the prompt, or as
//!    the mean over the response where prompts have one (as persona vectors are, arXiv 2507.21509):
//!    r = mean over the label - mean over all others. The other half judges it.
//! 2. Separation: the share of held-out prompts on their side of the middle between the two means.
//! 3. Against base: the cosine with base's r, and where the variant's prompts lie on base's r.
//! 4. With watched tokens (those that begin a refusal): their log-odds on the label's prompts when r is
//!    projected out of every block's input and of all that attention and MLP add; on all other prompts when
//!    r is added at its hook; and the KL that taking it out does to the others.
//! 5. Selected is the smallest log-odds after taking out, among directions whose KL is at most .1, whose
//!    steering reaches log-odds of 0, and that lie in the first 80 % of blocks. Without watched tokens, the
//!    best separation, the earliest of equals.

use super::prompts::{LabelledPrompt, labels};
use super::reading::{kl, log_odds, mean, predictions, span_activations};
use super::rows::DirectionRow;
use crate::diff::decoders::dot;
use crate::error::{Error, Result};
use crate::model::{BlockPoint, HookPoint, Hooks, Model};
use crate::rng::Stream;
use candle_core::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// How directions are found and selected.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectionSettings {
    /// Token ids whose log-odds are watched; none leaves the causal columns out.
    pub watched: Vec<u32>,
    /// The largest KL on other prompts that taking a direction out may do, nats.
    pub kl: f64,
    /// Directions come from this first share of the blocks.
    pub depth: f64,
    /// Decides which half of the prompts gives the direction.
    pub seed: u64,
}

impl Default for DirectionSettings {
    fn default() -> Self {
        Self { watched: Vec::new(), kl: 0.1, depth: 0.8, seed: 0 }
    }
}

/// Mean activation at the last token of `toward` less that of `away`, `[d_model]`, at its own length.
///
/// # Errors
/// If a set of prompts is empty, or the model lacks the hook.
pub fn mean_difference(
    model: &Model,
    hook: HookPoint,
    toward: &[Vec<u32>],
    away: &[Vec<u32>],
) -> Result<Vec<f32>> {
    let means = [toward, away].map(|prompts| {
        let prompts: Vec<LabelledPrompt> = prompts
            .iter()
            .map(|tokens| LabelledPrompt { tokens: tokens.clone(), ..LabelledPrompt::default() })
            .collect();
        let found = span_activations(model, &[hook], &prompts)?;
        match found.into_iter().next().map(|values| mean(&values)).filter(|mean| !mean.is_empty()) {
            Some(mean) => Ok(mean),
            None => Err(Error::request("expected prompts on both sides of a direction, found none on one")),
        }
    });
    let [toward, away] = means;
    Ok(toward?.iter().zip(&away?).map(|(a, b)| a - b).collect())
}

/// A direction with the means it comes from.
struct Direction {
    unit: Vec<f32>,
    norm: f64,
    middle: f64,
}

/// Directions of every label of `prompts` in every model, the first being the base.
///
/// # Errors
/// If there is no model, or the prompts have fewer than two labels or a label fewer than two prompts.
pub fn directions(
    models: &[(String, Model)],
    prompts: &[LabelledPrompt],
    settings: &DirectionSettings,
) -> Result<Vec<DirectionRow>> {
    let groups = labels(prompts);
    if models.is_empty() || groups.len() < 2 {
        return Err(Error::request(format!(
            "expected a model and prompts of at least two labels, found {} models and {} labels",
            models.len(),
            groups.len()
        )));
    }
    let mut rows = Vec::new();
    for label in groups {
        let split = Split::new(prompts, label, settings.seed)?;
        let mut of_base: Option<Vec<Direction>> = None;
        for (variant, model) in models {
            let layers = model.config().layers();
            let points: Vec<HookPoint> = (0..layers).map(HookPoint::resid_post).collect();
            let activations = span_activations(model, &points, prompts)?;
            let found: Vec<Direction> = activations.iter().map(|values| split.direction(values)).collect();
            let first = rows.len();
            for (layer, (direction, values)) in found.iter().zip(&activations).enumerate() {
                let base = of_base.as_ref().and_then(|directions| directions.get(layer));
                let mut row = split.row(variant, label, points[layer], direction, base, values);
                split.intervene(model, points[layer], direction, settings, &mut row)?;
                rows.push(row);
            }
            select(&mut rows[first..], settings);
            of_base.get_or_insert(found);
        }
    }
    Ok(rows)
}

/// Which prompts carry the label, and which give and which judge the direction.
struct Split<'a> {
    labelled: Vec<bool>,
    gives: Vec<bool>,
    judged_labelled: Vec<LabelledPrompt>,
    judged_other: Vec<LabelledPrompt>,
    prompts: &'a [LabelledPrompt],
}

impl<'a> Split<'a> {
    fn new(prompts: &'a [LabelledPrompt], label: &str, seed: u64) -> Result<Self> {
        let labelled: Vec<bool> = prompts.iter().map(|prompt| prompt.label == label).collect();
        let units: Vec<String> = prompts.iter().map(LabelledPrompt::unit).collect();
        let mut sides = [true, false].map(|side| -> BTreeSet<&str> {
            let members = units.iter().zip(&labelled).filter(|(_, labelled)| **labelled == side);
            members.map(|(unit, _)| unit.as_str()).collect()
        });
        if let Some(side) = sides.iter().find(|side| side.len() < 2) {
            return Err(Error::request(format!(
                "expected prompts of at least two problems with and without the label `{label}`, found {}",
                side.len()
            )));
        }
        // A problem may be on both sides, as one that was solved once and failed once. The side with fewer problems
        // is halved first: then neither half of the other can be empty.
        sides.sort_by_key(BTreeSet::len);
        let mut giving: BTreeMap<&str, bool> = BTreeMap::new();
        for (number, side) in sides.iter().enumerate() {
            let known = side.iter().filter(|unit| giving.get(*unit) == Some(&true)).count();
            let wanted = side.len().div_ceil(2).saturating_sub(known);
            let mut fresh: Vec<&str> =
                side.iter().copied().filter(|unit| !giving.contains_key(unit)).collect();
            Stream::new(seed, "direction split", &[number as u64]).shuffle(&mut fresh);
            giving.extend(fresh.into_iter().enumerate().map(|(place, unit)| (unit, place < wanted)));
        }
        let gives: Vec<bool> = units.iter().map(|unit| giving.get(unit.as_str()) == Some(&true)).collect();
        let judged = |side: bool| -> Vec<LabelledPrompt> {
            let kept = (0..prompts.len()).filter(|index| !gives[*index] && labelled[*index] == side);
            kept.map(|index| prompts[index].clone()).collect()
        };
        let (judged_labelled, judged_other) = (judged(true), judged(false));
        Ok(Self { labelled, gives, judged_labelled, judged_other, prompts })
    }

    fn of<'b>(
        &'b self,
        values: &'b [Vec<f32>],
        labelled: bool,
        gives: bool,
    ) -> impl Iterator<Item = &'b Vec<f32>> {
        values
            .iter()
            .enumerate()
            .filter(move |(index, _)| self.labelled[*index] == labelled && self.gives[*index] == gives)
            .map(|(_, value)| value)
    }

    fn direction(&self, values: &[Vec<f32>]) -> Direction {
        let (labelled, other) = (mean(self.of(values, true, true)), mean(self.of(values, false, true)));
        let difference: Vec<f32> = labelled.iter().zip(&other).map(|(a, b)| a - b).collect();
        let norm = dot(&difference, &difference).sqrt();
        let scale = if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 };
        let unit: Vec<f32> = difference.iter().map(|x| scale * x).collect();
        let middle = 0.5 * (dot(&labelled, &unit) + dot(&other, &unit));
        Direction { unit, norm, middle }
    }

    fn row(
        &self,
        variant: &str,
        label: &str,
        point: HookPoint,
        direction: &Direction,
        base: Option<&Direction>,
        values: &[Vec<f32>],
    ) -> DirectionRow {
        let side = |labelled: bool, direction: &Direction| -> Vec<f64> {
            let held_out = self.of(values, labelled, false);
            held_out.map(|value| dot(value, &direction.unit) - direction.middle).collect()
        };
        let (labelled, other) = (side(true, direction), side(false, direction));
        let right =
            labelled.iter().filter(|x| **x > 0.0).count() + other.iter().filter(|x| **x < 0.0).count();
        let norms: f64 = values.iter().map(|value| dot(value, value).sqrt()).sum();
        let average =
            |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        DirectionRow {
            variant: variant.to_owned(),
            hook: point.to_string(),
            label: label.to_owned(),
            read_at: match self.prompts.iter().all(|prompt| prompt.response.is_some()) {
                true => "response".to_owned(),
                false => "last prompt token".to_owned(),
            },
            relative_norm: direction.norm * self.prompts.len() as f64 / norms.max(f64::MIN_POSITIVE),
            separation: right as f64 / (labelled.len() + other.len()).max(1) as f64,
            cosine_to_base: base.map(|base| dot(&base.unit, &direction.unit)),
            projection_labelled: average(side(true, base.unwrap_or(direction))),
            projection_other: average(side(false, base.unwrap_or(direction))),
            log_odds: None,
            log_odds_ablated: None,
            log_odds_steered: None,
            kl_other: None,
            selected: false,
        }
    }

    fn intervene(
        &self,
        model: &Model,
        point: HookPoint,
        direction: &Direction,
        settings: &DirectionSettings,
        row: &mut DirectionRow,
    ) -> Result<()> {
        if settings.watched.is_empty() || direction.norm == 0.0 {
            return Ok(());
        }
        let plain = |hooks: Hooks| hooks;
        let ablated = |hooks: Hooks| take_out(hooks, model, &direction.unit);
        let steered = |hooks: Hooks| add(hooks, point, &direction.unit, direction.norm as f32);
        let odds = |next: &[Vec<f32>]| {
            let sum: f64 = next.iter().map(|next| log_odds(next, &settings.watched)).sum();
            (!next.is_empty()).then(|| sum / next.len() as f64)
        };
        row.log_odds = odds(&predictions(model, &self.judged_labelled, &plain)?.next);
        row.log_odds_ablated = odds(&predictions(model, &self.judged_labelled, &ablated)?.next);
        row.log_odds_steered = odds(&predictions(model, &self.judged_other, &steered)?.next);
        let before = predictions(model, &self.judged_other, &plain)?.next;
        let after = predictions(model, &self.judged_other, &ablated)?.next;
        let sum: f64 = before.iter().zip(&after).map(|(p, q)| kl(p, q)).sum();
        row.kl_other = (!before.is_empty()).then(|| sum / before.len() as f64);
        Ok(())
    }
}

/// h <- h - r r^T h wherever blocks read or add.
fn take_out(hooks: Hooks, model: &Model, unit: &[f32]) -> Hooks {
    let places = [BlockPoint::ResidPre, BlockPoint::AttentionOut, BlockPoint::MlpOut];
    let points =
        (0..model.config().layers()).flat_map(|layer| places.map(|place| HookPoint::Block(layer, place)));
    points.fold(hooks, |hooks, point| project_out(hooks, point, unit))
}

/// h <- h - r r^T h at one point.
pub(super) fn project_out(hooks: Hooks, point: HookPoint, unit: &[f32]) -> Hooks {
    let unit = unit.to_vec();
    hooks.edit(
        point,
        Box::new(move |_, value| {
            let unit = Tensor::from_slice(&unit, unit.len(), value.device())?;
            let along = value.broadcast_mul(&unit)?.sum_keepdim(candle_core::D::Minus1)?;
            Ok((value - along.broadcast_mul(&unit)?)?)
        }),
    )
}

/// h <- h + norm r at one point.
pub(super) fn add(hooks: Hooks, point: HookPoint, unit: &[f32], norm: f32) -> Hooks {
    let added: Vec<f32> = unit.iter().map(|x| norm * x).collect();
    hooks.edit(
        point,
        Box::new(move |_, value| {
            Ok(value.broadcast_add(&Tensor::from_slice(&added, added.len(), value.device())?)?)
        }),
    )
}

fn select(rows: &mut [DirectionRow], settings: &DirectionSettings) {
    let deepest = (settings.depth * rows.len() as f64).ceil() as usize;
    let candidates = || rows.iter().enumerate().take(deepest.max(1));
    let chosen = if settings.watched.is_empty() {
        candidates().max_by(|a, b| a.1.separation.total_cmp(&b.1.separation).then(b.0.cmp(&a.0)))
    } else {
        candidates()
            .filter(|(_, row)| row.kl_other.is_some_and(|kl| kl <= settings.kl))
            .filter(|(_, row)| row.log_odds_steered.is_some_and(|odds| odds >= 0.0))
            .min_by(|a, b| {
                let odds = |row: &DirectionRow| row.log_odds_ablated.unwrap_or(f64::INFINITY);
                odds(a.1).total_cmp(&odds(b.1))
            })
    };
    if let Some(index) = chosen.map(|(index, _)| index) {
        rows[index].selected = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_problem_both_gives_and_judges_a_direction() {
        let prompt = |label: &str, problem: usize, index: u32| LabelledPrompt {
            tokens: vec![index],
            label: label.to_owned(),
            response: None,
            problem: format!("problem {problem}"),
        };
        // Five of the problems that were solved were also failed.
        let solved = (0..24).map(|index| prompt("solved", index % 8, index as u32));
        let failed = (0..10).map(|index| prompt("failed", index % 5, 100 + index as u32));
        let prompts: Vec<LabelledPrompt> = solved.chain(failed).collect();
        for seed in 0..20 {
            let split = Split::new(&prompts, "solved", seed).unwrap();
            for (a, gives) in prompts.iter().zip(&split.gives) {
                let same = prompts.iter().zip(&split.gives).filter(|(b, _)| a.problem == b.problem);
                assert!(same.into_iter().all(|(_, other)| other == gives), "{}", a.problem);
            }
            for labelled in [true, false] {
                let members = || split.labelled.iter().zip(&split.gives).filter(|(one, _)| **one == labelled);
                let giving = members().filter(|(_, gives)| **gives).count();
                assert!(giving > 0 && giving < members().count(), "both halves of each side hold prompts");
            }
        }
    }
}
