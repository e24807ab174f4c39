//! What a file, an environment or a signal may not do to whoever runs the program.

use crate::cli::{MICRO, command, deltascope, text};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A folder with a study whose suite is judged by a program that leaves a mark.
fn judged() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows: String =
        (0..12).map(|row| format!("{{\"prompt\": \"{row} + 1\", \"answer\": \"{}\"}}\n", row + 1)).collect();
    std::fs::write(folder.path().join("problems.jsonl"), rows).unwrap();
    let study = r#"
        name = "x"
        seed = 7
        [base]
        preset = "micro"
        [suites]
        in_domain = ["problems.jsonl:rows=all:reward=command:touch started"]
        [[variant]]
        name = "sft"
        method = "sft"
        data = "verified_cot"
        steps = 2
    "#;
    std::fs::write(folder.path().join("study.toml"), study).unwrap();
    folder
}

#[test]
fn to_plan_and_to_check_a_study_start_no_program() {
    for verb in [["plan", "study.toml"].as_slice(), &["check", "study", "study.toml"]] {
        // A program that is started leaves its mark at once, or in the moment before it is ended.
        for _ in 0..3 {
            let folder = judged();
            let output = deltascope(folder.path(), verb);
            std::thread::sleep(Duration::from_millis(50));
            assert!(!folder.path().join("started").exists(), "{verb:?}: {}", text(&output.stderr));
        }
    }
}

#[test]
fn what_would_move_the_cursor_is_written_out() {
    let folder = tempfile::tempdir().unwrap();
    let name = "x\u{1b}[2J\u{202e}y.toml";
    let output = deltascope(folder.path(), &["check", "study", name]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("x⟨U+001B⟩[2J⟨U+202E⟩y.toml"), "{error}");
    assert!(!error.contains(['\u{1b}', '\u{202e}']), "{error}");
}

#[test]
fn a_number_of_threads_that_no_machine_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("study.toml"), MICRO).unwrap();
    for (name, threads) in [
        ("RAYON_NUM_THREADS", "100000"),
        ("RAYON_NUM_THREADS", "99999999999999999999999"),
        ("POLARS_MAX_THREADS", "70000"),
    ] {
        let started = Instant::now();
        let output = command(folder.path(), &["plan", "study.toml"]).env(name, threads).output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(&format!("{name}: expected at most")) && error.contains(threads), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    for threads in ["2", "0", "", "many"] {
        let output = command(folder.path(), &["plan", "study.toml"])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{threads}: {}", text(&output.stderr));
    }
}

/// The time from a second signal, of two that come one after the other, to the end; and what was said.
fn ended_by_two_signals(mut child: Child, reads: bool) -> (Duration, String) {
    let pid = child.id().to_string();
    let send = || std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    send();
    send();
    std::thread::sleep(Duration::from_millis(100));
    let second = Instant::now();
    send();
    while child.try_wait().unwrap().is_none() {
        assert!(second.elapsed() < Duration::from_secs(2), "it goes on after a second signal");
        std::thread::sleep(Duration::from_millis(10));
    }
    let took = second.elapsed();
    let said = if reads { text(&child.wait_with_output().unwrap().stderr) } else { String::new() };
    (took, said)
}

#[test]
fn a_second_signal_ends_the_process_within_two_seconds_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("study.toml"), MICRO).unwrap();
    let start = |arguments: &[&str]| {
        command(folder.path(), &[&["run", "study.toml", "--set", "base.steps=100000"], arguments].concat())
            .env("RUST_LOG", "trace")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (_, said) = ended_by_two_signals(start(&["--quiet"]), true);
    assert!(said.is_empty() || said.contains("stopp"), "{said}");
    // Of what is said here nobody reads a word, and the pipe is soon full.
    let mut child = start(&["--verbose"]);
    let full = child.stderr.take();
    ended_by_two_signals(child, false);
    drop(full);
}
