//! lm-evaluation-harness's results layout, so that what reads those files reads ours.

use super::summarise::Outcome;
use crate::stats::Summary;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// `{"results": {suite: {"pass,none": .., "pass_stderr,none": ..}}, "n-samples": .., "config": ..}`: means
/// over problems with standard errors over problems.
pub fn lm_eval_results(model: &str, outcomes: &[Outcome]) -> Value {
    let mut suites: BTreeMap<&str, BTreeMap<&str, BTreeMap<&str, Vec<f64>>>> = BTreeMap::new();
    let mut samples: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in outcomes {
        *samples.entry(&outcome.suite).or_default() += 1;
        for (endpoint, value) in outcome.values.iter().filter(|(_, value)| !value.is_nan()) {
            let suite = suites.entry(&outcome.suite).or_default();
            suite.entry(endpoint).or_default().entry(&outcome.problem).or_default().push(*value);
        }
    }
    let mut results = Map::new();
    let mut counts = Map::new();
    for (suite, endpoints) in suites {
        let mut found = Map::from_iter([("alias".to_owned(), json!(suite))]);
        let mut problems = 0;
        for (endpoint, units) in endpoints {
            let units: Vec<f64> = units.into_values().map(|values| Summary::of(&values).mean).collect();
            let summary = Summary::of(&units);
            problems = problems.max(summary.units);
            found.insert(format!("{endpoint},none"), json!(summary.mean));
            found.insert(format!("{endpoint}_stderr,none"), json!(summary.standard_error()));
        }
        results.insert(suite.to_owned(), Value::Object(found));
        let all = samples.get(suite).copied().unwrap_or(0);
        counts.insert(suite.to_owned(), json!({ "original": problems, "effective": all }));
    }
    json!({
        "results": results,
        "n-samples": counts,
        "config": { "model": "deltascope", "model_args": model },
    })
}
