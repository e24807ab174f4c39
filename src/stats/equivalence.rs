//! Two one-sided tests: does the mean of paired differences surely lie within a margin of zero?

use super::sign_flip::{Alternative, sign_flip};

/// The p-value of equivalence within plus or minus `margin`: the larger of two one-sided sign-flip
/// tests, that the mean lies above -margin and below +margin. Small means equivalent.
pub fn equivalence(differences: &[f64], margin: f64, seed: u64) -> f64 {
    let above: Vec<f64> = differences.iter().map(|x| x + margin).collect();
    let below: Vec<f64> = differences.iter().map(|x| x - margin).collect();
    sign_flip(&above, Alternative::Greater, seed).max(sign_flip(&below, Alternative::Less, seed))
}

#[cfg(test)]
mod tests {
    use super::equivalence;

    #[test]
    fn no_change_at_all_is_equivalent_once_there_are_enough_problems() {
        assert!(equivalence(&[0.0; 8], 0.05, 0) < 0.01);
        assert!(equivalence(&[0.0; 3], 0.05, 0) > 0.05);
    }

    #[test]
    fn an_effect_outside_the_margin_or_a_wide_spread_is_not() {
        assert!(equivalence(&[0.1; 20], 0.05, 0) > 0.5);
        assert!(equivalence(&[0.5, -0.5, 0.4, -0.4, 0.3, -0.3, 0.2, -0.2], 0.05, 0) > 0.05);
    }
}
