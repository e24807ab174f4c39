//! What every variant cost, so that none is compared with one that had more.

use crate::report::data::Data;
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
    ("TFLOP#", "Per weight, 6 for a token trained on and 2 for one sampled or scored"),
    ("Time#", "Wall time of its steps on this machine"),
];

/// The table.
pub(super) fn sheet(data: &Data) -> Sheet {
    let caption = "Budgets. The cost of every variant; of several training seeds, the first.";
    let mut sheet = Sheet::new("budgets", caption, &COLUMNS).sortable();
    for variant in data.trained() {
        let rows = data.training.iter().filter(|row| row.variant == variant.name);
        let Some(last) = rows.max_by_key(|row| row.step) else { continue };
        let timed = data.timings.iter().filter(|row| row.variant == variant.name && row.stage == "train");
        let seconds: f64 = timed.map(|row| row.seconds).sum();
        let updates = last.step as u64 * variant.updates_per_step.max(1);
        let tokens = |tokens: usize| Cell::number(count(tokens as u64), tokens as f64);
        let flops = last.flops * 1e-12;
        sheet.rows.push(vec![
            Cell::text(&variant.name).coloured(data.colour(&variant.name)),
            Cell::number(count(updates), updates as f64),
            tokens(last.tokens_trained),
            tokens(last.tokens_sampled),
            tokens(last.tokens_scored),
            Cell::number(format!("{flops:.2}"), flops),
            Cell::number(duration(seconds), seconds),
        ]);
    }
    sheet
}
