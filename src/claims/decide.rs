//! The decision, hypothesis by hypothesis.

use super::equivalent::{p_equivalent, p_others_equivalent};
use super::evidence::{AmongControls, Case, DifferenceIndex, among_controls};
use super::fitness::Fitness;
use super::intervals::{self, CaseIntervals, Hold};
use super::power::Power;
use super::rows::ClaimRow;
use super::settings::{ClaimSettings, Correction};
use super::stability::NOT_REPEATED;
use super::verdict::{Elsewhere, Findings, verdict};
use crate::error::Result;
use crate::experiments::{ControlRow, DifferenceRow, EffectRow};
use crate::stats::{Interval, benjamini_hochberg, benjamini_yekutieli, holm};

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
    let tests = Tests::new(&cases, controls, needed, &index, settings, seed)?;
    let selected = tests.corrected.iter().filter(|p| **p <= settings.alpha).count();
    let hold = Hold::of(settings.correction);
    let found = intervals::find(hold, &cases, selected, &index, settings, seed)?;

    let mut claims = Vec::with_capacity(cases.len());
    for (number, (case, intervals)) in cases.iter().zip(&found).enumerate() {
        let declared = case.declared;
        let fitness = fitness.iter().find(|fitness| fitness.variant == declared.receiver);
        let findings = findings(case, number, &tests, intervals, fitness, needed, settings);
        let (verdict, reason) = verdict(case, &findings);
        let ends = |interval: Option<Interval>| {
            interval.map_or((None, None), |interval| (finite(interval.low), finite(interval.high)))
        };
        let (ci_low, ci_high) = ends(Some(intervals.own));
        let (other_ci_low, other_ci_high) = ends(intervals.other);
        let (interaction_low, interaction_high) = ends(intervals.interaction);
        let (beyond_base_low, beyond_base_high) = ends(intervals.beyond_base);
        let (whole_answer_low, whole_answer_high) = ends(intervals.whole_answer);
        let (transplant_low, transplant_high) = ends(intervals.transplant);
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
            gain: case.in_base.map(|base| declared.baseline - base.baseline),
            effect: declared.effect,
            whole_answer: intervals.whole_answer.map(|interval| interval.mean),
            whole_answer_low,
            whole_answer_high,
            damage: case.damage(),
            as_patched: declared.as_patched,
            ci_low,
            ci_high,
            interval: hold.name().into(),
            ceiling: declared.ceiling.map(|ceiling| ceiling - declared.baseline),
            p: tests.p[number],
            p_zero: declared.p_zero,
            p_controls: tests.among[number].p,
            p_corrected: tests.corrected[number],
            correction: settings.correction.name().into(),
            controls: tests.among[number].controls as u64,
            widening: tests.among[number].widening,
            needed_controls: needed as u64,
            problems: index.of(declared)?.values.len() as u64,
            other_suite: case.other().map(|row| row.suite.clone()),
            other_endpoint: case.other().map(|row| row.endpoint.clone()),
            other_effect: case.other().map(|row| row.effect),
            other_ci_low,
            other_ci_high,
            other_p_corrected: case.other().map(|_| tests.other_corrected[number]),
            equivalence_endpoint: case.others.first().map(|other| other.judged.endpoint.clone()),
            equivalence_p: case.other().map(|_| tests.other_equivalence[number]),
            margin: settings.margin,
            margin_nats: settings.margin_nats,
            interaction: intervals.interaction.map(|interval| interval.mean),
            interaction_low,
            interaction_high,
            selective: verdict.carries().then(|| findings.elsewhere.selective()).flatten(),
            beyond_base: intervals.beyond_base.map(|interval| interval.mean),
            beyond_base_low,
            beyond_base_high,
            in_base: case.in_base.map(|base| base.effect),
            transplant: intervals.transplant.map(|interval| interval.mean),
            transplant_low,
            transplant_high,
            readout: declared.readout.clone(),
            readout_f1: declared.readout_f1,
            difference_fve: fitness.and_then(|fitness| fitness.difference_fve),
            stability: NOT_REPEATED.into(),
        });
    }
    Ok(claims)
}

