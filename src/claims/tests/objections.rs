//! Evidence that supports no claim, however strong it looks.

use super::super::{Fitness, Verdict};
use super::world::{SAFETY, World, working};
use crate::experiments::DifferenceRow;

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
