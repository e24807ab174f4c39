//! Policy-gradient losses and their exact gradients with respect to log-probabilities.
//!
//! Every loss here is `sum over tokens of coefficient * token loss`, and each token loss depends on the
//! policy only through the log-probabilities of the sampled tokens. So the gradient is a weight per
//! token, known in closed form:
//!
//! 1. A token loss and its slope d loss / d log-probability ([`PolicyLoss`]: `clip`, `gspo`,
//!    `fipo`; plus the KL term of `kl`).
//! 2. A coefficient per token ([`Aggregation`]).
//! 3. `weight = coefficient * slope`. The trainer back-propagates `sum(weight * log_probability)`.
//!
//! Everything is computed in f64 on flat buffers, so the numbers are those of the reference code to
//! 1e-9 and are the same on every device. Sources: verl `core_algos.py` (and FIPO's release of it).

mod aggregation;
mod batch;
mod clip;
mod fipo;
mod gspo;
pub(crate) mod kl;

pub use aggregation::Aggregation;
pub use batch::{Responses, Totals};
pub use clip::Clip;
pub use fipo::Fipo;
pub use kl::{KlEstimator, KlPenalty};

use crate::error::{Error, Result};
use crate::training::or_none::or_none;
use serde::{Deserialize, Serialize};

/// Which function of the probability ratio is improved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PolicyLoss {
    /// `-A log p`: the plain policy gradient (Williams 1992).
    Reinforce,
    /// The clipped ratio of PPO, with separate bounds and an optional dual clip.
    PpoClip(Clip),
    /// The clipped ratio of whole responses (GSPO, arXiv 2507.18071).
    Gspo(Clip),
    /// The clipped ratio with advantages re-weighted by the KL still to come (FIPO).
    Fipo(Fipo),
}

impl PolicyLoss {
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Reinforce => Ok(()),
            Self::PpoClip(clip) | Self::Gspo(clip) => clip.check(),
            Self::Fipo(fipo) => fipo.check(),
        }
    }
}

/// A whole objective: the loss, how tokens are averaged, and the KL term if it stands in the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The token loss.
    pub loss: PolicyLoss,
    /// How token losses become one number.
    pub aggregation: Aggregation,
    /// The KL term added to the loss, if any; in TOML `"none"` takes a preset's away.
    #[serde(default, deserialize_with = "or_none")]
    pub kl: Option<KlPenalty>,
    /// What a nat of entropy is worth: the loss is less by the bonus times the entropy of the whole next-token
    /// distribution, averaged as the token losses are (verl's `entropy_coeff`).
    #[serde(default)]
    pub entropy_bonus: f64,
}

/// The loss of a batch, its gradient, and what is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// This batch's share of the loss.
    pub loss: f64,
    /// d loss / d log-probability, `[rows * width]`; zero where the mask is.
    pub weights: Vec<f64>,
    /// Counts and sums, to be divided by the tokens once all parts are in.
    pub watched: Watched,
}

/// Sums over tokens that say how far the policy has moved and what the clips cut.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watched {
    /// Tokens in the batch.
    pub tokens: usize,
    /// Tokens whose ratio was over the upper bound while the advantage was positive.
    pub clipped_high: usize,
    /// Tokens whose ratio was under the lower bound while the advantage was negative.
    pub clipped_low: usize,
    /// Tokens that the dual clip cut.
    pub clipped_dual: usize,
    /// Sum of (old - new) log-probability: the k1 estimate of KL(old || new), times `tokens`.
    pub moved: f64,
    /// Tokens of responses that FIPO dropped; they leave the token mean, see [`Watched::rescale`].
    pub dropped: usize,
    /// Sum, smallest and largest of FIPO's influence weights; `None` for other losses.
    pub influence: Option<Influence>,
}

/// FIPO's influence weights over a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Influence {
    /// Sum over tokens.
    pub sum: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

impl Watched {
    /// Adds another part of the same minibatch.
    pub fn merge(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.clipped_high += other.clipped_high;
        self.clipped_low += other.clipped_low;
        self.clipped_dual += other.clipped_dual;
        self.moved += other.moved;
        self.dropped += other.dropped;
        self.influence = match (self.influence, other.influence) {
            (Some(a), Some(b)) => {
                Some(Influence { sum: a.sum + b.sum, min: a.min.min(b.min), max: a.max.max(b.max) })
            }
            (a, b) => a.or(b),
        };
    }

