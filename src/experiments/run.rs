//! Every declared hypothesis with its controls, and the exploratory grid.

use super::choose::prepare;
use super::declared::measure;
use super::explore::explore;
use super::hypothesis::Hypothesis;
use super::inputs::{ExperimentInputs, Selection};
use super::published::{Protocol, PublishedRow, shi2026};
use super::readout::Readout;
use super::rows::{ControlRow, DifferenceRow, EffectRow, SetRow, TrendRow};
use super::settings::ExperimentSettings;
use crate::error::{At, Result};
use crate::evaluation::OutcomeRow;
use crate::progress::Observer;
use crate::tables::{self, TableSpec, catalogue};
use crate::training::TimingRow;
use std::path::Path;
use std::time::Instant;

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
    /// Table `trends`.
    pub trends: Vec<TrendRow>,
    /// Table `outcomes`: every completion under every condition but the controls.
    pub outcomes: Vec<OutcomeRow>,
    /// Table `published`: a published protocol on the same data, where one is asked for.
    pub published: Vec<PublishedRow>,
    /// Table `timings`: the declared and the exploratory work, with the response tokens sampled under some condition.
    pub timings: Vec<TimingRow>,
    /// Response tokens sampled since the last row of `timings`.
    pub(super) conditioned_tokens: usize,
}

