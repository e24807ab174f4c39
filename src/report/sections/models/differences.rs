//! The mean difference from the base on the first tokens of a text, read through the logit lens.

use super::number;
use crate::report::data::Data;
use crate::report::view::{Cell, Sheet, Tone};

const COLUMNS: [(&str, &str); 10] = [
    ("Variant", "At the checkpoint that the dictionary reads"),
    ("Hook", "Where it is read"),
    ("Position#", "In the text, from 0"),
    ("Norm#", "Of the mean difference, over the mean norm of the base\u{2019}s activation"),
    ("Consistency#", "Mean cosine of one text\u{2019}s difference with the mean"),
    ("Promotes", "Tokens that the mean difference promotes most in the variant"),
    ("Suppresses", "Tokens that it suppresses most"),
    ("Steers to", "Tokens that become likelier when it is added to the base"),
    ("KL#", "KL(variant | base) of the token after the texts, nats"),
    ("KL without#", "The same with the mean difference projected out of the variant"),
];

/// A row for each variant and position.
pub(super) fn sheet(data: &Data) -> Option<Sheet> {
    if data.activation_differences.is_empty() {
        return None;
    }
    let caption = "Mean differences on the first tokens. What training left on texts that have nothing to do with it, through the logit lens.";
    let mut sheet = Sheet::new("difference-table", caption, &COLUMNS).sortable();
    for row in &data.activation_differences {
        sheet.rows.push(vec![
            Cell::text(&row.variant).coloured(data.colour(&row.variant)),
            Cell::text(&row.hook),
            Cell::number(row.position.to_string(), row.position as f64),
            number(Some(row.relative_norm)),
            number(Some(row.consistency)),
            Cell::text(&row.promoted).toned(Tone::Typed),
            Cell::text(&row.suppressed).toned(Tone::Typed),
            Cell::text(&row.steered).toned(Tone::Typed),
            number(Some(row.kl)),
            number(Some(row.kl_projected_out)),
        ]);
    }
    Some(sheet)
}
