//! One declared hypothesis on every suite: its target, its doses, both ceilings, its controls.

use super::conditions::Condition;
use super::effects::{About, Place, control_rows, rows};
use super::greedy;
use super::hypothesis::{Axis, Expected};
use super::inputs::Selection;
use super::kind::{NECESSARY, kind};
use super::measure::{Measured, Trial};
use super::neutral::{self, NEUTRAL};
use super::outcomes::{Shown, beside_control, outcomes, shown_control};
use super::prepared::{Prepared, Target};
use super::rows::ControlRow;
use super::run::ExperimentTables;
use super::said::said;
use super::trend::{Series, trends};
use crate::diff::Reading;
use crate::error::{At, Result};
use crate::interventions::{Edit, Positions};
use crate::tasks::{Half, Suite};

/// A condition beside the declared one: a ceiling, base's part of the set, or another dose.
struct Extra {
    edit: Edit,
    dose: f32,
    kind: &'static str,
    /// Whether it is the declared edit at another dose.
    in_series: bool,
}

/// Everything that is measured under one hypothesis: the baseline, the declared condition, the extras.
struct Conditions {
    all: Vec<Condition>,
    extra: Vec<Extra>,
    /// The index of the whole difference.
    ceiling: Option<usize>,
    /// So many, the last ones, are measured only on the suites of the picture: they bear on the claim, and cost as much as
    /// any edit.
    in_plane: usize,
}

impl Conditions {
    fn new(selection: &Selection<'_>, prepared: &Prepared) -> Result<Self> {
        let hypothesis = &prepared.hypothesis;
        let declared = prepared.condition(selection, &hypothesis.name, &prepared.target, hypothesis.dose)?;
        let mut conditions = Self {
            all: vec![Condition::baseline(), declared],
            extra: Vec::new(),
            ceiling: None,
            in_plane: 0,
        };
        if prepared.other != prepared.receiver && selection.readout.features() > 0 {
            let donor = selection.readout.variants().get(prepared.other).cloned().unwrap_or_default();
            conditions.ceiling = Some(conditions.all.len());
            for edit in [Edit::WholeDifference(donor.clone()), Edit::ErrorOnly(donor)] {
                let name = format!("{} | {}", hypothesis.name, edit.name());
                let tools = &prepared.tools;
                let intervention = tools.intervention(
                    selection.readout,
                    &edit,
                    &Target::Whole,
                    1.0,
                    &hypothesis.receiver,
                    Positions::All,
                )?;
                conditions.all.push(Condition::edited(name, intervention));
                conditions.extra.push(Extra { edit, dose: 1.0, kind: "ceiling", in_series: false });
            }
        }
        for dose in &selection.settings.doses {
            let name = format!("{} | dose {dose}", hypothesis.name);
            conditions.all.push(prepared.condition(selection, name, &prepared.target, *dose)?);
            let edit = hypothesis.edit.clone();
            conditions.extra.push(Extra { edit, dose: *dose, kind: "exploratory", in_series: true });
        }
        if let Some(edit) = transplant_beside(selection, prepared) {
            let name = format!("{} | {}", hypothesis.name, edit.name());
            let tools = &prepared.tools;
            let intervention = tools.intervention(
                selection.readout,
                &edit,
                &prepared.target,
                1.0,
                &hypothesis.receiver,
                hypothesis.positions,
            )?;
            conditions.all.push(Condition::edited(name, intervention));
            conditions.in_plane = 1;
            conditions.extra.push(Extra { edit, dose: 1.0, kind: "exploratory", in_series: false });
        }
        Ok(conditions)
    }

    /// The baseline and the declared condition.
    fn declared(&self) -> &[Condition] {
        self.all.get(..2).unwrap_or(&self.all)
    }

    /// What is measured on a suite, which is of the picture or not.
    fn on(&self, is_plane: bool) -> &[Condition] {
        let left_out = if is_plane { 0 } else { self.in_plane };
        self.all.get(..self.all.len() - left_out).unwrap_or(&self.all)
    }

    /// Rows of every measured condition but the baseline. `controls` stand beside the declared one.
    fn write(
        &self,
        about: About<'_>,
        place: Place<'_>,
        found: (&Measured, &[ControlRow]),
        tables: &mut ExperimentTables,
    ) {
        let (measured, controls) = found;
        let mut series = Series {
            hypothesis: about.hypothesis,
            edit: about.edit,
            doses: vec![(about.dose, 1)],
            seed: about.seed,
        };
        let mut about = about;
        let measured_here = self.all.iter().take(measured.values.len());
        for (index, condition) in measured_here.enumerate().skip(1) {
            let extra = index.checked_sub(2).and_then(|index| self.extra.get(index));
            about.condition.clone_from(&condition.name);
            let mut beside = controls;
            if let Some(extra) = extra {
                (about.edit, about.dose, about.kind, about.declared) =
                    (&extra.edit, extra.dose, extra.kind, None);
                if extra.in_series {
                    series.doses.push((extra.dose, index));
                }
                beside = &[];
            }
            let (effects, differences) = rows(&about, place, measured, index, self.ceiling, beside);
            tables.effects.extend(effects);
            tables.differences.extend(differences);
        }
        tables.trends.extend(trends(&series, place.suite, measured));
    }
}

