//! What may be said of methods, which takes training runs as units.

use crate::evaluation::ComparisonRow;
use crate::report::data::Data;
use crate::report::scale::Scale;
use crate::report::view::Block;

/// A paragraph, where variants were trained with several seeds.
pub(super) fn paragraph(data: &Data) -> Option<Block> {
    let rows = &data.comparisons;
    let first = rows.first()?;
    let decided: Vec<&ComparisonRow> =
        rows.iter().filter(|row| ["higher", "lower"].contains(&row.verdict.as_str())).collect();
    let few = rows.iter().filter(|row| row.verdict == "too few seeds").count();
    let mut words = format!(
        "Methods at their ends, against {}, over {} training seeds: of {} comparisons {} {} decided.",
        first.reference,
        first.seeds,
        rows.len(),
        if decided.is_empty() { "none".to_owned() } else { decided.len().to_string() },
        if decided.len() == 1 { "is" } else { "are" },
    );
    let sentences: Vec<String> = decided.iter().filter_map(|row| sentence(row)).collect();
    if !sentences.is_empty() {
        words.push_str(&format!(" {}.", sentences.join("; ")));
    }
    words.push_str(match few {
        0 => " What is undecided is not shown to be equal.",
        _ => " There are too few seeds to decide, whatever had come out: nothing is ranked.",
    });
    Some(Block::Paragraph(words))
}

fn sentence(row: &ComparisonRow) -> Option<String> {
    let scale = Scale::of(&row.endpoint);
    Some(format!(
        "{} is {} on {} by {} [{}]",
        row.variant,
        row.verdict,
        row.suite,
        scale.difference(row.difference?),
        scale.interval(row.ci_low?, row.ci_high?),
    ))
}
