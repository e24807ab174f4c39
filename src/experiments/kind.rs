//! What an effect of an edit would show: that something is necessary, or that it is sufficient.

use super::hypothesis::Hypothesis;
use crate::interventions::Edit;

/// Names of what an effect shows, as tables write them.
pub(super) const NECESSARY: &str = "necessary";
pub(super) const SUFFICIENT: &str = "sufficient";
/// The edit neither takes something from a post-trained model nor adds something to base.
pub(super) const OTHER: &str = "other";

/// What an edit does with what it is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act<'a> {
    Removes,
    Adds,
    /// Puts another variant's in its place.
    Takes(&'a str),
    Nothing,
}

/// *Necessary*: something is taken from a post-trained model. *Sufficient*: something is added to `base`. The
/// receiver alone does not tell: zeroing a feature of base adds nothing to it, and steering a post-trained model
/// takes nothing away.
pub(super) fn kind(hypothesis: &Hypothesis, base: &str) -> &'static str {
    let in_base = hypothesis.receiver == base;
    match act(&hypothesis.edit, hypothesis.dose) {
        Act::Removes if !in_base => NECESSARY,
        Act::Takes(donor) if !in_base && donor == base => NECESSARY,
        Act::Adds if in_base => SUFFICIENT,
        Act::Takes(donor) if in_base && donor != base => SUFFICIENT,
        _ => OTHER,
    }
}

/// A negative dose turns an edit round; of a direction it only names the opposite one.
fn act(edit: &Edit, dose: f32) -> Act<'_> {
    match edit {
        Edit::Zero | Edit::Mean | Edit::Resample | Edit::ProjectOut if dose > 0.0 => Act::Removes,
        Edit::Scale if (0.0..1.0).contains(&dose) => Act::Removes,
        Edit::Scale if dose > 1.0 => Act::Adds,
        Edit::Clamp if dose == 0.0 => Act::Removes,
        Edit::Clamp | Edit::Steer if dose > 0.0 => Act::Adds,
        Edit::AddDirection if dose != 0.0 => Act::Adds,
        Edit::Transplant(donor)
        | Edit::TwoSource(donor)
        | Edit::WholeDifference(donor)
        | Edit::ErrorOnly(donor)
            if dose > 0.0 =>
        {
            Act::Takes(donor)
        }
        _ => Act::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::SetRule;
    use crate::interventions::Positions;

    #[test]
    fn the_edit_and_the_receiver_say_what_an_effect_shows() {
        let transplant = |donor: &str| Edit::Transplant(donor.to_owned());
        for (edit, dose, receiver, expected) in [
            (Edit::Zero, 1.0, "rl", NECESSARY),
            (Edit::Mean, 1.0, "rl", NECESSARY),
            (Edit::Resample, 1.0, "rl", NECESSARY),
            (Edit::ProjectOut, 1.0, "rl", NECESSARY),
            (Edit::Scale, 0.5, "rl", NECESSARY),
            (Edit::Clamp, 0.0, "rl", NECESSARY),
            (transplant("base"), 1.0, "rl", NECESSARY),
            (Edit::WholeDifference("base".into()), 1.0, "rl", NECESSARY),
            (Edit::Steer, 1.0, "base", SUFFICIENT),
            (Edit::Clamp, 1.5, "base", SUFFICIENT),
            (Edit::Scale, 2.0, "base", SUFFICIENT),
            (Edit::AddDirection, -1.0, "base", SUFFICIENT),
            (transplant("rl"), 1.0, "base", SUFFICIENT),
            (Edit::TwoSource("rl".into()), 1.0, "base", SUFFICIENT),
            (Edit::Zero, 1.0, "base", OTHER),
            (Edit::Scale, 0.5, "base", OTHER),
            (Edit::Steer, 1.0, "rl", OTHER),
            (Edit::Scale, 2.0, "rl", OTHER),
            (Edit::AddDirection, 1.0, "rl", OTHER),
            (transplant("sft"), 1.0, "rl", OTHER),
            (transplant("base"), 1.0, "base", OTHER),
            (Edit::Zero, -1.0, "rl", OTHER),
        ] {
            let hypothesis = Hypothesis {
                name: String::new(),
                set: SetRule::All,
                receiver: receiver.to_owned(),
                edit,
                dose,
                positions: Positions::All,
                readout: None,
                hook: None,
                suite: String::new(),
                endpoint: None,
                direction: None,
            };
            assert_eq!(kind(&hypothesis, "base"), expected, "{hypothesis:?}");
        }
    }
}