/// Where the declared edit removes a set, base's part of that set in its place: the removal also takes what base had of
/// it, and where base falls with the receiver only this tells what post-training changed in the set.
fn transplant_beside(selection: &Selection<'_>, prepared: &Prepared) -> Option<Edit> {
    let base = &selection.inputs.base;
    let hypothesis = &prepared.hypothesis;
    let removes = kind(hypothesis, base) == NECESSARY && hypothesis.edit.donor().is_none();
    let edit = Edit::Transplant(base.clone());
    (removes && hypothesis.set.check(&edit).is_ok()).then_some(edit)
}

/// One hypothesis on every suite, on neutral text, and in base.
///
/// # Errors
/// If a forward pass fails, or the observer asks to stop.
pub(super) fn measure(
    selection: &mut Selection<'_>,
    prepared: &Prepared,
    tables: &mut ExperimentTables,
) -> Result<()> {
    let conditions = Conditions::new(selection, prepared)?;
    let controls = prepared
        .controls
        .iter()
        .map(|control| prepared.control(selection, control))
        .collect::<Result<Vec<_>>>()?;
    let inputs = selection.inputs;
    for (axis, suite) in &inputs.suites {
        on_suite(selection, prepared, (*axis, suite), (&conditions, &controls), tables)
            .at(format!("suite `{}`", suite.name()))?;
    }
    greedy::measure(selection, prepared, conditions.declared(), tables)?;
    if let Some(measured) = neutral::measure(selection, prepared.receiver, &conditions.all)? {
        let place = Place { axis: Axis::Collateral, suite: NEUTRAL, endpoints: &[] };
        let about = about(selection, prepared, NEUTRAL, &prepared.hypothesis.receiver);
        conditions.write(about, place, (&measured, &[]), tables);
    }
    in_base(selection, prepared, tables)
}

/// Whether a suite shows one of the two axes of the picture: the hypothesis's own, or the primary transfer
/// or safety suite. Only these get controls.
fn is_plane(selection: &Selection<'_>, prepared: &Prepared, suite: &Suite) -> bool {
    let primary = |axis| selection.inputs.primary(axis).is_some_and(|primary| primary.name() == suite.name());
    let other = match prepared.axis {
        Axis::Safety => primary(Axis::Transfer),
        Axis::Transfer | Axis::InDomain => primary(Axis::Safety),
        Axis::Collateral => false,
    };
    suite.name() == prepared.suite.name() || other
}

fn on_suite(
    selection: &mut Selection<'_>,
    prepared: &Prepared,
    (axis, suite): (Axis, &Suite),
    (conditions, controls): (&Conditions, &[Condition]),
    tables: &mut ExperimentTables,
) -> Result<()> {
    let hypothesis = &prepared.hypothesis;
    let (is_plane, own) = (is_plane(selection, prepared, suite), suite.name() == prepared.suite.name());
    let label = format!("{} on {}", hypothesis.name, suite.name());
    let limit = selection.settings.problems;
    let edits = conditions.on(is_plane);
    let mut all = edits.to_vec();
    all.extend(controls.iter().filter(|_| own).cloned());
    let mut measured = sample(selection, (suite, limit), prepared.receiver, &all, &label, tables)?;
    let trial = selection.trial(suite, Half::Measure);
    let told = (edits.len(), conditions.ceiling);
    measured.said = said(selection, &trial.problems(), prepared.receiver, told, &measured)?;
    tables.add_outcomes(outcomes(&trial, &hypothesis.receiver, edits, &measured)?);
    if let Some(place) = prepared.controls.iter().position(|control| control.matched).filter(|_| own) {
        let shown = Shown { name: beside_control(&hypothesis.name), place: edits.len() + place };
        tables.add_outcomes(shown_control(&trial, &hypothesis.receiver, &shown, &measured)?);
    }
    let beside = match own {
        true => control_rows(prepared, &prepared.controls, suite, &measured, edits.len()),
        false => Vec::new(),
    };
    let about = about(selection, prepared, suite.name(), &hypothesis.receiver);
    conditions.write(about, Place::of(axis, suite), (&measured, &beside), tables);
    tables.controls.extend(beside);
    if !own && is_plane && !prepared.controls.is_empty() {
        let rows = other_axis(selection, prepared, suite, conditions.declared(), tables)?;
        tables.controls.extend(rows);
    }
    Ok(())
}

