//! Whether an endpoint surely did not move.

use super::evidence::{Case, DifferenceIndex};
use super::settings::ClaimSettings;
use crate::error::Result;
use crate::experiments::EffectRow;
use crate::stats::{equivalence, equivalence_of_shares};
use crate::tasks::Scale;

/// The p-value that an effect lies within the margin of its scale. 1 where it cannot be shown: for a count, which has
/// no margin, and for a share without room to move by the margin on either side.
pub(super) fn p_equivalent(
    row: &EffectRow,
    index: &DifferenceIndex,
    settings: &ClaimSettings,
    seed: u64,
) -> Result<f64> {
    let values = &index.of(row)?.values;
    Ok(match Scale::of(&row.endpoint) {
        Scale::Share if row.baseline < settings.margin || 1.0 - row.baseline < settings.margin => 1.0,
        Scale::Share => equivalence_of_shares(values, settings.margin),
        Scale::Nats => equivalence(values, settings.margin_nats, seed),
        Scale::Count => 1.0,
    })
}

/// The largest over the suites of the other axis; `None` where there is none.
pub(super) fn p_others_equivalent(
    case: &Case<'_>,
    index: &DifferenceIndex,
    settings: &ClaimSettings,
    seed: u64,
) -> Result<Option<f64>> {
    let mut largest = None;
    for other in &case.others {
        let p = p_equivalent(other.judged, index, settings, seed)?;
        largest = Some(p.max(largest.unwrap_or(0.0)));
    }
    Ok(largest)
}
