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
//! 3. Claims must stay at the declared level in worlds where every claim is false. There are four kinds; that of a base
//!    continued on its own curriculum is a study of its own (`probes/null.toml`).
//!    * **null**: every edit does damage, in proportion to what it writes, and no set carries anything. A method that
//!      only asks whether an effect is other than zero claims here.
//!    * **shared skill**: both models lose the skill with the set, and the tuned one is better for another reason. A
//!      contrast with base that only repeats the gain claims here.
//!    * **disjoint halves**: as planted, but the problems that measure are of another source than those that select:
//!      they are the other suite's. Selection finds a set that truly carries what selects; of what measures it carries
//!      nothing, and does the damage that any set does. A method that measures what it selected on claims here, as
//!      often as it finds what is planted.
//!    * **permuted pairs**: as planted, but the problems that measure are paired anew with right answers. Selection finds
//!      the planted set, which moves as many outcomes as in a planted world, all samples of a problem together, and as
//!      many to the better as to the worse: the null of the sign flip over problems, with the sizes of real effects.
//!      (With two answers, as in `activations`, a new pairing is a fair coin for each problem that exchanges its outcomes
//!      with and without the edit, for the set, its controls and base alike. With more, the null holds but for what an
//!      edit does to how often each answer is given.) A method that takes movement for an effect claims here.
//! 4. Over many **planted** worlds the verdicts must be right, and intervals must cover the true effects as often as they
//!    promise ([`Calibration`]). The interval of one effect by itself, as a screen of one reports it, promises a rate, and
//!    must keep it on both sides: neither too narrow nor too wide. Simultaneous intervals promise a least rate at which
//!    all of them hold, and are only asked for that: what shows no spread, for one, gets an interval that all but surely
//!    holds ([`crate::stats::simultaneous_intervals`]).
//! 5. A study that is broken ([`Method`]) must be noticed by the counts: above all, an edit that is never
//!    applied looks exactly like a set that carries nothing.
//!
//! The limits on counts are binomial quantiles, which for 400 null worlds at .05 give 29, and for 200
//! intervals at .95 give 182 to 196.

mod activations;
mod counts;
mod judge;
mod model;
mod setting;

pub use counts::{Calibration, FalseClaims};
pub use setting::{Level, Method};

use super::{ClaimSettings, Verdict};
use crate::error::{Error, Result};
use crate::progress::Observer;
use judge::Judged;
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
    /// `null`, `shared skill`, `disjoint halves`, `permuted pairs` or `planted`.
    pub world: String,
    /// Its seed.
    pub seed: u64,
    /// What was decided.
    pub verdict: Verdict,
    /// Whether something was claimed to be carried.
    pub claimed: bool,
    /// Whether the verdict is the right one: in a planted world, that the chosen set carries transfer, when selection chose
    /// the planted set; in all others, no claim.
    pub right: bool,
    /// Whether selection chose the planted set; in a model, features with at least half of its effect.
    pub chose_planted: bool,
    /// The measured effect on the declared suite.
    pub effect: f64,
    /// The true effect of the chosen set there; 0 where every claim is false, and nobody asks.
    pub truth: f64,
    /// Lower end of the simultaneous interval.
    pub ci_low: Option<f64>,
    /// Upper end of the simultaneous interval.
    pub ci_high: Option<f64>,
    /// Lower end of the interval that the effect has by itself.
    pub own_low: Option<f64>,
    /// Upper end of that interval.
    pub own_high: Option<f64>,
    /// Whether that interval covers the true effect.
    pub own_covered: bool,
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
    /// In which the set that carries what selects carries nothing of what measures.
    pub halves: u64,
    /// In which what is right has nothing to do with what is asked.
    pub pairs: u64,
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
        (Planting::DisjointHalves, worlds.halves),
        (Planting::PermutedPairs, worlds.pairs),
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
    let Judged { claim, own: [own_low, own_high] } = finding.judged;
    let within = |low: Option<f64>, high: Option<f64>, truth: f64| {
        low.is_none_or(|low| low <= truth) && high.is_none_or(|high| truth <= high)
    };
    let claimed = claim.verdict.carries();
    let [transfer, safety] = finding.truth;
    let right = match planting {
        Planting::Transfer => finding.chose_planted && claim.verdict == Verdict::CarriesTransfer,
        _ => !claimed,
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
        own_low,
        own_high,
        own_covered: within(own_low, own_high, transfer),
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

    fn rows(level: Level, worlds: Worlds, method: Method) -> Result<Vec<CalibrationRow>> {
        let settings = ClaimSettings { draws: 300, ..ClaimSettings::default() };
        calibrate(level, worlds, method, &settings, 100, &Observer::silent())
    }

    fn calibration(level: Level, worlds: Worlds, method: Method) -> Calibration {
        Calibration::of(level, &rows(level, worlds, method).unwrap(), 0.05)
    }

    /// Whether there are more claims in worlds of a kind than a method that keeps its level makes.
    fn too_many(found: &Calibration, world: Planting) -> bool {
        found.false_claims.iter().any(|kind| kind.world == world.name() && kind.claims > kind.limit)
    }

    #[test]
    fn the_method_keeps_its_level_covers_the_truth_and_finds_what_is_planted() {
        for (level, nulls, anew) in [(Level::Activations, 40, 20), (Level::Model, 20, 8)] {
            let worlds = Worlds { nulls, shared: 20, halves: anew, pairs: anew, planted: 20 };
            let found = calibration(level, worlds, Method::Sound);
            assert_eq!(found.failures(), Vec::<String>::new(), "{found:?}");
        }
    }

    // Each mutation is caught by the short form, as CI runs it: 8 to 40 worlds of a kind.

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
        let worlds = Worlds { halves: 8, ..Worlds::default() };
        for level in Level::ALL {
            let found = calibration(level, worlds, Method::HalvesMadeOne);
            assert!(too_many(&found, Planting::DisjointHalves), "{found:?}");
        }
    }

    #[test]
    fn movement_that_is_no_effect_is_noticed() {
        let worlds = Worlds { pairs: 8, ..Worlds::default() };
        for level in Level::ALL {
            let found = calibration(level, worlds, Method::SizesTakenForEffects);
            assert!(too_many(&found, Planting::PermutedPairs), "{found:?}");
        }
    }

    #[test]
    fn a_contrast_that_only_repeats_the_gain_is_noticed() {
        for (level, shared) in [(Level::Activations, 20), (Level::Model, 10)] {
            let found = calibration(level, Worlds { shared, ..Worlds::default() }, Method::FallInBaseIgnored);
            assert!(too_many(&found, Planting::SharedSkill), "{found:?}");
        }
    }

    #[test]
    fn unmatched_controls_are_noticed() {
        let nulls = Worlds { nulls: 40, ..Worlds::default() };
        let found = calibration(Level::Activations, nulls, Method::ControlsUnmatched);
        assert!(too_many(&found, Planting::Nothing), "{found:?}");
        let refused = rows(Level::Model, nulls, Method::ControlsUnmatched);
        assert!(refused.unwrap_err().to_string().contains("cannot be run"));
    }
}
