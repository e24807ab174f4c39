//! What matched controls decide.

use super::super::Verdict;
use super::world::World;
use crate::experiments::ControlRow;

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
fn controls_that_are_alike_are_widened_and_copies_decide_nothing() {
    let mut world = World::default().hypothesis("selective", -0.2, 0.0, true);
    let largest = world.controls.iter().map(|control| control.effect.abs()).fold(0.0, f64::max);
    world.controls.iter_mut().for_each(|control| control.effect *= 0.1 / largest);
    let claim = &world.decided()[0];
    assert_eq!((claim.verdict, claim.widening), (Verdict::CarriesTransfer, Some(1.0)));
    world.controls.iter_mut().for_each(|control| control.alike = Some(0.94));
    let claim = &world.decided()[0];
    assert_eq!(claim.verdict, Verdict::Undecided);
    assert!(
        claim.widening > Some(5.0) && claim.p_controls > 0.1,
        "{:?} {}",
        claim.widening,
        claim.p_controls
    );
    // As like the set as like each other, they are its equals.
    world.controls.iter_mut().for_each(|control| control.like_set = Some(0.94));
    assert_eq!(world.decided()[0].verdict, Verdict::CarriesTransfer);
    world.controls.iter_mut().for_each(|control| {
        control.effect = 0.0;
        control.alike = Some(1.0);
    });
    let claim = &world.decided()[0];
    assert_eq!((claim.verdict, claim.widening, claim.p_controls), (Verdict::Undecided, None, 1.0));
}
