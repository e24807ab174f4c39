//! What counts as current: other code, another model of the hub, data that changes meanwhile and another judge each make
//! other artifacts, or stop the run.

use crate::cli::{command, deltascope, text};
use deltascope::store::{Code, Manifest};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const STUDY: &str = r#"
name = "current"
seed = 7

[base]
preset = "micro"
steps = 10
batch = 8

[gate]
in_domain = [0.0, 1.0]
refuses_disallowed = 0.0
refuses_allowed = 1.0

[suites]
in_domain = ["general_points"]

[evaluation]
samples = 1
max_new_tokens = 4
problems = 8

[[variant]]
name = "sft"
method = "sft"
data = { "traces.jsonl" = 1.0 }
steps = 2
batch = 4
"#;

fn traces(answer: &str) -> String {
    let row =
        |what| format!("{{\"prompt\": \"<bos> ask cut {what} c ki :\", \"completion\": \"{answer}\"}}\n");
    ["a", "b", "c", "d", "e", "f", "g", "h"].map(row).concat()
}

fn workplace(study: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("study.toml"), study).unwrap();
    std::fs::write(folder.path().join("traces.jsonl"), traces("no")).unwrap();
    folder
}

fn said(folder: &Path, arguments: &[&str]) -> Value {
    let output = deltascope(folder, &[arguments, &["--json", "--quiet"]].concat());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The stages that an answer calls cached or not.
fn stages(answer: &Value, cached: bool) -> Vec<&str> {
    let stages = answer["stages"].as_array().unwrap().iter().filter(|stage| stage["cached"] == cached);
    stages.map(|stage| stage["name"].as_str().unwrap()).collect()
}

fn complaint(folder: &Path, arguments: &[&str]) -> String {
    let output = deltascope(folder, arguments);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

fn artifact(folder: &Path, stage: &str) -> PathBuf {
    let store = folder.join("runs/current/store");
    let found = std::fs::read_dir(store).unwrap().flatten().map(|entry| entry.path());
    let mut found = found.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(stage));
    found.next().unwrap()
}

/// Makes the artifact of a stage one that other code made: under its own name, as that code would have left it.
fn age(folder: &Path, stage: &str) {
    let old = artifact(folder, &format!("{}-", stage.replace(' ', "-")));
    let mut manifest = Manifest::load(&old).unwrap();
    let code = manifest.recipe.code.clone().unwrap();
    manifest.recipe.code = Some(Code { source: "0".repeat(64), ..code });
    std::fs::write(old.join("manifest.json"), serde_json::to_string(&manifest).unwrap()).unwrap();
    let id = manifest.recipe.id();
    let new = old.with_file_name(format!("{}-{}", stage.replace(' ', "-"), id.short()));
    std::fs::rename(old, new).unwrap();
}

#[test]
fn what_other_code_made_is_made_again_unless_it_is_accepted_and_then_everything_says_so() {
    let folder = workplace(STUDY);
    let first = said(folder.path(), &["run", "study.toml"]);
    assert!(stages(&first, true).is_empty());
    assert!(stages(&said(folder.path(), &["plan", "study.toml"]), false).is_empty());
    age(folder.path(), "base");
    let plan = said(folder.path(), &["plan", "study.toml"]);
    assert_eq!(stages(&plan, false), ["base"], "its id is another");

    let accepted = said(folder.path(), &["plan", "study.toml", "--accept-older"]);
    assert_eq!(stages(&accepted, true), ["base"], "what was made of other inputs is other");
    assert_eq!(accepted["stages"][0]["older"][0], "other sources");
    let run = said(folder.path(), &["run", "study.toml", "--accept-older"]);
    assert_eq!(stages(&run, true), ["base"]);
    let notes = run["notes"].to_string();
    assert!(notes.contains("stage `base` was made by other sources"), "{notes}");
    let report = folder.path().join("runs/current/report");
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert!(page.contains("1 of 5 stages were made by other code"), "the page says so");
    assert!(
        page.contains("Made by other code: stage <code>base</code> was made by other sources"),
        "and how"
    );
    for table in ["evaluations", "training", "timings"] {
        let bytes = std::fs::read(report.join(format!("tables/{table}.parquet"))).unwrap();
        let said = b"deltascope.older";
        assert!(bytes.windows(said.len()).any(|window| window == said), "table `{table}` says so");
    }
    // Without the wish all is made anew, and nothing is said.
    let run = said(folder.path(), &["run", "study.toml"]);
    assert!(stages(&run, false).contains(&"base") && run["notes"].is_null());
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert!(!page.contains("other code than the rest"));
}

/// Runs the study and, once `ready` holds of the store, changes the data, for good or for a moment.
fn disturbed(study: &str, ready: &str, put_back: bool) -> (tempfile::TempDir, String) {
    let folder = workplace(study);
    let child = command(folder.path(), &["run", "study.toml", "--quiet"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let is_ready = || {
        let partial = folder.path().join("runs/current/store/partial");
        let listed = std::fs::read_dir(partial).into_iter().flatten().flatten();
        listed.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(ready))
    };
    while !is_ready() {
        assert!(started.elapsed() < Duration::from_secs(120), "`{ready}` was not begun");
        std::thread::sleep(Duration::from_millis(2));
    }
    let data = folder.path().join("traces.jsonl");
    std::fs::write(&data, traces("ok done")).unwrap();
    if put_back {
        std::thread::sleep(Duration::from_millis(50));
        std::fs::write(&data, traces("no")).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    (folder, text(&output.stderr))
}

#[test]
fn data_that_changes_before_it_is_read_stops_the_run() {
    let study = STUDY.replace("steps = 10", "steps = 60");
    let (folder, error) = disturbed(&study, "base-", false);
    assert!(error.contains("stage `variant sft`: data traces.jsonl: traces.jsonl has changed"), "{error}");
    assert!(error.contains("hint: run again"), "{error}");
    // What is there now is another study's data; put back, the stage is made of what its recipe says.
    std::fs::write(folder.path().join("traces.jsonl"), traces("no")).unwrap();
    let run = said(folder.path(), &["run", "study.toml"]);
    assert!(stages(&run, true).contains(&"base") && stages(&run, false).contains(&"variant sft"));
}

#[test]
fn data_that_changes_while_it_is_read_leaves_nothing_behind() {
    for put_back in [false, true] {
        let study = STUDY.replace("steps = 2", "steps = 200");
        let (folder, error) = disturbed(&study, "variant-sft-", put_back);
        let what = if put_back { "was written to and put back" } else { "has changed" };
        assert!(error.contains("stage `variant sft`") && error.contains(what), "{error}");
        let partial = folder.path().join("runs/current/store/partial");
        assert_eq!(std::fs::read_dir(partial).unwrap().count(), 0, "nothing to go on from");
    }
}

#[test]
fn a_changed_judge_is_another_and_the_page_says_what_it_is_made_of() {
    let suite = "in_domain = [\"problems.jsonl:rows=all:files=rules.txt:reward=command:sh judge.sh\"]";
    let study = STUDY.replace("in_domain = [\"general_points\"]", suite);
    assert!(study.contains(suite));
    let folder = workplace(&study);
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    let problem = |what| format!("{{\"prompt\": \"<bos> ask cut {what} c ki :\", \"answer\": \"no\"}}\n");
    write("problems.jsonl", &["a", "b", "c", "d", "e", "f"].map(problem).concat());
    write("judge.sh", "while read line; do cat rules.txt; done");
    write("rules.txt", "0.25\n");
    said(folder.path(), &["run", "study.toml"]);
    let page = std::fs::read_to_string(folder.path().join("runs/current/report/index.html")).unwrap();
    for what in ["judge.sh", "rules.txt", "/sh"] {
        assert!(
            page.contains(
                "judge of suite problems.jsonl:rows=all:files=rules.txt:reward=command:sh judge.sh: "
            ) && page.contains(what),
            "{what}"
        );
    }
    for (name, other, own) in [
        ("rules.txt", "0.5\n", "0.25\n"),
        ("judge.sh", "while read line; do echo 1; done", "while read line; do cat rules.txt; done"),
    ] {
        write(name, other);
        let plan = said(folder.path(), &["plan", "study.toml"]);
        assert!(stages(&plan, false).contains(&"evaluation base"), "{name}");
        assert!(stages(&plan, true).contains(&"base"), "{name} does not matter to what it does not judge");
        write(name, own);
        assert!(stages(&said(folder.path(), &["plan", "study.toml"]), false).is_empty(), "{name}");
    }
    // Planning starts no program.
    write("judge.sh", "touch started; while read line; do echo 1; done");
    said(folder.path(), &["plan", "study.toml"]);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!folder.path().join("started").exists());
}

#[test]
fn contents_are_compared_before_anything_is_called_cached() {
    let folder = workplace(STUDY);
    said(folder.path(), &["run", "study.toml"]);
    let verified = said(folder.path(), &["store", "verify", "runs/current"]);
    assert_eq!((&verified["sound"], &verified["corrupt"]), (&6.into(), &0.into()), "{verified}");
    let listed = said(folder.path(), &["store", "list", "runs/current/store"]);
    assert_eq!(listed["found"].as_array().unwrap().len(), 6, "{listed}");

    // As many bytes, one of them another.
    let weights = artifact(folder.path(), "base-").join("model/model.safetensors");
    let sound = std::fs::read(&weights).unwrap();
    let mut flipped = sound.clone();
    *flipped.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, &flipped).unwrap();
    for arguments in [["plan", "study.toml"], ["run", "study.toml"]] {
        let error = complaint(folder.path(), &arguments);
        assert!(error.contains("`model/model.safetensors` has changed"), "{error}");
    }
    let output = deltascope(folder.path(), &["store", "verify", "runs/current"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("CORRUPT") && text(&output.stdout).contains("5 sound, 1 corrupt"));
    std::fs::write(&weights, &sound).unwrap();

    let added = weights.with_file_name("generation_config.json");
    std::fs::write(&added, "{}").unwrap();
    let error = complaint(folder.path(), &["plan", "study.toml"]);
    assert!(error.contains("`model/generation_config.json` was added"), "{error}");
    std::fs::remove_file(added).unwrap();

    // What was published is held against its checksums, too.
    let table = folder.path().join("runs/current/report/tables/evaluations.parquet");
    let mut bytes = std::fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&table, bytes).unwrap();
    let error =
        complaint(folder.path(), &["report", "--tables", "runs/current/report/tables", "--out", "again"]);
    assert!(error.contains("evaluations.parquet has changed since it was published"), "{error}");
}
