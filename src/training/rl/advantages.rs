//! Rewards of a group of responses to one prompt become advantages, one per response.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How. All compare a response with the others of its group, except [`Advantage::Reinforce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advantage {
    /// The reward itself: no baseline.
    Reinforce,
    /// `(reward - mean) / (standard deviation + 1e-6)`, unbiased (GRPO, arXiv 2402.03300).
    Grpo,
    /// `reward - mean` (Dr. GRPO, arXiv 2503.20783).
    DrGrpo,
    /// `reward - mean of the others` (RLOO, arXiv 2402.14740).
    Rloo,
    /// Generalised advantage estimates from a value head: one per token, see the module `gae`. Also called `ppo`.
    #[serde(alias = "ppo")]
    Gae,
}

/// What GRPO adds to the standard deviation.
const EPSILON: f64 = 1e-6;

impl Advantage {
    /// The advantages of `rewards`, which are groups of `group` responses one after another.
    ///
    /// A group of one has no baseline, as in verl: mean 0 and standard deviation 1.
    ///
    /// # Errors
    /// If the rewards are not whole groups, or the advantages are per token ([`Advantage::Gae`]).
    pub fn of(self, rewards: &[f64], group: usize) -> Result<Vec<f64>> {
        if group == 0 || !rewards.len().is_multiple_of(group) {
            return Err(Error::request(format!(
                "expected groups of {group} rewards, found {} rewards",
                rewards.len()
            )));
        }
        if self == Self::Gae {
            return Err(Error::request("the advantages of `gae` come from a value head, one per token"));
        }
        Ok(rewards.chunks(group).flat_map(|rewards| self.of_group(rewards)).collect())
    }

    fn of_group(self, rewards: &[f64]) -> Vec<f64> {
        match (rewards, self) {
            (_, Self::Reinforce) => return rewards.to_vec(),
            ([alone], Self::Grpo) => return vec![alone / (1.0 + EPSILON)],
            ([alone], _) => return vec![*alone],
            _ => {}
        }
        let count = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / count;
        let scale = match self {
            Self::Grpo => {
                let variance =
                    rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / (count - 1.0);
                1.0 / (variance.sqrt() + EPSILON)
            }
            Self::Rloo => count / (count - 1.0),
            Self::DrGrpo | Self::Reinforce | Self::Gae => 1.0,
        };
        rewards.iter().map(|reward| (reward - mean) * scale).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leave_one_out_compares_with_the_mean_of_the_others() {
        let advantages = Advantage::Rloo.of(&[1.0, 0.0, 0.0, 3.0], 4).unwrap();
        assert!((advantages[0] - (1.0 - 1.0)).abs() < 1e-12);
        assert!((advantages[3] - (3.0 - 1.0 / 3.0)).abs() < 1e-12);
    }

    #[test]
    fn a_group_of_one_is_what_verl_makes_of_it() {
        assert_eq!(Advantage::Grpo.of(&[2.0, -1.0], 1).unwrap(), [2.0 / (1.0 + 1e-6), -1.0 / (1.0 + 1e-6)]);
        assert_eq!(Advantage::Rloo.of(&[2.0, -1.0], 1).unwrap(), [2.0, -1.0]);
    }

    #[test]
    fn equal_rewards_have_no_advantage() {
        for kind in [Advantage::Grpo, Advantage::DrGrpo, Advantage::Rloo] {
            assert_eq!(kind.of(&[0.5; 4], 2).unwrap(), vec![0.0; 4]);
        }
        assert!(Advantage::Grpo.of(&[1.0; 3], 2).is_err());
    }
}
