//! Recomputes a file of reference losses, gradients, advantages and KL terms, and says how far off we are.
//!
//! The layout, per case: `old_logp`, `logp`, `ref_logp`, `mask` (`[responses][tokens]`), `group_size`,
//! `reward` (one per response), `advantages` (by name, one per response), `losses` (name, aggregation,
//! config, advantage, `loss`, `grad_logp`) and `kl` (by name, `[responses][tokens]`). What a case leaves
//! out is computed and written, but not compared. Configuration keys and their defaults are those of verl; a
//! `clip_ratio_c` of null means no dual clip, and another key is refused, for it would be without effect. As in verl,
//! `gspo` is averaged by `seq-mean-token-mean` whatever the case's aggregation says.

use super::advantages::Advantage;
use super::objectives::{Aggregation, Clip, Fipo, KlEstimator, Objective, PolicyLoss, Responses, Totals};
use crate::error::{At, Error, Result, nearest};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One number or array that was compared.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Comparison {
    /// Index of the case in the file.
    pub case: usize,
    /// What was compared, as in `fipo token-mean 32b: gradient`.
    pub what: String,
    /// The largest `|ours - theirs| / max(1, |theirs|)`.
    pub difference: f64,
}

/// The largest difference that two f64 implementations of one formula may have.
pub const TOLERANCE: f64 = 1e-9;
/// The same where the reference computed in single precision.
pub const SINGLE_TOLERANCE: f64 = 1e-5;

/// The tolerance that the reference numbers of `file` allow: [`SINGLE_TOLERANCE`] if every one of them is a number of
/// single precision, in full or as its shortest decimal; else [`TOLERANCE`].
pub fn tolerance(file: &Value) -> f64 {
    let is_single = |number: &f64| {
        let single = *number as f32;
        f64::from(single) == *number || single.to_string().parse() == Ok(*number)
    };
    let cases = file.get("cases").and_then(Value::as_array).into_iter().flatten();
    let given = |case: &Value| -> Vec<f64> {
        let mut given = Vec::new();
        ["advantages", "kl"].iter().filter_map(|name| case.get(name)).for_each(|of| collect(of, &mut given));
        let losses = case.get("losses").and_then(Value::as_array).into_iter().flatten();
        losses.flat_map(|loss| [loss.get("loss"), loss.get("grad_logp")]).flatten().for_each(|of| {
            collect(of, &mut given);
        });
        given
    };
    let all: Vec<f64> = cases.flat_map(given).collect();
    if !all.is_empty() && all.iter().all(is_single) { SINGLE_TOLERANCE } else { TOLERANCE }
}

/// Every number in a value.
fn collect(value: &Value, numbers: &mut Vec<f64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, numbers)),
        Value::Object(items) => items.values().for_each(|item| collect(item, numbers)),
        value => numbers.extend(value.as_f64()),
    }
}

/// Computes every quantity of `file` and compares it with the number given there, if one is.
///
/// Returns the file with our numbers in place of its own, and the comparisons in file order.
///
/// # Errors
/// If the file does not have the layout above; the error names the case and the field.
pub fn recompute(file: &Value) -> Result<(Value, Vec<Comparison>)> {
    let mut ours = file.clone();
    let mut comparisons = Vec::new();
    let cases = ours
        .get_mut("cases")
        .and_then(Value::as_array_mut)
        .ok_or_else(|| Error::request("expected an object with an array `cases`"))?;
    if cases.is_empty() {
        return Err(Error::request("`cases`: expected at least one case, found none"));
    }
    for (index, case) in cases.iter_mut().enumerate() {
        let mut compare = |what: String, difference: Option<f64>| {
            if let Some(difference) = difference {
                comparisons.push(Comparison { case: index, what, difference });
            }
        };
        recompute_case(case, &mut compare).at(format!("case {index}"))?;
    }
    Ok((ours, comparisons))
}

