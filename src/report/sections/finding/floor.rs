//! The smallest corrected p-value that a study's controls can give: rank among B controls is at least 1 / (B + 1).

use crate::claims::ClaimRow;
use crate::report::numbers::p_value;

/// Said once where some claim's p-value lies at the floor, since a smaller one could not have come out.
pub(super) fn sentence(claims: &[ClaimRow]) -> Option<String> {
    let at_floor: Vec<&ClaimRow> = claims.iter().filter(|claim| at_floor(claim, claims.len())).collect();
    let first = at_floor.first()?;
    Some(format!(
        "A corrected p\u{a0}of {} is the smallest that {} controls{} can give, and no measure of how strong an effect is.",
        p_value(first.p_corrected),
        first.controls,
        if claims.len() > 1 { format!(" and {} hypotheses", claims.len()) } else { String::new() },
    ))
}

fn at_floor(claim: &ClaimRow, hypotheses: usize) -> bool {
    let hypotheses = hypotheses as f64;
    let factor = match claim.correction.as_str() {
        "holm" => hypotheses,
        "by" => (1..=hypotheses as usize).map(|rank| 1.0 / rank as f64).sum(),
        _ => 1.0,
    };
    let floor = factor / (claim.controls as f64 + 1.0);
    claim.controls > 0 && floor < 1.0 && claim.p_corrected <= floor * (1.0 + 1e-9)
}
