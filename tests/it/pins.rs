//! The bytes that every stage of the micro study leaves, for every path of kernels that they were recorded on. A change of
//! code that changes them is a decision: look at what changed and why, say so where changes are told, and renew them by
//!
//!     cargo test --release --test it renew_the_pins -- --ignored
//!
//! On a processor whose path was never recorded nothing is compared, and a line says so.

use crate::cli::{MICRO, deltascope, text};
use deltascope::store::Manifest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Of every file of every stage the first digits of the hash of its bytes.
type Pins = BTreeMap<String, BTreeMap<String, String>>;

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pins.json")
}

fn load() -> BTreeMap<String, Pins> {
    serde_json::from_slice(&std::fs::read(recorded()).unwrap()).unwrap()
}

/// The path of this processor, and what the stages leave here.
fn made() -> (String, Pins) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("study.toml"), MICRO).unwrap();
    let output = deltascope(folder.path(), &["run", "study.toml", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let store = std::fs::read_dir(folder.path().join("runs/micro/store")).unwrap();
    let artifacts: Vec<(PathBuf, Manifest)> = store
        .flatten()
        .filter_map(|entry| Some((entry.path(), Manifest::load(&entry.path()).ok()?)))
        .collect();
    let kernels = artifacts[0].1.recipe.code.as_ref().unwrap().kernels.clone();
    // Ids follow from the code: what is made of the same numbers by other code holds other ids.
    let ids: Vec<(String, String)> = artifacts
        .iter()
        .map(|(_, manifest)| (manifest.recipe.id().to_string(), manifest.recipe.stage.clone()))
        .collect();
    let mut pins = Pins::new();
    for (folder, manifest) in artifacts.iter().filter(|(_, manifest)| manifest.recipe.stage != "report") {
        let files = manifest.files.keys().filter(|name| !is_of_the_clock(name));
        let files = files.map(|name| (name.clone(), hash(&folder.join(name), &ids)));
        pins.insert(manifest.recipe.stage.clone(), files.collect());
    }
    (kernels, pins)
}

/// Times differ from run to run.
fn is_of_the_clock(name: &str) -> bool {
    name.contains("timings")
}

fn hash(path: &Path, ids: &[(String, String)]) -> String {
    let mut bytes = std::fs::read(path).unwrap();
    for (id, _) in ids {
        let id = id.as_bytes();
        let places: Vec<usize> = bytes
            .windows(id.len())
            .enumerate()
            .filter(|(_, window)| *window == id)
            .map(|(at, _)| at)
            .collect();
        for at in places {
            bytes[at..at + id.len()].fill(b'0');
        }
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_stage_leaves_the_bytes_that_were_recorded() {
    let recorded = load();
    let (kernels, found) = made();
    let Some(expected) = recorded.get(&kernels) else {
        eprintln!("no bytes are recorded for `{kernels}`: nothing was compared");
        return;
    };
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "stages");
    let different: Vec<String> = found
        .iter()
        .flat_map(|(stage, files)| {
            let names = files.keys().chain(expected[stage].keys()).collect::<std::collections::BTreeSet<_>>();
            let different = names.into_iter().filter(|name| expected[stage].get(*name) != files.get(*name));
            different.map(move |name| format!("{stage}: {name}")).collect::<Vec<_>>()
        })
        .collect();
    assert!(
        different.is_empty(),
        "other bytes than were recorded (if that is meant, renew the pins): {different:#?}"
    );
}

#[test]
#[ignore = "writes what is recorded; see above"]
fn renew_the_pins() {
    let mut all = if recorded().exists() { load() } else { BTreeMap::new() };
    let (kernels, found) = made();
    all.insert(kernels, found);
    let text = serde_json::to_string_pretty(&all).unwrap();
    std::fs::write(recorded(), text + "\n").unwrap();
}
