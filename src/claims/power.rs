//! Arithmetic that can be done before anything is measured: could this study ever reach significance?
//!
//! * A p-value against B controls is at least 1 / (B + 1). With m hypotheses the smallest must reach
//!   alpha / m (Holm, Benjamini-Hochberg) or alpha / (m H_m) (Benjamini-Yekutieli, H_m = 1 + 1/2 + ... + 1/m).
//! * A two-sided exact sign flip over n problems is at least 2 / 2^n.

use super::settings::{ClaimSettings, Correction};
use crate::error::{Error, Result};
use crate::stats::minimum_detectable_effect;

/// What a study needs at least, and what it could find.
#[derive(Clone, Debug, PartialEq)]
pub struct Power {
    /// Declared hypotheses.
    pub hypotheses: usize,
    /// The level that the smallest p-value must reach.
    pub level: f64,
    /// Controls that each hypothesis needs at least.
    pub needed_controls: usize,
    /// Problems in the measuring half that each suite needs at least.
    pub needed_problems: usize,
}

impl Power {
    /// The least that a study of `hypotheses` needs under `settings`.
    pub fn of(hypotheses: usize, settings: &ClaimSettings) -> Self {
        let level = smallest_level(hypotheses, settings);
        // Rounded down a hair, for 3 / 0.05 must be 60 in floating point too.
        let needed_controls = ((1.0 / level - 1e-9).ceil() - 1.0).max(0.0) as usize;
        let needed_problems = (1.0 + (1.0 / level).log2() - 1e-9).ceil().max(1.0) as usize;
        Self { hypotheses, level, needed_controls, needed_problems }
    }

    /// The smallest true effect that is found with power .8 over `problems`, at the strictest corrected
    /// level, when paired differences have standard deviation `deviation` between problems.
    pub fn minimum_detectable_effect(&self, problems: usize, deviation: f64) -> f64 {
        minimum_detectable_effect(deviation / (problems as f64).sqrt(), problems, self.level, 0.8)
    }

    /// Refuses a study that could never make a claim.
    ///
    /// # Errors
    /// If it has fewer controls than it needs.
    pub fn check_controls(&self, controls: usize) -> Result<()> {
        if self.hypotheses == 0 || controls >= self.needed_controls {
            return Ok(());
        }
        Err(Error::request(format!(
            "`interventions.controls`: expected at least {} for {} hypotheses, found {controls}: \
             no p-value could pass the correction",
            self.needed_controls, self.hypotheses
        ))
        .hint(format!("set `controls = {}`, or declare fewer hypotheses", self.needed_controls)))
    }

    /// Refuses a hypothesis on a suite with too few problems.
    ///
    /// # Errors
    /// If the measuring half of `suite` has fewer problems than the sign flip needs.
    pub fn check_problems(&self, suite: &str, problems: usize) -> Result<()> {
        if self.hypotheses == 0 || problems >= self.needed_problems {
            return Ok(());
        }
        Err(Error::request(format!(
            "suite `{suite}`: expected at least {} problems in the measuring half for {} hypotheses, found \
             {problems}: no sign flip could pass the correction",
            self.needed_problems, self.hypotheses
        ))
        .hint("take a suite with more problems, or declare fewer hypotheses"))
    }

    /// Refuses a hypothesis of which too few problems are measured.
    ///
    /// # Errors
    /// If the first `limit` prompts of the measuring half of `suite` hold fewer `problems` than the sign flip needs.
    pub fn check_limit(&self, suite: &str, limit: usize, problems: usize) -> Result<()> {
        if self.hypotheses == 0 || problems >= self.needed_problems {
            return Ok(());
        }
        Err(Error::request(format!(
            "`interventions.problems`: expected prompts of at least {} problems of suite `{suite}` for {} \
             hypotheses, found {problems} in the first {limit}: no sign flip could pass the correction",
            self.needed_problems, self.hypotheses
        ))
        .hint("raise it, or declare fewer hypotheses"))
    }

