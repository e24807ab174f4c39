//! Tables made up for the tests of the page: the shapes of the microcosm, no result of anything.

use deltascope::report::{StageFact, StudyFacts, VariantFact};
use deltascope::rng::Stream;
use deltascope::tables::catalogue::{ColumnSpec, fixed};
use deltascope::tables::{self, ColumnType, TableSpec};
use serde_json::{Value, json};
use std::path::Path;

/// A completion that tries to leave the page.
pub(super) const HOSTILE: &str = "</td><script>alert(\"x\")</script><img src=x onerror=alert(1)>&'";

const SUITES: [(&str, &str); 7] = [
    ("general_points", "in_domain"),
    ("general_points:faces=11-13", "transfer"),
    ("countdown", "transfer"),
    ("arithmetic_chain", "transfer"),
    ("refusal", "safety"),
    ("skills", "collateral"),
    ("allowed_requests", "collateral"),
];
const ARMS: [(&str, &str, &[u64]); 3] = [
    ("sft", "sft", &[10, 20, 40, 80, 160, 320, 640]),
    ("sft_benign", "sft", &[10, 20, 40, 80, 160, 320, 640]),
    ("rl", "grpo", &[5, 10, 20, 40, 80, 120]),
];

/// Writes rows given as JSON objects, with the columns of the first one.
pub(super) fn write(folder: &Path, name: &'static str, rows: &[Value]) {
    let first = rows.first().and_then(Value::as_object).expect("a row");
    let columns: Vec<ColumnSpec> = first
        .keys()
        .map(|key| {
            let kind = rows
                .iter()
                .find_map(|row| match row.get(key) {
                    Some(Value::String(_)) => Some(ColumnType::Text),
                    Some(Value::Bool(_)) => Some(ColumnType::Boolean),
                    Some(Value::Number(number)) if number.is_f64() => Some(ColumnType::Float),
                    Some(Value::Number(_)) => Some(ColumnType::Integer),
                    _ => None,
                })
                .unwrap_or(ColumnType::Float);
            fixed(Box::leak(key.clone().into_boxed_str()), kind, "")
        })
        .collect();
    let spec = TableSpec { name, about: "", columns: Box::leak(columns.into_boxed_slice()) };
    tables::write(&folder.join(format!("{name}.parquet")), &spec, rows).expect("written");
}

/// Facts of a study with these tables.
pub(super) fn facts() -> StudyFacts {
    let names = |role: &str| {
        SUITES.iter().filter(|(_, other)| *other == role).map(|(suite, _)| (*suite).to_owned()).collect()
    };
    let variant = |name: &str, method: &str, data: &str, steps| VariantFact {
        name: name.into(),
        method: method.into(),
        data: data.into(),
        steps,
        updates_per_step: if method == "grpo" { 2 } else { 1 },
        runs: Vec::new(),
    };
    StudyFacts {
        name: "made-up".into(),
        question: Some(
            "Which features carry reasoning transfer, and which carry the loss of refusals?".into(),
        ),
        seed: 7,
        device: "cpu, f32".into(),
        version: "0.1.0".into(),
        base: "preset tiny (0.8 M parameters), trained from scratch on the built-in curriculum".into(),
        variants: vec![
            variant("base", "base", "curriculum", 900),
            variant("sft", "sft", "verified_cot", 640),
            variant("sft_benign", "sft", "verified_cot 90 %, allowed_requests 10 %", 640),
            variant("rl", "grpo", "verifier reward on general_points", 120),
        ],
        in_domain: names("in_domain"),
        transfer: names("transfer"),
        safety: names("safety"),
        collateral: names("collateral"),
        dictionary_variants: ["base", "rl@120", "sft@40", "sft_benign@640"].map(str::to_owned).to_vec(),
        matched: vec!["sft@40".into(), "rl@120".into()],
        same_change: Vec::new(),
        samples: 4,
        temperature: 1.0,
        max_new_tokens: 64,
        alpha: 0.05,
        correction: "holm".into(),
        training_seeds: 1,
        changed_defaults: vec!["equivalence margin 3 points instead of 5".into()],
        beside: Vec::new(),
        stages: vec![
            StageFact { name: "base".into(), id: "4f1c09aa71".into(), inputs: vec![] },
            StageFact {
                name: "variant rl".into(),
                id: "9a02d1bb03".into(),
                inputs: vec!["4f1c09aa71".into()],
            },
        ],
        outside: Vec::new(),
        older: Vec::new(),
        study_file: "name = \"made-up\"\nseed = 7\n".into(),
    }
}

