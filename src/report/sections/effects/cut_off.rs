//! Declared edits that lengthen or shorten answers: part of what they do to a score is that answers are cut off.

use super::is_declared_set;
use crate::experiments::{CUT_OFF, EffectRow};
use crate::report::data::Data;
use crate::report::scale::Scale;
use crate::report::view::Block;

/// One caution for every declared edit whose interval of the share of answers cut off leaves out zero.
pub(super) fn cautions(data: &Data) -> impl Iterator<Item = Block> {
    data.effects
        .iter()
        .filter(|row| is_declared_set(row) && row.endpoint == CUT_OFF && moves(row))
        .map(|row| Block::Caution(sentence(row)))
}

fn moves(row: &EffectRow) -> bool {
    row.ci_low > 0.0 || row.ci_high < 0.0
}

fn sentence(row: &EffectRow) -> String {
    let scale = Scale::of(CUT_OFF);
    format!(
        "Under the edit of {}, the share of answers on {} that are cut off goes from {} to {} (95 % interval of the difference {}, n = {} problems): what the edit does to a score there is in part that answers do not end.",
        row.hypothesis,
        row.suite,
        scale.level(row.baseline),
        scale.level(row.edited),
        scale.interval(row.ci_low, row.ci_high),
        row.problems,
    )
}
