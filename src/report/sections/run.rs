//! What was run: the base, the variants, the suites.

use crate::report::data::Data;
use crate::report::numbers::count;
use crate::report::view::{Block, Cell, Section, Sheet};

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let facts = &data.facts;
    let mut blocks = Vec::new();
    if !facts.base.is_empty() {
        blocks.push(Block::Paragraph(format!(
            "Base: {}. Seed {}; computed on {} by deltascope {}.",
            facts.base, facts.seed, facts.device, facts.version
        )));
    }
    if facts.samples > 0 {
        blocks.push(Block::Paragraph(format!(
            "Every suite was sampled {} times a problem at temperature {}, at most {} new tokens; a completion that is cut off counts as wrong. Half of the problems serve to choose (checkpoints, feature sets, thresholds), the other half to measure.",
            facts.samples, facts.temperature, facts.max_new_tokens
        )));
    }
    blocks.push(Block::Table(variants(data)));
    blocks.extend(facts.same_change.iter().map(|sentence| Block::Paragraph(format!("{sentence}."))));
    blocks.push(Block::Table(suites(data)));
    Section::new("run", "What was run", blocks)
}

fn variants(data: &Data) -> Sheet {
    let mut sheet = Sheet::new(
        "variants",
        "Variants. All come from the same base.",
        &[
            ("Variant", "The name in the study"),
            ("Method", "How it was trained"),
            ("Data", "What it was trained on"),
            ("Steps#", "Training steps"),
            ("Checkpoints", "Where it was evaluated"),
            ("In the dictionary", "The checkpoints whose activations the dictionary spans"),
        ],
    );
    for variant in &data.facts.variants {
        let mut checkpoints: Vec<u64> = data
            .evaluations
            .iter()
            .filter(|row| row.variant == variant.name)
            .map(|row| row.checkpoint)
            .collect();
        checkpoints.sort_unstable();
        checkpoints.dedup();
        let checkpoints: Vec<String> = checkpoints.iter().map(u64::to_string).collect();
        let spanned: Vec<&str> = data
            .facts
            .dictionary_variants
            .iter()
            .filter(|name| name.split('@').next() == Some(&variant.name))
            .map(String::as_str)
            .collect();
        sheet.rows.push(vec![
            Cell::text(&variant.name).coloured(data.colour(&variant.name)),
            Cell::text(&variant.method),
            Cell::text(&variant.data),
            Cell::number(count(variant.steps), variant.steps as f64),
            Cell::text(checkpoints.join(", ")),
            Cell::text(spanned.join(", ")),
        ]);
    }
    sheet
}

fn suites(data: &Data) -> Sheet {
    let mut sheet = Sheet::new(
        "suites",
        "Suites. Problems are held out from all training; they are the units of every interval and test.",
        &[
            ("Suite", "The name in the study"),
            ("Stands for", "Its role in the question"),
            ("Problems#", "Distinct problems"),
            ("Samples#", "Completions over all problems"),
            ("Endpoints", "What is counted"),
        ],
    );
    for suite in data.suites() {
        let rows = data.evaluations.iter().filter(|row| row.suite == suite);
        let mut endpoints: Vec<&str> = Vec::new();
        for row in rows.clone() {
            if !endpoints.contains(&row.endpoint.as_str()) {
                endpoints.push(&row.endpoint);
            }
        }
        let problems = rows.clone().map(|row| row.problems).max().unwrap_or(0);
        let samples = rows.map(|row| row.samples).max().unwrap_or(0);
        sheet.rows.push(vec![
            Cell::text(&suite),
            Cell::text(data.role(&suite)),
            Cell::number(count(problems), problems as f64),
            Cell::number(count(samples), samples as f64),
            Cell::text(endpoints.join(", ")),
        ]);
    }
    sheet
}