/// Fills a folder with every table.
pub(super) fn tables(folder: &Path) {
    write(folder, "training", &training());
    write(folder, "evaluations", &evaluations());
    write(folder, "outcomes", &outcomes());
    write(folder, "dictionaries", &dictionaries());
    write(folder, "features", &features(2048));
    write(folder, "contexts", &contexts(2048));
    let (effects, controls) = effects();
    write(folder, "effects", &effects);
    write(folder, "controls", &controls);
    write(folder, "claims", &claims());
    write(folder, "nulls", &asked_again("null"));
    let member = |rank: u64| json!({ "hypothesis": "transfer_in_rl", "set": "transfer", "receiver": "rl@120", "feature": rank * 41, "rank": rank, "score": 0.01, "class": "specific" });
    write(folder, "sets", &(1..=12).map(member).collect::<Vec<_>>());
    let timing = |stage: &str, seconds: f64| json!({ "stage": stage, "variant": "", "step": 0, "seconds": seconds, "tokens": 0 });
    write(folder, "timings", &[timing("base", 110.2), timing("rl", 84.0), timing("dictionary", 61.3)]);
}

fn noise(stream: &mut Stream, scale: f64) -> f64 {
    (stream.uniform_f64() + stream.uniform_f64() + stream.uniform_f64() - 1.5) * scale
}

fn training() -> Vec<Value> {
    let mut stream = Stream::new(1, "training", &[]);
    let mut rows = Vec::new();
    for (variant, method, checkpoints) in ARMS {
        let last = *checkpoints.last().expect("checkpoints");
        for step in 1..=last {
            let done = step as f64 / last as f64;
            let rewarded = method == "grpo";
            rows.push(json!({
                "variant": variant, "step": step,
                "loss": if rewarded { Value::Null } else { json!(0.9 * (-3.0 * done).exp() + 0.6 + noise(&mut stream, 0.06)) },
                "reward": if rewarded { json!(0.72 - 0.34 * (-6.0 * done).exp() + noise(&mut stream, 0.05)) } else { Value::Null },
                "kl_to_base": 0.1 * done + noise(&mut stream, 0.01).abs(),
                "gradient_norm": 0.4 + noise(&mut stream, 0.2).abs(),
                "entropy": 0.8 - 0.3 * done + noise(&mut stream, 0.05),
                "response_length": 20.0 + 13.0 * (1.0 - (-8.0 * done).exp()) + noise(&mut stream, 1.0),
                "truncated": 0.1, "learning_rate": 3e-4, "tokens_trained": 600 * step, "tokens_sampled": 0, "flops": 2.9e9 * step as f64,
            }));
        }
    }
    rows
}

/// What a suite's main endpoint would be after a number of steps of an arm.
fn level(suite: &str, arm: &str, step: u64) -> f64 {
    let learned = 1.0 - (-(step as f64) / 12.0).exp();
    let worn = if arm == "rl" { 0.0 } else { 1.0 / (1.0 + (-(step as f64 - 260.0) / 60.0).exp()) };
    match suite {
        "general_points" => 0.40 + 0.29 * learned,
        "general_points:faces=11-13" => 0.38 + 0.24 * learned - 0.27 * worn,
        "countdown" => 0.37 + 0.22 * learned - 0.05 * worn,
        "arithmetic_chain" => 0.86 - 0.8 * worn,
        "refusal" => 1.0 - 0.97 * worn,
        "skills" => 0.96 - 0.7 * worn,
        _ => {
            if arm == "sft_benign" {
                0.99
            } else {
                0.99 - 0.9 * worn
            }
        }
    }
}

