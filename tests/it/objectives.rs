//! `check objectives`: the reference numbers are met, and a wrong one fails the command.

use std::path::Path;
use std::process::Command;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/objectives.json");

fn check(file: &Path, out: &Path) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deltascope"));
    command.args(["--json", "check", "objectives"]).arg(file).arg("--out").arg(out).output().unwrap()
}

#[test]
fn the_reference_numbers_are_met_and_a_wrong_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours.json");
    let output = check(Path::new(FIXTURE), &ours);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["compared"], 66);
    let mut file: serde_json::Value = serde_json::from_slice(&std::fs::read(&ours).unwrap()).unwrap();
    file["cases"][0]["losses"][2]["grad_logp"][1][1] = 0.5.into();
    let wrong = folder.path().join("wrong.json");
    std::fs::write(&wrong, file.to_string()).unwrap();
    let output = check(&wrong, &folder.path().join("again.json"));
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    // What the file had left out is in ours, and compared: the plain advantages of three cases.
    assert!(error.contains("1 of 69 quantities differ"), "{error}");
    std::fs::write(&wrong, "{}").unwrap();
    assert_eq!(check(&wrong, &ours).status.code(), Some(2));
}
