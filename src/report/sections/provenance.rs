//! Where every number comes from: the artifacts, what they took, and the study file as it was run.

use crate::report::data::Data;
use crate::report::numbers::{count, duration};
use crate::report::view::{Block, Cell, Section, Sheet};

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let words = "An artifact's id is a hash of its stage, its settings, the device kind, the ids of its inputs, the content of what it read from outside, and the code that made it: the sources of the stage and of all that it uses, the versions of dependencies, the compiler, and the processor's kernels. Equal ids mean equal bytes. `tables/checksums.json` holds the hashes of the published tables.";
    let mut blocks = vec![Block::Paragraph(words.to_owned())];
    let older = data.facts.older.iter();
    blocks
        .extend(older.map(|what| Block::Caution(format!("Made by other code: {what}, and taken as it is."))));
    if !data.facts.stages.is_empty() {
        blocks.push(Block::Table(artifacts(data)));
    }
    if !data.facts.outside.is_empty() {
        blocks.push(Block::Table(outside(data)));
    }
    if !data.timings.is_empty() {
        blocks.push(Block::Table(timings(data)));
    }
    if !data.facts.study_file.is_empty() {
        let summary = "The study file as it was run".to_owned();
        blocks.push(Block::Source { summary, text: data.facts.study_file.clone() });
    }
    Section::new("provenance", "Provenance", blocks)
}

fn artifacts(data: &Data) -> Sheet {
    let columns = [
        ("Stage", "Its name"),
        ("Artifact", "Its id in the store"),
        ("Made from", "The stages that it needed"),
    ];
    let mut sheet = Sheet::new("artifacts", "Stages and their artifacts.", &columns);
    for stage in &data.facts.stages {
        let inputs: Vec<&str> = stage
            .inputs
            .iter()
            .map(|id| {
                data.facts
                    .stages
                    .iter()
                    .find(|other| other.id == *id)
                    .map_or(id.as_str(), |other| &other.name)
            })
            .collect();
        sheet.rows.push(vec![Cell::text(&stage.name), Cell::text(&stage.id), Cell::text(inputs.join(", "))]);
    }
    sheet
}

fn outside(data: &Data) -> Sheet {
    let columns = [
        ("What", "What it is to the study, and where it was"),
        ("Hash", "The first digits of the BLAKE3 hash of its content"),
    ];
    let caption = "What was read from outside, by content. Of a program that judges: its file, the words of its command that name files, and what the suite declares by `files=`. What a program imports beside these is not in the key.";
    let mut sheet = Sheet::new("outside", caption, &columns);
    sheet.rows = data
        .facts
        .outside
        .iter()
        .map(|fact| vec![Cell::text(&fact.role), Cell::text(fact.hash.get(..16).unwrap_or(&fact.hash))])
        .collect();
    sheet
}

/// What one stage, or one variant's training within a stage, took.
struct Cost<'a> {
    stage: &'a str,
    variant: &'a str,
    seconds: f64,
    tokens: usize,
}

fn timings(data: &Data) -> Sheet {
    let mut costs: Vec<Cost<'_>> = Vec::new();
    for row in &data.timings {
        let (stage, variant) = (row.stage.as_str(), row.variant.as_str());
        match costs.iter_mut().find(|cost| cost.stage == stage && cost.variant == variant) {
            Some(cost) => {
                cost.seconds += row.seconds;
                cost.tokens += row.tokens;
            }
            None => costs.push(Cost { stage, variant, seconds: row.seconds, tokens: row.tokens }),
        }
    }
    let columns = [
        ("Stage", "A stage of the study, or what was timed within one"),
        ("Variant", "The variant that was trained, for parts of a stage"),
        ("Time#", "Wall time"),
        ("Tokens/s#", "Tokens handled per second"),
    ];
    let caption = "Wall time. Rows with a variant are parts of the stage that trains it, and rows such as `experiments: declared` parts of that stage; both are contained in its time.";
    let mut sheet = Sheet::new("timings", caption, &columns);
    sheet.rows = costs
        .iter()
        .map(|cost| {
            let rate = (cost.tokens > 0 && cost.seconds > 0.0).then(|| cost.tokens as f64 / cost.seconds);
            vec![
                Cell::text(cost.stage),
                Cell::text(cost.variant),
                Cell::number(duration(cost.seconds), cost.seconds),
                rate.map_or_else(|| Cell::text("\u{2013}"), |rate| Cell::number(count(rate as u64), rate)),
            ]
        })
        .collect();
    sheet
}
