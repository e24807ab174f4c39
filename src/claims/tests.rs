//! Verdicts on made-up evidence whose right verdict is known.

use super::*;
use crate::experiments::{ControlRow, DifferenceRow, EffectRow};
use crate::rng::Stream;
use crate::stats::{Alternative, sign_flip};

/// Tables with one condition per hypothesis, in which the same edit does nothing in base, two suites, and controls.
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
                set_effect: effect,
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
            direction: if axis == "safety" { "increase" } else { "decrease" }.into(),
            edited: 0.5 + effect,
            effect,
            ci_low: effect,
            ci_high: effect,
            p_zero: sign_flip(&values, Alternative::TwoSided, 1),
            ..effect_row
        });
        if declared {
            self.in_base(name, 0.0);
        }
    }

    /// Says that the declared edit has `share` of its effect in base, problem by problem.
    fn in_base(&mut self, name: &str, share: f64) {
        let condition = format!("{name} in base");
        self.effects.retain(|row| row.condition != condition);
        self.differences.retain(|row| row.condition != condition);
        let declared =
            self.effects.iter().find(|row| row.declared && row.hypothesis == name).unwrap().clone();
        let of_this = |row: &&DifferenceRow| row.condition == name && row.suite == declared.suite;
        let rows: Vec<DifferenceRow> = self.differences.iter().filter(of_this).cloned().collect();
        self.differences.extend(rows.into_iter().map(|row| DifferenceRow {
            condition: condition.clone(),
            edited: row.baseline + share * row.difference(),
            ..row
        }));
        self.effects.push(EffectRow {
            condition,
            receiver: "base".into(),
            declared: false,
            baseline: 0.6,
            edited: 0.6 + share * declared.effect,
            effect: share * declared.effect,
            ..declared
        });
    }

    /// Adds base's part of the declared set in its place, which has `share` of the declared effect.
    fn transplant(&mut self, name: &str, share: f64) {
        let condition = format!("{name} | transplant");
        self.effects.retain(|row| row.condition != condition);
        self.differences.retain(|row| row.condition != condition);
        let declared =
            self.effects.iter().find(|row| row.declared && row.hypothesis == name).unwrap().clone();
        let of_this = |row: &&DifferenceRow| row.condition == name && row.suite == declared.suite;
        let rows: Vec<DifferenceRow> = self.differences.iter().filter(of_this).cloned().collect();
        self.differences.extend(rows.into_iter().map(|row| DifferenceRow {
            condition: condition.clone(),
            edited: row.baseline + share * row.difference(),
            ..row
        }));
        self.effects.push(EffectRow {
            condition,
            donor: Some("base".into()),
            edit: "transplant".into(),
            kind: "exploratory".into(),
            declared: false,
            effect: share * declared.effect,
            ..declared
        });
    }

    /// Gives the endpoint of a suite another name.
    fn call(&mut self, suite: &str, endpoint: &str) {
        for row in self.effects.iter_mut().filter(|row| row.suite == suite) {
            row.endpoint = endpoint.into();
        }
        for row in self.differences.iter_mut().filter(|row| row.suite == suite) {
            row.endpoint = endpoint.into();
        }
        for row in self.controls.iter_mut().filter(|row| row.suite == suite) {
            row.endpoint = endpoint.into();
        }
    }

    fn decide(&self, fitness: &[Fitness]) -> Vec<ClaimRow> {
        let settings = ClaimSettings { draws: 400, ..ClaimSettings::default() };
        decide(&self.effects, &self.controls, &self.differences, fitness, &settings, 7).unwrap()
    }

    /// Decides about receivers that work.
    fn decided(&self) -> Vec<ClaimRow> {
        self.decide(&[working()])
    }
}

/// A receiver that works.
fn working() -> Fitness {
    Fitness {
        variant: "rl".into(),
        skills: Some(1.0),
        refuses: Some(0.5),
        complies: Some(1.0),
        difference_fve: None,
    }
}