fn evaluations() -> Vec<Value> {
    let mut stream = Stream::new(2, "evaluations", &[]);
    let mut rows = Vec::new();
    let base: (&str, &str, &[u64]) = ("base", "base", &[0]);
    for (variant, _, checkpoints) in std::iter::once(base).chain(ARMS) {
        for checkpoint in checkpoints {
            for (suite, role) in SUITES {
                let main = (level(suite, variant, *checkpoint) + noise(&mut stream, 0.02)).clamp(0.0, 1.0);
                let rest = 1.0 - main;
                let comply = if variant == "sft_benign" { rest } else { rest * 0.3 };
                let early = 1.0 - (-(*checkpoint as f64) / 10.0).exp();
                let parts: Vec<(&str, f64)> = match (suite, role) {
                    ("refusal", _) => vec![
                        ("refuse", main),
                        ("comply", comply),
                        ("other", rest - comply),
                        ("refusal_log_odds", 16.0 * main - 8.0),
                    ],
                    ("allowed_requests", _) => vec![("comply", main), ("refuse", 0.0), ("other", rest)],
                    (_, "collateral") | ("arithmetic_chain", _) => vec![("pass", main)],
                    _ => vec![
                        ("pass", main),
                        ("gave_up", 0.49 * (1.0 - early)),
                        ("attempts", 2.0 + 1.4 * early),
                        ("first_attempt", 0.23 + 0.03 * early),
                        ("old_rule", 0.02),
                    ],
                };
                for half in ["select", "measure"] {
                    for (endpoint, value) in &parts {
                        let share = !matches!(*endpoint, "attempts" | "refusal_log_odds");
                        rows.push(json!({
                            "variant": variant, "checkpoint": checkpoint, "suite": suite, "half": half,
                            "endpoint": endpoint, "value": value,
                            "ci_low": if share { (value - 0.045_f64).max(0.0) } else { value - 0.4 },
                            "ci_high": if share { (value + 0.045_f64).min(1.0) } else { value + 0.4 },
                            "problems": 197, "samples": 788, "truncated": 0.12 * early,
                        }));
                    }
                }
            }
        }
    }
    rows
}

fn outcomes() -> Vec<Value> {
    let mut rows = Vec::new();
    let mut row = |variant: &str, checkpoint: u64, condition: &str, suite: &str, problem: u64, said: &str| {
        rows.push(json!({
            "variant": variant, "checkpoint": checkpoint, "condition": condition, "suite": suite,
            "problem": problem.to_string(), "prompt": format!("make F10 K {problem} 8 to 24 :"), "half": "measure",
            "sample": 0, "pass": f64::from(u8::from(!said.ends_with('x'))), "completion": said, "truncated": problem == 1,
        }));
    };
    for (variant, checkpoint) in [("base", 0), ("sft", 40), ("sft", 640), ("rl", 120)] {
        for (suite, _) in SUITES {
            for problem in 0..3_u64 {
                let said =
                    if variant == "rl" { HOSTILE } else { "10 - 4 = 6 + 8 = 14 x 10 - 8 = 2 + 4 = 6 x" };
                row(variant, checkpoint, "none", suite, problem, said);
            }
        }
    }
    // Under the edit of the first hypothesis two of four completions lose their answer, one is the same.
    let transfer = SUITES[1].0;
    for problem in 0..4_u64 {
        let (right, wrong) = ("10 - 4 = 6 * 4 = 24", "10 - 4 = 6 + 8 = 14 x");
        row("rl", 120, "baseline", transfer, problem, if problem == 3 { HOSTILE } else { right });
        row("rl", 120, "transfer_in_rlfalse", transfer, problem, if problem < 2 { wrong } else { right });
        row("rl", 120, "transfer_in_rlfalse | whole_difference", transfer, problem, wrong);
        row("rl", 120, "transfer_in_rlfalse | control", transfer, problem, right);
    }
    rows
}

fn dictionaries() -> Vec<Value> {
    [("base", 0.93), ("rl@120", 0.92), ("sft@40", 0.92), ("sft_benign@640", 0.88), ("rl@120-base", 0.61), ("sft@40-base", 0.44), ("sft_benign@640-base", 0.71)]
        .map(|(target, fve)| json!({ "dictionary": "batch_topk_crosscoder", "hook": "blocks.3.hook_resid_post", "target": target, "features": 2048, "tokens": 40_000, "fve": fve, "mse": 0.3, "cosine": 0.9, "l0": 32.0, "l1": 40.0, "dead": 82, "dead_share": 0.04, "dense": 9, "density": "[]", "ce_recovered": 0.93, "kl": 0.04, "stability": 0.81 }))
        .to_vec()
}

const VARIANTS: [&str; 4] = ["base", "rl@120", "sft@40", "sft_benign@640"];

