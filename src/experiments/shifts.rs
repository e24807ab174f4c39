//! Activation shift: how much more each variant uses each feature, on its own answers to the same prompts.

use super::inputs::{ExperimentInputs, Selection};
use super::readout::Readout;
use super::settings::ExperimentSettings;
use super::texts::Texts;
use crate::diff::models::LabelledPrompt;
use crate::error::Result;
use crate::progress::Observer;
use serde::{Deserialize, Serialize};

/// One row of the table `shifts`: a feature that moves on one suite in one variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShiftRow {
    /// The feature.
    pub feature: u64,
    /// The variant.
    pub variant: String,
    /// The suite.
    pub suite: String,
    /// Mean joint code over the tokens of its own answers, prompts included.
    pub mean: f64,
    /// The same of base's answers.
    pub mean_base: f64,
    /// The first less the second.
    pub shift: f64,
}

/// What variants say on the selection half, and what that does to the features.
#[derive(Clone, Debug, Default)]
pub struct OwnTexts {
    /// Table `shifts`; empty without a dictionary.
    pub shifts: Vec<ShiftRow>,
    /// The texts of all variants, labelled by suite.
    pub by_suite: Vec<LabelledPrompt>,
    /// The texts on the suite that was trained on, labelled `solved` and `failed`, with their responses.
    pub by_outcome: Vec<LabelledPrompt>,
}

/// Lets every variant answer the selection half of every suite, once a prompt, and reads the answers jointly.
///
/// # Errors
/// If a forward pass fails, or the observer asks to stop.
pub fn own_texts(
    inputs: &ExperimentInputs,
    settings: &ExperimentSettings,
    seed: u64,
    observer: &Observer,
) -> Result<OwnTexts> {
    let settings = ExperimentSettings { samples: 1, ..settings.clone() };
    let readout = Readout::new(&inputs.models, inputs.dictionary.clone(), inputs.hook)?;
    let mut selection = Selection::new(inputs, &readout, &settings, seed, observer);
    let (base, features) = (readout.variant(&inputs.base)?, readout.features());
    let first = inputs.suites.first().map(|(_, suite)| suite.name().to_owned());
    let mut found = OwnTexts::default();
    for (_, suite) in &inputs.suites {
        let before = selection.texts(base, suite)?.mean_codes(features);
        for (variant, name) in readout.variants().iter().enumerate() {
            let texts = selection.texts(variant, suite)?;
            found.by_suite.extend(labelled(&texts, suite.name(), |_| suite.name().to_owned()));
            if first.as_deref() == Some(suite.name()) {
                let label = |score: f64| if score > 0.0 { "solved" } else { "failed" };
                found.by_outcome.extend(labelled(&texts, suite.name(), |score| label(score).to_owned()));
            }
            if variant == base {
                continue;
            }
            let means = texts.mean_codes(features).into_iter().zip(&before).enumerate();
            found.shifts.extend(means.filter(|(_, (mean, base))| mean != *base).map(
                |(feature, (mean, base))| ShiftRow {
                    feature: feature as u64,
                    variant: name.clone(),
                    suite: suite.name().to_owned(),
                    mean,
                    mean_base: *base,
                    shift: mean - base,
                },
            ));
        }
    }
    // A direction needs texts with a response on both sides.
    found.by_outcome.retain(|text| text.response.is_some_and(|start| start < text.tokens.len()));
    Ok(found)
}

fn labelled(texts: &Texts, suite: &str, label: impl Fn(f64) -> String) -> Vec<LabelledPrompt> {
    let parts = texts.tokens.iter().zip(&texts.prompts).zip(texts.scores.iter().zip(&texts.units));
    parts
        .map(|((tokens, prompt), (score, unit))| LabelledPrompt {
            tokens: tokens.clone(),
            label: label(*score),
            response: Some(*prompt),
            problem: format!("{suite} {unit}"),
        })
        .collect()
}
