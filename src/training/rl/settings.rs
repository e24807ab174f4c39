//! Policy gradient in a study: every difference between the methods is a field, and a method is a name
//! for settings.

use super::advantages::Advantage;
use super::objectives::{Aggregation, Clip, Fipo, KlEstimator, KlPenalty, Objective, PolicyLoss};
use super::rollout::{Overlong, Sampling};
use crate::error::{Error, Result, nearest};
use crate::ops::Gradients;
use crate::training::lora::LoraSettings;
use crate::training::or_none::or_none;
use crate::training::schedule::Schedule;
use crate::training::settings::{OptimiserSettings, at_least_one, check_rate, checkpointed, field, positive};
use serde::{Deserialize, Serialize};

/// The methods by name, in the order the documentation lists them.
pub const METHODS: [&str; 8] = ["grpo", "dr_grpo", "rloo", "dapo", "gspo", "fipo", "ppo", "reinforce"];

/// A policy-gradient run. The default is `grpo` as published, with the sizes and rates of the microcosm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RlSettings {
    /// Rollouts; each is followed by `passes * minibatches` updates.
    pub steps: usize,
    /// Prompts per step.
    pub prompts: usize,
    /// Responses per prompt.
    pub samples: usize,
    /// The sampler's temperature. It must be 1: the ratio is one of probabilities as the model gives them, and at
    /// another temperature the responses would be drawn from another policy than the one that is trained.
    pub temperature: f64,
    /// The token budget of a response. A response that exceeds it is cut off.
    pub max_new_tokens: usize,
    /// Updates per pass over a rollout: its groups are cut into so many parts of equal size. FIPO, GSPO and the clips
    /// only act from the second on.
    pub minibatches: usize,
    /// Passes over a rollout.
    pub passes: usize,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup: usize,
    /// The shape of the learning rate after the warm-up.
    pub schedule: Schedule,
    /// The fraction of the peak at which the schedule ends.
    pub floor: f64,
    /// How rewards become advantages.
    pub advantage: Advantage,
    /// The loss, its average, and its KL term.
    pub objective: Objective,
    /// Leave groups whose rewards are all equal out of the loss and its averages.
    pub drop_equal_groups: bool,
    /// How many times more prompts may be drawn until `prompts` groups have unequal rewards (DAPO's
    /// dynamic sampling); 0 for never.
    pub resample: usize,
    /// The last part of the token budget over which a penalty grows (DAPO), as a share of the budget; 0 for none.
    /// Published are 4096 of 20,480 tokens.
    pub overlong_buffer: f64,
    /// What that penalty grows to at the end of the budget, in units of the reward. DAPO takes 1 from rewards of -1
    /// and 1; the default is the same half of the way from wrong to right where rewards are 0 and 1.
    pub overlong_penalty: f64,
    /// Settings of the value head, which `advantage = "gae"` needs.
    pub value_head: ValueHeadSettings,
    /// Tokens that forward passes may hold at a time, two passes together; more are accumulated.
    pub part_tokens: usize,
    /// Activation checkpointing: keep only the residual stream between blocks and compute each block again in the
    /// backward. A step takes a third more work and a fraction of the memory; the gradients are the same.
    pub gradient_checkpointing: bool,
    /// Rows that are sampled together.
    pub batch_rows: usize,
    /// Steps between two measurements of the KL to base; 0 for none.
    pub kl_every: usize,
    /// Train adapters instead of all weights.
    #[serde(deserialize_with = "or_none")]
    pub lora: Option<LoraSettings>,
    /// AdamW's constants.
    pub optimiser: OptimiserSettings,
}

/// PPO's critic: a linear head on the policy's last hidden state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValueHeadSettings {
    /// Discount of later rewards.
    pub gamma: f64,
    /// Decay of later temporal differences in the generalised advantage estimate.
    pub lambda: f64,
    /// What the value loss is multiplied by.
    pub coefficient: f64,
    /// The value may move this far from the rollout's before its loss is clipped.
    pub clip: f64,
}

impl Default for ValueHeadSettings {
    fn default() -> Self {
        Self { gamma: 1.0, lambda: 0.95, coefficient: 0.5, clip: 0.5 }
    }
}

impl Default for RlSettings {
    fn default() -> Self {
        Self {
            steps: 120,
            prompts: 32,
            samples: 8,
            temperature: 1.0,
            max_new_tokens: 64,
            minibatches: 2,
            passes: 1,
            learning_rate: 1e-4,
            warmup: 5,
            schedule: Schedule::Constant,
            floor: 0.0,
            advantage: Advantage::Grpo,
            objective: Objective {
                loss: PolicyLoss::PpoClip(Clip::default()),
                aggregation: Aggregation::SequenceMeanTokenMean,
                kl: Some(KlPenalty { estimator: KlEstimator::K3, coefficient: 0.04, in_reward: false }),
                entropy_bonus: 0.0,
            },
            drop_equal_groups: false,
            resample: 0,
            overlong_buffer: 0.0,
            overlong_penalty: 0.5,
            value_head: ValueHeadSettings::default(),
            part_tokens: 4096,
            gradient_checkpointing: false,
            batch_rows: 256,
            kl_every: 1,
            lora: None,
            optimiser: OptimiserSettings::default(),
        }
    }
}

