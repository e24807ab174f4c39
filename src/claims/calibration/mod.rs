//! Does the method claim what is true, and nothing else? Whole studies in micro-worlds.
//!
//! 1. A micro-world (`world`) has features with decoders, problems at whose tokens they fire, and a
//!    readout whose dependence on the features is planted: none, or one set that carries one suite.
//! 2. A study (`study`) is run in it as a real one is: edits are the real deltas, a set is selected on
//!    one half, controls are the real matched draws, effects are measured on the other half with common
//!    random numbers, and [`super::decide`] decides.
//! 3. Over many **null** worlds, in which every edit does damage and no set carries anything, claims must
//!    stay at the declared level. Over many **planted** worlds the verdicts must be right and the
//!    simultaneous intervals must cover the true effects.
//!
//! No language model is in the loop: what is calibrated here is selection, matching, the edits'
//! arithmetic, the tests and the decision. The limits on counts are binomial quantiles, which for 400
//! null worlds at .05 give 29, and for 200 intervals at .95 give 182 to 196.

mod study;
mod world;

use super::{ClaimSettings, Verdict};
use crate::error::Result;
use crate::progress::Observer;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
pub use study::Method;
use study::study;
use world::Planting;

/// Worlds between two looks at the stop flag.
const BLOCK: u64 = 16;

/// One row of the table `calibration`: one study in one micro-world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationRow {
    /// `null` or `planted`.
    pub world: String,
    /// Its seed.
    pub seed: u64,
    /// What was decided.
    pub verdict: Verdict,
    /// Whether something was claimed to be carried.
    pub claimed: bool,
    /// Whether the verdict is the right one: in a null world no claim; in a planted one, that the chosen
    /// set carries transfer, when selection chose the planted set.
    pub right: bool,
    /// Whether selection chose the planted set.
    pub chose_planted: bool,
    /// The measured effect on the declared suite.
    pub effect: f64,
    /// The true effect of the chosen set there.
    pub truth: f64,
    /// Lower end of the simultaneous interval.
    pub ci_low: Option<f64>,
    /// Upper end of the simultaneous interval.
    pub ci_high: Option<f64>,
    /// Whether the simultaneous intervals cover the true effects on both suites.
    pub covered: bool,
    /// The p-value of the claim.
    pub p: f64,
}

/// Counts over many micro-worlds, with the limits within which they should lie.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Null worlds.
    pub nulls: usize,
    /// Claims in them.
    pub null_claims: usize,
    /// At most so many are expected of a method that keeps its level.
    pub null_limit: usize,
    /// Planted worlds.
    pub planted: usize,
    /// Right verdicts in them: the power.
    pub planted_right: usize,
    /// Planted worlds whose simultaneous intervals cover the true effects on both suites.
    pub covered: usize,
    /// The least and the most that are expected of intervals that keep their level.
    pub covered_limits: [usize; 2],
}

impl Calibration {
    /// Counts the rows.
    pub fn of(rows: &[CalibrationRow], alpha: f64) -> Self {
        let of_kind = |kind: &'static str| rows.iter().filter(move |row| row.world == kind);
        let (nulls, planted) = (of_kind("null").count(), of_kind("planted").count());
        Self {
            nulls,
            null_claims: of_kind("null").filter(|row| row.claimed).count(),
            null_limit: binomial_quantile(nulls, alpha, 0.975),
            planted,
            planted_right: of_kind("planted").filter(|row| row.right).count(),
            covered: of_kind("planted").filter(|row| row.covered).count(),
            covered_limits: [
                binomial_quantile(planted, 1.0 - alpha, 0.005),
                binomial_quantile(planted, 1.0 - alpha, 0.975),
            ],
        }
    }

    /// What is out of its limits, if anything. Power is shown and must be above one half.
    pub fn failures(&self) -> Vec<String> {
        let [least, most] = self.covered_limits;
        let checks = [
            (
                self.null_claims <= self.null_limit,
                format!(
                    "{} claims in {} null worlds, at most {}",
                    self.null_claims, self.nulls, self.null_limit
                ),
            ),
            (
                (least..=most).contains(&self.covered),
                format!(
                    "{} of {} true effects covered, expected {least} to {most}",
                    self.covered, self.planted
                ),
            ),
            (
                2 * self.planted_right >= self.planted,
                format!("{} of {} planted sets found", self.planted_right, self.planted),
            ),
        ];
        checks.into_iter().filter(|(holds, _)| !holds).map(|(_, failure)| failure).collect()
    }
}

