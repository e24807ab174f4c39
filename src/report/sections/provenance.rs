//! Where every number comes from: the artifacts, what they took, and the study file as it was run.

use crate::report::data::Data;
use crate::report::numbers::duration;
use crate::report::view::{Block, Cell, Section, Sheet};

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let words = "An artifact's id is a hash of its stage, that stage's code revision, its settings, the device kind and the ids of its inputs: equal ids mean equal bytes.";
    let mut blocks = vec![Block::Paragraph(words.to_owned())];
    if !data.facts.stages.is_empty() {
        blocks.push(Block::Table(artifacts(data)));
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

fn timings(data: &Data) -> Sheet {
    let mut stages: Vec<(&str, f64)> = Vec::new();
    for row in &data.timings {
        let seconds = row.seconds.unwrap_or(0.0);
        match stages.iter_mut().find(|(stage, _)| *stage == row.stage) {
            Some((_, total)) => *total += seconds,
            None => stages.push((&row.stage, seconds)),
        }
    }
    let mut sheet = Sheet::new(
        "timings",
        "Wall time.",
        &[("Stage", "Its name"), ("Time#", "Seconds of wall time, summed")],
    );
    sheet.rows = stages
        .into_iter()
        .map(|(stage, seconds)| vec![Cell::text(stage), Cell::number(duration(seconds), seconds)])
        .collect();
    sheet
}
