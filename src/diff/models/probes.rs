//! Linear probes: what a logistic classifier reads at a hook, and how much of that is the probe's own doing.
//!
//! For each label and hook, activations at the last token of the prompt are standardised by the fitting
//! half and a logistic regression (L2) tells the label from all others. Its balanced accuracy on the
//! held-out half is set against the same fit on shuffled labels: the difference is the selectivity of
//! Hewitt and Liang (2019). Base's probe, read on a variant, says whether the label still lies where it did.

use super::prompts::{LabelledPrompt, labels};
use super::reading::span_activations;
use super::rows::ProbeRow;
use crate::error::{Error, Result};
use crate::model::{HookPoint, Model};
use crate::rng::Stream;
use linfa::Dataset;
use linfa::traits::{Fit, Predict};
use linfa_logistic::{FittedLogisticRegression, LogisticRegression};
use ndarray::{Array1, Array2, Axis};
use std::collections::BTreeSet;

/// How probes are fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeSettings {
    /// Weight of the squared coefficients.
    pub penalty: f64,
    /// Iterations of the fit.
    pub iterations: u64,
    /// Fits on shuffled labels.
    pub shuffles: usize,
    /// Decides the halves and the shuffles.
    pub seed: u64,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self { penalty: 1.0, iterations: 100, shuffles: 3, seed: 0 }
    }
}

/// A fitted probe with the standardisation that it was fitted in.
struct Probe {
    mean: Array1<f64>,
    deviation: Array1<f64>,
    model: FittedLogisticRegression<f64, bool>,
}

impl Probe {
    fn fit(values: &Array2<f64>, targets: &[bool], settings: &ProbeSettings) -> Result<Self> {
        let nothing = || Error::work("expected prompts to fit a probe on, found none");
        let mean = values.mean_axis(Axis(0)).ok_or_else(nothing)?;
        // A constant coordinate stays at zero instead of becoming infinite.
        let deviation = values.std_axis(Axis(0), 0.0).mapv(|x| if x > 0.0 { x } else { 1.0 });
        let records = (values - &mean) / &deviation;
        let model = LogisticRegression::default()
            .alpha(settings.penalty)
            .max_iterations(settings.iterations)
            .fit(&Dataset::new(records, Array1::from(targets.to_vec())))
            .map_err(|error| Error::work(format!("a probe could not be fitted: {error}")))?;
        Ok(Self { mean, deviation, model })
    }

    /// Mean over the two classes of the share that is classified right.
    fn balanced_accuracy(&self, values: &Array2<f64>, targets: &[bool]) -> f64 {
        let predicted = self.model.predict(&((values - &self.mean) / &self.deviation));
        let share = |class: bool| {
            let members = targets.iter().zip(&predicted).filter(|(target, _)| **target == class);
            let (right, count) =
                members.fold((0.0, 0.0), |sum, (t, p)| (sum.0 + f64::from(u8::from(t == p)), sum.1 + 1.0));
            if count > 0.0 { right / count } else { 0.5 }
        };
        0.5 * (share(true) + share(false))
    }
}

/// Probes of every label of `prompts` at every one of `points`, in every model, the first being the base.
/// Labels that a half lacks are left out.
///
/// # Errors
/// If a model lacks a hook point, or the fit does not end.
pub fn probes(
    models: &[(String, Model)],
    points: &[HookPoint],
    prompts: &[LabelledPrompt],
    settings: &ProbeSettings,
) -> Result<Vec<ProbeRow>> {
    let (fitted, held_out) = halves(prompts, settings.seed);
    let mut of_base: Vec<Option<Probe>> = Vec::new();
    let mut rows = Vec::new();
    for (number, (variant, model)) in models.iter().enumerate() {
        let activations = span_activations(model, points, prompts)?;
        let mut place = 0;
        for (point, values) in points.iter().zip(&activations) {
            let (fit_on, judge_on) = (array(values, &fitted), array(values, &held_out));
            for label in labels(prompts) {
                let targets = |half: &[usize]| -> Vec<bool> {
                    half.iter().map(|index| prompts[*index].label == label).collect()
                };
                let (targets_fitted, targets_held_out) = (targets(&fitted), targets(&held_out));
                let both = |targets: &[bool]| targets.contains(&true) && targets.contains(&false);
                let usable = both(&targets_fitted) && both(&targets_held_out);
                let probe = if usable { Some(Probe::fit(&fit_on, &targets_fitted, settings)?) } else { None };
                if let Some(probe) = &probe {
                    let accuracy = probe.balanced_accuracy(&judge_on, &targets_held_out);
                    let shuffled =
                        shuffled(&fit_on, &judge_on, &targets_fitted, &targets_held_out, settings)?;
                    let base = of_base.get(place).and_then(Option::as_ref);
                    rows.push(ProbeRow {
                        variant: variant.clone(),
                        hook: point.to_string(),
                        label: label.to_owned(),
                        accuracy,
                        accuracy_shuffled: shuffled,
                        selectivity: accuracy - shuffled,
                        accuracy_of_base_probe: base
                            .map(|base| base.balanced_accuracy(&judge_on, &targets_held_out)),
                        fitted: fitted.len() as u64,
                        held_out: held_out.len() as u64,
                    });
                }
                if number == 0 {
                    of_base.push(probe);
                }
                place += 1;
            }
        }
    }
    Ok(rows)
}