/// Runs studies in `nulls` null worlds and `planted` planted ones.
///
/// # Errors
/// If a setting is out of range, or a stop was asked for.
pub fn calibrate(
    nulls: u64,
    planted: u64,
    method: Method,
    settings: &ClaimSettings,
    seed: u64,
    observer: &Observer,
) -> Result<Vec<CalibrationRow>> {
    settings.check()?;
    let worlds: Vec<(Planting, u64)> = (0..nulls)
        .map(|world| (Planting::Nothing, seed.wrapping_add(world)))
        .chain((0..planted).map(|world| (Planting::Transfer, seed.wrapping_add(world))))
        .collect();
    let mut bar = observer.bar("check calibration", worlds.len() as u64, "worlds");
    let mut rows = Vec::with_capacity(worlds.len());
    for block in worlds.chunks(BLOCK as usize) {
        observer.check()?;
        let found: Result<Vec<CalibrationRow>> = block
            .par_iter()
            .map(|(planting, seed)| row(*planting, *seed, study(*seed, *planting, method, settings)?))
            .collect();
        rows.extend(found?);
        bar.advance(block.len() as u64);
    }
    Ok(rows)
}

fn row(planting: Planting, seed: u64, finding: study::Finding) -> Result<CalibrationRow> {
    let claim = finding.claim;
    let within = |low: Option<f64>, high: Option<f64>, truth: f64| {
        low.is_none_or(|low| low <= truth) && high.is_none_or(|high| truth <= high)
    };
    let claimed =
        matches!(claim.verdict, Verdict::CarriesTransfer | Verdict::CarriesSafetyLoss | Verdict::Both);
    let right = match planting {
        Planting::Nothing => !claimed,
        Planting::Transfer => finding.chose_planted && claim.verdict == Verdict::CarriesTransfer,
    };
    Ok(CalibrationRow {
        world: if planting == Planting::Nothing { "null" } else { "planted" }.into(),
        seed,
        verdict: claim.verdict,
        claimed,
        right,
        chose_planted: finding.chose_planted,
        effect: claim.effect,
        truth: finding.truth[0],
        ci_low: claim.ci_low,
        ci_high: claim.ci_high,
        covered: within(claim.ci_low, claim.ci_high, finding.truth[0])
            && within(claim.other_ci_low, claim.other_ci_high, finding.truth[1]),
        p: claim.p,
    })
}

/// The smallest count k with P(X <= k) >= `level`, for X binomial with `trials` and `probability`.
fn binomial_quantile(trials: usize, probability: f64, level: f64) -> usize {
    let odds = probability / (1.0 - probability);
    let mut log_mass = trials as f64 * (1.0 - probability).ln();
    let mut below = log_mass.exp();
    let mut count = 0;
    while below < level && count < trials {
        log_mass += ((trials - count) as f64 / (count + 1) as f64 * odds).ln();
        below += log_mass.exp();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(nulls: u64, planted: u64, method: Method) -> Calibration {
        let settings = ClaimSettings { draws: 300, ..ClaimSettings::default() };
        let rows = calibrate(nulls, planted, method, &settings, 100, &Observer::silent()).unwrap();
        Calibration::of(&rows, settings.alpha)
    }

    #[test]
    fn the_limits_are_the_protocols() {
        assert_eq!(binomial_quantile(400, 0.05, 0.975), 29);
        assert_eq!(binomial_quantile(200, 0.95, 0.975), 196);
        assert!((181..=183).contains(&binomial_quantile(200, 0.95, 0.005)));
    }

    #[test]
    fn the_method_keeps_its_level_covers_the_truth_and_finds_what_is_planted() {
        let found = calibration(40, 20, Method::Sound);
        assert_eq!(found.failures(), Vec::<String>::new(), "{found:?}");
    }

    // Each mutation is caught by the short form, as CI runs it: 20 planted worlds, 40 null ones.

    #[test]
    fn a_disabled_edit_is_noticed() {
        let found = calibration(0, 20, Method::EditDisabled);
        assert!(!found.failures().is_empty(), "{found:?}");
    }

    #[test]
    fn halves_made_one_are_noticed() {
        let found = calibration(40, 0, Method::HalvesMadeOne);
        assert!(!found.failures().is_empty(), "{found:?}");
    }

    #[test]
    fn unmatched_controls_are_noticed() {
        let found = calibration(40, 0, Method::ControlsUnmatched);
        assert!(!found.failures().is_empty(), "{found:?}");
    }
}
