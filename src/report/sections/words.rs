//! What the models write: the same prompts, checkpoint by checkpoint.

use crate::report::data::Data;
use crate::report::view::{Block, Cell, Section, Sheet, Tone};

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let (id, title) = ("words", "What the models write");
    if data.sayings.is_empty() {
        return Section::absent(id, title, "outcomes");
    }
    let caption = "Completions at temperature, one sample each. The prompts are the first ones of each suite's measuring half; none was picked by what a model wrote. More are in tables/outcomes.parquet.";
    let columns = [
        ("Suite", "Its name in the study"),
        ("Prompt", "As the model reads it"),
        ("Checkpoint", "Variant and step"),
        ("Completion", "As the model wrote it"),
    ];
    let mut sheet = Sheet::new("sayings", caption, &columns);
    let mut prompts: Vec<(&str, &str)> = Vec::new();
    for saying in &data.sayings {
        if !prompts.contains(&(&saying.suite, &saying.prompt)) {
            prompts.push((&saying.suite, &saying.prompt));
        }
    }
    let order = data.suites();
    prompts.sort_by_key(|(suite, _)| order.iter().position(|other| other == suite));
    for (suite, prompt) in prompts {
        let mine = data.sayings.iter().filter(|saying| saying.suite == suite && saying.prompt == prompt);
        let shown = mine.filter(|saying| is_shown(data, &saying.variant, saying.checkpoint));
        for (line, saying) in shown.enumerate() {
            let first = |text: &str| if line == 0 { text.to_owned() } else { String::new() };
            let cut = if saying.truncated { " \u{2026} (cut off)" } else { "" };
            let base = saying.variant == data.base();
            let label = if base {
                saying.variant.clone()
            } else {
                format!("{}@{}", saying.variant, saying.checkpoint)
            };
            sheet.rows.push(vec![
                Cell::text(first(suite)),
                Cell::text(first(prompt)).toned(Tone::Typed),
                Cell::text(label).coloured(data.colour(&saying.variant)),
                Cell::text(format!("{}{cut}", saying.completion)).toned(Tone::Typed),
            ]);
        }
    }
    Section::new(id, title, vec![Block::Table(sheet)])
}

/// The base, what the dictionary spans, and every variant's end.
pub(super) fn is_shown(data: &Data, variant: &str, checkpoint: u64) -> bool {
    let label = format!("{variant}@{checkpoint}");
    let last = data.evaluations.iter().filter(|row| row.variant == variant).map(|row| row.checkpoint);
    variant == data.base()
        || data.facts.dictionary_variants.contains(&label)
        || last.max() == Some(checkpoint)
}
