//! How far predictions are from the base's and from each other's, by suite, and where they differ most.

use super::number;
use crate::report::data::Data;
use crate::report::numbers::{count, percent};
use crate::report::view::{Cell, Sheet, Tone};

const COLUMNS: [(&str, &str); 8] = [
    ("Variant", "At the checkpoint that the dictionary reads"),
    ("Against", "The base, or a variant before it"),
    ("Texts", "The suite whose texts are read; all for all of them"),
    ("KL#", "Mean over tokens of KL(variant | against) of the next token, nats"),
    ("Reverse KL#", "Mean of KL(against | variant), nats"),
    ("Largest#", "The largest KL(variant | against) of one token, nats"),
    ("Disagree#", "Share of tokens whose most likely next token differs"),
    ("Tokens#", "Tokens read"),
];

/// Places shown of each pair.
const SHOWN: u64 = 5;

const PLACES: [(&str, &str); 7] = [
    ("Variant", "At the checkpoint that the dictionary reads"),
    ("Against", "The base, or a variant before it"),
    ("Texts", "The suite of the text"),
    ("KL#", "KL(variant | against) of the next token, nats"),
    ("After", "The tokens read last"),
    ("Expects", "The token that the variant expects next"),
    ("Other expects", "The token that the other expects"),
];

/// A row for each pair of models and suite.
pub(super) fn sheet(data: &Data) -> Option<Sheet> {
    if data.divergences.is_empty() {
        return None;
    }
    let caption = "Predictions. How far each variant\u{2019}s next token is from that of the base and of the other variants, token by token, on the same texts.";
    let mut sheet = Sheet::new("divergence-table", caption, &COLUMNS).sortable();
    for row in &data.divergences {
        sheet.rows.push(vec![
            Cell::text(&row.variant).coloured(data.colour(&row.variant)),
            Cell::text(&row.against).coloured(data.colour(&row.against)),
            Cell::text(&row.group),
            number(Some(row.kl)),
            number(Some(row.kl_reverse)),
            number(Some(row.kl_max)),
            Cell::number(percent(row.disagree), row.disagree),
            Cell::number(count(row.tokens), row.tokens as f64),
        ]);
    }
    Some(sheet)
}

/// The places at which the predictions of each pair differ most.
pub(super) fn places(data: &Data) -> Option<Sheet> {
    if data.divergent_tokens.is_empty() {
        return None;
    }
    let caption = format!(
        "Where predictions differ most. The {SHOWN} tokens of each pair with the largest divergence, one of each text; more are in tables/divergent_tokens.parquet."
    );
    let mut sheet = Sheet::new("divergent-table", caption, &PLACES).sortable();
    for row in data.divergent_tokens.iter().filter(|row| row.rank <= SHOWN) {
        let context: Vec<String> = serde_json::from_str(&row.context).unwrap_or_default();
        sheet.rows.push(vec![
            Cell::text(&row.variant).coloured(data.colour(&row.variant)),
            Cell::text(&row.against).coloured(data.colour(&row.against)),
            Cell::text(&row.group),
            number(Some(row.kl)),
            Cell::text(context.join(" ")).toned(Tone::Typed),
            Cell::text(&row.expected).toned(Tone::Typed),
            Cell::text(&row.expected_against).toned(Tone::Typed),
        ]);
    }
    Some(sheet)
}
