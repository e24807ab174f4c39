//! The decision, hypothesis by hypothesis.

use super::evidence::{AmongControls, Case, DifferenceIndex, Differences, among_controls};
use super::fitness::Fitness;
use super::power::Power;
use super::rows::{ClaimRow, Verdict};
use super::settings::{ClaimSettings, Correction};
use super::stability::NOT_REPEATED;
use crate::diff::LEAST_F1;
use crate::error::Result;
use crate::experiments::{ControlRow, DifferenceRow, EffectRow};
use crate::stats::{
    Estimand, Interval, benjamini_hochberg, benjamini_yekutieli, equivalence, false_coverage_level, holm,
    simultaneous_intervals,
};

/// Decides every declared hypothesis of `effects` by the steps of the module.
///
/// # Errors
/// If a setting is out of range, or the tables do not belong together.
pub fn decide(
    effects: &[EffectRow],
    controls: &[ControlRow],
    differences: &[DifferenceRow],
    fitness: &[Fitness],
    settings: &ClaimSettings,
    seed: u64,
) -> Result<Vec<ClaimRow>> {
    settings.check()?;
    let index = DifferenceIndex::new(differences);
    let cases = Case::all(effects)?;
    let needed = Power::of(cases.len(), settings).needed_controls;
    let among: Vec<AmongControls> =
        cases.iter().map(|case| among_controls(case.declared, controls, needed)).collect();
    let p: Vec<f64> =
        cases.iter().zip(&among).map(|(case, among)| case.declared.p_zero.max(among.p)).collect();
    let corrected = correct(&p, settings.correction);
    let other_p: Vec<f64> = cases.iter().map(|case| other_p(case, controls, needed)).collect();
    let other_corrected = correct(&other_p, settings.correction);
    let selected = corrected.iter().filter(|p| **p <= settings.alpha).count();
    let intervals = Intervals::of(settings.correction);
    let found = intervals.find(&cases, selected, &index, settings, seed)?;

    let mut claims = Vec::with_capacity(cases.len());
    for (number, case) in cases.iter().enumerate() {
        let declared = case.declared;
        let measured = index.of(declared)?;
        let primary_other = case.others.first().copied();
        let (own, other_interval) = found[number];
        let equivalence_p = other_equivalence(case, &index, settings, seed)?;
        let interaction = contrast(interaction(case, measured, &index)?, settings, seed);
        let beyond_base = contrast(beyond_base(case, measured, &index)?, settings, seed);
        let fitness = fitness.iter().find(|fitness| fitness.variant == declared.receiver);
        let findings = Findings {
            significant: corrected[number] <= settings.alpha,
            declared_sign: case.has_declared_sign(),
            enough_controls: among[number].controls >= needed,
            equivalent: equivalence(&measured.values, settings.margin, seed) <= settings.alpha,
            other_equivalent: equivalence_p.map(|p| p <= settings.alpha),
            other_moves: primary_other.is_some() && other_corrected[number] <= settings.alpha,
            interaction_excludes_zero: interaction.map(|i| i.low > 0.0 || i.high < 0.0),
            unfit: fitness
                .filter(|_| declared.axis == "safety")
                .and_then(|fitness| fitness.objection(settings)),
            misses_the_change: fitness.and_then(|fitness| fitness.misses_the_change(settings)),
        };
        let (verdict, reason) = verdict(case, &findings, among[number].controls, needed);
        let selective = matches!(verdict, Verdict::CarriesTransfer | Verdict::CarriesSafetyLoss)
            .then_some(findings.other_equivalent)
            .flatten()
            .map(|equivalent| equivalent && findings.interaction_excludes_zero == Some(true));
        claims.push(ClaimRow {
            hypothesis: declared.hypothesis.clone(),
            verdict,
            reason,
            kind: declared.kind.clone(),
            set: declared.set.clone(),
            receiver: declared.receiver.clone(),
            suite: declared.suite.clone(),
            endpoint: declared.endpoint.clone(),
            direction: declared.direction.clone(),
            effect: declared.effect,
            ci_low: finite(own.low),
            ci_high: finite(own.high),
            interval: intervals.name().into(),
            p: p[number],
            p_zero: declared.p_zero,
            p_controls: among[number].p,
            p_corrected: corrected[number],
            correction: settings.correction.name().into(),
            controls: among[number].controls as u64,
            needed_controls: needed as u64,
            problems: measured.values.len() as u64,
            other_suite: primary_other.map(|row| row.suite.clone()),
            other_effect: primary_other.map(|row| row.effect),
            other_ci_low: other_interval.and_then(|interval| finite(interval.low)),
            other_ci_high: other_interval.and_then(|interval| finite(interval.high)),
            other_p_corrected: primary_other.map(|_| other_corrected[number]),
            equivalence_p,
            margin: settings.margin,
            interaction: interaction.map(|interval| interval.mean),
            interaction_low: interaction.and_then(|interval| finite(interval.low)),
            interaction_high: interaction.and_then(|interval| finite(interval.high)),
            selective,
            beyond_base: beyond_base.map(|interval| interval.mean),
            beyond_base_low: beyond_base.and_then(|interval| finite(interval.low)),
            beyond_base_high: beyond_base.and_then(|interval| finite(interval.high)),
            readout: declared.readout.clone(),
            readout_f1: declared.readout_f1,
            difference_fve: fitness.and_then(|fitness| fitness.difference_fve),
            stability: NOT_REPEATED.into(),
        });
    }
    Ok(claims)
}

