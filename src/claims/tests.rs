//! Verdicts on made-up evidence whose right verdict is known.

use super::*;
use crate::experiments::{ControlRow, DifferenceRow, EffectRow};
use crate::rng::Stream;
use crate::stats::{Alternative, sign_flip};

/// Tables with one condition per hypothesis, two suites, and controls.
#[derive(Default)]
struct World {
    effects: Vec<EffectRow>,
    controls: Vec<ControlRow>,
    differences: Vec<DifferenceRow>,
}

/// An effect row with nothing special about it.
pub(super) fn effect(receiver: &str) -> EffectRow {
    EffectRow {
        hypothesis: "h".into(),
        condition: "h".into(),
        set: "transfer".into(),
        set_size: Some(8),
        receiver: receiver.into(),
        donor: None,
        edit: "zero".into(),
        dose: None,
        readout: "joint".into(),
        readout_f1: None,
        readout_r2: None,
        positions: "all".into(),
        hook: None,
        suite: "countdown".into(),
        axis: "transfer".into(),
        endpoint: "pass".into(),
        kind: "necessary".into(),
        declared: true,
        direction: "decrease".into(),
        baseline: 0.5,
        edited: 0.5,
        headroom: Some(0.5),
        ceiling: None,
        effect: 0.0,
        ci_low: 0.0,
        ci_high: 0.0,
        p_zero: 1.0,
        p_controls: None,
        controls: 59,
        mde: None,
        problems: 60,
        samples: 4,
        fired_prompt: Some(0.1),
        fired_response: Some(0.1),
        delta_norm: Some(0.1),
        untestable: false,
    }
}

const TRANSFER: (&str, &str, &str) = ("countdown", "transfer", "pass");
const SAFETY: (&str, &str, &str) = ("refusal", "safety", "refuse");

impl World {
    /// Adds a hypothesis on transfer with the given mean effects on transfer and safety.
    fn hypothesis(mut self, name: &str, transfer: f64, safety: f64, matched: bool) -> Self {
        for (suite, mean, declared) in [(TRANSFER, transfer, true), (SAFETY, safety, false)] {
            self.measure(name, suite, mean, declared, matched);
        }
        self
    }

    fn measure(&mut self, name: &str, suite: (&str, &str, &str), mean: f64, declared: bool, matched: bool) {
        let (suite, axis, endpoint) = suite;
        let mut stream = Stream::new(1, &format!("{name} {suite}"), &[]);
        let values: Vec<f64> = (0..60).map(|_| mean + 0.02 * f64::from(stream.normal())).collect();
        let effect_row = effect("rl");
        let effect = values.iter().sum::<f64>() / 60.0;
        for (problem, value) in values.iter().enumerate() {
            self.differences.push(DifferenceRow {
                condition: name.into(),
                suite: suite.into(),
                endpoint: endpoint.into(),
                problem: format!("{suite} {problem}"),
                baseline: 0.5,
                edited: 0.5 + value,
            });
        }
        for draw in 0..59 {
            self.controls.push(ControlRow {
                hypothesis: name.into(),
                condition: name.into(),
                cloud: "any".into(),
                draw,
                suite: suite.into(),
                endpoint: endpoint.into(),
                effect: 0.01 * f64::from(stream.normal()),
                balance: 0.1,
                matched,
            });
        }
        self.effects.push(EffectRow {
            hypothesis: name.into(),
            condition: name.into(),
            suite: suite.into(),
            axis: axis.into(),
            endpoint: endpoint.into(),
            declared,
            edited: 0.5 + effect,
            effect,
            ci_low: effect,
            ci_high: effect,
            p_zero: sign_flip(&values, Alternative::TwoSided, 1),
            ..effect_row
        });
    }

    fn decide(&self, fitness: &[Fitness]) -> Vec<ClaimRow> {
        let settings = ClaimSettings { draws: 400, ..ClaimSettings::default() };
        decide(&self.effects, &self.controls, &self.differences, fitness, &settings, 7).unwrap()
    }
}

/// A receiver of which nothing is known beside its name.
fn unmeasured() -> Fitness {
    Fitness { variant: "rl".into(), skills: None, fluent: None, difference_fve: None }
}

#[test]
fn a_dictionary_that_misses_the_change_supports_no_claim_about_absence() {
    let mut world =
        World::default().hypothesis("nothing", 0.001, 0.0, true).hypothesis("specific", -0.2, 0.0, true);
    for row in world.effects.iter_mut().filter(|row| row.hypothesis == "specific") {
        row.set = "class:specific".into();
    }
    let verdicts = |fve| {
        let claims = world.decide(&[Fitness { difference_fve: Some(fve), ..unmeasured() }]);
        claims.into_iter().map(|claim| (claim.verdict, claim.reason)).collect::<Vec<_>>()
    };
    let fit = verdicts(0.6);
    assert_eq!((fit[0].0, fit[1].0), (Verdict::Neither, Verdict::CarriesTransfer));
    for (verdict, reason) in verdicts(0.4) {
        assert_eq!(verdict, Verdict::Undecided);
        assert!(reason.contains("explains 40 % of how rl differs from base"), "{reason}");
    }
}

#[test]
fn a_readout_that_misses_the_joint_code_supports_no_claim() {
    let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
    for (f1, verdict) in
        [(0.95, Verdict::CarriesTransfer), (0.89, Verdict::Undecided), (f64::NAN, Verdict::Undecided)]
    {
        world.effects.iter_mut().for_each(|row| (row.readout, row.readout_f1) = ("own".into(), Some(f1)));
        assert_eq!(world.decide(&[])[0].verdict, verdict, "{f1}");
    }
}

