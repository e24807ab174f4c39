//! `fit` from the outside: killed and resumed, on stores that are larger than its memory.

use crate::cli::{command, deltascope, text};
use deltascope::rng::Stream;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const VARIANTS: usize = 3;

/// Writes `activations [tokens, variants, d_model]`: a few sparse directions and noise.
fn plant(path: &Path, tokens: usize, d_model: usize) {
    let mut stream = Stream::new(1, "test.activations", &[]);
    let row = VARIANTS * d_model;
    let directions: Vec<f32> = (0..16 * row).map(|_| stream.normal()).collect();
    // Drawing every value anew would take longer than the fit.
    let noise: Vec<f32> = (0..8191).map(|_| 0.1 * stream.normal()).collect();
    let mut bytes = Vec::with_capacity(tokens * row * 4);
    for token in 0..tokens {
        let active = stream.below(16);
        for index in 0..row {
            let value = directions[active * row + index] + noise[(token * row + index) % noise.len()];
            bytes.extend(value.to_le_bytes());
        }
    }
    let view = TensorView::new(Dtype::F32, vec![tokens, VARIANTS, d_model], &bytes).unwrap();
    safetensors::serialize_to_file([("activations", view)], None, path).unwrap();
}

fn fit<'a>(file: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["fit", "--activations", file, "--variants", "base,sft,rl", "--out", out, "--quiet"];
    [&fixed, more].concat()
}

#[test]
fn fits_that_were_killed_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    plant(&folder.path().join("acts.safetensors"), 6000, 16);
    // Two dictionaries in one pass; states are saved in the midst of annealing, of watches for twins and of decay.
    let settings = [
        "--features",
        "64",
        "--k",
        "4",
        "--steps",
        "240",
        "--batch",
        "256",
        "--seed",
        "1,2",
        "--lr",
        "0.01",
        "--k-anneal",
        "0.3",
        "--set",
        "save_every=6",
        "--set",
        "buffer=1000",
        "--set",
        "dead_after=4000",
    ];
    let names = ["features_64-seed_1", "features_64-seed_2"];
    let output = deltascope(folder.path(), &fit("acts.safetensors", "whole", &settings));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let state = folder.path().join("killed").join(names[1]).join("fit.safetensors");
    let mut kills = 0;
    for _ in 0..6 {
        let saved = || std::fs::metadata(&state).and_then(|about| about.modified()).ok();
        let (before, started) = (saved(), Instant::now());
        let mut child = command(folder.path(), &fit("acts.safetensors", "killed", &settings))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // At least one more state is saved, then the process dies at once.
        while saved() == before && child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(60), "no state was saved");
            std::thread::sleep(Duration::from_millis(1));
        }
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills >= 3, "only {kills} kills came in time");
    let output = deltascope(folder.path(), &fit("acts.safetensors", "killed", &settings));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for name in names {
        for file in ["dictionary.safetensors", "dictionary.json", "dictionaries.parquet"] {
            let read = |run: &str| std::fs::read(folder.path().join(run).join(name).join(file)).unwrap();
            assert_eq!(read("whole"), read("killed"), "{name}/{file}");
        }
        assert!(!folder.path().join("killed").join(name).join("fit.safetensors").exists());
    }
}

/// The most memory in MiB that a fit on `file` held.
fn peak(folder: &Path, file: &str) -> u64 {
    let settings = ["--features", "32", "--k", "4", "--steps", "4", "--batch", "256", "--set", "buffer=4096"];
    let mut child = command(folder, &fit(file, "out", &settings))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0) / 1024);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    peak
}

#[test]
#[cfg(target_os = "linux")]
fn memory_does_not_grow_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    // Large enough for full blocks of held-out tokens.
    plant(&folder.path().join("small.safetensors"), 45_000, 128);
    plant(&folder.path().join("large.safetensors"), 120_000, 128);
    let (small, large) = (peak(folder.path(), "small.safetensors"), peak(folder.path(), "large.safetensors"));
    let size = std::fs::metadata(folder.path().join("large.safetensors")).unwrap().len() >> 20;
    println!("peak of {small} MiB, and {large} MiB on a store of {size} MiB");
    assert!(large < small + 24, "{small} MiB, and {large} MiB on a store of {size} MiB");
}