fn finite(end: f64) -> Option<f64> {
    end.is_finite().then_some(end)
}

/// What the verdict hangs on.
struct Findings {
    significant: bool,
    declared_sign: bool,
    enough_controls: bool,
    equivalent: bool,
    other_equivalent: Option<bool>,
    other_moves: bool,
    interaction_excludes_zero: Option<bool>,
    unfit: Option<String>,
    misses_the_change: Option<String>,
}

fn verdict(case: &Case<'_>, findings: &Findings, controls: usize, needed: usize) -> (Verdict, String) {
    let declared = case.declared;
    if declared.untestable {
        let reason =
            "no feature of the set fired, or the edit wrote next to nothing, so no effect could show";
        return (Verdict::Untestable, reason.into());
    }
    if let Some(objection) = &findings.unfit {
        return (Verdict::NotTestableInThisVariant, objection.clone());
    }
    // A class says in which variants a feature is absent.
    if let Some(objection) =
        findings.misses_the_change.as_ref().filter(|_| declared.set.starts_with("class:"))
    {
        return (Verdict::Undecided, objection.clone());
    }
    if let Some(f1) = declared.readout_f1.filter(|f1| !(*f1 >= LEAST_F1)) {
        let reason = format!(
            "the readout `{}` finds a feature of the set with F1 {f1:.2} only; {LEAST_F1} is needed for a claim",
            declared.readout
        );
        return (Verdict::Undecided, reason);
    }
    if !findings.enough_controls {
        let reason = format!("{controls} matched controls, {needed} are needed: without a match no claim");
        return (Verdict::Undecided, reason);
    }
    if findings.significant && findings.declared_sign {
        let selective =
            findings.other_equivalent == Some(true) && findings.interaction_excludes_zero == Some(true);
        return match (findings.other_moves, selective) {
            (true, _) => (Verdict::Both, "the other axis moves beyond its controls too".into()),
            (false, true) => {
                (case.confirmed(), "the other axis is equivalent to no change, and moves less".into())
            }
            (false, false) if case.others.is_empty() => {
                (case.confirmed(), "the other axis was not measured".into())
            }
            (false, false) => (case.confirmed(), "what it does to the other axis is undecided".into()),
        };
    }
    if findings.equivalent && findings.other_equivalent == Some(true) {
        if let Some(objection) = &findings.misses_the_change {
            return (Verdict::Undecided, objection.clone());
        }
        return (Verdict::Neither, "both axes are equivalent to no change".into());
    }
    let reason = if findings.significant {
        "the effect goes against the declared direction"
    } else {
        "the effect does not stand out from zero and from matched controls after the correction"
    };
    (Verdict::Undecided, reason.into())
}

fn correct(p: &[f64], correction: Correction) -> Vec<f64> {
    match correction {
        Correction::Holm => holm(p),
        Correction::Bh => benjamini_hochberg(p),
        Correction::By => benjamini_yekutieli(p),
    }
}

/// The p-value of the other axis's primary endpoint; 1 where there is none.
fn other_p(case: &Case<'_>, controls: &[ControlRow], needed: usize) -> f64 {
    case.others.first().map_or(1.0, |row| row.p_zero.max(among_controls(row, controls, needed).p))
}

