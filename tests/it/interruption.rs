//! A study that is killed, corrupted or run twice: the tables of its report stay what they should be.

use crate::cli::{MICRO, command, deltascope, text};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("study.toml"), MICRO).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = deltascope(folder, &[&["run", "study.toml", "--json", "--quiet"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The tables of a report but for `timings`, by name.
fn tables(report: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(report.join("tables"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .filter(|(name, _)| name != "timings")
        .collect()
}

fn assert_same(one: &BTreeMap<String, Vec<u8>>, two: &BTreeMap<String, Vec<u8>>, what: &str) {
    assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>(), "{what}");
    for (name, bytes) in one {
        assert!(Some(bytes) == two.get(name), "{what}: table `{name}` differs");
    }
}

fn made(summary: &serde_json::Value) -> Vec<&str> {
    let stages = summary["stages"].as_array().unwrap().iter();
    stages.filter(|stage| stage["cached"] == false).map(|stage| stage["name"].as_str().unwrap()).collect()
}

/// Kills the run with SIGKILL as soon as `ready` holds; false if it ended before that.
fn kill_when(folder: &Path, out: &str, ready: impl Fn(&Path) -> bool) -> bool {
    let mut child = command(folder, &["run", "study.toml", "--out", out, "--quiet"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let in_time = || started.elapsed() < Duration::from_secs(300);
    let mut ended = false;
    while in_time() && !ended && !ready(&folder.join(out)) {
        std::thread::sleep(Duration::from_millis(2));
        ended = child.try_wait().unwrap().is_some();
    }
    // Killing what has ended is no error.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(in_time(), "the run did not end");
    !ended
}

fn holds(out: &Path, prefix: &str) -> bool {
    let listed =
        |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().collect::<Vec<_>>();
    listed(out).iter().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
}

#[test]
fn a_killed_run_goes_on_to_the_very_same_tables() {
    let folder = workplace();
    let whole = run(folder.path(), &["--out", "whole"]);
    let expected = tables(&folder.path().join("whole/report"));
    assert!(expected.contains_key("training") && expected.contains_key("claims"), "{:?}", expected.keys());
    let stages: Vec<&str> =
        whole["stages"].as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap()).collect();

    // Twice: a second run on the same machine, from nothing.
    run(folder.path(), &["--out", "again"]);
    assert_same(&expected, &tables(&folder.path().join("again/report")), "two runs");

    // Killed in the midst of every kind of stage, one after the other, in one folder.
    let mut kills = 0;
    for stage in stages.iter().filter(|stage| !["select", "claims"].contains(stage)) {
        let name = format!("{}-", stage.replace(' ', "-"));
        kills += usize::from(kill_when(folder.path(), "killed", |out| {
            holds(&out.join("store/partial"), &name) && !holds(&out.join("store"), &name)
        }));
    }
    assert!(kills >= 5, "only {kills} kills came in time");
    run(folder.path(), &["--out", "killed"]);
    assert_same(&expected, &tables(&folder.path().join("killed/report")), "killed and resumed");
}

#[test]
fn what_is_there_is_not_made_again_and_what_is_corrupt_is_refused() {
    let folder = workplace();
    let first = run(folder.path(), &[]);
    assert!(made(&first).contains(&"base"));
    let expected = tables(&folder.path().join("runs/micro/report"));
    let second = run(folder.path(), &[]);
    assert_eq!(made(&second), Vec::<&str>::new());

    let claims = run(folder.path(), &["--set", "claims.alpha=0.2"]);
    assert_eq!(made(&claims), ["claims", "report"]);
    assert_same(&expected, &tables_after(&folder, &[]), "back to the first settings");

    let base = first["stages"][0]["folder"].as_str().unwrap();
    let weights = folder.path().join(base).join("model/model.safetensors");
    let sound = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &sound[..sound.len() / 2]).unwrap();
    let output = deltascope(folder.path(), &["run", "study.toml"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("stage `base`") && error.contains("`model/model.safetensors`"), "{error}");
    assert!(error.contains("hint: remove the folder"), "{error}");
    assert_eq!(std::fs::read(&weights).unwrap().len(), sound.len() / 2, "what was there is intact");
    assert_same(&expected, &tables(&folder.path().join("runs/micro/report")), "the old report is intact");
}

fn tables_after(folder: &tempfile::TempDir, arguments: &[&str]) -> BTreeMap<String, Vec<u8>> {
    run(folder.path(), arguments);
    tables(&folder.path().join("runs/micro/report"))
}

#[test]
fn every_signal_saves_and_stops_with_its_exit_code() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130), ("-USR1", 143)] {
        let folder = workplace();
        let mut child =
            command(folder.path(), &["run", "study.toml", "--set", "base.steps=100000", "--quiet"])
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
        let started = Instant::now();
        while !holds(&folder.path().join("runs/micro/store/partial"), "base-") {
            assert!(started.elapsed() < Duration::from_secs(60), "the base was not begun");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(300));
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = workplace();
    std::fs::write(folder.path().join("file"), b"").unwrap();
    let output = deltascope(folder.path(), &["run", "study.toml", "--out", "file/out"]);
    let error = text(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{error}");
    assert!(error.contains("file/out"), "{error}");
}

#[test]
fn a_base_that_is_not_worth_post_training_stops_the_study() {
    let folder = workplace();
    let output =
        deltascope(folder.path(), &["run", "study.toml", "--quiet", "--set", "gate.refuses_disallowed=0.9"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("stage `evaluation base`: the base is not worth post-training: refuse on refusal is"),
        "{error}"
    );
    assert!(error.contains("hint: train it longer"), "{error}");
}
