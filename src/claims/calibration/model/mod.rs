//! A study in a world of a model: the experiments of a real study, from the hooks to the tables, and the
//! decision on them.

mod closed_form;
mod decoder;
mod suites;
#[cfg(test)]
mod tests;
mod world;

use super::super::{ClaimSettings, Power};
use super::judge::Evidence;
use super::setting::{Finding, Method, Planting, Suite};
use crate::error::Result;
use crate::experiments::{
    self, Axis, ExperimentInputs, ExperimentSettings, ExperimentTables, Hypothesis, SetRule,
};
use crate::interventions::{Edit, Positions};
use crate::model::Model;
use crate::progress::Observer;
use crate::tasks;
use closed_form::ClosedForm;
use decoder::{FEATURES, Frame, VARIANTS, decoder, dictionary, hook};
use suites::PROBLEMS;
use world::{SHARED, World};

/// Samples a problem.
const SAMPLES: usize = 4;
/// Sizes of the set among which the selection half chooses.
const SET_SIZES: [usize; 2] = [2, 4];
/// The dose of a disabled edit: it acts, and tallies say so, but moves no answer. An edit that wrote nothing
/// at all would be found out as untestable.
const DISABLED: f32 = 1e-3;

/// Runs one study.
///
/// # Errors
/// If a pass fails, or a stop was asked for.
pub(super) fn study(
    seed: u64,
    planting: Planting,
    method: Method,
    settings: &ClaimSettings,
    observer: &Observer,
) -> Result<Finding> {
    let world = World::new(seed, planting);
    let tuned = ClosedForm::new(&world, |_| true);
    let inputs = inputs(&world, method, &tuned, seed)?;
    let asked = ExperimentSettings {
        controls: Power::of(1, settings).needed_controls,
        set_sizes: SET_SIZES.to_vec(),
        problems: PROBLEMS,
        samples: SAMPLES,
        // The answer and the end.
        max_new_tokens: 2,
        exploratory: false,
        ..ExperimentSettings::default()
    };
    let declared = [hypothesis(&world, planting, method)];
    let tables = experiments::run(&inputs, &declared, &asked, seed, observer)?;
    let chosen = chosen(&tables);
    let ExperimentTables { effects, controls, differences, .. } = tables;
    let judged = Evidence { effects, controls, differences }.judge(method, VARIANTS, settings, seed)?;
    let effect = |suite: Suite, gone: &dyn Fn(usize) -> bool| {
        ClosedForm::new(&world, |component| !gone(component)).effect(suite, &tuned)
    };
    let of_chosen = |suite: Suite| effect(suite, &|component| chosen.contains(&component));
    let of_planted = || effect(Suite::Transfer, &|component| world.planted().contains(&component));
    let chose_planted = !world.planted().is_empty() && of_chosen(Suite::Transfer) <= 0.5 * of_planted();
    let truth = match planting {
        Planting::Transfer => Suite::BOTH.map(of_chosen),
        _ => [0.0; 2],
    };
    Ok(Finding { judged, chose_planted, truth })
}

/// What a study of the world is given.
fn inputs(world: &World, method: Method, tuned: &ClosedForm<'_>, seed: u64) -> Result<ExperimentInputs> {
    let frame = Frame::new(seed);
    let model = |name: &str| -> Result<(String, Model)> {
        Ok((name.to_owned(), decoder(world, &frame, name == VARIANTS[1])?))
    };
    let suite = |axis: Axis, suite: Suite| -> Result<(Axis, tasks::Suite)> {
        Ok((axis, suites::suite(world, suite, method, tuned)?))
    };
    let specific = |feature: &usize| feature.checked_sub(SHARED).is_some_and(|own| !world.is_shared(own));
    let class = |feature: usize| if specific(&feature) { "specific" } else { "shared" };
    Ok(ExperimentInputs {
        models: VARIANTS.into_iter().map(model).collect::<Result<_>>()?,
        dictionary: Some(dictionary(world, &frame)?),
        hook: hook(),
        classes: (0..FEATURES).map(|feature| class(feature).to_owned()).collect(),
        suites: vec![suite(Axis::Transfer, Suite::Transfer)?, suite(Axis::Safety, Suite::Safety)?],
        base: VARIANTS[0].to_owned(),
        neutral: Vec::new(),
    })
}

/// What is declared: the features that carry transfer, whichever selection finds, are necessary for it. A shared skill is
/// declared by its features, for selection leaves out what both variants write alike.
fn hypothesis(world: &World, planting: Planting, method: Method) -> Hypothesis {
    let set = match planting {
        Planting::SharedSkill => {
            SetRule::Features(world.planted().map(|component| (SHARED + component) as u32).collect())
        }
        _ => SetRule::Carriers(Axis::Transfer),
    };
    Hypothesis {
        name: "chosen".to_owned(),
        set,
        receiver: VARIANTS[1].to_owned(),
        edit: Edit::Zero,
        dose: if method == Method::EditDisabled { DISABLED } else { 1.0 },
        positions: Positions::All,
        readout: None,
        hook: None,
        suite: suites::name(Suite::Transfer).to_owned(),
        endpoint: None,
        direction: None,
    }
}

/// The components whose features were chosen. Shared features are never: their decoders are alike.
fn chosen(tables: &ExperimentTables) -> Vec<usize> {
    let features = tables.sets.iter().map(|row| row.feature as usize);
    features.filter_map(|feature| feature.checked_sub(SHARED)).collect()
}
