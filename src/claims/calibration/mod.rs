//! Does the method claim what is true, and nothing else? Whole studies in micro-worlds.
//!
//! 1. A micro-world has features, problems at whose tokens they fire, and answers whose dependence on the
//!    features is planted: none, or one set that carries one suite. There are two levels:
//!    * `activations`: codes are drawn and a formula answers. What is calibrated is selection, matching, the
//!      edits' arithmetic, the tests and the decision.
//!    * `model`: a decoder whose weights are written by hand answers; post-training added components to it,
//!      each switched on by an input feature. The study is [`crate::experiments::run`] itself: hooks, joint
//!      readout in lockstep, deltas, sampling with common random numbers, grading by a suite, controls. What
//!      an edit truly does is known without any of this, in closed form.
//! 2. A study is run in it as a real one is: a set is selected on one half, controls match it, effects are
//!    measured on the other half, and [`super::decide`] decides.
//! 3. Over many **null** worlds, in which every edit does damage and no set carries anything, claims must
//!    stay at the declared level; and so they must where a set carries a **shared skill**, which both models lose with it
//!    while the tuned one is better for another reason. Over many **planted** worlds the verdicts must be right and the
//!    simultaneous intervals must cover the true effects ([`Calibration`]).
//! 4. A study that is broken ([`Method`]) must be noticed by the counts: above all, an edit that is never
//!    applied looks exactly like a set that carries nothing.
//!
//! The limits on counts are binomial quantiles, which for 400 null worlds at .05 give 29, and for 200
//! intervals at .95 give 182 to 196.

mod activations;
mod counts;
mod model;
mod setting;

pub use counts::Calibration;
pub use setting::{Level, Method};

use super::{ClaimSettings, Verdict};
use crate::error::{Error, Result};
use crate::progress::Observer;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use setting::{Finding, Planting};

/// Worlds between two looks at the stop flag.
const BLOCK: u64 = 16;

/// One row of the table `calibration`: one study in one micro-world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationRow {
    /// `activations` or `model`.
    pub level: String,
    /// `null`, `planted` or `shared skill`.
    pub world: String,
    /// Its seed.
    pub seed: u64,
    /// What was decided.
    pub verdict: Verdict,
    /// Whether something was claimed to be carried.
    pub claimed: bool,
    /// Whether the verdict is the right one: in a null world, or one of a shared skill, no claim; in a planted one, that the chosen
    /// set carries transfer, when selection chose the planted set.
    pub right: bool,
    /// Whether selection chose the planted set; in a model, features with at least half of its effect.
    pub chose_planted: bool,
    /// The measured effect on the declared suite.
    pub effect: f64,
    /// The true effect of the chosen set there.
    pub truth: f64,
    /// Lower end of the simultaneous interval.
    pub ci_low: Option<f64>,
    /// Upper end of the simultaneous interval.
    pub ci_high: Option<f64>,
    /// Whether the simultaneous intervals cover all that they are for: the true effects on both suites, their difference,
    /// and the effect beyond base.
    pub covered: bool,
    /// The p-value of the claim.
    pub p: f64,
}

/// How many worlds of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worlds {
    /// In which no set carries anything.
    pub nulls: u64,
    /// In which a set carries a skill of both models.
    pub shared: u64,
    /// In which a set carries transfer.
    pub planted: u64,
}

/// Runs studies at a level.
///
/// # Errors
/// If a setting is out of range, the method cannot be run at the level, or a stop was asked for.
pub fn calibrate(
    level: Level,
    worlds: Worlds,
    method: Method,
    settings: &ClaimSettings,
    seed: u64,
    observer: &Observer,
) -> Result<Vec<CalibrationRow>> {
    settings.check()?;
    if method != Method::Sound && !level.broken().contains(&method) {
        let (method, level) = (method.name(), level.name());
        return Err(Error::request(format!("`{method}` cannot be run in micro-worlds of level `{level}`")));
    }
    let kinds = [
        (Planting::Nothing, worlds.nulls),
        (Planting::SharedSkill, worlds.shared),
        (Planting::Transfer, worlds.planted),
    ];
    let each = |(planting, count)| (0..count).map(move |world| (planting, seed.wrapping_add(world)));
    let worlds: Vec<(Planting, u64)> = kinds.into_iter().flat_map(each).collect();
    let label = format!("check calibration: {}, {}", level.name(), method.name());
    let mut bar = observer.bar(&label, worlds.len() as u64, "worlds");
    let within = observer.muted();
    let study = |planting, seed| match level {
        Level::Activations => activations::study(seed, planting, method, settings),
        Level::Model => model::study(seed, planting, method, settings, &within),
    };
    let mut rows = Vec::with_capacity(worlds.len());
    for block in worlds.chunks(BLOCK as usize) {
        observer.check()?;
        let found: Result<Vec<CalibrationRow>> = block
            .par_iter()
            .map(|(planting, seed)| Ok(row(level, *planting, *seed, study(*planting, *seed)?)))
            .collect();
        rows.extend(found?);
        bar.advance(block.len() as u64);
    }
    Ok(rows)
}

