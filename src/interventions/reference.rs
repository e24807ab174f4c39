//! Reference codes of features on selection tokens: what `mean`, `clamp`, `steer` and `resample` write.

use crate::rng::Stream;
use std::sync::Arc;

/// Per feature of the dictionary: the mean code and the 95th percentile when active.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reference {
    /// Mean code over all selection tokens, zeros included.
    pub means: Vec<f32>,
    /// 95th percentile (nearest rank) of the code over the tokens where the feature fires; 0 if it never does. The unit
    /// of `clamp` and `steer`; experiments take it from what the feature's source variant writes.
    pub percentiles: Vec<f32>,
}

impl Reference {
    /// From the firing codes of each feature and the number of tokens they were counted on.
    pub fn from_firing(firing: &[Vec<(u32, f32)>], tokens: usize) -> Self {
        let means = firing
            .iter()
            .map(|codes| {
                let sum: f64 = codes.iter().map(|(_, value)| f64::from(*value)).sum();
                if tokens == 0 { 0.0 } else { (sum / tokens as f64) as f32 }
            })
            .collect();
        let percentiles = firing.iter().map(|codes| percentile_95(codes)).collect();
        Self { means, percentiles }
    }

    pub(super) fn mean(&self, feature: u32) -> f32 {
        self.means.get(feature as usize).copied().unwrap_or(0.0)
    }

    pub(super) fn percentile(&self, feature: u32) -> f32 {
        self.percentiles.get(feature as usize).copied().unwrap_or(0.0)
    }
}

fn percentile_95(codes: &[(u32, f32)]) -> f32 {
    let mut values: Vec<f32> = codes.iter().map(|(_, value)| *value).collect();
    values.sort_by(f32::total_cmp);
    let rank = (values.len() * 95).div_ceil(100);
    rank.checked_sub(1).and_then(|index| values.get(index)).copied().unwrap_or(0.0)
}

/// The codes at some tokens of the selection half, from which `resample` draws.
///
/// Cheap to clone. A draw is keyed by (seed, problem, sample, position): equal keys give equal draws
/// under every condition, so control sets see the same tokens as the tested set.
#[derive(Clone, Debug, Default)]
pub struct CodeBank {
    seed: u64,
    tokens: Arc<Vec<Vec<(u32, f32)>>>,
}

impl CodeBank {
    /// `tokens`: per token, the firing features in increasing order with their codes.
    pub fn new(seed: u64, tokens: Vec<Vec<(u32, f32)>>) -> Self {
        Self { seed, tokens: Arc::new(tokens) }
    }

    /// The codes at the token drawn for `key`; empty if the bank is.
    pub(super) fn draw(&self, key: [u64; 3]) -> &[(u32, f32)] {
        Stream::new(self.seed, "resample", &key).choose(&self.tokens).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_over_active_tokens_and_means_over_all() {
        let firing = vec![(0..20).map(|index| (index, index as f32 + 1.0)).collect(), Vec::new()];
        let reference = Reference::from_firing(&firing, 40);
        assert_eq!(reference.percentiles, [19.0, 0.0]);
        assert_eq!(reference.means, [210.0 / 40.0, 0.0]);
    }

    #[test]
    fn a_resampled_token_depends_on_its_key_alone() {
        let bank = CodeBank::new(1, (0..100).map(|token| vec![(token, 1.0)]).collect());
        assert_eq!(bank.draw([1, 2, 3]), bank.clone().draw([1, 2, 3]));
        let drawn: std::collections::BTreeSet<u32> =
            (0..200).flat_map(|position| bank.draw([1, 2, position]).first().map(|code| code.0)).collect();
        assert!(drawn.len() > 60, "draws spread over the bank: {}", drawn.len());
    }
}