impl ExperimentTables {
    /// Writes every table into a folder.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let file = |spec: &TableSpec| folder.join(format!("{}.parquet", spec.name));
        tables::write(&file(&catalogue::EFFECTS), &catalogue::EFFECTS, &self.effects)?;
        tables::write(&file(&catalogue::CONTROLS), &catalogue::CONTROLS, &self.controls)?;
        tables::write(&file(&catalogue::DIFFERENCES), &catalogue::DIFFERENCES, &self.differences)?;
        tables::write(&file(&catalogue::SETS), &catalogue::SETS, &self.sets)?;
        tables::write(&file(&catalogue::TRENDS), &catalogue::TRENDS, &self.trends)?;
        tables::write(&file(&catalogue::OUTCOMES), &catalogue::OUTCOMES, &self.outcomes)?;
        tables::write(&file(&catalogue::TIMINGS), &catalogue::TIMINGS, &self.timings)?;
        if !self.published.is_empty() {
            tables::write(&file(&catalogue::PUBLISHED), &catalogue::PUBLISHED, &self.published)?;
        }
        Ok(())
    }

    /// Adds a row of `timings` for work that began at `started`.
    fn time(&mut self, stage: &str, started: Instant) {
        self.timings.push(TimingRow {
            stage: stage.to_owned(),
            seconds: started.elapsed().as_secs_f64(),
            tokens: std::mem::take(&mut self.conditioned_tokens),
            ..TimingRow::default()
        });
    }
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
    inputs.check(hypotheses, &readout, settings)?;
    let mut selection = Selection::new(inputs, &readout, settings, seed, observer);
    let prepared = hypotheses
        .iter()
        .map(|hypothesis| prepare(&mut selection, hypothesis).at(format!("hypothesis `{}`", hypothesis.name)))
        .collect::<Result<Vec<_>>>()?;
    let mut tables = ExperimentTables::default();
    let started = Instant::now();
    for prepared in &prepared {
        tables.sets.extend(prepared.rows.iter().cloned());
        measure(&mut selection, prepared, &mut tables)
            .at(format!("hypothesis `{}`", prepared.hypothesis.name))?;
    }
    tables.time("experiments: declared", started);
    if settings.exploratory {
        let started = Instant::now();
        for receiver in 0..readout.variants().len() {
            explore(&selection, &prepared, receiver, &mut tables)?;
        }
        tables.time("experiments: exploratory", started);
    }
    if let (Some(Protocol::Shi2026), Some(_)) = (settings.protocol, &inputs.dictionary) {
        tables.published = shi2026(&selection)?;
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::super::hypothesis::Axis;
    use super::super::measure::CUT_OFF;
    use super::super::set_rule::SetRule;
    use super::super::settings::ReadoutKind;
    use super::super::small;
    use super::*;
    use crate::interventions::{Edit, Head, Positions};
    use crate::tasks::{Half, Suite};
    use std::collections::BTreeSet;

    fn hypotheses() -> Vec<Hypothesis> {
        let transfer = Hypothesis {
            name: "transfer".to_owned(),
            set: SetRule::Features((0..6).collect()),
            receiver: "rl".to_owned(),
            edit: Edit::Zero,
            dose: 1.0,
            positions: Positions::All,
            readout: None,
            hook: None,
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
            tables.timings.iter_mut().for_each(|row| row.seconds = 0.0);
            tables.outcomes.sort_by_key(|row| {
                (row.condition.clone(), row.suite.clone(), row.problem.clone(), row.sample)
            });
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
            let counted = of_endpoint.iter().filter(|control| control.counts(row.set_size)).count();
            assert_eq!(row.controls, counted as u64);
            let directions = of_endpoint.iter().filter(|control| control.is_random_direction()).count();
            assert_eq!(
                (counted, directions),
                (7, 1),
                "a random direction is no control of a set of features"
            );
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
        let greedy: Vec<&EffectRow> =
            found.effects.iter().filter(|row| row.condition == "transfer | greedy").collect();
        let suites: BTreeSet<&str> = greedy.iter().map(|row| row.suite.as_str()).collect();
        assert_eq!(suites.len(), 3, "greedily on every suite: {suites:?}");
        for row in greedy {
            assert_eq!((row.kind.as_str(), row.declared, row.samples), ("exploratory", false, 1));
        }
        let transplant = |row: &&EffectRow| row.condition.ends_with(" | transplant");
        let beside: Vec<&EffectRow> = found.effects.iter().filter(transplant).collect();
        for row in &beside {
            assert_eq!((row.hypothesis.as_str(), row.donor.as_deref()), ("transfer", Some("base")));
        }
        let suites: BTreeSet<&str> = beside.iter().map(|row| row.suite.as_str()).collect();
        let picture = ["general_points:faces=11-13", "neutral text", "refusal"];
        assert_eq!(suites.into_iter().collect::<Vec<_>>(), picture, "not on every suite");
        let neutral: Vec<&EffectRow> =
            found.effects.iter().filter(|row| row.endpoint == "cross_entropy").collect();
        let names: BTreeSet<&str> = neutral.iter().map(|row| row.condition.as_str()).collect();
        let why = "two hypotheses, each with two ceilings and a dose, one with base's part of the set";
        assert_eq!(names.len(), 9, "{why}: {names:?}");
        assert!(neutral.iter().all(|row| row.problems == 6 && row.baseline > 0.0));
        let timed: Vec<&str> = found.timings.iter().map(|row| row.stage.as_str()).collect();
        assert_eq!(timed, ["experiments: declared", "experiments: exploratory"]);
        assert!(found.timings.iter().all(|row| row.tokens > 0 && row.seconds > 0.0), "{:?}", found.timings);
        let cut_off: Vec<&EffectRow> = found
            .effects
            .iter()
            .filter(|row| row.condition == "transfer" && row.endpoint == CUT_OFF)
            .collect();
        assert_eq!(cut_off.len(), 3, "on every suite with sampled answers");
        for row in cut_off {
            let said = |condition: &str| {
                let rows = found.outcomes.iter().filter(|said| {
                    (said.condition.as_str(), &said.suite, &said.variant)
                        == (condition, &row.suite, &row.receiver)
                });
                let cut: Vec<f64> = rows.map(|said| f64::from(u8::from(said.truncated))).collect();
                cut.iter().sum::<f64>() / cut.len() as f64
            };
            assert!(
                (row.baseline - said("baseline")).abs() < 1e-9
                    && (row.edited - said("transfer")).abs() < 1e-9
            );
        }
        let trend =
            found.trends.iter().find(|row| row.hypothesis == "transfer" && row.endpoint == "pass").unwrap();
        assert_eq!(trend.doses, "[0, 0.5, 1]");
        let said = |condition: &str, suite: &str| {
            let rows = found.outcomes.iter().filter(|row| row.condition == condition && row.suite == suite);
            rows.filter(|row| row.variant == "rl").count()
        };
        for suite in ["general_points:faces=11-13", "refusal", "skills"] {
            assert_eq!(said("transfer", suite), 24, "one row a problem and sample on {suite}");
            assert_eq!(said("baseline", suite), 24, "the unedited receiver stands there once");
        }
        let of_controls =
            |condition: &str| condition.starts_with("transfer:") || condition.starts_with("safety:");
        assert!(found.outcomes.iter().all(|row| !of_controls(&row.condition)), "controls are left out");
    }

    #[test]
    fn directions_heads_and_single_readouts_can_be_declared() {
        let declared = |name: &str, set: SetRule, edit: Edit, readout| Hypothesis {
            name: name.to_owned(),
            set,
            edit,
            readout,
            suite: "refusal".to_owned(),
            endpoint: Some("refusal_log_odds".to_owned()),
            ..hypotheses()[0].clone()
        };
        let means =
            SetRule::Means { toward: "refusal".into(), away: "skills".into(), of: Some("base".into()) };
        let heads = SetRule::Heads(vec![Head { layer: 1, head: 0 }]);
        let features = SetRule::Features((0..6).collect());
        let donor = || "base".to_owned();
        let all = [
            declared("out", means.clone(), Edit::ProjectOut, None),
            declared("in", means, Edit::AddDirection, None),
            declared("patched", heads.clone(), Edit::Transplant(donor()), None),
            declared("scaled", heads, Edit::Scale, None),
            declared("whole", SetRule::All, Edit::WholeDifference(donor()), None),
            declared("own", features.clone(), Edit::Zero, Some(ReadoutKind::Own)),
            declared("two", features, Edit::TwoSource(donor()), Some(ReadoutKind::Swap)),
        ];
        let all = all.map(|one| match one.name.as_str() {
            "scaled" => Hypothesis { dose: 0.5, ..one },
            "in" => Hypothesis { hook: Some("blocks.0.hook_resid_post".parse().unwrap()), ..one },
            _ => one,
        });
        let settings = ExperimentSettings { exploratory: false, doses: Vec::new(), ..settings() };
        let found = run(&small::inputs(1), &all, &settings, 5, &Observer::silent()).unwrap();
        let declared: Vec<&EffectRow> = found.effects.iter().filter(|row| row.declared).collect();
        assert_eq!(declared.len(), all.len());
        for row in &declared {
            assert!(!row.untestable && row.effect != 0.0, "{row:?}");
            let read = matches!(row.hypothesis.as_str(), "own" | "two");
            assert_eq!(row.readout_f1.is_some(), read, "{row:?}");
            assert_eq!(
                row.readout,
                match row.hypothesis.as_str() {
                    "own" => "own",
                    "two" => "swap",
                    _ => "joint",
                }
            );
            if row.hypothesis == "scaled" {
                let on = |suite: &str| -> Vec<(u64, u64)> {
                    let of = found.controls.iter().filter(|control| control.hypothesis == "scaled");
                    let of = of.filter(|control| control.suite == suite);
                    of.map(|control| (control.draw, control.balance.to_bits())).collect()
                };
                let (own, other) = (on("refusal"), on("general_points:faces=11-13"));
                assert!(
                    !own.is_empty() && !other.is_empty() && own != other,
                    "each suite has its own balance"
                );
            }
            let clouds: BTreeSet<&str> = found
                .controls
                .iter()
                .filter(|control| control.hypothesis == row.hypothesis)
                .map(|control| control.cloud.as_str())
                .collect();
            let expected = match row.hypothesis.as_str() {
                "patched" | "scaled" => Some("any_head"),
                "out" | "in" | "whole" => Some("random_direction"),
                _ => None,
            };
            assert!(
                expected.is_none_or(|cloud| clouds == BTreeSet::from([cloud])),
                "{} {clouds:?}",
                row.hypothesis
            );
        }
        let in_base: Vec<&EffectRow> =
            found.effects.iter().filter(|row| row.condition == "own | in base").collect();
        assert!(!in_base.is_empty());
        for row in in_base {
            assert!(
                row.readout == "own" && row.readout_f1.is_some(),
                "base has a reading of its own: {row:?}"
            );
        }
        assert_eq!(declared[1].hook.as_deref(), Some("blocks.0.hook_resid_post"));
        assert_eq!(declared[4].ceiling, Some(declared[4].edited), "the whole difference is its own ceiling");
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
        assert!(
            error(|h| h.hook = Some("blocks.0.hook_resid_post".parse().unwrap()))
                .contains("only a direction")
        );
        assert!(error(|h| h.edit = Edit::TwoSource("base".into())).contains("readout = \"swap\""));
        assert!(error(|h| h.name = "safety".to_owned()).contains("found it twice"));
    }
}
