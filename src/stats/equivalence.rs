//! Two one-sided tests: does the mean of paired differences surely lie within a margin of zero?

use super::sign_flip::{Alternative, sign_flip};

/// Bets of the mixture in [`mean_is_below`].
const BETS: usize = 100;

/// The p-value that the mean of `differences` lies within plus or minus `margin`, for differences of any size that
/// are spread about their mean on both sides alike: the larger of two one-sided sign-flip tests. Small means
/// equivalent.
pub fn equivalence(differences: &[f64], margin: f64, seed: u64) -> f64 {
    let above: Vec<f64> = differences.iter().map(|x| x + margin).collect();
    let below: Vec<f64> = differences.iter().map(|x| x - margin).collect();
    sign_flip(&above, Alternative::Greater, seed).max(sign_flip(&below, Alternative::Less, seed))
}

/// The same for differences of shares, which lie in [-1, 1], whatever their distribution.
///
/// Such differences are mostly zero: an edit that ruins one problem in twenty leaves nothing to see in most samples
/// of twelve. A test that trusts their spread calls that equivalent; this one does not, for it needs no more than
/// their bounds. The price is that few problems can never show equivalence: with none moved, the p-value is
/// about `(1 - margin)^n`.
pub fn equivalence_of_shares(differences: &[f64], margin: f64) -> f64 {
    let raised = differences.iter().map(|x| 0.5 * (1.0 + x));
    let lowered = differences.iter().map(|x| 0.5 * (1.0 - x));
    let bound = 0.5 * (1.0 + margin);
    mean_is_below(raised, bound).max(mean_is_below(lowered, bound))
}

/// The p-value against a mean of at least `bound` of independent values in [0, 1].
///
/// Whoever stakes a part `s` of his money against every value multiplies it by `1 + s (bound - value) / (1 - bound)`,
/// on average by no more than one if the mean is at least `bound`. So what a mixture of such gamblers has in the end
/// is at least 1/p with probability p at most. Source: Waudby-Smith and Ramdas (2024), "Estimating means of bounded
/// random variables by betting".
fn mean_is_below(values: impl Iterator<Item = f64> + Clone, bound: f64) -> f64 {
    if !(bound < 1.0) {
        return 1.0;
    }
    let money = |bet: usize| -> f64 {
        let stake = bet as f64 / BETS as f64 / (1.0 - bound);
        values.clone().map(|value| 1.0 + stake * (bound - value)).product()
    };
    let mean = (1..=BETS).map(money).sum::<f64>() / BETS as f64;
    if mean > 1.0 { 1.0 / mean } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn no_change_at_all_is_equivalent_once_there_are_enough_problems() {
        assert!(equivalence(&[0.0; 8], 0.05, 0) < 0.01);
        assert!(equivalence(&[0.0; 3], 0.05, 0) > 0.05);
        assert!(equivalence_of_shares(&[0.0; 64], 0.1) < 0.02);
        assert!(equivalence_of_shares(&[0.0; 12], 0.1) > 0.2);
        assert_eq!(equivalence_of_shares(&[], 0.1), 1.0);
    }

    #[test]
    fn an_effect_outside_the_margin_or_a_wide_spread_is_not() {
        assert!(equivalence(&[0.1; 20], 0.05, 0) > 0.5);
        assert!(equivalence(&[0.5, -0.5, 0.4, -0.4, 0.3, -0.3, 0.2, -0.2], 0.05, 0) > 0.05);
        assert_eq!(equivalence_of_shares(&[0.2; 64], 0.1), 1.0);
        assert_eq!(equivalence_of_shares(&[-0.2; 64], 0.1), 1.0);
        let wide: Vec<f64> = (0..64).map(|problem| if problem % 2 == 0 { 0.5 } else { -0.5 }).collect();
        assert!(equivalence_of_shares(&wide, 0.1) > 0.2);
    }

    #[test]
    fn a_moderate_spread_about_nothing_is_equivalent() {
        let mut stream = Stream::new(5, "equivalence", &[]);
        let values: Vec<f64> = (0..128).map(|_| 0.25 * (stream.below(3) as f64 - 1.0)).collect();
        assert!(equivalence_of_shares(&values, 0.1) < 0.01);
    }

    /// An edit that ruins few problems wholly, at the margin: what a test that trusts the spread cannot see.
    #[test]
    fn rare_damage_at_the_margin_is_rarely_called_equivalent() {
        let rate = |share: f64, problems: usize, test: &dyn Fn(&[f64]) -> f64| {
            let called = (0..400).filter(|world| {
                let mut stream = Stream::new(*world, "rare damage", &[problems as u64]);
                let ruined = |_| if stream.uniform_f64() < share { -1.0 } else { 0.0 };
                let values: Vec<f64> = (0..problems).map(ruined).collect();
                test(&values) <= 0.05
            });
            called.count() as f64 / 400.0
        };
        for (share, problems) in [(0.1, 12), (0.1, 64), (0.1, 300)] {
            let found = rate(share, problems, &|values| equivalence_of_shares(values, 0.1));
            assert!(found <= 0.075, "{found} of {problems}");
        }
        assert!(rate(0.1, 12, &|values| equivalence(values, 0.1, 0)) > 0.2, "the check can fail");
    }
}