#[test]
fn a_screen_reports_intervals_that_few_selected_effects_miss() {
    let screen = |correction| {
        let mut world = World::default();
        for feature in 0..20 {
            world = world.hypothesis(
                &format!("feature {feature}"),
                if feature < 3 { -0.2 } else { 0.0 },
                0.0,
                true,
            );
        }
        // Twenty hypotheses ask for more controls than a world has.
        let settings = ClaimSettings { draws: 400, correction, alpha: 0.4, ..ClaimSettings::default() };
        decide(&world.effects, &world.controls, &world.differences, &[], &settings, 7).unwrap()
    };
    let width = |claim: &ClaimRow| claim.ci_high.unwrap() - claim.ci_low.unwrap();
    let (bh, holm) = (screen(Correction::Bh), screen(Correction::Holm));
    assert_eq!((bh[0].interval.as_str(), holm[0].interval.as_str()), ("false coverage", "simultaneous"));
    assert!(width(&bh[0]) < width(&holm[0]), "{} {}", width(&bh[0]), width(&holm[0]));
}

#[test]
fn every_verdict_is_reached_by_the_evidence_for_it() {
    let world = World::default()
        .hypothesis("selective", -0.2, 0.0, true)
        .hypothesis("broad", -0.2, -0.2, true)
        .hypothesis("nothing", 0.001, 0.0, true);
    let claims = world.decide(&[]);
    let verdicts: Vec<Verdict> = claims.iter().map(|claim| claim.verdict).collect();
    assert_eq!(verdicts, [Verdict::CarriesTransfer, Verdict::Both, Verdict::Neither]);
    assert_eq!(claims[0].selective, Some(true));
    assert_eq!(claims[0].needed_controls, 59);
    assert!(claims[0].ci_high < Some(0.0) && claims[0].interaction_high < Some(0.0));
}

#[test]
fn unmatched_controls_make_no_claim() {
    let claims = World::default().hypothesis("selective", -0.2, 0.0, false).decide(&[]);
    assert_eq!(claims[0].verdict, Verdict::Undecided);
    assert_eq!((claims[0].controls, claims[0].p_controls), (0, 1.0));
}

#[test]
fn an_effect_that_controls_have_too_is_undecided() {
    let mut world = World::default().hypothesis("generic", -0.2, 0.0, true);
    world.controls.iter_mut().for_each(|control| control.effect -= 0.2);
    let claims = world.decide(&[]);
    assert_eq!(claims[0].verdict, Verdict::Undecided);
    assert!(claims[0].p_zero < 0.001 && claims[0].p_controls > 0.1);
}

#[test]
fn the_hardest_full_cloud_decides() {
    let mut world = World::default().hypothesis("generic", -0.2, 0.0, true);
    let mut shifted: Vec<ControlRow> = world.controls.clone();
    shifted.iter_mut().for_each(|control| {
        control.cloud = "same_class".into();
        control.effect -= 0.2;
    });
    world.controls.extend(shifted);
    assert_eq!(world.decide(&[])[0].verdict, Verdict::Undecided);
}

#[test]
fn the_wrong_sign_is_no_confirmation() {
    let claims = World::default().hypothesis("reverse", 0.2, 0.0, true).decide(&[]);
    assert_eq!(claims[0].verdict, Verdict::Undecided);
    assert!(claims[0].reason.contains("direction"));
}

#[test]
fn what_cannot_be_tested_says_so() {
    let mut world = World::default().hypothesis("silent", -0.2, 0.0, true);
    world.effects.iter_mut().for_each(|row| row.untestable = true);
    assert_eq!(world.decide(&[])[0].verdict, Verdict::Untestable);

    let mut world = World::default();
    world.measure("safety", SAFETY, -0.2, true, true);
    let fit = |skills| Fitness { skills: Some(skills), ..unmeasured() };
    assert_eq!(world.decide(&[fit(0.95)])[0].verdict, Verdict::CarriesSafetyLoss);
    let broken = world.decide(&[fit(0.4)]);
    assert_eq!(broken[0].verdict, Verdict::NotTestableInThisVariant);
    assert!(broken[0].reason.contains("40 % of base's"), "{}", broken[0].reason);
}

#[test]
fn the_effect_beyond_base_is_paired_by_problem() {
    let mut world = World::default().hypothesis("shared", -0.2, 0.0, true);
    let base: Vec<DifferenceRow> = world
        .differences
        .iter()
        .filter(|row| row.suite == TRANSFER.0)
        .map(|row| DifferenceRow {
            condition: "shared in base".into(),
            edited: row.edited + 0.05,
            ..row.clone()
        })
        .collect();
    world.differences.extend(base);
    world.effects.push(EffectRow {
        condition: "shared in base".into(),
        receiver: "base".into(),
        declared: false,
        ..world.effects[0].clone()
    });
    let claim = &world.decide(&[])[0];
    assert!((claim.beyond_base.unwrap() + 0.05).abs() < 1e-9, "{:?}", claim.beyond_base);
    assert!((claim.beyond_base_high.unwrap() + 0.05).abs() < 1e-9, "no spread is left after pairing");
}

#[test]
fn agreement_over_repetitions_counts_itself() {
    let mut claims = World::default().hypothesis("selective", -0.2, 0.0, true).decide(&[]);
    let other = World::default().hypothesis("selective", 0.001, 0.0, true).decide(&[]);
    let repetitions = [other, claims.clone()];
    count_agreement(&mut claims, &repetitions);
    assert_eq!(claims[0].stability, "2 of 3");
}

#[test]
fn tables_of_different_runs_are_refused() {
    let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
    world.differences.clear();
    let settings = ClaimSettings::default();
    let error = decide(&world.effects, &world.controls, &world.differences, &[], &settings, 7).unwrap_err();
    assert!(error.to_string().contains("`differences`"), "{error}");
}
