//! What there was to move: what post-training changed on the suite, what exchanging the whole activation changes of
//! it, and how much of either the edit reaches.

use crate::claims::ClaimRow;
use crate::report::data::Data;
use crate::report::scale::Scale;

/// Gain and ceiling against the effect, in a sentence. Empty where neither was measured.
pub(super) fn sentence(data: &Data, claim: &ClaimRow, scale: Scale) -> String {
    let (base, unit) = (data.base(), scale.unit());
    let ceiling = claim.ceiling.map(|ceiling| {
        format!("exchanging the whole activation there changes it by {} {unit}", scale.difference(ceiling))
    });
    let gain = claim.gain.map(|gain| {
        format!("without an edit {} is {} {unit} from {base}", claim.receiver, scale.difference(gain))
    });
    let measures: Vec<String> = gain.into_iter().chain(ceiling).collect();
    if measures.is_empty() {
        return String::new();
    }
    format!("For comparison: {}{}.", measures.join(", and "), excess(claim, base).unwrap_or_default())
}

/// An edit that takes away more than post-training gave takes what base had, too.
fn excess(claim: &ClaimRow, base: &str) -> Option<String> {
    let gain = claim.gain?;
    let takes_away = gain * claim.effect < 0.0 && claim.effect.abs() > gain.abs();
    takes_away.then(|| {
        format!("; the edit takes away more than post-training gave, so part of it is what {base} had")
    })
}
