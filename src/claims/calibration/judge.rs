//! The decision on a study in a micro-world, and how broken methods come to theirs.

use super::super::{ClaimRow, ClaimSettings, Correction, Fitness, decide};
use super::setting::Method;
use crate::error::{Error, Result};
use crate::experiments::{ControlRow, DifferenceRow, EffectRow};
use crate::stats::{Alternative, Summary, sign_flip};

/// What was decided about the one hypothesis of a study.
pub(super) struct Judged {
    /// By the settings.
    pub(super) claim: ClaimRow,
    /// The ends of the interval that its effect has by itself, as a screen reports it, not as one of a family.
    pub(super) own: [Option<f64>; 2],
}

/// The tables of a study.
#[derive(Default)]
pub(super) struct Evidence {
    pub(super) effects: Vec<EffectRow>,
    pub(super) controls: Vec<ControlRow>,
    pub(super) differences: Vec<DifferenceRow>,
}

impl Evidence {
    /// Decides about a receiver that works, on what the method makes of the tables: what is calibrated is not whether its
    /// fitness was noticed.
    ///
    /// # Errors
    /// If the tables do not belong together, or declare no hypothesis.
    pub(super) fn judge(
        mut self,
        method: Method,
        [base, receiver]: [&str; 2],
        settings: &ClaimSettings,
        seed: u64,
    ) -> Result<Judged> {
        method.spoil(&mut self, base);
        let works = [Fitness {
            variant: receiver.to_owned(),
            skills: Some(1.0),
            refuses: Some(0.5),
            complies: Some(1.0),
            difference_fve: None,
        }];
        let decided = |settings: &ClaimSettings| {
            let claims = decide(&self.effects, &self.controls, &self.differences, &works, settings, seed)?;
            claims.into_iter().next().ok_or_else(|| Error::work("a micro-world made no claim row"))
        };
        // Of one hypothesis, and so with nothing to correct for.
        let alone = decided(&ClaimSettings { correction: Correction::Bh, ..settings.clone() })?;
        Ok(Judged { claim: decided(settings)?, own: [alone.ci_low, alone.ci_high] })
    }
}

impl Method {
    /// Puts into the tables of a study what this method makes of them. A broken method has no whole exchange to look at, and
    /// does not read what edited models say: where nothing is planted the one moves nothing, where a shared skill is
    /// destroyed the other shows it, and each would hide every other fault.
    fn spoil(self, evidence: &mut Evidence, base: &str) {
        let Evidence { effects, controls, differences } = evidence;
        if self != Self::Sound {
            effects.retain(|row| row.edit != "whole_difference");
            effects.iter_mut().for_each(|row| row.likelihood = None);
        }
        if self == Self::FallInBaseIgnored {
            for row in effects.iter_mut().filter(|row| row.receiver == base) {
                (row.edited, row.effect) = (row.baseline, 0.0);
            }
        }
        if self == Self::SizesTakenForEffects {
            sizes(effects, controls, differences);
        }
    }
}

/// Takes every problem's difference of a set for a fall of that size.
fn sizes(effects: &mut [EffectRow], controls: &mut [ControlRow], differences: &mut [DifferenceRow]) {
    for row in differences.iter_mut() {
        row.edited = row.baseline - row.difference().abs();
    }
    for effect in effects {
        let place = (&effect.condition, &effect.suite, &effect.endpoint);
        let here = differences.iter().filter(|row| (&row.condition, &row.suite, &row.endpoint) == place);
        let values: Vec<f64> = here.map(DifferenceRow::difference).collect();
        let beside = controls.iter_mut();
        let beside = beside.filter(|row| (&row.condition, &row.suite, &row.endpoint) == place);
        effect.effect = Summary::of(&values).mean;
        effect.p_zero = sign_flip(&values, Alternative::TwoSided, 0);
        beside.for_each(|control| control.set_effect = effect.effect);
    }
}