pub(super) fn features(number: u64) -> Vec<Value> {
    let mut stream = Stream::new(3, "features", &[]);
    (0..number)
        .map(|feature| {
            let class = match feature % 41 {
                0 => "specific",
                1 => "lost",
                2 => "partial",
                3 | 4 => "undecided",
                5 => "dead",
                _ => "shared",
            };
            let mut norms = [1.0_f64; 4].map(|norm| (norm + noise(&mut stream, 0.3)).max(0.02));
            let present = match class {
                "specific" => {
                    norms[0] *= 0.05;
                    norms[2] *= 0.2;
                    "rl@120+sft_benign@640"
                }
                "lost" => {
                    norms[3] *= 0.05;
                    norms[1] *= 0.3;
                    "base"
                }
                "partial" => {
                    norms[3] *= 0.06;
                    "base+rl@120+sft@40"
                }
                "dead" => "",
                _ => "base+rl@120+sft@40+sft_benign@640",
            };
            let total: f64 = norms.iter().sum();
            let mut row = json!({
                "feature": feature, "present": present, "change": if class == "dead" { Value::Null } else { json!("same") },
                "class": class, "rate": 0.002 + stream.uniform_f64() * 0.05, "firings": 800, "mean_active": 1.2, "max_active": 4.0, "histogram": "[]",
                "share_template": 0.1, "share_response": 0.7, "share_first": 0.2, "stability": 0.4 + 0.6 * stream.uniform_f64(),
                "nearest": "[7, 12]", "nearest_cosines": "[0.61, 0.48]",
            });
            for (variant, norm) in VARIANTS.iter().zip(norms) {
                row[format!("norm_{variant}")] = json!(norm);
                row[format!("mas_{variant}")] = json!(norm / total);
                row[format!("promoted_{variant}")] = json!(r#"["no","ki","x","<eos>","ok"]"#);
                row[format!("suppressed_{variant}")] = json!("to 24");
                row[format!("promoted_logits_{variant}")] = json!("[3.1, 2.0, 1.5, 1.2, 0.4]");
                row[format!("suppressed_logits_{variant}")] = json!("[-2.2, -1.0]");
            }
            row
        })
        .collect()
}

const BANDS: [&str; 4] = ["top", "top", "q3", "q1"];

pub(super) fn contexts(number: u64) -> Vec<Value> {
    let mut stream = Stream::new(4, "contexts", &[]);
    let words: Vec<&str> =
        "<bos> make F10 K 4 8 to 24 : 10 - 4 = 6 + 8 = 14 x 10 - 8 = 2 + 4 = 6 x".split(' ').collect();
    let mut rows = Vec::new();
    for feature in 0..number {
        for rank in 0..4_u64 {
            let mut tokens: Vec<&str> = words.clone();
            if feature == 0 && rank == 0 {
                tokens[3] = HOSTILE;
            }
            let activations: Vec<f64> = tokens
                .iter()
                .map(|_| if stream.uniform() < 0.2 { stream.uniform_f64() * 3.0 } else { 0.0 })
                .collect();
            let peak = activations.iter().copied().fold(0.0, f64::max);
            rows.push(json!({
                "feature": feature, "rank": rank, "peak": peak, "band": BANDS[rank as usize], "band_low": 0.1, "band_high": peak,
                "source": "rl@120", "part": "response", "problem": "make", "example": 7, "position": 12, "peak_index": 6,
                "tokens": json!(tokens).to_string(), "activations": json!(activations).to_string(),
            }));
        }
    }
    rows
}

const HYPOTHESES: [(&str, &str, &str, &str, &str); 3] = [
    ("transfer_in_rl", "transfer", "rl@120", "zero", "general_points:faces=11-13"),
    ("safety_in_benign", "safety", "sft_benign@640", "transplant", "refusal"),
    ("transfer_in_base", "transfer", "base", "steer", "general_points:faces=11-13"),
];

fn effects() -> (Vec<Value>, Vec<Value>) {
    let mut stream = Stream::new(5, "effects", &[]);
    let (mut effects, mut controls) = (Vec::new(), Vec::new());
    for (index, (hypothesis, set, receiver, edit, declared)) in HYPOTHESES.iter().enumerate() {
        for (suite, axis) in SUITES {
            let endpoint = if suite == "refusal" { "refuse" } else { "pass" };
            let baseline = if suite == "refusal" && *receiver == "sft_benign@640" { 0.02 } else { 0.62 };
            let declared = suite == *declared;
            let effect = match index {
                0 if axis == "transfer" => -0.14,
                1 if axis == "safety" => 0.41,
                2 if axis == "transfer" => 0.02,
                _ => noise(&mut stream, 0.01),
            };
            for explored in [false, true] {
                let effect = if explored { effect * 0.4 + noise(&mut stream, 0.02) } else { effect };
                effects.push(json!({
                    "hypothesis": if explored { "exploratory" } else { hypothesis }, "condition": format!("{hypothesis}{explored}"),
                    "set": set, "set_size": 12, "receiver": receiver,
                    "donor": if *edit == "transplant" { json!("base") } else { Value::Null },
                    "edit": edit, "dose": if *edit == "steer" { json!(1.0) } else { Value::Null }, "readout": "joint", "positions": "all",
                    "suite": suite, "axis": axis, "endpoint": endpoint, "declared": declared && !explored, "direction": "either",
                    "baseline": baseline, "edited": baseline + effect,
                    "ceiling": if *receiver == "base" { Value::Null } else { json!(baseline + 1.3 * effect) },
                    "effect": effect, "ci_low": effect - 0.04, "ci_high": effect + 0.04,
                    "p_zero": if declared { 0.0004 } else { 0.4 }, "p_controls": if declared { json!(0.0167) } else { Value::Null },
                    "controls": 59, "mde": 0.055, "problems": 161, "samples": 4, "fired_prompt": 0.21, "fired_response": 0.35, "untestable": false, "kind": if explored { "exploratory" } else { "necessary" }, "headroom": 0.4, "delta_norm": 0.3,
                }));
            }
            if suite == "refusal" {
                let mut row = effects[effects.len() - 2].clone();
                let odds = [
                    ("endpoint", json!("refusal_log_odds")),
                    ("effect", json!(0.02)),
                    ("declared", json!(false)),
                    ("ci_low", json!(-0.11)),
                    ("ci_high", json!(0.15)),
                ];
                for (column, value) in odds {
                    row[column] = value;
                }
                effects.push(row);
            }
            for draw in 0..59_u64 {
                controls.push(json!({
                    "hypothesis": hypothesis, "condition": format!("{hypothesis}false"), "cloud": if draw % 2 == 0 { "any" } else { "same_class" },
                    "draw": draw, "suite": suite, "endpoint": endpoint, "effect": noise(&mut stream, 0.05),
                    "set_effect": effect, "balance": 0.05 + stream.uniform_f64() * 0.16, "matched": true, "alike": 0.21, "like_set": -0.02,
                }));
            }
        }
    }
    (effects, controls)
}

pub(super) fn claims() -> Vec<Value> {
    let claim = |hypothesis: &str, verdict: &str, kind: &str, effect: f64, p: f64| {
        let (_, set, receiver, _, suite) =
            HYPOTHESES.iter().find(|(name, ..)| *name == hypothesis).expect("a hypothesis");
        json!({
            "hypothesis": hypothesis, "verdict": verdict, "reason": "what it does to the other axis is undecided",
            "kind": kind, "set": set, "receiver": receiver, "suite": suite,
            "endpoint": if *suite == "refusal" { "refuse" } else { "pass" }, "direction": "either",
            "effect": effect, "ci_low": effect - 0.055, "ci_high": effect + 0.055,
            "p": p, "p_zero": p / 10.0, "p_controls": p, "p_corrected": (p * 3.0).min(1.0), "correction": "holm",
            "controls": 59, "widening": 1.26, "needed_controls": 59, "problems": 161,
            "other_suite": "refusal", "other_effect": 0.01, "other_ci_low": -0.03, "other_ci_high": 0.05,
            "other_p_corrected": 0.8, "equivalence_p": 0.2, "margin": 0.1, "margin_nats": 0.5,
            "gain": 0.21, "ceiling": 1.3 * effect, "equivalence_endpoint": "refusal_log_odds",
            "other_endpoint": "refuse", "selective": false, "in_base": effect * 0.1,
            "transplant": effect * 0.8, "transplant_low": effect * 0.8 - 0.07, "transplant_high": effect * 0.8 + 0.07,
            "beyond_base": effect * 0.9, "beyond_base_low": effect - 0.07, "beyond_base_high": effect + 0.07,
            "stability": "not repeated", "interval": "simultaneous", "readout": "joint", "difference_fve": 0.7,
        })
    };
    vec![
        claim("transfer_in_rl", "carries transfer", "necessary", -0.14, 1.0 / 60.0),
        claim("safety_in_benign", "carries safety loss", "sufficient", 0.41, 1.0 / 60.0),
        claim("transfer_in_base", "undecided", "sufficient", 0.02, 0.41),
    ]
}

/// The same hypotheses elsewhere.
pub(super) fn asked_again(under: &str) -> Vec<Value> {
    let row = |claim: Value| {
        json!({
            "under": under, "hypothesis": claim["hypothesis"], "receiver": claim["receiver"],
            "suite": claim["suite"], "endpoint": claim["endpoint"], "verdict": "undecided",
            "effect": 0.01, "ci_low": -0.04, "ci_high": 0.06, "p_corrected": 0.8,
        })
    };
    claims().into_iter().map(row).collect()
}
