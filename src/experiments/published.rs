//! A published protocol on the same data, beside this one, so that what controls and halves change is shown.
//!
//! `shi2026` (Shi et al., arXiv 2604.25011), as far as it is public:
//!
//! 1. On each transfer task, the items that base fails and the trained variant solves, one sample each. Nothing
//!    is held out: what selects also measures.
//! 2. The score of a feature is its mean rise on these items, code in the variant less code in base, each
//!    read by the joint encoder from that model alone. Kept are features above 20 % of the highest score,
//!    and of those the ones kept on every task.
//! 3. They are zeroed in the variant and amplified in base, on the same items. The published factor is not
//!    known; `amplify` stands for it.
//!
//! Beside the published effect stand, on the same items: what fresh random numbers do without any edit (the
//! items were picked by a sampled outcome, so some of it is regression to the mean), and the same edit of as
//! many random live features. And, off these items: the same edit on unfiltered problems of the measuring half.

use super::conditions::Condition;
use super::inputs::Selection;
use super::measure::Trial;
use super::prepared::{Target, Tools};
use super::settings::ExperimentSettings;
use crate::diff::{Reading, View};
use crate::error::Result;
use crate::interventions::{Edit, Positions};
use crate::rng::{Stream, stable_hash};
use crate::stats::{Alternative, Summary, sign_flip};
use crate::tasks::{Half, Problem, Suite};
use serde::{Deserialize, Serialize};

/// A published protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Why does RL generalize? (arXiv 2604.25011).
    Shi2026,
}

/// One row of the table `published`: one intervention of a published protocol on one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedRow {
    /// The protocol.
    pub protocol: String,
    /// The task.
    pub suite: String,
    /// The trained variant.
    pub variant: String,
    /// The edited variant.
    pub receiver: String,
    /// `zero` or `scale`.
    pub edit: String,
    /// Features kept on every task.
    pub features: u64,
    /// Items that base fails and the variant solves.
    pub items: u64,
    /// Items looked at.
    pub problems: u64,
    /// The published effect: pass rate under the edit less before, on the items. `None` without items or features.
    pub effect: Option<f64>,
    /// The same without any edit, under fresh random numbers.
    pub effect_of_nothing: Option<f64>,
    /// The same under the edit of as many random live features, mean over draws.
    pub effect_of_random: Option<f64>,
    /// The edit's effect on problems of the measuring half that nothing filtered.
    pub effect_unfiltered: Option<f64>,
    /// Its sign-flip p-value over problems.
    pub p_unfiltered: Option<f64>,
}

/// The share of the highest score above which a feature is kept.
const KEPT: f64 = 0.2;
/// Random sets.
const DRAWS: u64 = 9;

/// One task with its critical items.
struct Task<'a> {
    suite: &'a Suite,
    looked_at: usize,
    items: Vec<Problem>,
    /// The mean rise of every feature on the items; empty without items.
    scores: Vec<f64>,
}

/// Every trained variant by the protocol `shi2026`.
///
/// # Errors
/// If a forward pass fails, or the observer asks to stop.
pub(super) fn shi2026(selection: &Selection<'_>) -> Result<Vec<PublishedRow>> {
    let readout = selection.readout;
    let base = readout.variant(&selection.inputs.base)?;
    let mut rows = Vec::new();
    for variant in (0..readout.variants().len()).filter(|variant| *variant != base) {
        let tasks = selection.inputs.suites.iter().filter(|(axis, _)| *axis == super::Axis::Transfer);
        let tasks =
            tasks.map(|(_, suite)| task(selection, suite, base, variant)).collect::<Result<Vec<_>>>()?;
        let kept = kept(&tasks);
        for task in &tasks {
            for (receiver, edit, before) in [(variant, Edit::Zero, 1.0), (base, Edit::Scale, 0.0)] {
                rows.push(row(selection, task, variant, &kept, (receiver, edit, before))?);
            }
        }
    }
    Ok(rows)
}