#[derive(Deserialize)]
struct Inputs {
    group_size: usize,
    old_logp: Vec<Vec<f64>>,
    logp: Vec<Vec<f64>>,
    #[serde(default)]
    ref_logp: Option<Vec<Vec<f64>>>,
    mask: Vec<Vec<Mark>>,
    reward: Vec<f64>,
}

/// An entry of the mask, as a number or as true and false.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Mark {
    Flag(bool),
    Number(f64),
}

impl Mark {
    fn is_response(self) -> bool {
        match self {
            Self::Flag(flag) => flag,
            Self::Number(number) => number != 0.0,
        }
    }
}

#[derive(Deserialize)]
struct LossCase {
    name: String,
    advantage: Advantage,
    aggregation: Aggregation,
    config: Config,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default)]
    loss: Option<f64>,
    #[serde(default)]
    grad_logp: Option<Vec<Vec<f64>>>,
}

/// verl's configuration keys, with its defaults.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    clip_ratio: f64,
    clip_ratio_low: Option<f64>,
    clip_ratio_high: Option<f64>,
    clip_ratio_c: Option<f64>,
    policy_loss: FutureKl,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            clip_ratio: 0.2,
            clip_ratio_low: None,
            clip_ratio_high: None,
            clip_ratio_c: Some(3.0),
            policy_loss: FutureKl::default(),
        }
    }
}

/// FIPO's keys. Its script sets three more that its loss does not use.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FutureKl {
    decay_rate: f64,
    future_kl_clip_ratio: f64,
    future_kl_clip_high_only: bool,
    safety_thresh: f64,
    #[serde(rename = "future_kl_start")]
    _start: IgnoredAny,
    #[serde(rename = "future_kl_window")]
    _window: IgnoredAny,
    #[serde(rename = "future_kl_average")]
    _average: IgnoredAny,
}

impl Default for FutureKl {
    fn default() -> Self {
        Self {
            decay_rate: 128.0,
            future_kl_clip_ratio: 0.0,
            future_kl_clip_high_only: false,
            safety_thresh: 4.0,
            _start: IgnoredAny,
            _window: IgnoredAny,
            _average: IgnoredAny,
        }
    }
}

/// The upper bound of FIPO's weight when its clip ratio is zero, which means "no bounds".
const UNBOUNDED_WEIGHT: f64 = 10.0;

impl Config {
    fn loss(&self, name: &str) -> Result<PolicyLoss> {
        let clip = |dual| Clip {
            low: self.clip_ratio_low.unwrap_or(self.clip_ratio),
            high: self.clip_ratio_high.unwrap_or(self.clip_ratio),
            dual,
        };
        let loss = match name {
            "reinforce" => PolicyLoss::Reinforce,
            "ppo_clip" => PolicyLoss::PpoClip(clip(self.clip_ratio_c)),
            "gspo" => PolicyLoss::Gspo(clip(None)),
            "fipo" => {
                let future = &self.policy_loss;
                let (below, above) = match (future.future_kl_clip_ratio, future.future_kl_clip_high_only) {
                    (0.0, _) => (1.0, UNBOUNDED_WEIGHT - 1.0),
                    (ratio, true) => (0.0, ratio),
                    (ratio, false) => (ratio, ratio),
                };
                PolicyLoss::Fipo(Fipo {
                    clip: clip(self.clip_ratio_c),
                    half_life: future.decay_rate,
                    below,
                    above,
                    safety: future.safety_thresh,
                })
            }
            other => {
                return Err(Error::request(format!("unknown loss `{other}`"))
                    .hint("use reinforce, ppo_clip, gspo or fipo"));
            }
        };
        loss.check()?;
        Ok(loss)
    }
}

const ADVANTAGES: [(&str, Advantage); 4] = [
    ("grpo", Advantage::Grpo),
    ("dr_grpo", Advantage::DrGrpo),
    ("rloo", Advantage::Rloo),
    ("reinforce", Advantage::Reinforce),
];

