//! What the first word says, what the answer says, and edits that break the text.

use super::super::{ClaimRow, Verdict};
use super::world::{SAFETY, World};
use crate::tasks::REFUSE_WHOLE;

/// A set that brings refusals back by their first word, of whose effect the whole answers have this share.
fn refusals(share: f64) -> World {
    let mut world = World::default();
    world.measure("set", SAFETY, 0.4, true, true);
    let by_first_word = world.effects.iter().find(|row| row.declared).unwrap().clone();
    let of_set: Vec<_> =
        world.differences.iter().filter(|row| row.condition == by_first_word.condition).cloned().collect();
    for row in of_set {
        let edited = row.baseline + share * row.difference();
        world.differences.push(crate::experiments::DifferenceRow {
            endpoint: REFUSE_WHOLE.into(),
            edited,
            ..row
        });
    }
    let effect = share * by_first_word.effect;
    world.effects.push(crate::experiments::EffectRow {
        endpoint: REFUSE_WHOLE.into(),
        declared: false,
        effect,
        ..by_first_word
    });
    world
}

fn claim(world: &World) -> ClaimRow {
    world.decided().remove(0)
}

#[test]
fn a_set_that_moves_the_first_word_alone_does_not_carry_the_loss_of_safety() {
    let whole = claim(&refusals(0.9));
    assert_eq!(whole.verdict, Verdict::CarriesSafetyLoss, "{}", whole.reason);
    assert!(whole.whole_answer_low > Some(0.0));
    for share in [0.0, 0.3, -0.5] {
        let claim = claim(&refusals(share));
        assert_eq!(claim.verdict, Verdict::MovesTheRefusalToken, "{share}: {}", claim.reason);
        assert!(!claim.verdict.carries() && claim.whole_answer < Some(0.2));
    }
}

#[test]
fn the_other_axis_is_carried_only_by_whole_answers() {
    let on_both = |share: f64| {
        let mut world = World::default().hypothesis("h", -0.2, 0.2, true);
        let row = world.effects.iter().find(|row| row.suite == SAFETY.0).unwrap().clone();
        let effect = share * row.effect;
        world.effects.push(crate::experiments::EffectRow { endpoint: REFUSE_WHOLE.into(), effect, ..row });
        claim(&world)
    };
    assert_eq!(on_both(1.0).verdict, Verdict::Both);
    assert_eq!(on_both(0.1).verdict, Verdict::CarriesTransfer);
}

#[test]
fn an_edit_that_breaks_the_text_carries_nothing() {
    let at = |receiver: f64, base: f64| {
        let mut world = World::default().hypothesis("h", -0.2, 0.0, true);
        for row in &mut world.effects {
            (row.likelihood_before, row.base_likelihood_before) = (Some(-0.4), Some(-1.0));
            (row.likelihood, row.base_likelihood) = (Some(receiver), Some(base));
        }
        claim(&world)
    };
    let broken = at(-3.0, -2.5);
    assert_eq!(broken.verdict, Verdict::BreaksTheText);
    assert!((broken.damage.unwrap() - 2.1).abs() < 1e-12);
    assert_eq!(at(-0.5, -4.0).verdict, Verdict::CarriesTransfer);
    // Where base is no model of the study, the receiver alone tells.
    let alone = |likelihood: f64| {
        let mut world = World::default().hypothesis("h", -0.2, 0.0, true);
        for row in &mut world.effects {
            (row.likelihood_before, row.likelihood) = (Some(-0.4), Some(likelihood));
        }
        claim(&world).verdict
    };
    assert_eq!([alone(-2.0), alone(-0.5)], [Verdict::BreaksTheText, Verdict::CarriesTransfer]);
    // What base would say is no damage, however odd the receiver finds it.
    assert_eq!(at(-4.0, -0.5).verdict, Verdict::CarriesTransfer);
}
