//! What every variant cost, so that none is compared with one that had more.

use crate::report::data::Data;
use crate::report::facts::VariantFact;
use crate::report::numbers::{count, duration};
use crate::report::view::{Cell, Sheet};

const COLUMNS: [(&str, &str); 7] = [
    ("Variant", "At the end of its training"),
    ("Updates#", "Steps of the optimiser"),
    ("Trained on#", "Tokens of prompts and responses, padding excluded"),
    ("Sampled#", "Tokens of responses"),
    (
        "Scored#",
        "Tokens that only went forward: prompts of samples, the reference, the value head's first look",
    ),
    (
        "TFLOP#",
        "Per weight, 6 for a token trained on and 2 for one sampled or scored; a prompt counts with each of its responses, an adapter as its whole matrix",
    ),
    ("Time#", "Wall time of its steps on this machine"),
];

/// The table.
pub(super) fn sheet(data: &Data) -> Sheet {
    let caption = "Budgets. The cost of every variant; of several training seeds, the mean. Of one seed, all built-in arms and rollouts go through the same problems of a task in the same order, and so do those on one file whose rows all train.";
    let mut sheet = Sheet::new("budgets", caption, &COLUMNS).sortable();
    for variant in data.trained() {
        let runs: Vec<Cost> = variant.runs().filter_map(|run| Cost::of(data, variant, run)).collect();
        if runs.is_empty() {
            continue;
        }
        let mean = |value: fn(&Cost) -> f64| runs.iter().map(value).sum::<f64>() / runs.len() as f64;
        let whole = |value: f64| Cell::number(count(value.round() as u64), value);
        let (flops, seconds) = (mean(|cost| cost.flops) * 1e-12, mean(|cost| cost.seconds));
        sheet.rows.push(vec![
            Cell::text(&variant.name).coloured(data.colour(&variant.name)),
            whole(mean(|cost| cost.updates)),
            whole(mean(|cost| cost.trained)),
            whole(mean(|cost| cost.sampled)),
            whole(mean(|cost| cost.scored)),
            Cell::number(format!("{flops:.2}"), flops),
            Cell::number(duration(seconds), seconds),
        ]);
    }
    sheet
}

/// What one run cost.
struct Cost {
    updates: f64,
    trained: f64,
    sampled: f64,
    scored: f64,
    flops: f64,
    seconds: f64,
}

impl Cost {
    fn of(data: &Data, variant: &VariantFact, run: &str) -> Option<Self> {
        let last = data.training.iter().filter(|row| row.variant == run).max_by_key(|row| row.step)?;
        let timed = data.timings.iter().filter(|row| row.variant == run && row.stage == "train");
        // Tables without a count of updates are of methods that make as many in every step.
        let updates = last.updates.unwrap_or(last.step as u64 * variant.updates_per_step.max(1));
        Some(Self {
            updates: updates as f64,
            trained: last.tokens_trained as f64,
            sampled: last.tokens_sampled as f64,
            scored: last.tokens_scored as f64,
            flops: last.flops,
            seconds: timed.map(|row| row.seconds).sum(),
        })
    }
}