const ESTIMATORS: [(&str, KlEstimator); 3] =
    [("k1", KlEstimator::K1), ("k2", KlEstimator::K2), ("k3", KlEstimator::K3)];

fn recompute_case(case: &mut Value, compare: &mut impl FnMut(String, Option<f64>)) -> Result<()> {
    let inputs: Inputs = parse(case.clone())?;
    let (rows, width) = (inputs.mask.len(), inputs.mask.first().map_or(0, Vec::len));
    let mask = flat("mask", &inputs.mask, rows, width)?.into_iter().map(Mark::is_response).collect();
    let old = flat("old_logp", &inputs.old_logp, rows, width)?;
    let batch = Responses::new(rows, width, mask, old, flat("logp", &inputs.logp, rows, width)?)?;
    if inputs.reward.len() != rows {
        return Err(Error::request(format!(
            "`reward`: expected {rows} numbers, found {}",
            inputs.reward.len()
        )));
    }
    let advantages = section(case, "advantages")?;
    for (name, kind) in ADVANTAGES {
        let ours = kind.of(&inputs.reward, inputs.group_size)?;
        let theirs = advantages.get(name).and_then(numbers);
        compare(format!("advantages {name}"), theirs.and_then(|theirs| worst(&ours, &theirs)));
        advantages.insert(name.to_owned(), ours.into());
    }
    if let Some(losses) = case.get_mut("losses").and_then(Value::as_array_mut) {
        for (index, value) in losses.iter_mut().enumerate() {
            recompute_loss(value, &inputs, &batch, compare).at(format!("loss {index}"))?;
        }
    }
    if let Some(reference) = &inputs.ref_logp {
        let kl = section(case, "kl")?;
        let reference = flat("ref_logp", reference, rows, width)?;
        for (name, estimator) in ESTIMATORS {
            let terms = batch.new.iter().zip(&reference);
            let ours: Vec<f64> =
                terms.map(|(&new, &reference)| estimator.term(new, reference).value).collect();
            let theirs = kl.get(name).and_then(numbers);
            compare(format!("kl {name}"), theirs.and_then(|theirs| worst(&ours, &theirs)));
            kl.insert(name.to_owned(), nested(&ours, width));
        }
    }
    Ok(())
}

fn recompute_loss(
    value: &mut Value,
    inputs: &Inputs,
    batch: &Responses,
    compare: &mut impl FnMut(String, Option<f64>),
) -> Result<()> {
    let case: LossCase = parse(value.clone())?;
    let loss = case.config.loss(&case.name)?;
    let aggregation = match loss {
        PolicyLoss::Gspo(_) => Aggregation::SequenceMeanTokenMean,
        _ => case.aggregation,
    };
    let objective = Objective { loss, aggregation, kl: None, entropy_bonus: 0.0 };
    let per_response = case.advantage.of(&inputs.reward, inputs.group_size)?;
    let advantages: Vec<f64> =
        per_response.iter().flat_map(|advantage| std::iter::repeat_n(*advantage, batch.width)).collect();
    let totals = Totals::of(batch);
    let ours = objective.evaluate(batch, &advantages, None, &totals)?;
    let scale = ours.watched.rescale(aggregation, &totals);
    let loss = ours.loss * scale;
    let gradient: Vec<f64> = ours.weights.iter().map(|weight| weight * scale).collect();
    let named = value.get("aggregation").and_then(Value::as_str).unwrap_or_default();
    let name = [case.name.as_str(), named, case.variant.as_deref().unwrap_or_default()].join(" ");
    let name = name.trim_end().to_owned();
    compare(format!("{name}: loss"), case.loss.and_then(|theirs| worst(&[loss], &[theirs])));
    let theirs = case.grad_logp.map(|rows| rows.concat());
    compare(format!("{name}: gradient"), theirs.and_then(|theirs| worst(&gradient, &theirs)));
    if let Some(object) = value.as_object_mut() {
        object.insert("loss".into(), loss.into());
        object.insert("grad_logp".into(), nested(&gradient, batch.width));
    }
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| {
        let message = error.to_string();
        let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        match names.as_slice() {
            [found, known @ ..] if message.starts_with("unknown field") => {
                let error = Error::request(format!("`config`: unknown key `{found}`"));
                match nearest(found, known.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("known are {}", known.join(", "))),
                }
            }
            _ => Error::request(message),
        }
    })
}

