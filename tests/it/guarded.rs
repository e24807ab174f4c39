//! What a file, an environment or a signal may not do to whoever runs the program.

use crate::cli::{MICRO, command, deltascope, text};
use std::process::Stdio;
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

#[test]
fn a_second_signal_ends_the_process_within_two_seconds_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing answers at this address, so that the work does not look whether it is to stop.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/", silent.local_addr().unwrap());
    let mut child = command(folder.path(), &["check", "model", "owner/silent"])
        .env("HF_HOME", folder.path())
        .env("HF_ENDPOINT", endpoint)
        .env_remove("HF_HUB_OFFLINE")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let send = || std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    send();
    std::thread::sleep(Duration::from_millis(300));
    if child.try_wait().unwrap().is_none() {
        let second = Instant::now();
        send();
        while child.try_wait().unwrap().is_none() {
            assert!(second.elapsed() < Duration::from_secs(2), "it goes on after a second signal");
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        assert!(text(&output.stderr).contains("stopped at once"), "{}", text(&output.stderr));
    }
}
