//! What each kind of evidence is judged to be.

use super::super::{ClaimRow, ClaimSettings, Correction, RepetitionRow, Verdict, count_agreement, decide};
use super::world::{SAFETY, TRANSFER, World, working};

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
fn the_wrong_sign_is_no_confirmation() {
    let claims = World::default().hypothesis("reverse", 0.2, 0.0, true).decided();
    assert_eq!(claims[0].verdict, Verdict::Undecided);
    assert!(claims[0].reason.contains("direction"));
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
