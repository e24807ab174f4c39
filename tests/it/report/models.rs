//! Made-up tables of what differs between models, of other readouts, doses, and the published protocol.

use super::fabricated::{HOSTILE, write};
use serde_json::{Value, json};
use std::path::Path;

const VARIANTS: [&str; 3] = ["rl@120", "sft@40", "sft_benign@640"];

/// Fills a folder with these tables.
pub(super) fn tables(folder: &Path) {
    let each = |row: &dyn Fn(&str) -> Value| VARIANTS.map(row).to_vec();
    write(
        folder,
        "divergences",
        &each(&|variant| {
            json!({
                "variant": variant, "against": "base", "group": "refusal", "kl": 0.21, "kl_reverse": 0.3, "kl_max": 7.1, "at": "3:12", "disagree": 0.12, "tokens": 4100,
            })
        }),
    );
    write(
        folder,
        "divergent_tokens",
        &each(&|variant| {
            json!({
                "variant": variant, "against": "base", "rank": 1, "group": "refusal", "at": "3:12", "kl": 7.1,
                "context": json!(["<bos>", "ki", HOSTILE]).to_string(), "expected": "ok", "expected_against": "no",
            })
        }),
    );
    let mut heads: Vec<Value> = Vec::new();
    for variant in VARIANTS {
        for head in 0..8_u64 {
            heads.push(json!({
                "variant": variant, "group": "refusal", "layer": head / 4, "head": head % 4, "ships": 0.4, "share": 0.1,
                "share_lost": head as f64 * 0.01 - 0.03, "log_odds_change": -1.2, "sahara_rank": Value::Null, "sahara_angle": Value::Null,
            }));
        }
    }
    heads[0]["sahara_rank"] = json!(1);
    heads[0]["sahara_angle"] = json!(12.5);
    write(folder, "heads", &heads);
    write(
        folder,
        "directions",
        &each(&|variant| {
            json!({
                "variant": variant, "hook": "blocks.2.hook_resid_post", "label": "refusal", "read_at": "last prompt token", "relative_norm": 0.6,
                "separation": 0.98, "cosine_to_base": 0.93, "projection_labelled": 1.2, "projection_other": -1.1, "log_odds": 6.2,
                "log_odds_ablated": -3.1, "log_odds_steered": 4.4, "kl_other": 0.03, "selected": variant == "rl@120",
            })
        }),
    );
    write(
        folder,
        "weights",
        &each(&|variant| {
            json!({
                "variant": variant, "parameter": "model.layers.2.mlp.up_proj.weight", "relative_norm": 0.11, "effective_rank": 41.0,
                "effective_rank_base": 101.0, "participation_rank": 22.0, "participation_rank_base": 80.0, "overlap": 0.97,
            })
        }),
    );
    write(
        folder,
        "probes",
        &each(&|variant| {
            json!({
                "variant": variant, "hook": "blocks.2.hook_resid_post", "label": "refusal", "accuracy": 0.99, "accuracy_shuffled": 0.51,
                "selectivity": 0.48, "accuracy_of_base_probe": 0.97, "fitted": 120, "held_out": 118,
            })
        }),
    );
    write(
        folder,
        "activation_differences",
        &each(&|variant| {
            json!({
                "variant": variant, "hook": "blocks.2.hook_resid_post", "position": 0, "relative_norm": 0.2, "consistency": 0.9, "prompts": 64,
                "promoted": "[\"no\",\"ok\"]", "suppressed": "[\"x\"]", "steered": "[\"24\"]", "kl": 0.2, "kl_projected_out": 0.12,
            })
        }),
    );
    let mut dynamics = Vec::new();
    for (variant, last) in [("sft", 40_u64), ("sft_benign", 640), ("rl", 120)] {
        for checkpoint in [10_u64, 20, 40, 120, 640].into_iter().filter(|step| *step <= last) {
            dynamics.push(json!({
                "variant": variant, "checkpoint": checkpoint, "top": 50, "overlap": checkpoint as f64 / last as f64, "rise": 0.9, "tokens": 4000,
            }));
        }
    }
    write(folder, "dynamics", &dynamics);
    let mut readouts = Vec::new();
    for variant in VARIANTS {
        for feature in 0..40_u64 {
            readouts.push(json!({
                "feature": feature, "variant": variant, "readout": "own", "f1": 0.8 + 0.005 * feature as f64, "r2": 0.9, "rate": 0.01,
                "joint_rate": 0.01, "sufficient": feature >= 20,
            }));
        }
    }
    write(folder, "readouts", &readouts);
    write(
        folder,
        "shifts",
        &each(&|variant| {
            json!({
                "feature": 41, "variant": variant, "suite": "countdown", "mean": 0.31, "mean_base": 0.11, "shift": 0.2,
            })
        }),
    );
    write(
        folder,
        "trends",
        &[json!({
            "hypothesis": "transfer_in_rl", "suite": "general_points:faces=11-13", "endpoint": "pass", "doses": "[0,0.5,1,2]",
            "values": "[0.62,0.55,0.48,0.3]", "slope": -0.16, "ci_low": -0.2, "ci_high": -0.12, "p": 0.0002, "monotone": true,
        })],
    );
    write(
        folder,
        "published",
        &[json!({
            "protocol": "shi2026", "suite": "countdown", "variant": "rl@120", "receiver": "rl@120", "edit": "zero", "features": 3, "items": 14,
            "problems": 100, "effect": -0.5, "effect_of_nothing": -0.36, "effect_of_random": -0.4, "effect_unfiltered": -0.02, "p_unfiltered": 0.4,
        })],
    );
}