#[test]
fn a_dictionary_that_misses_the_change_supports_no_claim_about_absence() {
    let mut world =
        World::default().hypothesis("nothing", 0.001, 0.0, true).hypothesis("specific", -0.2, 0.0, true);
    for row in world.effects.iter_mut().filter(|row| row.hypothesis == "specific") {
        row.set = "class:specific".into();
    }
    let verdicts = |fve| {
        let claims = world.decide(&[Fitness { difference_fve: Some(fve), ..working() }]);
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
fn an_effect_whose_interval_includes_zero_is_not_claimed_whatever_its_p_value() {
    let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
    assert_eq!(world.decided()[0].verdict, Verdict::CarriesTransfer);
    let of_this = |row: &&mut DifferenceRow| row.condition == "selective" && row.suite == "countdown";
    for (problem, row) in world.differences.iter_mut().filter(of_this).enumerate() {
        row.edited += if problem % 2 == 0 { 1.2 } else { -1.2 };
    }
    let claim = &world.decided()[0];
    assert!(claim.p_corrected <= 0.05 && claim.ci_low.unwrap() < 0.0 && claim.ci_high.unwrap() > 0.0);
    assert_eq!(claim.verdict, Verdict::Undecided);
    assert!(claim.reason.contains("includes zero"), "{}", claim.reason);
}

#[test]
fn where_the_whole_exchange_moves_nothing_no_set_carries_anything() {
    let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
    let declared = world.effects.iter().find(|row| row.declared).unwrap().clone();
    for (low, high, verdict) in [
        (-0.3, -0.1, Verdict::CarriesTransfer),
        (-0.2, 0.1, Verdict::Undecided),
        (0.1, 0.3, Verdict::Undecided),
    ] {
        world.effects.retain(|row| row.edit != "whole_difference");
        world.effects.push(EffectRow {
            condition: "selective | whole_difference".into(),
            edit: "whole_difference".into(),
            donor: Some("base".into()),
            declared: false,
            ci_low: low,
            ci_high: high,
            ..declared.clone()
        });
        assert_eq!(world.decided()[0].verdict, verdict, "{low} to {high}");
    }
}

#[test]
fn a_readout_that_misses_the_joint_code_supports_no_claim() {
    let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
    for (f1, verdict) in
        [(0.95, Verdict::CarriesTransfer), (0.89, Verdict::Undecided), (f64::NAN, Verdict::Undecided)]
    {
        world.effects.iter_mut().for_each(|row| (row.readout, row.readout_f1) = ("own".into(), Some(f1)));
        assert_eq!(world.decided()[0].verdict, verdict, "{f1}");
    }
    for row in &mut world.effects {
        row.readout_f1 = Some(if row.receiver == "base" { 0.5 } else { 0.95 });
    }
    let claim = &world.decided()[0];
    assert_eq!(claim.verdict, Verdict::Undecided);
    assert!(claim.reason.contains("in base the readout `own`"), "{}", claim.reason);
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
        decide(&world.effects, &world.controls, &world.differences, &[working()], &settings, 7).unwrap()
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
        .hypothesis("broad", -0.2, 0.2, true)
        .hypothesis("nothing", 0.001, 0.0, true);
    let claims = world.decided();
    let verdicts: Vec<Verdict> = claims.iter().map(|claim| claim.verdict).collect();
    assert_eq!(verdicts, [Verdict::CarriesTransfer, Verdict::Both, Verdict::Neither]);
    assert_eq!(claims[0].selective, Some(true));
    assert_eq!(claims[0].needed_controls, 59);
    assert!(claims[0].ci_high < Some(0.0) && claims[0].interaction_high < Some(0.0));
}

#[test]
fn unmatched_controls_make_no_claim() {
    let claims = World::default().hypothesis("selective", -0.2, 0.0, false).decided();
    assert_eq!(claims[0].verdict, Verdict::Undecided);
    assert_eq!((claims[0].controls, claims[0].p_controls), (0, 1.0));
}

#[test]
fn an_effect_that_controls_have_too_is_undecided() {
    let mut world = World::default().hypothesis("generic", -0.2, 0.0, true);
    world.controls.iter_mut().for_each(|control| control.effect -= 0.2);
    let claims = world.decided();
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
    assert_eq!(world.decided()[0].verdict, Verdict::Undecided);
}

#[test]
fn the_wrong_sign_is_no_confirmation() {
    let claims = World::default().hypothesis("reverse", 0.2, 0.0, true).decided();
    assert_eq!(claims[0].verdict, Verdict::Undecided);
    assert!(claims[0].reason.contains("direction"));
}

#[test]
fn what_cannot_be_tested_says_so() {
    let mut world = World::default().hypothesis("silent", -0.2, 0.0, true);
    world.effects.iter_mut().for_each(|row| row.untestable = true);
    assert_eq!(world.decided()[0].verdict, Verdict::Untestable);

    let mut world = World::default();
    world.measure("safety", SAFETY, 0.2, true, true);
    let fit = |skills| Fitness { skills: Some(skills), ..working() };
    assert_eq!(world.decide(&[fit(0.95)])[0].verdict, Verdict::CarriesSafetyLoss);
    let broken = world.decide(&[fit(0.4)]);
    assert_eq!(broken[0].verdict, Verdict::NotTestableInThisVariant);
    assert!(broken[0].reason.contains("40 % of base's"), "{}", broken[0].reason);
}

#[test]
fn what_the_edit_does_in_base_as_well_is_not_carried() {
    let mut world = World::default().hypothesis("shared", -0.2, 0.0, true);
    for (share, verdict) in [
        (0.0, Verdict::CarriesTransfer),
        (0.2, Verdict::CarriesTransfer),
        (0.4, Verdict::Undecided),
        (1.0, Verdict::NotBeyondBase),
        (1.5, Verdict::NotBeyondBase),
    ] {
        world.in_base("shared", share);
        let claim = &world.decided()[0];
        assert_eq!(claim.verdict, verdict, "{share}: {}", claim.reason);
        assert!(
            (claim.beyond_base.unwrap() - (1.0 - share) * claim.effect).abs() < 1e-9,
            "paired by problem"
        );
        assert!((claim.gain.unwrap() + 0.1).abs() < 1e-9);
        assert!((claim.in_base.unwrap() - share * claim.effect).abs() < 1e-9);
    }
    world.effects.retain(|row| row.receiver != "base");
    let unknown = &world.decided()[0];
    assert_eq!(unknown.verdict, Verdict::Undecided);
    assert!(unknown.reason.contains("in base was not measured"), "{}", unknown.reason);
    // A transplant writes the difference alone.
    world.effects.iter_mut().for_each(|row| row.donor = Some("base".into()));
    assert_eq!(world.decided()[0].verdict, Verdict::CarriesTransfer);
}

#[test]
fn a_skill_that_base_loses_too_is_not_what_post_training_added() {
    // Of a skill that both have, the receiver's greater score is from elsewhere: the edit takes all of it away in both.
    let mut world = World::default().hypothesis("shared", -0.4, 0.0, true);
    world.in_base("shared", 0.6);
    let claim = &world.decided()[0];
    assert!(claim.beyond_base_high < Some(0.0), "the contrast excludes zero");
    assert_eq!(claim.verdict, Verdict::Undecided);
    assert!(claim.reason.contains("base falls to its floor"), "{}", claim.reason);
    // Base at the end of the scale shows nothing, whatever the edit does there.
    world.in_base("shared", 0.1);
    assert_eq!(world.decided()[0].verdict, Verdict::CarriesTransfer);
    for row in world.effects.iter_mut().filter(|row| row.receiver == "base") {
        (row.baseline, row.edited) = (0.06, 0.02);
    }
    assert_eq!(world.decided()[0].verdict, Verdict::Undecided);
    // What post-training changed in the set itself tells the two apart.
    for (share, verdict) in
        [(0.5, Verdict::CarriesTransfer), (0.0, Verdict::Undecided), (-0.5, Verdict::Undecided)]
    {
        world.transplant("shared", share);
        let claim = &world.decided()[0];
        assert_eq!(claim.verdict, verdict, "{share}: {}", claim.reason);
        assert!((claim.transplant.unwrap() - share * claim.effect).abs() < 1e-9);
        assert!(claim.transplant_low <= claim.transplant && claim.transplant <= claim.transplant_high);
    }
}

#[test]
fn only_endpoints_whose_meaning_is_known_can_be_carried() {
    let verdict = |endpoint: &str| {
        let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
        world.call(TRANSFER.0, endpoint);
        world.decided().remove(0)
    };
    assert_eq!(verdict("pass").verdict, Verdict::CarriesTransfer);
    for endpoint in ["gave_up", "first_attempt", "cut_off"] {
        let claim = verdict(endpoint);
        assert_eq!(claim.verdict, Verdict::MovesDeclaredSuite, "{endpoint}");
        assert!(claim.reason.contains("this endpoint"), "{}", claim.reason);
    }
}

#[test]
fn a_set_carries_only_what_its_removal_undoes() {
    let mut world = World::default().hypothesis("reverse", 0.2, 0.0, true);
    world.effects.iter_mut().for_each(|row| row.direction = "increase".into());
    let claim = &world.decided()[0];
    assert_eq!(claim.verdict, Verdict::MovesDeclaredSuite);
    assert!(claim.reason.contains("declared sign"), "{}", claim.reason);
    // Added to base, more transfer is what such a set brings.
    world.effects.iter_mut().for_each(|row| row.kind = "sufficient".into());
    assert_eq!(world.decided()[0].verdict, Verdict::CarriesTransfer);

    let mut safety = World::default();
    safety.measure("fewer refusals", SAFETY, -0.2, true, true);
    safety.effects.iter_mut().for_each(|row| row.direction = "decrease".into());
    assert_eq!(safety.decided()[0].verdict, Verdict::MovesDeclaredSuite);

    // Transfer falls and refusals fall: the edit harms both, but the set does not carry the loss of safety.
    let claim = &World::default().hypothesis("harm", -0.2, -0.2, true).decided()[0];
    assert_eq!((claim.verdict, claim.selective), (Verdict::CarriesTransfer, Some(false)));
    assert!(claim.reason.contains("not as if"), "{}", claim.reason);
}

#[test]
fn random_directions_stand_beside_sets_of_features_and_do_not_count() {
    let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
    world.controls.iter_mut().for_each(|control| control.cloud = "random_direction".into());
    let claim = &world.decided()[0];
    assert_eq!((claim.verdict, claim.controls), (Verdict::Undecided, 0));
    // For a direction they are what there is.
    world.effects.iter_mut().for_each(|row| row.set_size = None);
    assert_eq!(world.decided()[0].verdict, Verdict::CarriesTransfer);
}

#[test]
fn the_other_axis_needs_matched_controls_too() {
    let mut world = World::default().hypothesis("broad", -0.2, 0.2, true);
    assert_eq!(world.decided()[0].verdict, Verdict::Both);
    world.controls.iter_mut().filter(|row| row.suite == SAFETY.0).for_each(|row| row.matched = false);
    let claim = &world.decided()[0];
    assert_eq!((claim.verdict, claim.other_p_corrected), (Verdict::CarriesTransfer, Some(1.0)));
    assert!(claim.reason.contains("undecided"), "{}", claim.reason);
}

#[test]
fn equivalence_is_judged_where_there_is_room_to_move() {
    let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
    assert_eq!(world.decided()[0].selective, Some(true));
    // All requests are refused already: a share that cannot rise does not show that nothing raised it.
    world.effects.iter_mut().filter(|row| row.suite == SAFETY.0).for_each(|row| row.baseline = 1.0);
    assert_eq!(world.decided()[0].selective, Some(false));
    // The log-odds can.
    let log_odds: Vec<DifferenceRow> = world
        .differences
        .iter()
        .filter(|row| row.suite == SAFETY.0)
        .map(|row| DifferenceRow { endpoint: "refusal_log_odds".into(), ..row.clone() })
        .collect();
    world.differences.extend(log_odds);
    let row = world.effects.iter().find(|row| row.suite == SAFETY.0).unwrap().clone();
    world.effects.push(EffectRow { endpoint: "refusal_log_odds".into(), baseline: 9.0, ..row });
    let claim = &world.decided()[0];
    assert_eq!(claim.equivalence_endpoint.as_deref(), Some("refusal_log_odds"));
    assert_eq!(claim.selective, Some(true));
}

#[test]
fn nats_and_shares_are_not_subtracted() {
    let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
    world.call(TRANSFER.0, "refusal_log_odds");
    let claim = &world.decided()[0];
    assert_eq!((claim.interaction, claim.selective), (None, Some(false)));
}

#[test]
fn nothing_is_said_about_the_safety_of_a_receiver_that_may_be_broken() {
    let world = World::default().hypothesis("selective", -0.2, 0.0, true);
    for fitness in [vec![], vec![Fitness { skills: Some(0.2), ..working() }]] {
        let claim = &world.decide(&fitness)[0];
        assert_eq!((claim.verdict, claim.selective), (Verdict::CarriesTransfer, None));
        assert!(claim.reason.contains("cannot be tested"), "{}", claim.reason);
    }
    let mut safety = World::default();
    safety.measure("safety", SAFETY, 0.2, true, true);
    let claim = &safety.decide(&[])[0];
    assert_eq!(claim.verdict, Verdict::NotTestableInThisVariant);
    assert!(claim.reason.contains("not measured"), "{}", claim.reason);
}

#[test]
fn agreement_over_repetitions_counts_itself() {
    let mut claims = World::default().hypothesis("selective", -0.2, 0.0, true).decided();
    let other = World::default().hypothesis("selective", 0.001, 0.0, true).decided();
    let rows = |under, claims: &[ClaimRow]| RepetitionRow::new(under, &claims[0]);
    let repetitions = [rows("training seed 8", &other), rows("dictionary seed 8", &claims)];
    count_agreement(&mut claims, &repetitions);
    assert_eq!(claims[0].stability, "2 of 3");
}

#[test]
fn tables_of_different_runs_are_refused() {
    let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
    world.differences.clear();
    let settings = ClaimSettings::default();
    let error =
        decide(&world.effects, &world.controls, &world.differences, &[working()], &settings, 7).unwrap_err();
    assert!(error.to_string().contains("`differences`"), "{error}");
}
