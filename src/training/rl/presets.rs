//! The published settings of the methods, by name.

use super::advantages::Advantage;
use super::objectives::{Aggregation, Clip, Fipo, Objective, PolicyLoss};
use crate::error::{Error, Result, nearest};

/// What a named method puts together.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name in a study file.
    pub name: &'static str,
    /// How rewards become advantages.
    pub advantage: Advantage,
    /// The loss and its average.
    pub objective: Objective,
    /// Drop groups whose rewards are all equal, and sample others instead (DAPO's dynamic sampling).
    pub dynamic_sampling: bool,
    /// Soften the penalty for running out of tokens over the last part of the budget (DAPO).
    pub overlong_shaping: bool,
    /// Optimiser updates per rollout.
    pub minibatches: usize,
}

/// The names, in the order the documentation lists them.
pub const NAMES: [&str; 8] = ["grpo", "dr_grpo", "rloo", "dapo", "gspo", "fipo", "ppo", "reinforce"];

/// The bounds of DAPO: the ratio may rise further than it may fall.
const DAPO_CLIP: Clip = Clip { low: 0.2, high: 0.28, dual: Some(10.0) };

impl Preset {
    /// The method called `name`.
    ///
    /// `grpo` follows the microcosm recipe (asymmetric clip and token mean, no KL); the others have the
    /// settings of their papers, at the two updates per rollout that a ratio needs to leave 1.
    ///
    /// # Errors
    /// If there is no such method.
    pub fn named(name: &str) -> Result<Self> {
        let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
            let error = Error::request(format!("unknown policy-gradient method `{name}`"));
            return Err(match nearest(name, NAMES) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("use one of {}", NAMES.join(", "))),
            });
        };
        let clip = Clip { low: 0.2, high: 0.28, dual: None };
        let symmetric = Clip { low: 0.2, high: 0.2, dual: None };
        let (advantage, loss, aggregation) = match name {
            "dr_grpo" => {
                (Advantage::DrGrpo, PolicyLoss::PpoClip(symmetric), Aggregation::SequenceMeanTokenSumBudget)
            }
            "rloo" => (Advantage::Rloo, PolicyLoss::PpoClip(symmetric), Aggregation::SequenceMeanTokenSum),
            "dapo" => (Advantage::Grpo, PolicyLoss::PpoClip(DAPO_CLIP), Aggregation::TokenMean),
            "gspo" => {
                let narrow = Clip { low: 3e-4, high: 4e-4, dual: None };
                (Advantage::Grpo, PolicyLoss::Gspo(narrow), Aggregation::SequenceMeanTokenMean)
            }
            "fipo" => (Advantage::Grpo, PolicyLoss::Fipo(Fipo::default()), Aggregation::TokenMean),
            "ppo" => (Advantage::Gae, PolicyLoss::PpoClip(Clip::default()), Aggregation::TokenMean),
            "reinforce" => (Advantage::Reinforce, PolicyLoss::Reinforce, Aggregation::TokenMean),
            _ => (Advantage::Grpo, PolicyLoss::PpoClip(clip), Aggregation::TokenMean),
        };
        let objective = Objective { loss, aggregation, kl: None };
        let of_dapo = matches!(name, "dapo" | "fipo");
        Ok(Self {
            name,
            advantage,
            objective,
            dynamic_sampling: of_dapo,
            overlong_shaping: of_dapo,
            minibatches: if name == "reinforce" { 1 } else { 2 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_preset_and_a_slip_is_mended() {
        for name in NAMES {
            let preset = Preset::named(name).unwrap();
            assert_eq!(preset.name, name);
            preset.objective.loss.check().unwrap();
        }
        let error = Preset::named("grppo").unwrap_err().to_string();
        assert!(error.contains("did you mean `grpo`?"), "{error}");
    }
}