/// Indices of the prompts of one half of the problems, and of the other.
fn halves(prompts: &[LabelledPrompt], seed: u64) -> (Vec<usize>, Vec<usize>) {
    let units: Vec<String> = prompts.iter().map(LabelledPrompt::unit).collect();
    let mut order: Vec<&String> = units.iter().collect::<BTreeSet<_>>().into_iter().collect();
    Stream::new(seed, "probe halves", &[]).shuffle(&mut order);
    let held_out: BTreeSet<&String> = order.split_off(order.len().div_ceil(2)).into_iter().collect();
    (0..prompts.len()).partition(|index| !held_out.contains(&units[*index]))
}

fn array(values: &[Vec<f32>], chosen: &[usize]) -> Array2<f64> {
    let width = values.first().map_or(0, Vec::len);
    Array2::from_shape_fn((chosen.len(), width), |(row, column)| f64::from(values[chosen[row]][column]))
}

/// Mean accuracy on shuffled held-out labels of probes that were fitted to shuffled labels.
fn shuffled(
    fit_on: &Array2<f64>,
    judge_on: &Array2<f64>,
    targets_fitted: &[bool],
    targets_held_out: &[bool],
    settings: &ProbeSettings,
) -> Result<f64> {
    let mut sum = 0.0;
    for shuffle in 0..settings.shuffles {
        let mut stream = Stream::new(settings.seed, "probe shuffle", &[shuffle as u64]);
        let (mut fitted, mut held_out) = (targets_fitted.to_vec(), targets_held_out.to_vec());
        stream.shuffle(&mut fitted);
        stream.shuffle(&mut held_out);
        sum += Probe::fit(fit_on, &fitted, settings)?.balanced_accuracy(judge_on, &held_out);
    }
    Ok(if settings.shuffles == 0 { 0.5 } else { sum / settings.shuffles as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(signal: f64) -> (Array2<f64>, Vec<bool>) {
        let mut stream = Stream::new(4, "probe test", &[]);
        let targets: Vec<bool> = (0..200).map(|index| index % 3 == 0).collect();
        let values = Array2::from_shape_fn((200, 6), |(row, column)| {
            let shift = if column == 2 && targets[row] { signal } else { 0.0 };
            f64::from(stream.normal()) + shift
        });
        (values, targets)
    }

    #[test]
    fn a_probe_reads_what_is_there_and_shuffled_labels_say_what_is_not() {
        let settings = ProbeSettings::default();
        let (values, targets) = data(4.0);
        let probe = Probe::fit(&values, &targets, &settings).unwrap();
        assert!(probe.balanced_accuracy(&values, &targets) > 0.93);
        let chance = shuffled(&values, &data(4.0).0, &targets, &targets, &settings).unwrap();
        assert!((chance - 0.5).abs() < 0.12, "{chance}");
    }

    #[test]
    fn a_problem_is_on_one_half_only() {
        let prompts: Vec<LabelledPrompt> = (0..40u32)
            .map(|index| LabelledPrompt {
                tokens: vec![index],
                problem: format!("problem {}", index % 10),
                ..LabelledPrompt::default()
            })
            .collect();
        let (fitted, held_out) = halves(&prompts, 1);
        assert_eq!((fitted.len(), held_out.len()), (20, 20));
        assert!(fitted.iter().all(|index| held_out.iter().all(|other| index % 10 != other % 10)));
    }

    #[test]
    fn a_coordinate_without_spread_does_no_harm() {
        let (mut values, targets) = data(4.0);
        values.column_mut(0).fill(3.0);
        let probe = Probe::fit(&values, &targets, &ProbeSettings::default()).unwrap();
        assert!(probe.balanced_accuracy(&values, &targets) > 0.93);
    }
}
