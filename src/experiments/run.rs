//! Every declared hypothesis with its controls, and the exploratory grid.

use super::choose::{Prepared, prepare};
use super::controls::balance;
use super::effects::{About, control_rows, rows};
use super::hypothesis::{Axis, Direction, Hypothesis};
use super::inputs::{ExperimentInputs, Selection};
use super::lockstep::Condition;
use super::measure::{Measured, Trial};
use super::readout::Readout;
use super::rows::{ControlRow, DifferenceRow, EffectRow, SetRow};
use super::settings::ExperimentSettings;
use crate::error::{At, Result};
use crate::interventions::{Edit, Writer};
use crate::progress::Observer;
use crate::tasks::{Half, Suite};

/// What experiments found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExperimentTables {
    /// Table `effects`.
    pub effects: Vec<EffectRow>,
    /// Table `controls`.
    pub controls: Vec<ControlRow>,
    /// Table `differences`.
    pub differences: Vec<DifferenceRow>,
    /// Table `sets`.
    pub sets: Vec<SetRow>,
    /// Response tokens sampled under some condition, for `timings`.
    pub conditioned_tokens: usize,
}

/// Chooses the sets on the selection half, then measures every hypothesis with its controls on the
/// measuring half; after that, if `settings.exploratory`, every set in every other receiver.
///
/// # Errors
/// If a hypothesis refers to what is not there, a forward pass fails, or the observer asks to stop.
pub fn run(
    inputs: &ExperimentInputs,
    hypotheses: &[Hypothesis],
    settings: &ExperimentSettings,
    seed: u64,
    observer: &Observer,
) -> Result<ExperimentTables> {
    settings.check()?;
    let readout = Readout::new(&inputs.models, inputs.dictionary.clone(), inputs.hook)?;
    inputs.check(hypotheses, &readout)?;
    let mut selection = Selection::new(inputs, &readout, settings, seed, observer);
    let prepared = hypotheses
        .iter()
        .map(|hypothesis| prepare(&mut selection, hypothesis).at(format!("hypothesis `{}`", hypothesis.name)))
        .collect::<Result<Vec<_>>>()?;
    let mut tables = ExperimentTables::default();
    for prepared in &prepared {
        tables.sets.extend(prepared.rows.iter().cloned());
        for (axis, suite) in &inputs.suites {
            measure(&mut selection, prepared, (*axis, suite), &mut tables).at(format!(
                "hypothesis `{}`, suite `{}`",
                prepared.hypothesis.name,
                suite.name()
            ))?;
        }
        in_base(&selection, prepared, &mut tables)?;
    }
    if settings.exploratory {
        for receiver in 0..readout.variants().len() {
            explore(&selection, &prepared, receiver, &mut tables)?;
        }
    }
    Ok(tables)
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

/// One hypothesis on one suite: the set, its doses, both ceilings and, on the two axes, its controls.
fn measure(
    selection: &mut Selection<'_>,
    prepared: &Prepared,
    (axis, suite): (Axis, &Suite),
    tables: &mut ExperimentTables,
) -> Result<()> {
    let hypothesis = &prepared.hypothesis;
    let mut conditions = vec![
        Condition::baseline(),
        Condition::edited(&hypothesis.name, prepared.writer(selection, &prepared.features, hypothesis.dose)?),
    ];
    let mut extra: Vec<(Edit, f32, &str)> = Vec::new();
    let donor = selection.readout.variants().get(prepared.other).cloned().unwrap_or_default();
    if prepared.other != prepared.receiver {
        extra.push((Edit::WholeDifference(donor.clone()), 1.0, "ceiling"));
        extra.push((Edit::ErrorOnly(donor), 1.0, "ceiling"));
    }
    extra.extend(selection.settings.doses.iter().map(|dose| (hypothesis.edit.clone(), *dose, "exploratory")));
    for (edit, dose, kind) in &extra {
        let name = match *kind {
            "ceiling" => format!("{} | {}", hypothesis.name, edit.name()),
            _ => format!("{} | dose {dose}", hypothesis.name),
        };
        conditions
            .push(Condition::edited(name, prepared.edit_writer(selection, edit, &prepared.features, *dose)?));
    }
    let first = conditions.len();
    let own = suite.name() == prepared.suite.name();
    let plane = is_plane(selection, prepared, suite);
    let drawn = if plane { prepared.controls.as_slice() } else { &[] };
    let drawn =
        drawn.iter().map(|control| prepared.control(selection, control)).collect::<Result<Vec<_>>>()?;
    let label = format!("{} on {}", hypothesis.name, suite.name());
    let limit = selection.settings.problems;
    let (measured, controls) = if own {
        conditions.extend(drawn);
        let measured = sample(selection, (suite, limit), prepared.receiver, &conditions, &label, tables)?;
        let gaps: Vec<f64> = prepared.controls.iter().map(|control| control.balance.worst).collect();
        let tolerance = selection.settings.balance_tolerance;
        let controls = control_rows(prepared, suite, &measured, first, &gaps, tolerance);
        (measured, controls)
    } else {
        let measured = sample(selection, (suite, limit), prepared.receiver, &conditions, &label, tables)?;
        let beside = beside(selection, prepared, suite, drawn, tables)?;
        tables.controls.extend(beside);
        (measured, Vec::new())
    };
    let ceiling = (prepared.other != prepared.receiver).then_some(2);
    let mut about = about(selection, prepared, suite, &hypothesis.receiver);
    for (index, condition) in conditions.iter().enumerate().take(first).skip(1) {
        let extra = index.checked_sub(2).and_then(|index| extra.get(index));
        about.condition.clone_from(&condition.name);
        let beside = match extra {
            None => &controls[..],
            Some((edit, dose, kind)) => {
                (about.edit, about.dose, about.kind, about.declared) = (edit, *dose, *kind, None);
                &[]
            }
        };
        let (effects, differences) = rows(&about, (axis, suite), &measured, index, ceiling, beside);
        tables.effects.extend(effects);
        tables.differences.extend(differences);
    }
    tables.controls.extend(controls);
    Ok(())
}

/// The controls on the other axis, where nothing is claimed: on fewer prompts, with their balance there.
fn beside(
    selection: &mut Selection<'_>,
    prepared: &Prepared,
    suite: &Suite,
    drawn: Vec<Condition>,
    tables: &mut ExperimentTables,
) -> Result<Vec<ControlRow>> {
    if drawn.is_empty() {
        return Ok(Vec::new());
    }
    let mut conditions = vec![Condition::baseline()];
    conditions.extend(drawn);
    let label = format!("controls of {} on {}", prepared.hypothesis.name, suite.name());
    let limit = selection.settings.control_problems.min(selection.settings.problems);
    let measured = sample(selection, (suite, limit), prepared.receiver, &conditions, &label, tables)?;
    let stock = prepared.stock(selection, suite)?;
    let of = |features: &[u32]| balance(&stock, &prepared.deltas, &prepared.features, features).worst;
    let gaps: Vec<f64> = prepared.controls.iter().map(|control| of(&control.features)).collect();
    Ok(control_rows(prepared, suite, &measured, 1, &gaps, selection.settings.balance_tolerance))
}

fn sample(
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
fn about<'a>(
    selection: &Selection<'a>,
    prepared: &'a Prepared,
    suite: &Suite,
    receiver: &'a str,
) -> About<'a> {
    let hypothesis = &prepared.hypothesis;
    let primary = suite.endpoints().first().map(|endpoint| endpoint.name.to_owned());
    let own = suite.name() == prepared.suite.name() && receiver == hypothesis.receiver;
    About {
        hypothesis: &hypothesis.name,
        condition: hypothesis.name.clone(),
        set: hypothesis.set.name(),
        set_size: Some(prepared.features.len() as u64),
        receiver,
        edit: &hypothesis.edit,
        dose: hypothesis.dose,
        readout: selection.settings.readout.name(),
        kind: if hypothesis.receiver == selection.inputs.base { "sufficient" } else { "necessary" },
        direction: selection.inputs.suite(suite.name()).map_or(Direction::Either, |(axis, _)| {
            match (&hypothesis.direction, own) {
                (Some(declared), true) => *declared,
                _ => hypothesis.direction(axis, &selection.inputs.base),
            }
        }),
        declared: own.then(|| hypothesis.endpoint.clone().or(primary)).flatten(),
        samples: selection.settings.samples,
        seed: selection.seed,
    }
}