/// The largest p of equivalence over the suites of the other axis.
fn other_equivalence(
    case: &Case<'_>,
    index: &DifferenceIndex,
    settings: &ClaimSettings,
    seed: u64,
) -> Result<Option<f64>> {
    let mut largest = None;
    for row in &case.others {
        let p = equivalence(&index.of(row)?.values, settings.margin, seed);
        largest = Some(p.max(largest.unwrap_or(0.0)));
    }
    Ok(largest)
}

/// What the intervals of a study hold together.
#[derive(Clone, Copy)]
enum Intervals {
    /// All of them at once, with probability 1 - alpha.
    Simultaneous,
    /// Of those of selected hypotheses, a share alpha is expected to miss (Benjamini and Yekutieli 2005).
    FalseCoverage,
}

impl Intervals {
    fn of(correction: Correction) -> Self {
        match correction {
            Correction::Holm => Self::Simultaneous,
            Correction::Bh | Correction::By => Self::FalseCoverage,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Simultaneous => "simultaneous",
            Self::FalseCoverage => "false coverage",
        }
    }

    /// Of every declared effect and of its other axis's primary endpoint. `selected` hypotheses pass the
    /// correction.
    fn find(
        self,
        cases: &[Case<'_>],
        selected: usize,
        index: &DifferenceIndex,
        settings: &ClaimSettings,
        seed: u64,
    ) -> Result<Vec<(Interval, Option<Interval>)>> {
        let mut groups: Vec<&[String]> = Vec::new();
        let mut estimands = Vec::new();
        for row in
            cases.iter().flat_map(|case| std::iter::once(case.declared).chain(case.others.first().copied()))
        {
            let measured = index.of(row)?;
            let known = groups.iter().position(|problems| *problems == measured.problems);
            let group = known.unwrap_or_else(|| {
                groups.push(&measured.problems);
                groups.len() - 1
            });
            estimands.push(Estimand::mean(group, measured.values.clone()));
        }
        let mut intervals = match self {
            Self::Simultaneous => simultaneous_intervals(&estimands, settings.alpha, settings.draws, seed),
            Self::FalseCoverage => {
                let alpha = 1.0 - false_coverage_level(selected.max(1), cases.len(), settings.alpha);
                // Enough draws beyond each end of the wider intervals.
                let draws = settings.draws.max((20.0 / alpha).ceil() as usize).min(50 * settings.draws);
                let one = |estimand: &Estimand| {
                    simultaneous_intervals(std::slice::from_ref(estimand), alpha, draws, seed)
                };
                estimands.iter().flat_map(one).collect()
            }
        }
        .into_iter();
        let empty = Interval { mean: 0.0, low: f64::NEG_INFINITY, high: f64::INFINITY };
        Ok(cases
            .iter()
            .map(|case| {
                let own = intervals.next().unwrap_or(empty);
                (own, case.others.first().and_then(|_| intervals.next()))
            })
            .collect())
    }
}

/// The 1 - alpha interval of one contrast, where there is one.
fn contrast(estimand: Option<Estimand>, settings: &ClaimSettings, seed: u64) -> Option<Interval> {
    simultaneous_intervals(&[estimand?], settings.alpha, settings.draws, seed).first().copied()
}

/// The declared effect less the effect on the other axis's primary endpoint.
fn interaction(case: &Case<'_>, measured: &Differences, index: &DifferenceIndex) -> Result<Option<Estimand>> {
    let Some(other) = case.others.first() else { return Ok(None) };
    Ok(Some(Estimand::difference(0, measured.values.clone(), 1, index.of(other)?.values.clone())))
}

/// The declared effect less that of the same edit in base, paired by problem.
fn beyond_base(case: &Case<'_>, measured: &Differences, index: &DifferenceIndex) -> Result<Option<Estimand>> {
    let Some(base) = case.in_base else { return Ok(None) };
    let base = index.of(base)?;
    let pairs = measured.problems.iter().zip(&measured.values).filter_map(|(problem, value)| {
        let other = base.problems.iter().position(|other| other == problem)?;
        Some(value - base.values[other])
    });
    Ok(Some(Estimand::mean(0, pairs.collect())))
}