/// The study's settings with one sample a prompt.
fn once(settings: &ExperimentSettings) -> ExperimentSettings {
    ExperimentSettings { samples: 1, ..settings.clone() }
}

/// One variant's code by the joint encoder, its own activation in every place.
fn alone(variant: usize, variants: usize) -> Reading {
    Reading::Of(View::Swap { variant, into: (0..variants).filter(|other| *other != variant).collect() })
}

fn task<'a>(selection: &Selection<'a>, suite: &'a Suite, base: usize, variant: usize) -> Result<Task<'a>> {
    let (readout, settings) = (selection.readout, once(selection.settings));
    let problems: Vec<Problem> = suite.problems(selection.seed).into_iter().take(settings.problems).collect();
    let trial =
        Trial { settings: &settings, given: Some(problems.clone()), ..selection.trial(suite, Half::Measure) };
    let label = format!("published protocol on {}", suite.name());
    let solve =
        |receiver: usize| trial.measure(receiver, &[Condition::baseline()], &label, selection.observer);
    let (in_base, in_variant) = (solve(base)?, solve(variant)?);
    let tokenizer = readout.model(variant)?.tokenizer()?;
    let (mut items, mut texts) = (Vec::new(), Vec::new());
    for (before, after) in in_base.completions.iter().zip(&in_variant.completions) {
        let passed = |scores: &[f64]| scores.first().is_some_and(|score| *score > 0.0);
        let Some(problem) = problems.get(after.problem) else { continue };
        if !passed(&before.scores) && passed(&after.scores) {
            let mut text = problem.tokens(tokenizer)?;
            text.extend(&after.tokens);
            texts.push(text);
            items.push(problem.clone());
        }
    }
    let mut scores = Vec::new();
    if !items.is_empty() {
        let mean = |variant: usize| -> Result<Vec<f64>> {
            let codes = readout.codes(&texts, &alone(variant, readout.variants().len()))?;
            let mut sums = vec![0.0; readout.features()];
            for token in 0..codes.tokens() {
                codes.token(token).for_each(|(feature, value)| sums[feature] += f64::from(value));
            }
            Ok(sums.iter().map(|sum| sum / codes.tokens().max(1) as f64).collect())
        };
        scores = mean(variant)?.iter().zip(mean(base)?).map(|(after, before)| after - before).collect();
    }
    Ok(Task { suite, looked_at: problems.len(), items, scores })
}