/// The same edit of the same features in base: what post-training caused is the difference (PROTOCOL 3).
fn in_base(selection: &Selection<'_>, prepared: &Prepared, tables: &mut ExperimentTables) -> Result<()> {
    let base = &selection.inputs.base;
    let hypothesis = &prepared.hypothesis;
    if hypothesis.receiver == *base || hypothesis.edit.donor() == Some(base) {
        return Ok(());
    }
    let receiver = selection.readout.variant(base)?;
    let writer = writer_in(selection, prepared, &hypothesis.edit, hypothesis.dose, base)?;
    let name = format!("{} | in {base}", hypothesis.name);
    let conditions = [Condition::baseline(), Condition::edited(&name, writer)];
    for (axis, suite) in &selection.inputs.suites {
        if !is_plane(selection, prepared, suite) {
            continue;
        }
        let measured =
            sample(selection, (suite, selection.settings.problems), receiver, &conditions, &name, tables)?;
        let about =
            About { condition: name.clone(), kind: "exploratory", ..about(selection, prepared, suite, base) };
        let (effects, differences) = rows(&about, (*axis, suite), &measured, 1, None, &[]);
        tables.effects.extend(effects);
        tables.differences.extend(differences);
    }
    Ok(())
}

fn writer_in(
    selection: &Selection<'_>,
    prepared: &Prepared,
    edit: &Edit,
    dose: f32,
    receiver: &str,
) -> Result<Writer> {
    let dictionary = selection.readout.dictionary();
    Writer::new(edit, dose, &prepared.features, receiver, dictionary, &prepared.reference, &prepared.bank)
}

