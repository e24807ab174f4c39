//! What post-training must have changed: beyond base, by base's part of the set, by the whole exchange.

use super::super::Verdict;
use super::world::World;
use crate::experiments::EffectRow;

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
