//! The declared condition beside the baseline without chance in the sampling (PROTOCOL 1: greedy is secondary): how the
//! effect looks where the likeliest token is always taken. These rows support no claim.

use super::conditions::Condition;
use super::declared::about;
use super::effects::{About, Place, rows};
use super::inputs::Selection;
use super::measure::Trial;
use super::prepared::Prepared;
use super::run::ExperimentTables;
use super::settings::ExperimentSettings;
use crate::error::{At, Result};
use crate::tasks::Half;

/// Measures a hypothesis greedily on every suite, one completion a prompt. `declared` is the baseline and the declared
/// condition. Does nothing where the study itself samples greedily.
///
/// # Errors
/// If a forward pass fails, or the observer asks to stop.
pub(super) fn measure(
    selection: &Selection<'_>,
    prepared: &Prepared,
    declared: &[Condition],
    tables: &mut ExperimentTables,
) -> Result<()> {
    if selection.settings.temperature == 0.0 {
        return Ok(());
    }
    let settings = ExperimentSettings { temperature: 0.0, samples: 1, ..selection.settings.clone() };
    let name = format!("{} | greedy", prepared.hypothesis.name);
    for (axis, suite) in &selection.inputs.suites {
        let trial = Trial { settings: &settings, ..selection.trial(suite, Half::Measure) };
        let measured = trial
            .measure(prepared.receiver, declared, &name, selection.observer)
            .at(format!("suite `{}`", suite.name()))?;
        tables.conditioned_tokens += measured.tokens;
        let about = About {
            condition: name.clone(),
            kind: "exploratory",
            declared: None,
            samples: settings.samples,
            ..about(selection, prepared, suite.name(), &prepared.hypothesis.receiver)
        };
        let (effects, differences) = rows(&about, Place::of(*axis, suite), &measured, 1, None, &[]);
        tables.effects.extend(effects);
        tables.differences.extend(differences);
    }
    Ok(())
}
