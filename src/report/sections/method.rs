//! How the verdicts come about and what they do not mean.

use crate::report::data::Data;
use crate::report::lead::correction;
use crate::report::numbers::short;
use crate::report::rules;
use crate::report::scale::Scale;
use crate::report::view::{Block, Cell, Section, Sheet};

/// Each paragraph with the rules of the protocol that it follows.
const METHOD: [(&str, &[u8]); 6] = [
    (
        "Units and halves. The unit of every interval and test is the problem, never the sample. Half of the problems, fixed by a hash before anything ran, chose the checkpoints, thresholds and feature sets. Effects, their controls and the claims are from the other half, and so are scores where nothing else is said. What is not: training, the dictionary and its features, which are fitted and counted on answers to training problems, and the balance of controls, which is what they were chosen by. Nothing was filtered by a sampled outcome.",
        &[1],
    ),
    (
        "Edits. An edit adds a difference to the receiver's activation and keeps everything that the dictionary does not explain. With the joint readout all variants of the dictionary run in lockstep on the receiver's own tokens, and the receiver is read before it is edited. With and without an edit, completions are sampled with common random numbers, so that they differ only where the edit made them differ.",
        &[2, 3],
    ),
    (
        "Controls. Beside each declared set stand feature sets of the same size that fire as often and edit as strongly, on the same prompts with the same random numbers. The p-value of a hypothesis is the larger of two: a sign flip over problems against no effect, and the rank of the effect among its controls. Controls that write the same lie closer together than other sets of their kind would. So those are taken that differ most, no two of them with a cosine above .5 between what they write, and before the effect is ranked their distances from their mean are widened by \u{221a}((1 + r \u{2212} 2q) / (1 \u{2212} r)), where r is the mean cosine of what two of them write and q that of what one of them and the set write.",
        &[4],
    ),
    (
        "Nulls. Two stand beside every declared set: no effect at all, by flipping the signs of the problems' differences, and a set that was drawn without regard to the question, by the matched controls. How often the whole procedure claims something where nothing is, and how often it finds what is planted, `deltascope check calibration` counts.",
        &[4, 9],
    ),
    (
        "Decision. Hypotheses were declared before measuring; whatever else is plotted is exploratory and makes no claim. Intervals of declared effects are simultaneous. That a set moves one axis and not the other needs an equivalence test on the other axis, not a lack of significance there.",
        &[5],
    ),
    (
        "Limits. A feature is a direction that a dictionary found, not a mechanism. Removing a feature from a post-trained model also removes what the base had of it; only a transplant, or the contrast with the same edit in the base, speaks of what post-training caused. A gain in pass that comes from fewer give-ups is persistence, not new ability.",
        &[6, 8],
    ),
];

/// The section.
pub(in crate::report) fn section(data: &Data) -> Section {
    let ruled = |(words, rules): &(&str, &'static [u8])| Block::Ruled { words: (*words).to_owned(), rules };
    let mut blocks: Vec<Block> = METHOD.iter().map(ruled).collect();
    blocks.extend(numbers(data).map(Block::Table));
    if !data.claims.is_empty() {
        blocks.push(Block::Paragraph(stability(data)));
    }
    blocks.extend(
        data.facts
            .changed_defaults
            .iter()
            .map(|rule| Block::Caution(format!("Changed by the study: {rule}."))),
    );
    blocks.push(Block::Rules(rules::all()));
    Section::new("method", "Method and limits", blocks)
}

/// The numbers that decide, each beside its rule. `None` for tables without a study.
fn numbers(data: &Data) -> Option<Sheet> {
    let facts = &data.facts;
    let mut rows: Vec<(&str, String, u8)> = Vec::new();
    if facts.samples > 0 {
        rows.push(("Samples a problem", facts.samples.to_string(), 1));
        rows.push(("Temperature", short(facts.temperature), 1));
        rows.push(("Training seeds a variant", facts.training_seeds.max(1).to_string(), 1));
    }
    if facts.alpha > 0.0 {
        rows.push(("Level of the decision", short(facts.alpha), 5));
        rows.push(("Correction for several hypotheses", correction(&facts.correction).to_owned(), 5));
    }
    if let Some(claim) = data.claims.first() {
        let margin = Scale::Share.difference(claim.margin).replace('+', "");
        rows.push(("Readout of the dictionary", claim.readout.clone(), 2));
        rows.push(("Controls a hypothesis needs", claim.needed_controls.to_string(), 4));
        rows.push(("Hypotheses declared", data.claims.len().to_string(), 5));
        rows.push((
            "Margin of equivalence",
            format!("{margin} points, {} nats", short(claim.margin_nats)),
            5,
        ));
    }
    let columns = [
        ("What is set", "By the study, or by default"),
        ("Value", "As it was run"),
        ("Rule", "Of the protocol, listed below"),
    ];
    let mut sheet =
        Sheet::new("numbers", "The numbers that decide, and the rule that each belongs to.", &columns);
    sheet.rows = rows
        .into_iter()
        .map(|(what, value, rule)| {
            let link = Cell::text(format!("rule {rule}")).linked(rules::anchor(rule));
            vec![Cell::text(what), Cell::text(value), link]
        })
        .collect();
    (!sheet.rows.is_empty()).then_some(sheet)
}

/// Whether verdicts come back under other seeds.
fn stability(data: &Data) -> String {
    let repeated = data.stabilities();
    match repeated.is_empty() {
        true => "Stability. Nothing was repeated: the verdicts are those of one dictionary seed and one training seed (`dictionary_seeds` and `training_seeds` of `[claims]` repeat them).".to_owned(),
        false => format!(
            "Stability. Under other seeds the same verdict, with an effect of the same sign, came out for {}, this one counted in. A set is chosen anew in every repetition.",
            repeated.join(", ")
        ),
    }
}
