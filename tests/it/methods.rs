//! A study of several methods on files, each with two training seeds and no dictionary: its tables and its page.

use crate::cli::{deltascope, text};
use deltascope::evaluation::{ComparisonRow, EvaluationRow, SeedRow, SeedTrajectoryRow};
use deltascope::tables;
use std::path::Path;

const STUDY: &str = r#"
name = "methods"

[base]
preset = "micro"
steps = 20
batch = 16

[gate]
in_domain = [0.0, 1.0]
refuses_disallowed = 0.0
refuses_allowed = 1.0

[suites]
in_domain = ["general_points"]
safety = ["refusal"]

[evaluation]
samples = 2
max_new_tokens = 8
problems = 24

[[variant]]
name = "sft"
method = "sft"
data = { "traces.jsonl" = 0.5, refusals = 0.5 }
steps = 4
batch = 4
checkpoints = [2]
seeds = 2

[[variant]]
name = "dpo"
method = "dpo"
data = "pairs.jsonl"
steps = 3
batch = 2
lora = { rank = 2 }
seeds = 2

[[variant]]
name = "rl"
method = "grpo"
steps = 2
prompts = 2
samples = 2
max_new_tokens = 8
"#;

fn run(folder: &Path) -> serde_json::Value {
    let output = deltascope(folder, &["run", "study.toml", "--json", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn made(summary: &serde_json::Value) -> Vec<String> {
    let stages = summary["stages"].as_array().unwrap().iter();
    stages
        .filter(|stage| stage["cached"] == false)
        .map(|stage| stage["name"].as_str().unwrap().into())
        .collect()
}

#[test]
fn methods_on_files_with_seeds_make_tables_over_runs_and_a_page_without_a_dictionary() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    write("study.toml", STUDY);
    let trace = "{\"prompt\": \"<bos> calc 2 * 3 :\", \"completion\": \"6\"}\n";
    write("traces.jsonl", trace);
    write("pairs.jsonl", "{\"prompt\": \"<bos> calc 2 * 3 :\", \"chosen\": \"6\", \"rejected\": \"7\"}\n");
    let summary = run(folder.path());
    assert!(made(&summary).contains(&"variant dpo_seed2".to_owned()), "{:?}", made(&summary));

    let report = folder.path().join("runs/methods/report");
    let seeds: Vec<SeedRow> = tables::read(&report.join("tables/seeds.parquet")).unwrap();
    assert!(seeds.iter().all(|row| row.seeds == 2 && ["sft", "dpo"].contains(&row.variant.as_str())));
    assert!(
        seeds.iter().any(|row| row.variant == "sft" && row.checkpoint == 2 && row.endpoint == "pass_at_2")
    );
    let comparisons: Vec<ComparisonRow> = tables::read(&report.join("tables/comparisons.parquet")).unwrap();
    assert_eq!(comparisons.len(), 2, "dpo against sft on two suites");
    let moves: Vec<SeedTrajectoryRow> =
        tables::read(&report.join("tables/seed_trajectories.parquet")).unwrap();
    assert!(moves.iter().any(|row| row.variant == "dpo" && row.statistic == "gain" && row.seeds == 2));
    assert!(moves.iter().all(|row| row.runs == 2), "{moves:?}");
    assert!(comparisons.iter().all(|row| row.verdict == "too few seeds" && row.reference == "sft"));
    // Runs that differ in their seed differ in what they learned; those of equal seed do not.
    let rows: Vec<EvaluationRow> = tables::read(&report.join("tables/evaluations.parquet")).unwrap();
    let odds = |variant: &str| {
        let own = |row: &&EvaluationRow| row.variant == variant && row.endpoint == "refusal_log_odds";
        rows.iter().rfind(own).unwrap().value.unwrap()
    };
    assert_ne!(odds("sft"), odds("sft_seed2"));
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    for words in ["Over training seeds", "Budgets", "too few seeds", "traces.jsonl 50 %"] {
        assert!(page.contains(words), "the page does not say `{words}`");
    }

    write("traces.jsonl", &trace.replace("\"6\"", "\"6 6\""));
    let again = made(&run(folder.path()));
    assert!(again.contains(&"variant sft".to_owned()) && again.contains(&"seeds".to_owned()), "{again:?}");
    assert!(!again.iter().any(|stage| stage.contains("dpo") || stage.ends_with(" rl")), "{again:?}");
}