    /// What loss and gradient must be multiplied by once the whole minibatch is in: responses that
    /// FIPO drops leave the denominator of the token mean, which is not known before.
    ///
    /// In the reference code only the policy's loss is averaged so; here a KL term in the loss and an entropy
    /// bonus are multiplied with it. FIPO as published has neither.
    pub fn rescale(&self, aggregation: Aggregation, totals: &Totals) -> f64 {
        let kept = totals.tokens.saturating_sub(self.dropped);
        match aggregation {
            Aggregation::TokenMean if self.dropped > 0 && kept > 0 => {
                (totals.tokens as f64 + aggregation::EPSILON) / (kept as f64 + aggregation::EPSILON)
            }
            _ => 1.0,
        }
    }
}

/// Token losses and slopes before aggregation, `[rows * width]`.
struct TokenLosses {
    losses: Vec<f64>,
    slopes: Vec<f64>,
    watched: Watched,
}

impl Objective {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn check(&self) -> Result<()> {
        self.loss.check()?;
        if let Some(penalty) = &self.kl {
            penalty.check()?;
        }
        match self.entropy_bonus >= 0.0 && self.entropy_bonus.is_finite() {
            true => Ok(()),
            false => Err(Error::request(format!(
                "`objective.entropy_bonus`: expected a number that is not negative, found {}",
                self.entropy_bonus
            ))),
        }
    }

    /// Whether every token has a KL term in its loss.
    pub fn kl_in_loss(&self) -> bool {
        self.kl.as_ref().is_some_and(|penalty| !penalty.in_reward)
    }

    /// The loss and its gradient.
    ///
    /// `advantages` has one number per token, `[rows * width]`; `reference` the log-probabilities of the
    /// reference policy, needed when the objective has a KL term; `totals` are those of the whole
    /// minibatch of which `batch` may be a part.
    ///
    /// # Errors
    /// If a buffer does not have `rows * width` entries, or the reference is missing.
    pub fn evaluate(
        &self,
        batch: &Responses,
        advantages: &[f64],
        reference: Option<&[f64]>,
        totals: &Totals,
    ) -> Result<Evaluation> {
        batch.expect_size("advantages", advantages.len())?;
        let mut tokens = match &self.loss {
            PolicyLoss::Reinforce => reinforce(batch, advantages),
            PolicyLoss::PpoClip(clip) => clip::token_losses(batch, advantages, clip),
            PolicyLoss::Gspo(clip) => gspo::token_losses(batch, advantages, clip),
            PolicyLoss::Fipo(fipo) => fipo::token_losses(batch, advantages, fipo),
        };
        if let Some(penalty) = self.kl.as_ref().filter(|penalty| !penalty.in_reward) {
            let Some(reference) = reference else {
                return Err(Error::work("the objective has a KL term, but no reference was given"));
            };
            batch.expect_size("reference log-probabilities", reference.len())?;
            for (index, &reference) in reference.iter().enumerate() {
                let term = penalty.estimator.term(batch.new[index], reference);
                tokens.losses[index] += penalty.coefficient * term.value;
                tokens.slopes[index] += penalty.coefficient * term.slope;
            }
        }
        let coefficients = self.aggregation.coefficients(batch, totals);
        let mut loss = 0.0;
        let mut weights = vec![0.0; batch.mask.len()];
        for (index, coefficient) in coefficients.iter().enumerate().filter(|(index, _)| batch.mask[*index]) {
            loss += coefficient * tokens.losses[index];
            weights[index] = coefficient * tokens.slopes[index];
        }
        Ok(Evaluation { loss, weights, watched: tokens.watched })
    }

    /// d loss / d entropy of each token's distribution, `[rows * width]`; `None` without a bonus. Batch and totals as
    /// in [`Self::evaluate`], whose loss does not hold this term: it knows log-probabilities of sampled tokens only.
    pub fn entropy_weights(&self, batch: &Responses, totals: &Totals) -> Option<Vec<f64>> {
        let worth = (self.entropy_bonus > 0.0).then_some(-self.entropy_bonus)?;
        let coefficients = self.aggregation.coefficients(batch, totals);
        let weight = |(coefficient, masked): (f64, &bool)| if *masked { worth * coefficient } else { 0.0 };
        Some(coefficients.into_iter().zip(&batch.mask).map(weight).collect())
    }
}