    /// Refuses a hypothesis about `set` attention heads of a model that has `heads`.
    ///
    /// # Errors
    /// If there are fewer distinct sets of as many other heads than it needs controls.
    pub fn check_heads(&self, set: usize, heads: usize) -> Result<()> {
        let others = heads.saturating_sub(set);
        // Of `others` choose `set`, by factors that keep every step a whole number.
        let sets = (0..set as u128).fold(1u128, |sets, taken| {
            sets.saturating_mul(others.saturating_sub(taken as usize) as u128) / (taken + 1)
        });
        if self.hypotheses == 0 || sets >= self.needed_controls as u128 {
            return Ok(());
        }
        Err(Error::request(format!(
            "field `set`: expected at least {} controls for {} hypotheses, found {sets} distinct sets of {set} among \
             the other {others} heads: no p-value could pass the correction",
            self.needed_controls, self.hypotheses
        ))
        .hint("take a model with more heads, name more heads, or declare fewer hypotheses"))
    }
}

/// The level that the smallest of `hypotheses` p-values must reach.
fn smallest_level(hypotheses: usize, settings: &ClaimSettings) -> f64 {
    let count = hypotheses.max(1);
    let tests = match settings.correction {
        Correction::Holm | Correction::Bh => count as f64,
        Correction::By => count as f64 * (1..=count).map(|rank| 1.0 / rank as f64).sum::<f64>(),
    };
    settings.alpha / tests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(hypotheses: usize, correction: Correction) -> usize {
        Power::of(hypotheses, &ClaimSettings { correction, ..ClaimSettings::default() }).needed_controls
    }

    #[test]
    fn the_protocols_numbers_of_controls() {
        assert_eq!(needed(1, Correction::Holm), 19);
        assert_eq!(needed(3, Correction::Holm), 59);
        assert_eq!(needed(3, Correction::Bh), 59);
        assert_eq!(needed(3, Correction::By), 109);
    }

    #[test]
    fn the_number_of_controls_is_the_least_that_can_reach_the_level() {
        for hypotheses in 1..40 {
            for correction in [Correction::Holm, Correction::By] {
                let settings = ClaimSettings { correction, ..ClaimSettings::default() };
                let level = smallest_level(hypotheses, &settings);
                let controls = needed(hypotheses, correction);
                assert!(1.0 / (controls as f64 + 1.0) <= level * (1.0 + 1e-9));
                assert!(1.0 / controls as f64 > level * (1.0 + 1e-9), "{hypotheses}");
            }
        }
    }

    #[test]
    fn a_sign_flip_needs_enough_problems() {
        assert_eq!(Power::of(1, &ClaimSettings::default()).needed_problems, 6);
        assert_eq!(Power::of(3, &ClaimSettings::default()).needed_problems, 7);
    }

    #[test]
    fn an_unreachable_study_is_refused_with_the_number_that_mends_it() {
        let power = Power::of(3, &ClaimSettings::default());
        assert!(power.check_controls(59).is_ok());
        let error = power.check_controls(58).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("set `controls = 59`"), "{error}");
        assert!(power.check_problems("refusal", 4).is_err());
        assert!(Power::of(0, &ClaimSettings::default()).check_controls(0).is_ok());
        let error = power.check_limit("refusal", 4, 3).unwrap_err().to_string();
        assert!(error.contains("at least 7") && error.contains("found 3 in the first 4"), "{error}");
    }

    #[test]
    fn a_model_must_have_enough_other_heads_to_draw_controls_from() {
        let power = Power::of(1, &ClaimSettings::default());
        let error = power.check_heads(1, 16).unwrap_err().to_string();
        assert!(error.contains("at least 19") && error.contains("15 distinct"), "{error}");
        assert!(power.check_heads(1, 20).is_ok());
        assert!(power.check_heads(2, 16).is_ok(), "91 pairs of the other 14");
        assert!(power.check_heads(12, 16).is_err(), "four heads hold no set of twelve");
        assert!(power.check_heads(100, 4096).is_ok(), "more sets than can be counted");
    }

    #[test]
    fn more_hypotheses_need_larger_effects() {
        let settings = ClaimSettings::default();
        let effect = |hypotheses| Power::of(hypotheses, &settings).minimum_detectable_effect(100, 0.5);
        assert!((effect(1) - 0.142).abs() < 0.002, "{}", effect(1));
        assert!(effect(3) > effect(1));
    }
}