/// All p-values, each kind after the one correction over all hypotheses.
struct Tests {
    p: Vec<f64>,
    among: Vec<AmongControls>,
    corrected: Vec<f64>,
    other_corrected: Vec<f64>,
    equivalence: Vec<f64>,
    other_equivalence: Vec<f64>,
}

impl Tests {
    fn new(
        cases: &[Case<'_>],
        controls: &[ControlRow],
        needed: usize,
        index: &DifferenceIndex,
        settings: &ClaimSettings,
        seed: u64,
    ) -> Result<Self> {
        let among: Vec<AmongControls> =
            cases.iter().map(|case| among_controls(case.declared, controls, needed)).collect();
        let p: Vec<f64> =
            cases.iter().zip(&among).map(|(case, among)| case.declared.p_zero.max(among.p)).collect();
        // On the other axis as on the declared one: without a match no claim.
        let other = |case: &Case<'_>| {
            case.other().map_or(1.0, |row| {
                let among = among_controls(row, controls, needed);
                if among.controls < needed { 1.0 } else { row.p_zero.max(among.p) }
            })
        };
        let other_p: Vec<f64> = cases.iter().map(other).collect();
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for case in cases {
            own.push(p_equivalent(case.declared, index, settings, seed)?);
            others.push(p_others_equivalent(case, index, settings, seed)?.unwrap_or(1.0));
        }
        let correct = |p: &[f64]| match settings.correction {
            Correction::Holm => holm(p),
            Correction::Bh => benjamini_hochberg(p),
            Correction::By => benjamini_yekutieli(p),
        };
        Ok(Self {
            corrected: correct(&p),
            other_corrected: correct(&other_p),
            equivalence: correct(&own),
            other_equivalence: correct(&others),
            p,
            among,
        })
    }
}

fn findings(
    case: &Case<'_>,
    number: usize,
    tests: &Tests,
    intervals: &CaseIntervals,
    fitness: Option<&Fitness>,
    needed: usize,
    settings: &ClaimSettings,
) -> Findings {
    let unfit = match fitness {
        Some(fitness) => fitness.objection(settings),
        None => Some(Fitness::unmeasured(&case.declared.receiver)),
    };
    let excludes_zero = |interval: Interval| interval.low > 0.0 || interval.high < 0.0;
    let elsewhere = match (case.other(), &unfit) {
        (None, _) => Elsewhere::NotMeasured,
        (Some(_), Some(unfit)) if !case.safety_is_declared() => Elsewhere::NotTestable(unfit.clone()),
        (Some(other), _) if tests.other_corrected[number] <= settings.alpha => {
            let follows = case.other_answer.is_none_or(|answer| answer.follows(settings.whole_answer));
            if case.carries(other) && follows { Elsewhere::Carried } else { Elsewhere::Moved }
        }
        _ if tests.other_equivalence[number] <= settings.alpha => {
            match intervals.interaction.is_some_and(excludes_zero) {
                true => Elsewhere::Spared,
                false => Elsewhere::Equivalent,
            }
        }
        _ => Elsewhere::Undecided,
    };
    let sign = case.declared.effect.signum();
    let as_the_effect = |interval: Interval| (sign * interval.low).min(sign * interval.high) > 0.0;
    Findings {
        significant: tests.corrected[number] <= settings.alpha,
        controls: (tests.among[number].controls, needed),
        equivalent: tests.equivalence[number] <= settings.alpha,
        excludes_zero: as_the_effect(intervals.own),
        exceeds_base: intervals.beyond_base.map(as_the_effect),
        transplant_moves: intervals.transplant.is_some_and(as_the_effect),
        whole_answer_follows: case
            .answer
            .zip(intervals.whole_answer)
            .map(|(answer, interval)| as_the_effect(interval) && answer.follows(settings.whole_answer)),
        damage: case.damage().filter(|damage| *damage > settings.most_damage),
        elsewhere,
        unfit,
        misses_the_change: fitness.and_then(|fitness| fitness.misses_the_change(settings)),
    }
}

fn finite(end: f64) -> Option<f64> {
    end.is_finite().then_some(end)
}
