//! Agreement of the same claims over repetitions: other dictionary seeds, other training seeds.

use super::rows::ClaimRow;

/// What stands for stability where nothing was repeated.
pub const NOT_REPEATED: &str = "not repeated";

/// Writes into each claim how many of `repetitions` reach the same verdict, itself counted in.
/// Hypotheses are matched by name; a repetition that lacks one does not count.
pub fn count_agreement(claims: &mut [ClaimRow], repetitions: &[Vec<ClaimRow>]) {
    for claim in claims {
        let same: Vec<bool> = repetitions
            .iter()
            .filter_map(|repetition| repetition.iter().find(|other| other.hypothesis == claim.hypothesis))
            .map(|other| other.verdict == claim.verdict && other.effect.signum() == claim.effect.signum())
            .collect();
        if !same.is_empty() {
            let agree = 1 + same.iter().filter(|same| **same).count();
            claim.stability = format!("{agree} of {}", same.len() + 1);
        }
    }
}
