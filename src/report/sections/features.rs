//! The feature table: classes, norms, rates, and what each feature responds to and writes.

use super::decoders::{CLASSES, variants};
use crate::error::Result;
use crate::report::data::Data;
use crate::report::numbers::{count, short};
use crate::report::palette::TEXT;
use crate::report::rows::{Context, Feature};
use crate::report::view::{Block, Cell, Passage, Section, Sheet};
use std::collections::BTreeMap;

/// Features on the page; the rest are in the Parquet file.
const SHOWN: usize = 400;
/// Passages shown per feature.
const PASSAGES: usize = 3;

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("features", "Features");
    if data.features.is_empty() {
        return Ok(Section::absent(id, title, "features"));
    }
    let variants = variants(data);
    let mut chosen: Vec<&Feature> = data.features.iter().filter(|row| row.class != "dead").collect();
    chosen.sort_by(|a, b| {
        rank(&a.class).cmp(&rank(&b.class)).then(spread(b, &variants).total_cmp(&spread(a, &variants)))
    });
    let total = chosen.len();
    chosen.truncate(SHOWN);
    let mut contexts: BTreeMap<u64, Vec<&Context>> = BTreeMap::new();
    for context in &data.contexts {
        contexts.entry(context.feature).or_default().push(context);
    }
    let caption = format!(
        "{} of {} live features: those that differ between variants first, by how unequally the variants share their decoder norm; all are in tables/features.parquet. Passages are the strongest activations on stored tokens, lit by activation relative to the feature's peak. Click a heading to sort.",
        count(chosen.len() as u64),
        count(total as u64),
    );
    let mut columns = vec![
        ("Feature#".to_owned(), "Index in the dictionary".to_owned()),
        ("Class".to_owned(), "By the rule of the protocol".to_owned()),
        ("Present in".to_owned(), "Variants whose activations need it".to_owned()),
        ("Change".to_owned(), "Same, reweighted or rotated between those".to_owned()),
    ];
    for variant in &variants {
        columns.push((format!("norm {variant}#"), format!("Decoder norm in {variant}")));
    }
    columns.push(("Rate#".to_owned(), "Tokens per thousand on which it fires".to_owned()));
    columns.push(("Where it fires".to_owned(), "Strongest passages".to_owned()));
    columns.push((
        "What it promotes".to_owned(),
        "Tokens whose logits its decoder raises most, in the last variant that has it".to_owned(),
    ));
    let columns: Vec<(&str, &str)> =
        columns.iter().map(|(title, about)| (title.as_str(), about.as_str())).collect();
    let mut sheet = Sheet::new("feature-table", caption, &columns).sortable();
    sheet.filters = CLASSES
        .iter()
        .map(|(class, _)| (*class).to_owned())
        .filter(|class| chosen.iter().any(|row| row.class == *class))
        .collect();
    for row in chosen {
        let empty = Vec::new();
        sheet.rows.push(cells(row, &variants, contexts.get(&row.feature).unwrap_or(&empty)));
    }
    Ok(Section::new(id, title, vec![Block::Table(sheet)]))
}

/// Features that differ come first.
fn rank(class: &str) -> usize {
    ["specific", "lost", "partial", "undecided", "shared"]
        .iter()
        .position(|other| *other == class)
        .unwrap_or(9)
}

/// The range of a feature's decoder shares over the variants.
fn spread(feature: &Feature, variants: &[String]) -> f64 {
    let shares: Vec<f64> =
        variants.iter().filter_map(|variant| feature.number(&format!("mas_{variant}"))).collect();
    let high = shares.iter().copied().fold(0.0, f64::max);
    let low = shares.iter().copied().fold(1.0, f64::min);
    high - low
}

fn cells(row: &Feature, variants: &[String], contexts: &[&Context]) -> Vec<Cell> {
    let colour = CLASSES.iter().find(|(class, _)| *class == row.class).map_or(TEXT, |(_, colour)| *colour);
    let number = |value: Option<f64>| {
        value.map_or_else(|| Cell::text("\u{2013}"), |value| Cell::number(short(value), value))
    };
    let mut cells = vec![
        Cell::number(row.feature.to_string(), row.feature as f64),
        Cell::text(&row.class).coloured(colour),
        Cell::text(row.present.as_deref().unwrap_or("\u{2013}").replace('+', " + ")),
        Cell::text(row.change.as_deref().unwrap_or("\u{2013}")),
    ];
    cells.extend(variants.iter().map(|variant| number(row.number(&format!("norm_{variant}")))));
    let rate = variants.iter().filter_map(|variant| row.number(&format!("rate_{variant}"))).reduce(f64::max);
    cells.push(number(rate.map(|rate| rate * 1000.0)));
    let mut passages: Vec<&&Context> = contexts.iter().collect();
    passages.sort_by_key(|context| context.rank);
    cells.push(Cell {
        number: passages.first().and_then(|context| context.peak),
        passages: passages.iter().take(PASSAGES).map(|context| passage(context)).collect(),
        ..Cell::default()
    });
    let promoted = variants.iter().rev().find_map(|variant| row.words(&format!("promoted_{variant}")));
    cells.push(Cell::text(promoted.unwrap_or("\u{2013}")));
    cells
}

fn passage(context: &Context) -> Passage {
    let tokens: Vec<String> = serde_json::from_str(&context.tokens).unwrap_or_default();
    let activations: Vec<f64> = serde_json::from_str(&context.activations).unwrap_or_default();
    let peak = activations.iter().copied().fold(0.0, f64::max);
    let level = |activation: f64| {
        if activation > 0.0 && peak > 0.0 {
            (activation / peak * 9.0).ceil().clamp(1.0, 9.0) as u8
        } else {
            0
        }
    };
    Passage {
        source: context.source.clone().unwrap_or_default(),
        peak: short(context.peak.unwrap_or(peak)),
        tokens: tokens.into_iter().zip(activations.into_iter().map(level)).collect(),
    }
}
