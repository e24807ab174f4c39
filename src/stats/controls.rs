//! The p-value of an effect among matched controls.

/// (1 + number of controls that move it as much, in either direction) / (1 + number of controls).
///
/// Valid when the tested set is exchangeable with its controls under the null, hence the matching. An
/// effect that is no number has the p-value 1, and a control that is none counts against the effect.
pub fn p_controls(effect: f64, controls: &[f64]) -> f64 {
    // A tie counts against the effect; the tolerance keeps rounding from breaking ties.
    let size = effect.abs() * (1.0 - 1e-12);
    let smaller = controls.iter().filter(|control| control.abs() < size).count();
    (1 + controls.len() - smaller) as f64 / (1 + controls.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::p_controls;

    #[test]
    fn ties_and_both_signs_count_against_the_effect() {
        assert_eq!(p_controls(-0.5, &[0.1, -0.2, 0.3]), 0.25);
        assert_eq!(p_controls(0.3, &[0.1, -0.3, 0.5]), 0.75);
        assert_eq!(p_controls(0.5, &[]), 1.0);
        assert_eq!(p_controls(-2.0, &[1.0; 59]), 1.0 / 60.0);
    }

    #[test]
    fn what_is_no_number_never_helps() {
        assert_eq!(p_controls(f64::NAN, &[0.1, 0.2]), 1.0);
        assert_eq!(p_controls(0.5, &[0.1, f64::NAN]), 2.0 / 3.0);
    }
}
