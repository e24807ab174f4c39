//! The feature table: classes, norms, rates, and what each feature responds to and writes.

use super::decoders::{CLASSES, colour, variants};
use super::{dynamics, shifts};
use crate::diff::{Change, Class, ContextRow, FeatureRow};
use crate::error::Result;
use crate::report::data::Data;
use crate::report::numbers::{count, short};
use crate::report::view::{Block, Cell, Passage, Section, Sheet, Tone};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Features of every class on the page, beside the members of tested sets; the rest are in the Parquet file.
const OF_A_CLASS: usize = 12;
/// Members of tested sets on the page, however large the sets are.
const OF_SETS: usize = 120;
/// Passages shown per feature: the strongest, and what the code means where it is weaker.
const STRONGEST: usize = 2;
const WEAKER: [&str; 4] = ["q4", "q3", "q2", "q1"];
/// Nearest features shown per feature.
const NEIGHBOURS: usize = 3;

/// What other tables say of features, by feature.
struct Notes<'a> {
    contexts: BTreeMap<u32, Vec<&'a ContextRow>>,
    /// The hypotheses whose sets hold it.
    sets: BTreeMap<u32, Vec<&'a str>>,
}

impl<'a> Notes<'a> {
    fn new(data: &'a Data) -> Self {
        let mut notes = Self { contexts: BTreeMap::new(), sets: BTreeMap::new() };
        for context in &data.contexts {
            notes.contexts.entry(context.feature).or_default().push(context);
        }
        for row in &data.sets {
            if let Ok(feature) = u32::try_from(row.feature) {
                notes.sets.entry(feature).or_default().push(&row.hypothesis);
            }
        }
        notes
    }

    fn contexts(&self, row: &FeatureRow) -> &[&'a ContextRow] {
        self.contexts.get(&row.feature).map_or(&[], Vec::as_slice)
    }

    fn sets(&self, row: &FeatureRow) -> &[&'a str] {
        self.sets.get(&row.feature).map_or(&[], Vec::as_slice)
    }
}

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("features", "Features");
    if data.features.is_empty() {
        return Ok(Section::absent(id, title, "features"));
    }
    let (variants, notes) = (variants(data), Notes::new(data));
    let live = data.features.iter().filter(|row| row.class != Class::Dead).count();
    let chosen = chosen(data, &variants, &notes);
    let caption = format!(
        "{} of {} live features: the members of tested sets, and of every class the {OF_A_CLASS} whose decoder norm the variants share most unequally. All features are in tables/features.parquet, with their passages in tables/contexts.parquet. Passages are the two strongest activations on stored tokens, then one from every quarter of its activations (q4 the highest), lit relative to the feature's own peak.",
        count(chosen.len() as u64),
        count(live as u64),
    );
    let columns = columns(&variants);
    let columns: Vec<(&str, &str)> =
        columns.iter().map(|(title, about)| (title.as_str(), about.as_str())).collect();
    let mut sheet = Sheet::new("feature-table", caption, &columns).sortable();
    sheet.filters = CLASSES
        .iter()
        .rev()
        .filter(|class| chosen.iter().any(|row| row.class == **class))
        .map(|class| class.name().to_owned())
        .collect();
    sheet.rows = chosen.into_iter().map(|row| cells(row, &variants, &notes)).collect();
    let mut blocks = vec![Block::Table(sheet)];
    blocks.extend(dynamics::figure(data)?.map(Block::Figure));
    blocks.extend(shifts::sheet(data).map(Block::Folded));
    Ok(Section::new(id, title, blocks))
}

/// What a reader reads: the members of tested sets first, then of every class those that differ most between variants.
fn chosen<'a>(data: &'a Data, variants: &[String], notes: &Notes<'_>) -> Vec<&'a FeatureRow> {
    let mut live: Vec<(f64, &FeatureRow)> = data
        .features
        .iter()
        .filter(|row| row.class != Class::Dead)
        .map(|row| (spread(row, variants), row))
        .collect();
    live.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let (members, others): (Vec<_>, Vec<_>) =
        live.into_iter().map(|(_, row)| row).partition(|row| !notes.sets(row).is_empty());
    let mut chosen: Vec<&FeatureRow> = members.into_iter().take(OF_SETS).collect();
    chosen.sort_by_key(|row| Reverse(place(row.class)));
    for class in CLASSES.into_iter().rev() {
        chosen.extend(others.iter().copied().filter(|row| row.class == class).take(OF_A_CLASS));
    }
    chosen
}

fn columns(variants: &[String]) -> Vec<(String, String)> {
    let column = |title: &str, about: &str| (title.to_owned(), about.to_owned());
    let mut columns = vec![
        column("Feature#", "Index in the dictionary"),
        column("Class", "By the rule of the protocol"),
        column("Where it fires", "Passages around its activations"),
        column(
            "What it promotes",
            "Tokens whose logits its decoder raises most, by variant where the variants that have it differ",
        ),
        column("What it suppresses", "Tokens whose logits its decoder lowers most"),
        column("Set of", "Hypotheses whose set holds it"),
        column("Present in", "Variants whose activations need it"),
        column("Change", "Same, reweighted or rotated between those"),
        column("Rate#", "Tokens per thousand on which it fires, joint code"),
        column("Nearest", "Features with the most similar decoders, and the cosine"),
        column(
            "Comes back#",
            "Largest decoder cosine with a feature of the same dictionary under another seed",
        ),
    ];
    for variant in variants {
        columns.push((format!("norm {variant}#"), format!("Decoder norm in {variant}")));
    }
    for variant in variants {
        let about = format!("Tokens per thousand on which it fires when {variant} is read alone");
        columns.push((format!("rate {variant}#"), about));
    }
    columns
}

