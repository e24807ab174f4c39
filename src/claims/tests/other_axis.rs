//! What is said about the axis that was not declared.

use super::super::Verdict;
use super::world::{SAFETY, TRANSFER, World};
use crate::experiments::{DifferenceRow, EffectRow};

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