/// Controls on the other axis: drawn anew, for they must match the set there; on fewer prompts, the set beside them.
fn other_axis(
    selection: &mut Selection<'_>,
    prepared: &Prepared,
    suite: &Suite,
    declared: &[Condition],
    tables: &mut ExperimentTables,
) -> Result<Vec<ControlRow>> {
    let controls = prepared.controls_on(selection, suite)?;
    let mut conditions = declared.to_vec();
    for control in &controls {
        conditions.push(prepared.control(selection, control)?);
    }
    let label = format!("controls of {} on {}", prepared.hypothesis.name, suite.name());
    let limit = selection.settings.control_problems.min(selection.settings.problems);
    let measured = sample(selection, (suite, limit), prepared.receiver, &conditions, &label, tables)?;
    Ok(control_rows(prepared, &controls, suite, &measured, 2))
}

/// Conditions of one receiver on the measuring half of a suite, on at most `limit` prompts.
///
/// # Errors
/// If a forward pass fails, or the observer asks to stop.
pub(super) fn sample(
    selection: &Selection<'_>,
    (suite, limit): (&Suite, usize),
    receiver: usize,
    conditions: &[Condition],
    label: &str,
    tables: &mut ExperimentTables,
) -> Result<Measured> {
    let trial = Trial { limit, ..selection.trial(suite, Half::Measure) };
    let measured = trial.measure(receiver, conditions, label, selection.observer)?;
    tables.conditioned_tokens += measured.tokens;
    Ok(measured)
}

/// What the declared condition's rows say.
pub(super) fn about<'a>(
    selection: &Selection<'a>,
    prepared: &'a Prepared,
    suite: &str,
    receiver: &'a str,
) -> About<'a> {
    let hypothesis = &prepared.hypothesis;
    let own = suite == prepared.suite.name() && receiver == hypothesis.receiver;
    let primary = prepared.suite.endpoints().first().map(|endpoint| endpoint.name.to_owned());
    let (reading, fidelity) = match selection.readout.variant(receiver) {
        Ok(index) if index == prepared.receiver => (prepared.tools.reading_in(index), prepared.fidelity),
        Ok(index) => {
            let reading = prepared.tools.reading_in(index);
            let own = !matches!(reading, Reading::Joint);
            (reading, prepared.fidelity_in_base.filter(|_| own))
        }
        Err(_) => (&Reading::Joint, None),
    };
    About {
        hypothesis: &hypothesis.name,
        condition: hypothesis.name.clone(),
        set: hypothesis.set.name(),
        set_size: match &prepared.target {
            Target::Features(features) => Some(features.len() as u64),
            _ => None,
        },
        receiver,
        edit: &hypothesis.edit,
        dose: hypothesis.dose,
        readout: reading.name(),
        fidelity,
        positions: hypothesis.positions,
        hook: matches!(prepared.target, Target::Direction(_)).then_some(prepared.tools.hook),
        kind: kind(hypothesis, &selection.inputs.base),
        direction: selection.inputs.suite(suite).map_or(Expected::Either, |(axis, _)| {
            hypothesis.direction_on(suite, axis, &selection.inputs.base)
        }),
        declared: own.then(|| hypothesis.endpoint.clone().or(primary)).flatten(),
        samples: selection.settings.samples,
        seed: selection.seed,
    }
}

/// The same edit of the same target in base: what post-training caused is the difference (PROTOCOL 3).
fn in_base(selection: &Selection<'_>, prepared: &Prepared, tables: &mut ExperimentTables) -> Result<()> {
    let base = &selection.inputs.base;
    let hypothesis = &prepared.hypothesis;
    if !hypothesis.is_contrasted_with(base) {
        return Ok(());
    }
    let receiver = selection.readout.variant(base)?;
    let intervention = prepared.tools.intervention(
        selection.readout,
        &hypothesis.edit,
        &prepared.target,
        hypothesis.dose,
        base,
        hypothesis.positions,
    )?;
    let name = format!("{} | in {base}", hypothesis.name);
    let conditions = [Condition::baseline(), Condition::edited(&name, intervention)];
    for (axis, suite) in &selection.inputs.suites {
        if !is_plane(selection, prepared, suite) {
            continue;
        }
        let limit = selection.settings.problems;
        let measured = sample(selection, (suite, limit), receiver, &conditions, &name, tables)?;
        tables.add_outcomes(outcomes(&selection.trial(suite, Half::Measure), base, &conditions, &measured)?);
        let about = About {
            condition: name.clone(),
            kind: "exploratory",
            ..about(selection, prepared, suite.name(), base)
        };
        let (effects, differences) = rows(&about, Place::of(*axis, suite), &measured, 1, None, &[]);
        tables.effects.extend(effects);
        tables.differences.extend(differences);
    }
    Ok(())
}