fn reinforce(batch: &Responses, advantages: &[f64]) -> TokenLosses {
    let slopes: Vec<f64> = advantages.iter().map(|advantage| -advantage).collect();
    let losses = slopes.iter().zip(&batch.new).map(|(slope, new)| slope * new).collect();
    TokenLosses { losses, slopes, watched: batch.watched() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Responses {
        let mask = vec![true, true, true, true, false, false];
        let old = vec![-1.0, -0.5, -2.0, -0.7, 0.0, 0.0];
        let new = vec![-0.4, -0.6, -2.9, -0.5, 0.0, 0.0];
        Responses::new(2, 3, mask, old, new).unwrap()
    }

    /// Each loss's weights are the finite differences of its value.
    #[test]
    fn weights_are_the_derivative_of_the_loss() {
        let clip = Clip { low: 0.2, high: 0.28, dual: Some(3.0) };
        let penalty = |estimator| Some(KlPenalty { estimator, coefficient: 0.1, in_reward: false });
        let objectives = [
            (PolicyLoss::Reinforce, Aggregation::TokenMean, None),
            (PolicyLoss::PpoClip(clip.clone()), Aggregation::SequenceMeanTokenMean, penalty(KlEstimator::K1)),
            (PolicyLoss::PpoClip(clip.clone()), Aggregation::SequenceMeanTokenSum, penalty(KlEstimator::K2)),
            (PolicyLoss::PpoClip(clip), Aggregation::SequenceMeanTokenSumBudget, penalty(KlEstimator::K3)),
        ];
        let advantages = [1.0, 1.0, 1.0, -0.5, -0.5, -0.5];
        let reference = [-0.7, -0.8, -2.0, -0.9, 0.0, 0.0];
        for (loss, aggregation, kl) in objectives {
            let objective = Objective { loss, aggregation, kl, entropy_bonus: 0.0 };
            let value = |batch: &Responses| {
                objective.evaluate(batch, &advantages, Some(&reference), &Totals::of(batch)).unwrap()
            };
            let weights = value(&batch()).weights;
            for (index, weight) in weights.iter().enumerate() {
                let mut moved = batch();
                moved.new[index] += 1e-6;
                let up = value(&moved).loss;
                moved.new[index] -= 2e-6;
                let slope = (up - value(&moved).loss) / 2e-6;
                assert!((slope - weight).abs() < 1e-7, "{objective:?} {index}: {slope}");
            }
        }
    }

    #[test]
    fn entropy_is_averaged_as_the_losses_are() {
        let bonus = |entropy_bonus, aggregation| {
            let loss = PolicyLoss::Reinforce;
            let objective = Objective { loss, aggregation, kl: None, entropy_bonus };
            objective.entropy_weights(&batch(), &Totals::of(&batch()))
        };
        assert_eq!(bonus(0.0, Aggregation::TokenMean), None);
        let by_response = bonus(0.3, Aggregation::SequenceMeanTokenMean).unwrap();
        let expected = [-0.05, -0.05, -0.05, -0.15, 0.0, 0.0];
        assert!(by_response.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{by_response:?}");
    }

    #[test]
    fn on_the_policy_that_sampled_fipo_is_dapo() {
        let mut batch = batch();
        batch.new.clone_from(&batch.old);
        let evaluate = |loss| {
            let aggregation = Aggregation::TokenMean;
            let objective = Objective { loss, aggregation, kl: None, entropy_bonus: 0.0 };
            let advantages = [1.0, 1.0, 1.0, -0.5, -0.5, -0.5];
            let found = objective.evaluate(&batch, &advantages, None, &Totals::of(&batch)).unwrap();
            (found.loss, found.weights)
        };
        let clip = Clip { low: 0.2, high: 0.28, dual: Some(10.0) };
        assert_eq!(evaluate(PolicyLoss::Fipo(Fipo::default())), evaluate(PolicyLoss::PpoClip(clip)));
    }

    #[test]
    fn parts_of_a_minibatch_add_up_to_the_whole() {
        let objective = Objective {
            loss: PolicyLoss::Fipo(Fipo::default()),
            aggregation: Aggregation::TokenMean,
            kl: None,
            entropy_bonus: 0.0,
        };
        let whole = batch();
        let totals = Totals::of(&whole);
        let advantages = [1.0, 1.0, 1.0, -0.5, -0.5, -0.5];
        let all = objective.evaluate(&whole, &advantages, None, &totals).unwrap();
        let mut loss = 0.0;
        for row in 0..2 {
            let part = |values: &[f64]| values[3 * row..3 * row + 3].to_vec();
            let mask = whole.mask[3 * row..3 * row + 3].to_vec();
            let batch = Responses::new(1, 3, mask, part(&whole.old), part(&whole.new)).unwrap();
            loss += objective.evaluate(&batch, &part(&advantages), None, &totals).unwrap().loss;
        }
        assert!((loss - all.loss).abs() < 1e-12);
    }
}