/// Classes whose features differ between variants come last in the list, and first in the table.
fn place(class: Class) -> usize {
    CLASSES.iter().position(|other| *other == class).unwrap_or(0)
}

/// The range of a feature's decoder shares over the variants.
fn spread(feature: &FeatureRow, variants: &[String]) -> f64 {
    let shares: Vec<f64> =
        variants.iter().filter_map(|variant| feature.number(&format!("mas_{variant}"))).collect();
    let high = shares.iter().copied().fold(0.0, f64::max);
    let low = shares.iter().copied().fold(1.0, f64::min);
    high - low
}

fn cells(row: &FeatureRow, variants: &[String], notes: &Notes<'_>) -> Vec<Cell> {
    let contexts = notes.contexts(row);
    let number = |value: Option<f64>| {
        value.map_or_else(|| Cell::text("\u{2013}"), |value| Cell::number(short(value), value))
    };
    let strongest = contexts.iter().filter(|context| context.band == "top").take(STRONGEST);
    let weaker = WEAKER.iter().filter_map(|band| contexts.iter().find(|context| context.band == *band));
    let peak = contexts.iter().map(|context| context.peak).fold(0.0, f64::max);
    let passages: Vec<Passage> = strongest.chain(weaker).map(|context| passage(context, peak)).collect();
    let mut cells = vec![
        Cell::number(row.feature.to_string(), f64::from(row.feature)),
        Cell::text(row.class.name()).coloured(colour(row.class)),
        Cell { number: Some(peak), passages, ..Cell::default() },
        Cell::text(by_variant(row, "promoted_", variants)).toned(Tone::Typed),
        Cell::text(by_variant(row, "suppressed_", variants)).toned(Tone::Typed),
        Cell::text(notes.sets(row).join(", ")),
        Cell::text(row.present.replace('+', " + ")),
        Cell::text(row.change.map_or("\u{2013}", Change::name)),
        number(Some(row.rate * 1000.0)),
        Cell::text(nearest(row)),
        number(row.stability),
    ];
    cells.extend(variants.iter().map(|variant| number(row.number(&format!("norm_{variant}")))));
    let rate = |variant: &String| row.number(&format!("rate_{variant}")).map(|rate| rate * 1000.0);
    cells.extend(variants.iter().map(|variant| number(rate(variant))));
    cells
}

/// The text in the columns `prefix` of the variants that have the feature: once where they agree, else by variant.
fn by_variant(row: &FeatureRow, prefix: &str, variants: &[String]) -> String {
    let present: Vec<&str> = row.present.split('+').collect();
    // Older tables hold the tokens joined by spaces.
    let words = |text: &str| {
        serde_json::from_str::<Vec<String>>(text).map_or_else(|_| text.to_owned(), |tokens| tokens.join(" "))
    };
    let texts: Vec<(&str, String)> = variants
        .iter()
        .filter(|variant| present.contains(&variant.as_str()))
        .filter_map(|variant| Some((variant.as_str(), words(row.text(&format!("{prefix}{variant}"))?))))
        .collect();
    match texts.first() {
        None => "\u{2013}".to_owned(),
        Some((_, first)) if texts.iter().all(|(_, text)| text == first) => first.clone(),
        Some(_) => {
            let named: Vec<String> = texts.iter().map(|(name, text)| format!("{name}: {text}")).collect();
            named.join(" \u{b7} ")
        }
    }
}

/// The nearest features with their cosines: `12 (.71), 904 (.55)`.
fn nearest(row: &FeatureRow) -> String {
    let features: Vec<u32> = serde_json::from_str(&row.nearest).unwrap_or_default();
    let cosines: Vec<f64> = serde_json::from_str(&row.nearest_cosines).unwrap_or_default();
    let pairs = features.iter().zip(cosines).take(NEIGHBOURS);
    pairs.map(|(feature, cosine)| format!("{feature} ({})", short(cosine))).collect::<Vec<_>>().join(", ")
}

/// A passage, lit relative to the feature's `peak`.
fn passage(context: &ContextRow, peak: f64) -> Passage {
    let tokens: Vec<String> = serde_json::from_str(&context.tokens).unwrap_or_default();
    let activations: Vec<f64> = serde_json::from_str(&context.activations).unwrap_or_default();
    let level = |activation: f64| {
        if activation > 0.0 && peak > 0.0 {
            (activation / peak * 9.0).ceil().clamp(1.0, 9.0) as u8
        } else {
            0
        }
    };
    Passage {
        source: format!("{}, {}, {}", context.band, context.source, context.part),
        peak: short(context.peak),
        tokens: tokens.into_iter().zip(activations.into_iter().map(level)).collect(),
    }
}