/// Every chosen set zeroed in a receiver that no hypothesis names for it, on the primary suites of both axes.
fn explore(
    selection: &Selection<'_>,
    prepared: &[Prepared],
    receiver: usize,
    tables: &mut ExperimentTables,
) -> Result<()> {
    let Some(name) = selection.readout.variants().get(receiver) else { return Ok(()) };
    let mut conditions = vec![Condition::baseline()];
    let mut sources: Vec<&Prepared> = Vec::new();
    for prepared in prepared {
        let seen = sources.iter().any(|other| other.features == prepared.features);
        if prepared.receiver == receiver || prepared.features.is_empty() || seen {
            continue;
        }
        let writer = writer_in(selection, prepared, &Edit::Zero, 1.0, name)?;
        let set = prepared.hypothesis.set.name();
        conditions.push(Condition::edited(
            format!("{set} of {} zeroed in {name}", prepared.hypothesis.name),
            writer,
        ));
        sources.push(prepared);
    }
    if sources.is_empty() {
        return Ok(());
    }
    for axis in [Axis::Transfer, Axis::Safety] {
        let Some(suite) = selection.inputs.primary(axis) else { continue };
        let measured = sample(
            selection,
            (suite, selection.settings.problems),
            receiver,
            &conditions,
            &format!("sets in {name}"),
            tables,
        )?;
        for (index, prepared) in sources.iter().enumerate() {
            let about = About {
                hypothesis: "exploratory",
                condition: conditions[index + 1].name.clone(),
                edit: &Edit::Zero,
                dose: 1.0,
                kind: "exploratory",
                direction: Direction::Either,
                declared: None,
                ..about(selection, prepared, suite, name)
            };
            let (effects, differences) = rows(&about, (axis, suite), &measured, index + 1, None, &[]);
            tables.effects.extend(effects);
            tables.differences.extend(differences);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::hypothesis::SetRule;
    use super::super::small;
    use super::*;
    use std::collections::BTreeSet;

    fn hypotheses() -> Vec<Hypothesis> {
        let transfer = Hypothesis {
            name: "transfer".to_owned(),
            set: SetRule::Features((0..6).collect()),
            receiver: "rl".to_owned(),
            edit: Edit::Zero,
            dose: 1.0,
            suite: "general_points:faces=11-13".to_owned(),
            endpoint: None,
            direction: None,
        };
        let safety = Hypothesis {
            name: "safety".to_owned(),
            set: SetRule::Carriers(Axis::Safety),
            receiver: "sft".to_owned(),
            edit: Edit::Transplant("base".to_owned()),
            suite: "refusal".to_owned(),
            endpoint: Some("refusal_log_odds".to_owned()),
            ..transfer.clone()
        };
        vec![transfer, safety]
    }

    fn settings() -> ExperimentSettings {
        ExperimentSettings {
            controls: 7,
            set_sizes: vec![1, 3],
            problems: 12,
            samples: 2,
            max_new_tokens: 6,
            balance_tolerance: 0.5,
            doses: vec![0.5],
            ..ExperimentSettings::default()
        }
    }

    fn tables(settings: &ExperimentSettings) -> ExperimentTables {
        run(&small::inputs(1), &hypotheses(), settings, 5, &Observer::silent()).unwrap()
    }

    #[test]
    fn every_hypothesis_is_measured_beside_its_controls_whatever_the_batch() {
        let found = tables(&settings());
        let exact = |mut tables: ExperimentTables| {
            // A sum over all rows, in the order of the batches: the last bit of it may differ.
            tables.effects.iter_mut().for_each(|row| row.delta_norm = None);
            tables
        };
        let small_batches = tables(&ExperimentSettings { batch_rows: 23, ..settings() });
        assert!(exact(found.clone()) == exact(small_batches), "the batch size changes results");

        let declared: Vec<&EffectRow> = found.effects.iter().filter(|row| row.declared).collect();
        let names: Vec<(&str, &str)> =
            declared.iter().map(|row| (row.hypothesis.as_str(), row.endpoint.as_str())).collect();
        assert_eq!(names, [("transfer", "pass"), ("safety", "refusal_log_odds")]);
        assert_eq!(
            (declared[0].direction.as_str(), declared[1].direction.as_str()),
            ("decrease", "increase")
        );
        for row in &declared {
            let controls = found
                .controls
                .iter()
                .filter(|control| control.hypothesis == row.hypothesis && control.suite == row.suite);
            let of_endpoint: Vec<&ControlRow> =
                controls.filter(|control| control.endpoint == row.endpoint).collect();
            assert_eq!(of_endpoint.len(), 7);
            assert_eq!(row.controls, of_endpoint.iter().filter(|control| control.matched).count() as u64);
            assert!(row.ceiling.is_some() && !row.untestable);
            let differences: Vec<f64> = found
                .differences
                .iter()
                .filter(|other| {
                    (&other.condition, &other.suite, &other.endpoint)
                        == (&row.condition, &row.suite, &row.endpoint)
                })
                .map(DifferenceRow::difference)
                .collect();
            assert_eq!(differences.len() as u64, row.problems);
            let mean = differences.iter().sum::<f64>() / differences.len() as f64;
            assert!((mean - row.effect).abs() < 1e-12);
        }
        let both: BTreeSet<(&str, &str)> =
            found.controls.iter().map(|row| (row.hypothesis.as_str(), row.suite.as_str())).collect();
        assert_eq!(both.len(), 4, "both axes of the picture have controls: {both:?}");
        let safety: Vec<&SetRow> = found.sets.iter().filter(|row| row.hypothesis == "safety").collect();
        assert!(safety.iter().all(|row| row.score.is_some_and(|score| score > 0.0)), "{safety:?}");
        assert!(found.effects.iter().any(|row| row.condition == "transfer | in base"));
        assert!(found.effects.iter().any(|row| row.condition == "transfer | dose 0.5"));
    }

    #[test]
    fn nothing_is_chosen_on_a_problem_that_is_measured() {
        let inputs = small::inputs(1);
        let readout = Readout::new(&inputs.models, inputs.dictionary.clone(), inputs.hook).unwrap();
        let (settings, observer) = (settings(), Observer::silent());
        let selection = Selection::new(&inputs, &readout, &settings, 5, &observer);
        for (_, suite) in &inputs.suites {
            let ids = |half| -> BTreeSet<String> {
                selection.trial(suite, half).problems().into_iter().map(|problem| problem.id).collect()
            };
            let (chosen, measured) = (ids(Half::Select), ids(Half::Measure));
            assert!(!chosen.is_empty() && chosen.is_disjoint(&measured), "{}", suite.name());
        }
        let measured: BTreeSet<String> =
            tables(&settings).differences.into_iter().map(|row| row.problem).collect();
        let half = |suite: &Suite, half| selection.trial(suite, half).problems();
        let chosen = inputs.suites.iter().flat_map(|(_, suite)| half(suite, Half::Select));
        assert!(chosen.into_iter().all(|problem| !measured.contains(&problem.id)));
    }

    #[test]
    fn what_a_hypothesis_refers_to_must_be_there() {
        let error = |change: fn(&mut Hypothesis)| {
            let mut hypotheses = hypotheses();
            change(&mut hypotheses[0]);
            let found = run(&small::inputs(1), &hypotheses, &settings(), 5, &Observer::silent());
            found.unwrap_err().to_string()
        };
        assert!(
            error(|h| h.receiver = "sft@40".to_owned()).contains("hypothesis `transfer`: expected a variant")
        );
        assert!(error(|h| h.suite = "refusals".to_owned()).contains("did you mean `refusal`?"));
        assert!(error(|h| h.endpoint = Some("refuse".to_owned())).contains("its endpoints are pass"));
        assert!(error(|h| h.edit = Edit::ProjectOut).contains("expected an edit of features"));
        assert!(error(|h| h.name = "safety".to_owned()).contains("found it twice"));
    }
}