/// Features above the cut on every task that has items.
fn kept(tasks: &[Task<'_>]) -> Vec<u32> {
    let mut kept: Option<Vec<u32>> = None;
    for task in tasks.iter().filter(|task| !task.scores.is_empty()) {
        let highest = task.scores.iter().copied().fold(0.0, f64::max);
        let above = |feature: &u32| task.scores[*feature as usize] > KEPT * highest && highest > 0.0;
        let candidates = kept.unwrap_or_else(|| (0..task.scores.len() as u32).collect());
        kept = Some(candidates.into_iter().filter(above).collect());
    }
    kept.unwrap_or_default()
}

fn row(
    selection: &Selection<'_>,
    task: &Task<'_>,
    variant: usize,
    kept: &[u32],
    (receiver, edit, before): (usize, Edit, f64),
) -> Result<PublishedRow> {
    let readout = selection.readout;
    let name = |variant: usize| readout.variants().get(variant).cloned().unwrap_or_default();
    let mut row = PublishedRow {
        protocol: "shi2026".to_owned(),
        suite: task.suite.name().to_owned(),
        variant: name(variant),
        receiver: name(receiver),
        edit: edit.name().to_owned(),
        features: kept.len() as u64,
        items: task.items.len() as u64,
        problems: task.looked_at as u64,
        effect: None,
        effect_of_nothing: None,
        effect_of_random: None,
        effect_unfiltered: None,
        p_unfiltered: None,
    };
    if kept.is_empty() || task.items.is_empty() {
        return Ok(row);
    }
    let mut tools = Tools::new(receiver, readout.hook());
    tools.reading = alone(receiver, readout.variants().len());
    let dose = if edit == Edit::Scale { selection.settings.amplify } else { 1.0 };
    let condition = |label: String, features: Vec<u32>| -> Result<Condition> {
        let target = Target::Features(features);
        let intervention =
            tools.intervention(readout, &edit, &target, dose, &name(receiver), Positions::All)?;
        Ok(Condition::edited(label, intervention))
    };
    let mut conditions = vec![Condition::baseline(), condition("kept".to_owned(), kept.to_vec())?];
    let live: Vec<u32> =
        (0..task.scores.len() as u32).filter(|feature| task.scores[*feature as usize] != 0.0).collect();
    for draw in 0..DRAWS {
        let mut features = live.clone();
        Stream::new(selection.seed, "published random", &[stable_hash(task.suite.name()), draw])
            .shuffle(&mut features);
        features.truncate(kept.len());
        conditions.push(condition(format!("random {draw}"), features)?);
    }
    let settings = once(selection.settings);
    let on_items = |seed: u64, conditions: &[Condition]| {
        let given = Some(task.items.clone());
        let trial = Trial { settings: &settings, given, seed, ..selection.trial(task.suite, Half::Measure) };
        trial.measure(receiver, conditions, "published protocol: edits", selection.observer)
    };
    let same = on_items(selection.seed, &conditions)?;
    let fresh = on_items(selection.seed ^ stable_hash("fresh"), &conditions[..1])?;
    let change = |values: &[f64]| Summary::of(values).mean - before;
    row.effect = Some(change(same.of(1, 0)));
    row.effect_of_nothing = Some(change(fresh.of(0, 0)));
    let random: Vec<f64> = (2..conditions.len()).map(|condition| change(same.of(condition, 0))).collect();
    row.effect_of_random = Some(Summary::of(&random).mean);
    let trial = selection.trial(task.suite, Half::Measure);
    let unfiltered =
        trial.measure(receiver, &conditions[..2], "published protocol: unfiltered", selection.observer)?;
    let pairs: Vec<f64> = unfiltered.of(1, 0).iter().zip(unfiltered.of(0, 0)).map(|(a, b)| a - b).collect();
    row.effect_unfiltered = Some(Summary::of(&pairs).mean);
    row.p_unfiltered = Some(sign_flip(&pairs, Alternative::TwoSided, selection.seed));
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::super::inputs::Selection;
    use super::super::readout::Readout;
    use super::super::small;
    use super::*;
    use crate::progress::Observer;

    #[test]
    fn features_are_kept_above_a_fifth_of_the_highest_on_every_task_with_items() {
        let suite = Suite::parse("skills").unwrap();
        let task =
            |scores: &[f64]| Task { suite: &suite, looked_at: 1, items: Vec::new(), scores: scores.to_vec() };
        assert_eq!(kept(&[task(&[1.0, 0.3, 0.1, 0.5]), task(&[0.1, 1.0, 0.9, 0.3]), task(&[])]), [1, 3]);
        assert_eq!(kept(&[task(&[])]), Vec::<u32>::new());
    }

    /// Untrained models pass by luck alone: what the protocol calls an effect, nothing does too.
    #[test]
    fn without_an_edit_the_items_regress_to_the_mean() {
        let mut inputs = small::inputs(1);
        inputs.suites = vec![(super::super::Axis::Transfer, Suite::parse("refusal").unwrap())];
        let readout = Readout::new(&inputs.models, inputs.dictionary.clone(), inputs.hook).unwrap();
        let settings =
            ExperimentSettings { problems: 40, max_new_tokens: 3, ..ExperimentSettings::default() };
        let observer = Observer::silent();
        let selection = Selection::new(&inputs, &readout, &settings, 5, &observer);
        for row in shi2026(&selection).unwrap() {
            assert_eq!(row.problems, 40);
            if let (Some(effect), Some(nothing)) = (row.effect, row.effect_of_nothing) {
                let sign = if row.edit == "zero" { -1.0 } else { 1.0 };
                assert!(sign * effect >= 0.0 && sign * nothing >= 0.0, "{row:?}");
            }
        }
    }
}
