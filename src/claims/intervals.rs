//! The intervals of a study, in one family.

use super::evidence::{Case, DifferenceIndex};
use super::settings::{ClaimSettings, Correction};
use crate::error::Result;
use crate::experiments::EffectRow;
use crate::stats::{Estimand, Interval, false_coverage_level, simultaneous_intervals};
use crate::tasks::Scale;

/// What the intervals of a study hold together.
#[derive(Clone, Copy)]
pub(super) enum Hold {
    /// All of them at once, with probability 1 - alpha.
    Simultaneous,
    /// Of those of selected hypotheses, a share alpha is expected to miss (Benjamini and Yekutieli 2005).
    FalseCoverage,
}

impl Hold {
    pub(super) fn of(correction: Correction) -> Self {
        match correction {
            Correction::Holm => Self::Simultaneous,
            Correction::Bh | Correction::By => Self::FalseCoverage,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Simultaneous => "simultaneous",
            Self::FalseCoverage => "false coverage",
        }
    }
}

/// The intervals of one hypothesis.
#[derive(Clone, Copy)]
pub(super) struct CaseIntervals {
    /// The declared effect.
    pub(super) own: Interval,
    /// The effect on the other axis's primary endpoint.
    pub(super) other: Option<Interval>,
    /// The declared effect less that on the other axis, where both are shares.
    pub(super) interaction: Option<Interval>,
    /// The declared effect less that of the same edit in base, paired by problem.
    pub(super) beyond_base: Option<Interval>,
    /// The effect of putting base's part of the set in its place.
    pub(super) transplant: Option<Interval>,
    /// The effect on refusals whose whole answer is one, where the declared endpoint is known by the first word.
    pub(super) whole_answer: Option<Interval>,
}

/// The intervals of every hypothesis. `selected` of them pass the correction.
///
/// # Errors
/// If the tables do not belong together.
pub(super) fn find(
    hold: Hold,
    cases: &[Case<'_>],
    selected: usize,
    index: &DifferenceIndex,
    settings: &ClaimSettings,
    seed: u64,
) -> Result<Vec<CaseIntervals>> {
    let mut family = Family { index, groups: Vec::new(), estimands: Vec::new() };
    let places = cases.iter().map(|case| family.add(case)).collect::<Result<Vec<_>>>()?;
    let found = match hold {
        Hold::Simultaneous => simultaneous_intervals(&family.estimands, settings.alpha, settings.draws, seed),
        Hold::FalseCoverage => {
            let alpha = 1.0 - false_coverage_level(selected.max(1), cases.len(), settings.alpha);
            // Enough draws beyond each end of the wider intervals.
            let draws = settings.draws.max((20.0 / alpha).ceil() as usize).min(50 * settings.draws);
            let one = |estimand: &Estimand| {
                simultaneous_intervals(std::slice::from_ref(estimand), alpha, draws, seed)
            };
            family.estimands.iter().flat_map(one).collect()
        }
    };
    let at = |place: usize| {
        let none = Interval { mean: 0.0, low: f64::NEG_INFINITY, high: f64::INFINITY };
        found.get(place).copied().unwrap_or(none)
    };
    Ok(places
        .into_iter()
        .map(|places| CaseIntervals {
            own: at(places.own),
            other: places.other.map(at),
            interaction: places.interaction.map(at),
            beyond_base: places.beyond_base.map(at),
            transplant: places.transplant.map(at),
            whole_answer: places.whole_answer.map(at),
        })
        .collect())
}

/// Where the estimates of one hypothesis stand in the family.
struct Places {
    own: usize,
    other: Option<usize>,
    interaction: Option<usize>,
    beyond_base: Option<usize>,
    transplant: Option<usize>,
    whole_answer: Option<usize>,
}

/// Everything that is estimated. Estimates on the same problems share their draws.
struct Family<'a> {
    index: &'a DifferenceIndex,
    groups: Vec<Vec<String>>,
    estimands: Vec<Estimand>,
}

impl Family<'_> {
    fn add(&mut self, case: &Case<'_>) -> Result<Places> {
        let own = self.mean(case.declared)?;
        let other = case.other().map(|row| self.mean(row)).transpose()?;
        let interaction = case.other().map(|row| self.interaction(case.declared, row)).transpose()?.flatten();
        let beyond_base = case.in_base.map(|row| self.beyond_base(case.declared, row)).transpose()?;
        let transplant = case.transplant.map(|row| self.mean(row)).transpose()?;
        let whole_answer = case.answer.map(|answer| self.mean(answer.whole)).transpose()?;
        Ok(Places { own, other, interaction, beyond_base, transplant, whole_answer })
    }

    fn push(&mut self, estimand: Estimand, reach: Option<f64>) -> usize {
        self.estimands.push(match reach {
            Some(reach) => estimand.within(reach),
            None => estimand,
        });
        self.estimands.len() - 1
    }

    fn group(&mut self, problems: Vec<String>) -> usize {
        let known = self.groups.iter().position(|group| *group == problems);
        known.unwrap_or_else(|| {
            self.groups.push(problems);
            self.groups.len() - 1
        })
    }

    fn mean(&mut self, row: &EffectRow) -> Result<usize> {
        let measured = self.index.of(row)?;
        let group = self.group(measured.problems.clone());
        Ok(self.push(Estimand::mean(group, measured.values.clone()), reach(row, 1.0)))
    }

    fn interaction(&mut self, declared: &EffectRow, other: &EffectRow) -> Result<Option<usize>> {
        // Nats less points would be a number of no unit.
        if [declared, other].iter().any(|row| Scale::of(&row.endpoint) != Scale::Share) {
            return Ok(None);
        }
        let (own, other) = (self.index.of(declared)?, self.index.of(other)?);
        let groups = [own, other].map(|measured| self.group(measured.problems.clone()));
        let estimand = Estimand::difference(groups[0], own.values.clone(), groups[1], other.values.clone());
        Ok(Some(self.push(estimand, reach(declared, 1.0))))
    }

    fn beyond_base(&mut self, declared: &EffectRow, in_base: &EffectRow) -> Result<usize> {
        let (own, base) = (self.index.of(declared)?, self.index.of(in_base)?);
        let (problems, values): (Vec<String>, Vec<f64>) = own
            .problems
            .iter()
            .zip(&own.values)
            .filter_map(|(problem, value)| {
                let place = base.problems.iter().position(|other| other == problem)?;
                Some((problem.clone(), value - base.values.get(place)?))
            })
            .unzip();
        let group = self.group(problems);
        Ok(self.push(Estimand::mean(group, values), reach(declared, 2.0)))
    }
}

/// How far apart a share's differences can lie; nothing is known of the other scales.
fn reach(row: &EffectRow, of_shares: f64) -> Option<f64> {
    (Scale::of(&row.endpoint) == Scale::Share).then_some(of_shares)
}
