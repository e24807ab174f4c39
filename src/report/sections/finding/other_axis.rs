//! What the same edit does to the other axis, on the endpoint by which equivalence is judged.

use super::claim::interval;
use crate::claims::ClaimRow;
use crate::experiments::EffectRow;
use crate::report::data::Data;
use crate::report::numbers::p_is;
use crate::report::scale::Scale;

/// A sentence, where the other axis was measured. `declared` is the claim's own row of the effects.
pub(super) fn sentence(data: &Data, claim: &ClaimRow, declared: Option<&EffectRow>) -> Option<String> {
    let (suite, effect) = (claim.other_suite.as_ref()?, claim.other_effect?);
    let scale = claim.other_endpoint.as_deref().map_or(Scale::Share, Scale::of);
    let primary = format!(
        "{} {} ({})",
        scale.difference(effect),
        scale.unit(),
        interval(scale, claim.other_ci_low, claim.other_ci_high)
    );
    let judged = claim.equivalence_endpoint.as_ref().and_then(|endpoint| {
        let declared = declared?;
        data.effects.iter().find(|row| {
            row.hypothesis == declared.hypothesis
                && row.condition == declared.condition
                && row.suite == *suite
                && row.endpoint == *endpoint
        })
    });
    let equivalence = claim.equivalence_p.map(|p| format!(", equivalence {}", p_is(p)));
    let equivalence = equivalence.unwrap_or_default();
    let nats = judged.filter(|row| Scale::of(&row.endpoint) == Scale::Nats);
    Some(match nats {
        Some(row) => format!(
            "On the other axis, {suite}, the same edit changed {} by {} nats ({}; margin \u{b1}{}{equivalence}) and the share by {primary}.",
            row.endpoint.replace('_', " "),
            Scale::Nats.difference(row.effect),
            Scale::Nats.interval(row.ci_low, row.ci_high),
            claim.margin_nats,
        ),
        None => format!(
            "On the other axis, {suite}, the same edit changed the share by {primary}, margin \u{b1}{}{equivalence}.",
            Scale::Share.difference(claim.margin).replace('+', ""),
        ),
    })
}
