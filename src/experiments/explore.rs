//! The exploratory grid: chosen sets under every edit of the study, in receivers that no hypothesis names.

use super::conditions::Condition;
use super::declared::{about, sample};
use super::effects::{About, Place, rows};
use super::hypothesis::{Axis, Expected};
use super::inputs::Selection;
use super::outcomes::outcomes;
use super::prepared::{Prepared, Target};
use super::run::ExperimentTables;
use crate::error::Result;
use crate::interventions::{Edit, Positions};
use crate::tasks::Half;

/// Every chosen feature set under every edit of the grid in one receiver, on the primary suites of both axes.
/// What a hypothesis already measures is left out. Supports no claim.
///
/// # Errors
/// If a forward pass fails, or the observer asks to stop.
pub(super) fn explore(
    selection: &Selection<'_>,
    prepared: &[Prepared],
    receiver: usize,
    tables: &mut ExperimentTables,
) -> Result<()> {
    let readout = selection.readout;
    let Some(name) = readout.variants().get(receiver) else { return Ok(()) };
    let mut conditions = vec![Condition::baseline()];
    let mut sources: Vec<(&Prepared, &Edit)> = Vec::new();
    for (prepared, edit) in
        prepared.iter().flat_map(|prepared| selection.settings.edits.iter().map(move |edit| (prepared, edit)))
    {
        let Target::Features(_) = &prepared.target else { continue };
        let declared = prepared.receiver == receiver && prepared.hypothesis.edit == *edit;
        let known =
            |(other, as_before): &(&Prepared, &Edit)| other.target == prepared.target && *as_before == edit;
        // From oneself there is nothing to transplant, and two sources need a readout made for them.
        let from_itself = edit.donor() == Some(name) || matches!(edit, Edit::TwoSource(_));
        if declared || from_itself || prepared.target.is_empty() || sources.iter().any(known) {
            continue;
        }
        let intervention =
            prepared.tools.intervention(readout, edit, &prepared.target, 1.0, name, Positions::All)?;
        let (set, of) = (prepared.hypothesis.set.name(), &prepared.hypothesis.name);
        let what = match edit {
            Edit::Zero => "zeroed".to_owned(),
            other => other.to_string(),
        };
        conditions.push(Condition::edited(format!("{set} of {of} {what} in {name}"), intervention));
        sources.push((prepared, edit));
    }
    if sources.is_empty() {
        return Ok(());
    }
    for axis in [Axis::Transfer, Axis::Safety] {
        let Some(suite) = selection.inputs.primary(axis) else { continue };
        let limit = selection.settings.problems;
        let label = format!("sets in {name}");
        let measured = sample(selection, (suite, limit), receiver, &conditions, &label, tables)?;
        let said = outcomes(&selection.trial(suite, Half::Measure), name, &conditions, &measured)?;
        tables.add_outcomes(said);
        for (index, (prepared, edit)) in sources.iter().enumerate() {
            let about = About {
                hypothesis: "exploratory",
                condition: conditions[index + 1].name.clone(),
                edit,
                dose: 1.0,
                kind: "exploratory",
                direction: Expected::Either,
                declared: None,
                ..about(selection, prepared, suite.name(), name)
            };
            let (effects, differences) =
                rows(&about, Place::of(axis, suite), &measured, index + 1, None, &[]);
            tables.effects.extend(effects);
            tables.differences.extend(differences);
        }
    }
    Ok(())
}
