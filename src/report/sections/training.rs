//! How training went: one panel a measure, one line a variant.

use super::budget;
use crate::error::Result;
use crate::report::axis::{Axis, Format};
use crate::report::data::Data;
use crate::report::facts::VariantFact;
use crate::report::figure::{Figure, Key, Sign};
use crate::report::marks::Mark;
use crate::report::panel::Panel;
use crate::report::view::{Block, Section};
use crate::training::{TrainingRow, Warning, warnings};

type Measure = (&'static str, &'static str, fn(&TrainingRow) -> Option<f64>);

/// Whether it learns, and how far it moves.
const PROGRESS: [Measure; 6] = [
    ("Loss", "nats per response token", |row| row.loss.filter(|_| row.reward.is_none())),
    ("Reward", "mean over samples", |row| row.reward),
    ("KL to base", "nats per token", |row| row.kl_to_base),
    ("Entropy", "nats per token", |row| row.entropy),
    ("Response length", "tokens", |row| row.response_length),
    ("Gradient norm", "before clipping", |row| row.gradient_norm),
];

/// What its updates are made from.
const SIGNAL: [Measure; 15] = [
    ("Pass@1", "share of responses", |row| row.pass_at_1),
    ("Pass@k", "share of prompts", |row| row.pass_at_k),
    ("Groups of equal reward", "share of prompts", |row| row.equal_groups),
    ("Cut off", "share of responses", |row| row.truncated),
    ("Clipped above", "share of tokens", |row| row.clipped_high),
    ("Clipped below", "share of tokens", |row| row.clipped_low),
    ("Clipped twice", "share of tokens", |row| row.clipped_dual.filter(|share| *share > 0.0)),
    ("Influence", "mean weight", |row| row.influence_mean),
    ("Influence, smallest", "weight", |row| row.influence_min),
    ("Influence, largest", "weight", |row| row.influence_max),
    ("KL penalty", "mean, off the reward", |row| row.kl_penalty),
    ("Length penalty", "mean", |row| row.length_penalty.filter(|penalty| *penalty > 0.0)),
    ("Value loss", "mean", |row| row.value_loss),
    ("Preferred", "share of pairs", |row| row.accuracy),
    ("Margin", "implicit reward, nats", |row| row.margin),
];

/// Points of a training curve: more would be drawn on the same pixels.
const POINTS: usize = 80;

/// The section.
pub(in crate::report) fn section(data: &Data) -> Result<Section> {
    let (id, title) = ("training", "How training went");
    if data.training.is_empty() {
        return Ok(Section::absent(id, title, "training"));
    }
    let figure = |name, title, caption, measures: &[Measure]| {
        let panels: Vec<Panel> = measures.iter().filter_map(|measure| panel(data, measure)).collect();
        let legend = data
            .trained()
            .map(|variant| Key::new(&variant.name, data.colour(&variant.name), Sign::Line))
            .collect();
        Figure::new(name, title, caption, &panels).map(|figure| figure.with_legend(legend))
    };
    let progress = "Per-step values from the table training, averaged in blocks where there are more steps than pixels. Steps are updates of the data schedule, not equal amounts of gradient signal: read variants against each other in the matched comparisons below.";
    let signal = "What the updates were made from. Groups whose responses all have the same reward teach nothing; responses that are cut off have none; clipped tokens have no gradient.";
    let mut blocks = cautions(data);
    blocks.push(Block::Figure(figure("training-curves", "Training", progress, &PROGRESS)?));
    if SIGNAL.iter().any(|measure| panel(data, measure).is_some()) {
        blocks.push(Block::Figure(figure("training-signal", "Signal", signal, &SIGNAL)?));
    }
    blocks.push(Block::Table(budget::sheet(data)));
    Ok(Section::new(id, title, blocks))
}

/// What training itself warned of, a caution for each variant and kind.
fn cautions(data: &Data) -> Vec<Block> {
    let of_run = |run: &str| {
        let rows = data.training.iter().filter(|row| row.variant == run).cloned();
        warnings(&rows.collect::<Vec<TrainingRow>>())
    };
    let of_variant = |variant: &VariantFact| {
        let runs: Vec<Vec<Warning>> = variant.runs().map(of_run).collect();
        let mut firsts: Vec<&Warning> = Vec::new();
        for warning in runs.iter().flatten() {
            if firsts.iter().all(|first| first.kind != warning.kind) {
                firsts.push(warning);
            }
        }
        let caution = |first: &Warning| {
            let warned =
                runs.iter().filter(|run| run.iter().any(|warning| warning.kind == first.kind)).count();
            let share = match runs.len() {
                1 => String::new(),
                all => format!(" ({warned} of {all} runs; of the first that was warned)"),
            };
            Block::Caution(format!("{}, step {}{share}: {}.", variant.name, first.step, first.text))
        };
        firsts.into_iter().map(caution).collect::<Vec<_>>()
    };
    data.trained().flat_map(of_variant).collect()
}

fn panel(data: &Data, (title, unit, measure): &Measure) -> Option<Panel> {
    let mut marks = Vec::new();
    let mut heights = Vec::new();
    let mut last = 0;
    for variant in data.trained() {
        let points: Vec<(f64, f64)> = data
            .training
            .iter()
            .filter(|row| row.variant == variant.name)
            .filter_map(|row| measure(row).map(|value| (row.step as f64, value)))
            .collect();
        if points.is_empty() {
            continue;
        }
        let points = blocks(&points);
        heights.extend(points.iter().map(|(_, height)| *height));
        last = points.iter().fold(last, |last, (step, _)| last.max(*step as u64));
        marks.push(Mark::Line { points, colour: data.colour(&variant.name), width: 1.8, dashed: false });
    }
    if marks.is_empty() {
        return None;
    }
    let x = Axis::from_zero("step", [last as f64], Format::Number);
    let y = Axis::from_zero(unit, heights, Format::Number);
    Some(Panel::new(*title, x, y, marks))
}

/// Means of consecutive blocks, so that at most `POINTS` are left.
fn blocks(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    let mean = |block: &[(f64, f64)], pick: fn(&(f64, f64)) -> f64| {
        block.iter().map(pick).sum::<f64>() / block.len() as f64
    };
    points.chunks(size).map(|block| (mean(block, |point| point.0), mean(block, |point| point.1))).collect()
}