fn flat<T: Clone>(name: &str, rows: &[Vec<T>], count: usize, width: usize) -> Result<Vec<T>> {
    match rows.len() == count && rows.iter().all(|row| row.len() == width) {
        true => Ok(rows.concat()),
        false => Err(Error::request(format!("`{name}`: expected {count} rows of {width}, as in `mask`"))),
    }
}

/// The numbers of an array or of an array of arrays.
fn numbers(value: &Value) -> Option<Vec<f64>> {
    let mut all = Vec::new();
    for item in value.as_array()? {
        match item {
            Value::Array(_) => all.extend(numbers(item)?),
            item => all.push(item.as_f64()?),
        }
    }
    Some(all)
}

fn nested(values: &[f64], width: usize) -> Value {
    values.chunks(width.max(1)).map(|row| Value::from(row.to_vec())).collect()
}

/// The object in the field `name` of a case, made where there is none.
fn section<'a>(case: &'a mut Value, name: &str) -> Result<&'a mut Map<String, Value>> {
    let wrong = || Error::request(format!("`{name}`: expected an object of numbers by name"));
    let slot = case.as_object_mut().ok_or_else(wrong)?.entry(name).or_insert(Value::Null);
    if slot.is_null() {
        *slot = Map::new().into();
    }
    slot.as_object_mut().ok_or_else(wrong)
}

/// The largest relative difference; infinite if the sizes differ or a number is not finite.
fn worst(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    if ours.len() != theirs.len() {
        return Some(f64::INFINITY);
    }
    let difference = |(ours, theirs): (&f64, &f64)| {
        let difference = (ours - theirs).abs() / theirs.abs().max(1.0);
        if difference.is_nan() { f64::INFINITY } else { difference }
    };
    ours.iter().zip(theirs).map(difference).reduce(f64::max)
}

