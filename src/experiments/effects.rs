//! From endpoint values by problem to rows of `effects`, `controls` and `differences`.

use super::hypothesis::{Axis, Expected};
use super::measure::{CUT_OFF, Measured};
use super::prepared::{Control, Prepared};
use super::rows::{ControlRow, DifferenceRow, EffectRow};
use crate::interventions::{Edit, Positions};
use crate::model::HookPoint;
use crate::rng::stable_hash;
use crate::stats::{
    Alternative, Likeness, Summary, minimum_detectable_effect, p_controls, sign_flip, widening,
};
use crate::tasks::{Endpoint, Suite};

/// What a row says about a condition beside its numbers.
pub(super) struct About<'a> {
    pub(super) hypothesis: &'a str,
    pub(super) condition: String,
    pub(super) set: String,
    pub(super) set_size: Option<u64>,
    pub(super) receiver: &'a str,
    pub(super) edit: &'a Edit,
    pub(super) dose: f32,
    pub(super) readout: &'a str,
    /// The least F1 and R² of the readout; `None` for the joint code.
    pub(super) fidelity: Option<(f64, f64)>,
    pub(super) positions: Positions,
    pub(super) hook: Option<HookPoint>,
    pub(super) kind: &'a str,
    pub(super) direction: Expected,
    /// The endpoint on which it was declared, if this is the declared suite and receiver.
    pub(super) declared: Option<String>,
    pub(super) samples: usize,
    pub(super) seed: u64,
}

/// Where something was measured.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) axis: Axis,
    /// The suite's name.
    pub(super) suite: &'a str,
    /// What is known of its endpoints.
    pub(super) endpoints: &'a [Endpoint],
}

impl<'a> Place<'a> {
    pub(super) fn of(axis: Axis, suite: &'a Suite) -> Self {
        Self { axis, suite: suite.name(), endpoints: suite.endpoints() }
    }
}

/// Rows of one condition at one place, for every endpoint.
pub(super) fn rows(
    about: &About<'_>,
    place: Place<'_>,
    measured: &Measured,
    condition: usize,
    ceiling: Option<usize>,
    controls: &[ControlRow],
) -> (Vec<EffectRow>, Vec<DifferenceRow>) {
    let (mut effects, mut differences) = (Vec::new(), Vec::new());
    let tallies = measured.tallies.get(condition).copied().unwrap_or_default();
    let untestable = tallies.untestable().is_some();
    let (said, before_said) = (measured.said.get(condition), measured.said.first());
    for (endpoint, name) in measured.endpoints.iter().enumerate() {
        let (baseline, edited) = (measured.of(0, endpoint), measured.of(condition, endpoint));
        let paired: Vec<f64> =
            edited.iter().zip(baseline).map(|(edited, baseline)| edited - baseline).collect();
        let summary = Summary::of(&paired);
        let key = stable_hash(&format!("{}/{}/{name}", about.condition, place.suite));
        let interval = summary.interval(0.95);
        let counted =
            || controls.iter().filter(|control| control.counts(about.set_size) && control.endpoint == *name);
        let matched: Vec<f64> = counted().map(|control| control.effect).collect();
        let widening = widening(&counted().map(ControlRow::likeness).collect::<Vec<Likeness>>());
        let before = Summary::of(baseline).mean;
        effects.push(EffectRow {
            hypothesis: about.hypothesis.to_owned(),
            condition: about.condition.clone(),
            set: about.set.clone(),
            set_size: about.set_size,
            receiver: about.receiver.to_owned(),
            donor: about.edit.donor().map(str::to_owned),
            edit: about.edit.name().to_owned(),
            dose: Some(f64::from(about.dose)),
            readout: about.readout.to_owned(),
            readout_f1: about.fidelity.map(|(f1, _)| f1),
            readout_r2: about.fidelity.map(|(_, r2)| r2),
            positions: about.positions.name().to_owned(),
            hook: about.hook.map(|hook| hook.to_string()),
            suite: place.suite.to_owned(),
            axis: place.axis.name().to_owned(),
            endpoint: name.clone(),
            kind: about.kind.to_owned(),
            declared: about.declared.as_ref() == Some(name),
            direction: about.direction.name().to_owned(),
            baseline: before,
            edited: Summary::of(edited).mean,
            headroom: headroom(place.endpoints, name, before, about.direction),
            ceiling: ceiling.map(|ceiling| Summary::of(measured.of(ceiling, endpoint)).mean),
            effect: summary.mean,
            ci_low: interval.low,
            ci_high: interval.high,
            p_zero: sign_flip(&paired, Alternative::TwoSided, about.seed ^ key),
            p_controls: (!matched.is_empty()).then(|| p_controls(summary.mean, &matched, widening)),
            controls: matched.len() as u64,
            mde: Some(minimum_detectable_effect(summary.standard_error(), summary.units, 0.05, 0.8))
                .filter(|effect| effect.is_finite()),
            problems: measured.units.len() as u64,
            samples: about.samples as u64,
            fired_prompt: (tallies.prompt.positions > 0).then(|| tallies.prompt.rate()),
            fired_response: (tallies.response.positions > 0).then(|| tallies.response.rate()),
            delta_norm: Some(tallies.total().relative_norm()),
            as_patched: said.and_then(|said| said.as_patched),
            distinct: said.map(|said| said.distinct),
            distinct_before: before_said.map(|said| said.distinct),
            likelihood: said.map(|said| said.likelihood),
            likelihood_before: before_said.map(|said| said.likelihood),
            base_likelihood: said.and_then(|said| said.base_likelihood),
            base_likelihood_before: before_said.and_then(|said| said.base_likelihood),
            untestable,
        });
        differences.extend(measured.units.iter().zip(edited.iter().zip(baseline)).map(
            |(unit, (edited, baseline))| DifferenceRow {
                condition: about.condition.clone(),
                suite: place.suite.to_owned(),
                endpoint: name.clone(),
                problem: unit.clone(),
                baseline: *baseline,
                edited: *edited,
            },
        ));
    }
    (effects, differences)
}

/// Rows of the controls of a hypothesis on one suite. Of the measured conditions, the second is the declared one, and
/// `first` that of the first control.
pub(super) fn control_rows(
    prepared: &Prepared,
    controls: &[Control],
    suite: &Suite,
    measured: &Measured,
    first: usize,
) -> Vec<ControlRow> {
    let mut rows = Vec::new();
    for (endpoint, name) in measured.endpoints.iter().enumerate() {
        for (index, control) in controls.iter().enumerate() {
            rows.push(ControlRow {
                hypothesis: prepared.hypothesis.name.clone(),
                condition: prepared.hypothesis.name.clone(),
                cloud: control.cloud.name().to_owned(),
                draw: control.draw,
                suite: suite.name().to_owned(),
                endpoint: name.clone(),
                effect: measured.effect(first + index, endpoint),
                set_effect: measured.effect(1, endpoint),
                balance: control.gap,
                matched: control.matched,
                alike: control.likeness.map(|likeness| likeness.among),
                like_set: control.likeness.map(|likeness| likeness.to_set),
            });
        }
    }
    rows
}

/// How far an endpoint that is a share can move.
fn headroom(known: &[Endpoint], endpoint: &str, baseline: f64, direction: Expected) -> Option<f64> {
    if endpoint != CUT_OFF {
        known.iter().find(|known| known.name == endpoint)?.higher_is_better?;
    }
    Some(match direction {
        Expected::Decrease => baseline,
        Expected::Increase => 1.0 - baseline,
        Expected::Either => baseline.max(1.0 - baseline),
    })
}
