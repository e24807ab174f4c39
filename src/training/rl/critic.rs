//! PPO's critic: a linear head on the policy's last hidden state.
//!
//! `V_t = w . h_t + b` at the position that predicts response token t. Its gradient is closed-form: with
//! slopes `s_t = d loss / d V_t`, the head's is `sum s_t h_t` and `sum s_t`, and the trunk's is that of
//! `sum s_t w . h_t` with w held fixed.

use super::gae;
use super::objectives::Totals;
use super::settings::ValueHeadSettings;
use crate::error::Result;
use crate::model::{Gradients, Model};
use crate::ops::Parameter;
use crate::training::examples::{Example, Part, Prompts, parts};
use crate::training::scoring;
use candle_core::{DType, Tensor};

/// The head, which begins at zero: the first advantages are those of no baseline.
pub(super) struct Critic {
    settings: ValueHeadSettings,
    weight: Parameter,
    bias: Parameter,
}

/// What the values of one response are trained towards.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    values: Vec<f64>,
    returns: Vec<f64>,
}

impl Critic {
    pub(super) fn new(model: &Model, settings: &ValueHeadSettings) -> Result<Self> {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, model.device());
        Ok(Self {
            settings: settings.clone(),
            weight: Parameter::new("value_head.weight", &zeros(&[model.config().d_model, 1])?)?,
            bias: Parameter::new("value_head.bias", &zeros(&[1])?)?,
        })
    }

    pub(super) fn parameters(&self) -> [Parameter; 2] {
        [self.weight.clone(), self.bias.clone()]
    }

    /// The hidden states that predict the part's targets, [targets, d_model], and their values.
    fn values(&self, hidden: &Tensor, part: &Part) -> Result<(Tensor, Tensor)> {
        let width = part.tokens.width();
        let flat: Vec<u32> = part.at.iter().map(|(row, position)| (row * width + position) as u32).collect();
        let index = Tensor::from_vec(flat, part.at.len(), hidden.device())?;
        let chosen = hidden.flatten(0, 1)?.index_select(&index, 0)?;
        let values = chosen.matmul(&self.weight.value())?.squeeze(1)?.broadcast_add(&self.bias.value())?;
        Ok((chosen, values))
    }

    /// Advantages (whitened over the rollout) and targets per response token. The reward counts at the last
    /// token; the KL penalty at every token.
    pub(super) fn judge(
        &self,
        model: &Model,
        examples: &[Example],
        rewards: &[f64],
        penalties: &[Vec<f64>],
        limit: usize,
    ) -> Result<(Vec<Vec<f64>>, Vec<Targets>)> {
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); examples.len()];
        for part in parts(examples, Prompts::Shared, limit)? {
            let hidden = scoring::hidden(model, &part.tokens, Gradients::Off)?;
            let found = self.values(&hidden, &part)?.1.to_vec1::<f32>()?;
            for (row, found) in part.by_example(&found) {
                values[row] = found.iter().map(|value| f64::from(*value)).collect();
            }
        }
        let (mut advantages, mut targets) = (Vec::new(), Vec::new());
        for ((values, reward), penalties) in values.into_iter().zip(rewards).zip(penalties) {
            let mut token_rewards: Vec<f64> = penalties.iter().map(|penalty| -penalty).collect();
            if let Some(last) = token_rewards.last_mut() {
                *last += reward;
            }
            let (found, returns) =
                gae::estimate(&token_rewards, &values, self.settings.gamma, self.settings.lambda);
            advantages.push(found);
            targets.push(Targets { values, returns });
        }
        let mut flat = advantages.concat();
        gae::whiten(&mut flat);
        let mut flat = flat.into_iter();
        for value in advantages.iter_mut().flatten() {
            *value = flat.next().unwrap_or_default();
        }
        Ok((advantages, targets))
    }

    /// Adds the head's gradient; returns the term whose backward gives the trunk's, and this part's share of the
    /// mean loss.
    pub(super) fn loss<'a>(
        &self,
        hidden: &Tensor,
        part: &Part,
        targets: impl Iterator<Item = &'a Targets>,
        totals: &Totals,
    ) -> Result<(Tensor, f64)> {
        let (chosen, values) = self.values(hidden, part)?;
        let mut mean = 0.0;
        let scale = self.settings.coefficient / totals.tokens.max(1) as f64;
        let pairs = targets.flat_map(|targets| targets.values.iter().zip(&targets.returns));
        let slopes: Vec<f32> = values
            .to_vec1::<f32>()?
            .into_iter()
            .zip(pairs)
            .map(|(value, (old, target))| {
                let (loss, slope) = gae::value_loss(f64::from(value), *old, *target, self.settings.clip);
                mean += loss / totals.tokens.max(1) as f64;
                (scale * slope) as f32
            })
            .collect();
        let count = slopes.len();
        let slopes = Tensor::from_vec(slopes, count, hidden.device())?;
        let of_weight =
            chosen.detach().t()?.matmul(&slopes.unsqueeze(1)?)?.flatten_all()?.to_vec1::<f32>()?;
        let of_bias = slopes.sum_all()?.to_scalar::<f32>()?;
        add(&self.weight, &of_weight);
        add(&self.bias, &[of_bias]);
        Ok((values.mul(&slopes)?.sum_all()?, mean))
    }
}

fn add(parameter: &Parameter, gradient: &[f32]) {
    parameter
        .accumulate_part(|total| total.iter_mut().zip(gradient).for_each(|(total, part)| *total += part));
}