/// The largest difference per kind of quantity, for a short answer.
pub fn summary(comparisons: &[Comparison]) -> BTreeMap<String, f64> {
    let mut worst = BTreeMap::<String, f64>::new();
    for comparison in comparisons {
        let entry = worst.entry(comparison.what.clone()).or_default();
        *entry = entry.max(comparison.difference);
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/objectives.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_reference_numbers_are_met() {
        let (ours, comparisons) = recompute(&fixture()).unwrap();
        assert_eq!(comparisons.len(), 3 * (3 + 2 * 8 + 3));
        for comparison in &comparisons {
            assert!(comparison.difference <= TOLERANCE, "{comparison:?}");
        }
        let (_, again) = recompute(&ours).unwrap();
        assert!(again.iter().all(|comparison| comparison.difference == 0.0), "our numbers are in the file");
    }

    #[test]
    fn single_precision_inputs_change_little() {
        let mut file = fixture();
        round(&mut file);
        let (_, comparisons) = recompute(&file).unwrap();
        let worst = comparisons.iter().map(|comparison| comparison.difference).fold(0.0, f64::max);
        assert!(worst < SINGLE_TOLERANCE, "{worst}");
        assert_eq!((tolerance(&file), tolerance(&fixture())), (SINGLE_TOLERANCE, TOLERANCE));
        let mut mixed = file.clone();
        mixed["cases"][1]["losses"][0]["loss"] = 0.123_456_789_012_345.into();
        assert_eq!(tolerance(&mixed), TOLERANCE);
        shorten(&mut file);
        assert_eq!(tolerance(&file), SINGLE_TOLERANCE, "written in the fewest digits");
    }

    fn shorten(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(shorten),
            Value::Object(object) => object.values_mut().for_each(shorten),
            Value::Number(number) if number.is_f64() => {
                let single = number.as_f64().unwrap_or_default() as f32;
                *value = single.to_string().parse::<f64>().unwrap_or_default().into();
            }
            _ => {}
        }
    }

    #[test]
    fn a_key_without_effect_is_refused_and_gspo_has_one_average() {
        let mut file = fixture();
        let gspo = |file: &Value| {
            let losses = file["cases"][0]["losses"].as_array().unwrap();
            losses.iter().position(|loss| loss["name"] == "gspo").unwrap()
        };
        let place = gspo(&file);
        file["cases"][0]["losses"][place]["aggregation"] = "token-mean".into();
        let (_, comparisons) = recompute(&file).unwrap();
        assert!(comparisons.iter().all(|found| found.difference <= TOLERANCE), "{comparisons:?}");
        let policy = &mut file["cases"][0]["losses"][place + 1]["config"]["policy_loss"];
        policy["future_kl_window"] = (-1).into();
        recompute(&file).unwrap();
        file["cases"][0]["losses"][0]["config"]["clip_ratio_hihg"] = 9.into();
        let error = recompute(&file).unwrap_err().to_string();
        assert!(error.contains("case 0: loss 0: `config`: unknown key `clip_ratio_hihg`"), "{error}");
        assert!(error.contains("did you mean `clip_ratio_high`?"), "{error}");
    }

    fn round(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(round),
            Value::Object(object) => object
                .iter_mut()
                .filter(|(key, _)| !matches!(key.as_str(), "config" | "group_size"))
                .for_each(|(_, value)| round(value)),
            Value::Number(number) if number.is_f64() => {
                *value = f64::from(number.as_f64().unwrap_or_default() as f32).into();
            }
            _ => {}
        }
    }

    #[test]
    fn what_a_case_leaves_out_is_written() {
        let mut file = fixture();
        let (whole, _) = recompute(&file).unwrap();
        file["cases"][0].as_object_mut().unwrap().remove("advantages");
        file["cases"][0]["kl"] = serde_json::json!({});
        let (ours, comparisons) = recompute(&file).unwrap();
        assert_eq!(ours, whole);
        assert_eq!(comparisons.iter().filter(|found| found.case == 0).count(), 2 * 8);
        let error = recompute(&serde_json::json!({ "cases": [] })).unwrap_err().to_string();
        assert!(error.contains("at least one case"), "{error}");
    }

    #[test]
    fn masks_may_be_flags_bounds_zero_and_the_dual_clip_off() {
        let mut file = fixture();
        let (expected, _) = recompute(&file).unwrap();
        for row in file["cases"][0]["mask"].as_array_mut().unwrap() {
            for mark in row.as_array_mut().unwrap() {
                *mark = (mark.as_f64() != Some(0.0)).into();
            }
        }
        let (ours, _) = recompute(&file).unwrap();
        assert_eq!(ours["cases"][0]["losses"], expected["cases"][0]["losses"]);
        let config = &mut file["cases"][0]["losses"][0]["config"];
        config["clip_ratio_low"] = 0.into();
        config["clip_ratio_c"] = Value::Null;
        let (ours, _) = recompute(&file).unwrap();
        assert_ne!(ours["cases"][0]["losses"][0]["loss"], expected["cases"][0]["losses"][0]["loss"]);
    }

    #[test]
    fn a_wrong_number_is_seen_and_a_wrong_layout_is_named() {
        let mut file = fixture();
        file["cases"][1]["losses"][0]["loss"] = 1.0.into();
        let (_, comparisons) = recompute(&file).unwrap();
        assert_eq!(comparisons.iter().filter(|found| found.difference > TOLERANCE).count(), 1);
        file["cases"][2]["mask"] = Value::Null;
        let error = recompute(&file).unwrap_err().to_string();
        assert!(error.contains("case 2"), "{error}");
    }
}