impl RlSettings {
    /// How a pass that is learned from records.
    pub(super) fn gradients(&self) -> Gradients {
        checkpointed(self.gradient_checkpointing)
    }

    /// The settings of the method called `name`: its paper's advantage, loss, average and sampling, with the
    /// sizes and rates of the microcosm (8 responses to a prompt, two updates a rollout).
    ///
    /// | name | advantage | ratio's bounds, dual clip | average | beside it |
    /// |---|---|---|---|---|
    /// | `grpo` (arXiv 2402.03300) | grpo | .2, .2, none | seq-mean-token-mean | k3 of .04 in the loss |
    /// | `dr_grpo` (2503.20783) | dr_grpo | .2, .2, none | seq-mean-token-sum-budget | |
    /// | `rloo` (2402.14740, by TRL) | rloo | .2, .2, none | seq-mean-token-sum | k1 of .05 in the reward |
    /// | `dapo` (2503.14476) | grpo | .2, .28, 10 | token-mean | dynamic sampling, overlong penalty, weight decay .1 |
    /// | `gspo` (2507.18071) | grpo | 3e-4, 4e-4 of responses, none | seq-mean-token-mean | |
    /// | `fipo` (its release, 32B) | grpo | .2, .28, 10 | token-mean | future KL, and as `dapo` |
    /// | `ppo` (1707.06347, by verl) | gae | .2, .2, 3 | token-mean | value head |
    /// | `reinforce` | the reward | none | token-mean | one update a rollout |
    ///
    /// Advantages and overlong penalty are as published for rewards from 0 to 1, see [`Self::overlong_penalty`].
    ///
    /// # Errors
    /// If there is no such method.
    pub fn named(name: &str) -> Result<Self> {
        let symmetric = |dual| PolicyLoss::PpoClip(Clip { low: 0.2, high: 0.2, dual });
        let of = |advantage, loss, aggregation| Self {
            advantage,
            objective: Objective { loss, aggregation, kl: None, entropy_bonus: 0.0 },
            drop_equal_groups: false,
            ..Self::default()
        };
        Ok(match name {
            "grpo" => Self::default(),
            "dr_grpo" => of(Advantage::DrGrpo, symmetric(None), Aggregation::SequenceMeanTokenSumBudget),
            "rloo" => {
                let mut settings = of(Advantage::Rloo, symmetric(None), Aggregation::SequenceMeanTokenSum);
                let estimator = KlEstimator::K1;
                settings.objective.kl = Some(KlPenalty { estimator, coefficient: 0.05, in_reward: true });
                settings
            }
            "dapo" => {
                let loss = PolicyLoss::PpoClip(Clip { low: 0.2, high: 0.28, dual: Some(10.0) });
                Self::dynamic(of(Advantage::Grpo, loss, Aggregation::TokenMean))
            }
            "gspo" => {
                let loss = PolicyLoss::Gspo(Clip { low: 3e-4, high: 4e-4, dual: None });
                of(Advantage::Grpo, loss, Aggregation::SequenceMeanTokenMean)
            }
            "fipo" => {
                let loss = PolicyLoss::Fipo(Fipo::default());
                Self::dynamic(of(Advantage::Grpo, loss, Aggregation::TokenMean))
            }
            "ppo" => of(Advantage::Gae, symmetric(Some(3.0)), Aggregation::TokenMean),
            "reinforce" => Self {
                minibatches: 1,
                ..of(Advantage::Reinforce, PolicyLoss::Reinforce, Aggregation::TokenMean)
            },
            _ => {
                let error = Error::request(format!("unknown policy-gradient method `{name}`"));
                return Err(match nearest(name, METHODS) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("use one of {}", METHODS.join(", "))),
                });
            }
        })
    }

    pub(super) fn sampling(&self) -> Sampling {
        Sampling {
            samples: self.samples,
            temperature: self.temperature,
            max_new_tokens: self.max_new_tokens,
            batch_rows: self.batch_rows,
            overlong: Overlong { buffer: self.overlong_buffer, penalty: self.overlong_penalty },
        }
    }

    /// What DAPO's recipe and FIPO's share: unequal groups only, a penalty for nearly running out of tokens, and their
    /// weight decay.
    fn dynamic(settings: Self) -> Self {
        Self {
            drop_equal_groups: true,
            resample: 3,
            overlong_buffer: 0.2,
            optimiser: OptimiserSettings { weight_decay: 0.1, ..settings.optimiser },
            ..settings
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [
            ("steps", self.steps),
            ("prompts", self.prompts),
            ("samples", self.samples),
            ("max_new_tokens", self.max_new_tokens),
            ("minibatches", self.minibatches),
            ("passes", self.passes),
            ("part_tokens", self.part_tokens),
            ("batch_rows", self.batch_rows),
        ] {
            at_least_one(name, value)?;
        }
        let compares = !matches!(self.advantage, Advantage::Reinforce | Advantage::Gae);
        if compares && self.samples < 2 {
            return Err(field(
                "samples",
                "at least 2, for a response is compared with its group",
                self.samples,
            ));
        }
        if self.resample > 0 && !self.drop_equal_groups {
            return Err(field("resample", "0, because `drop_equal_groups` is off", self.resample));
        }
        if self.prompts < self.minibatches {
            return Err(field(
                "minibatches",
                &format!("at most `prompts` ({}), for each is made of whole groups", self.prompts),
                self.minibatches,
            ));
        }
        if !(0.0..=1.0).contains(&self.overlong_buffer) {
            return Err(field(
                "overlong_buffer",
                "a share of the token budget from 0 to 1",
                self.overlong_buffer,
            )
            .hint("for 4096 of 20,480 tokens write 0.2"));
        }
        if self.overlong_penalty.is_nan()
            || self.overlong_penalty < 0.0
            || self.overlong_penalty.is_infinite()
        {
            return Err(field("overlong_penalty", "a number that is not negative", self.overlong_penalty));
        }
        if matches!(self.objective.loss, PolicyLoss::Fipo(_)) && self.minibatches * self.passes < 2 {
            return Err(field(
                "minibatches",
                "at least 2 updates a rollout, for on the first FIPO is DAPO",
                self.minibatches * self.passes,
            )
            .hint("raise `minibatches` or `passes`, or choose `dapo`"));
        }
        for (name, value) in [("gamma", self.value_head.gamma), ("lambda", self.value_head.lambda)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(field(&format!("value_head.{name}"), "a number from 0 to 1", value));
            }
        }
        positive("value_head.coefficient", self.value_head.coefficient)?;
        positive("value_head.clip", self.value_head.clip)?;
        if self.temperature != 1.0 {
            return Err(field("temperature", "1", self.temperature).hint(
                "at another temperature the sampler is not the policy that is trained; sharpen in the evaluation instead",
            ));
        }
        check_rate(self.learning_rate, self.floor)?;
        self.objective.check()?;
        if let Some(lora) = &self.lora {
            lora.check()?;
        }
        self.optimiser.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_sound_settings_and_a_slip_is_mended() {
        for name in METHODS {
            RlSettings::named(name).unwrap().check().unwrap();
        }
        let error = RlSettings::named("grppo").unwrap_err().to_string();
        assert!(error.contains("did you mean `grpo`?"), "{error}");
        let wrong = RlSettings { samples: 1, ..RlSettings::default() };
        assert!(wrong.check().unwrap_err().to_string().contains("`samples`"));
    }

    #[test]
    fn what_would_train_something_else_is_refused() {
        let refused = |change: fn(&mut RlSettings)| {
            let mut settings = RlSettings::named("fipo").unwrap();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        let kl = |coefficient| Some(KlPenalty { estimator: KlEstimator::K1, coefficient, in_reward: true });
        assert!(refused(|settings| settings.minibatches = 1).contains("FIPO is DAPO"));
        let too_many = refused(|settings| (settings.prompts, settings.minibatches) = (1, 2));
        assert!(too_many.contains("`minibatches`: expected at most `prompts` (1)"), "{too_many}");
        assert!(refused(|settings| settings.overlong_buffer = 16.0).contains("write 0.2"));
        assert!(refused(|settings| settings.temperature = 0.7).contains("`temperature`: expected 1"));
        assert!(refused(|settings| settings.overlong_penalty = f64::NAN).contains("`overlong_penalty`"));
        for bonus in [f64::INFINITY, f64::NAN, -1.0] {
            let mut settings = RlSettings::default();
            settings.objective.entropy_bonus = bonus;
            assert!(settings.check().unwrap_err().to_string().contains("entropy_bonus"), "{bonus}");
        }
        for coefficient in [-5.0, f64::NAN, f64::INFINITY] {
            let mut settings = RlSettings::default();
            settings.objective.kl = kl(coefficient);
            assert!(settings.check().unwrap_err().to_string().contains("kl.coefficient"), "{coefficient}");
        }
        RlSettings { minibatches: 1, passes: 2, ..RlSettings::named("fipo").unwrap() }.check().unwrap();
    }

    #[test]
    fn settings_survive_json() {
        for name in METHODS {
            let settings = RlSettings::named(name).unwrap();
            let text = serde_json::to_string(&settings).unwrap();
            assert_eq!(serde_json::from_str::<RlSettings>(&text).unwrap(), settings);
        }
    }
}