fn row(level: Level, planting: Planting, seed: u64, finding: Finding) -> CalibrationRow {
    let claim = finding.claim;
    let within = |low: Option<f64>, high: Option<f64>, truth: f64| {
        low.is_none_or(|low| low <= truth) && high.is_none_or(|high| truth <= high)
    };
    let claimed = claim.verdict.carries();
    let [transfer, safety] = finding.truth;
    let right = match planting {
        Planting::Nothing | Planting::SharedSkill => !claimed,
        Planting::Transfer => finding.chose_planted && claim.verdict == Verdict::CarriesTransfer,
    };
    CalibrationRow {
        level: level.name().into(),
        world: planting.name().into(),
        seed,
        verdict: claim.verdict,
        claimed,
        right,
        chose_planted: finding.chose_planted,
        effect: claim.effect,
        truth: transfer,
        ci_low: claim.ci_low,
        ci_high: claim.ci_high,
        // The whole family at once. In base no edit has an effect where transfer is planted, so all of it lies beyond base.
        covered: within(claim.ci_low, claim.ci_high, transfer)
            && within(claim.other_ci_low, claim.other_ci_high, safety)
            && within(claim.interaction_low, claim.interaction_high, transfer - safety)
            && within(claim.beyond_base_low, claim.beyond_base_high, transfer),
        p: claim.p,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(level: Level, worlds: Worlds, method: Method) -> Calibration {
        let settings = ClaimSettings { draws: 300, ..ClaimSettings::default() };
        let rows = calibrate(level, worlds, method, &settings, 100, &Observer::silent()).unwrap();
        Calibration::of(level, &rows, settings.alpha)
    }

    #[test]
    fn the_method_keeps_its_level_covers_the_truth_and_finds_what_is_planted() {
        for (level, nulls) in [(Level::Activations, 40), (Level::Model, 20)] {
            let found = calibration(level, Worlds { nulls, shared: 20, planted: 20 }, Method::Sound);
            assert_eq!(found.failures(), Vec::<String>::new(), "{found:?}");
        }
    }

    // Each mutation is caught by the short form, as CI runs it: 20 planted worlds (10 where a model is in the
    // loop) or 40 null ones.

    #[test]
    fn a_disabled_edit_is_noticed() {
        for (level, planted) in [(Level::Activations, 20), (Level::Model, 10)] {
            let found = calibration(level, Worlds { planted, ..Worlds::default() }, Method::EditDisabled);
            assert_eq!(found.planted_right, 0, "{found:?}");
            assert!(!found.failures().is_empty(), "{found:?}");
        }
    }

    #[test]
    fn halves_made_one_are_noticed() {
        for level in Level::ALL {
            let found = calibration(level, Worlds { nulls: 40, ..Worlds::default() }, Method::HalvesMadeOne);
            assert!(!found.failures().is_empty(), "{found:?}");
        }
    }

    #[test]
    fn a_contrast_that_only_repeats_the_gain_is_noticed() {
        for (level, shared) in [(Level::Activations, 20), (Level::Model, 10)] {
            let found = calibration(level, Worlds { shared, ..Worlds::default() }, Method::FallInBaseIgnored);
            assert!(found.shared_claims > found.shared_limit, "{found:?}");
        }
    }

    #[test]
    fn unmatched_controls_are_noticed() {
        let nulls = Worlds { nulls: 40, ..Worlds::default() };
        let found = calibration(Level::Activations, nulls, Method::ControlsUnmatched);
        assert!(!found.failures().is_empty(), "{found:?}");
        let settings = ClaimSettings::default();
        let observer = Observer::silent();
        let refused = calibrate(Level::Model, nulls, Method::ControlsUnmatched, &settings, 100, &observer);
        assert!(refused.unwrap_err().to_string().contains("cannot be run"));
    }
}
