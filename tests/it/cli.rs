//! The command line from the outside: exit codes, where text goes, and every message a slip brings.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the binary in `folder`.
pub(crate) fn deltascope(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deltascope"));
    command.current_dir(folder).args(arguments).env_remove("RUST_LOG");
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) const MICRO: &str = include_str!("../../probes/micro.toml");

/// A folder with the micro study, one line of which is replaced.
fn study_with(line: &str, replacement: &str) -> tempfile::TempDir {
    assert!(MICRO.contains(line), "the micro study has no line `{line}`");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("study.toml"), MICRO.replacen(line, replacement, 1)).unwrap();
    folder
}

/// What `check study` says on stderr about the micro study with one line replaced; the exit code must be 2.
fn complaint(line: &str, replacement: &str) -> String {
    let folder = study_with(line, replacement);
    let output = deltascope(folder.path(), &["check", "study", "study.toml"]);
    assert_eq!(output.status.code(), Some(2), "{line} -> {replacement}: {}", text(&output.stderr));
    assert!(output.stdout.is_empty());
    text(&output.stderr)
}

#[test]
fn the_shipped_studies_can_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(root.join("probes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let output = deltascope(root, &["check", "study", path.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(0), "{}: {}", path.display(), text(&output.stderr));
        }
    }
}

#[test]
fn a_slip_in_a_study_is_named_with_file_field_and_hint() {
    let cases = [
        (
            "steps = 20",
            "stps = 20",
            "error: study.toml: [base]: unknown field `stps`; known are `preset`, `model`, ",
            "hint: did you mean `steps`?",
        ),
        (
            "steps = 20",
            "steps = -3",
            "error: study.toml: [base]: field `steps`: invalid value: integer `-3`, expected usize",
            "",
        ),
        (
            "preset = \"micro\"",
            "preset = \"tny\"",
            "error: study.toml: [base]: field `preset`: unknown value `tny`; known are `tiny`, `petite`, `mini`, `micro`\n",
            "hint: did you mean `tiny`?",
        ),
        (
            "in_domain = [\"general_points\"]",
            "in_domain = [\"general_point\"]",
            "error: study.toml: [suites]: field `in_domain`: unknown suite `general_point`\n",
            "hint: did you mean `general_points`?",
        ),
        (
            "[claims]",
            "[clams]",
            "error: study.toml: unknown section `clams`; known are ",
            "hint: did you mean `claims`?",
        ),
        (
            "k = 8",
            "k = 65",
            "error: study.toml: [dictionary]: field `k`: expected at most the number of features, 64, found 65\n",
            "hint: k is how many features may fire per token",
        ),
        (
            "method = \"grpo\"",
            "method = \"grppo\"",
            "error: study.toml: variant `rl`: field `method`: unknown method `grppo`; known are `sft`, ",
            "hint: did you mean `grpo`?",
        ),
        (
            "checkpoints = [2, 4]",
            "checkpoints = [2, 40]",
            "error: study.toml: variant `sft`: field `checkpoints`: expected \"log\" or a list of steps up to 8, found 40\n",
            "hint: for example checkpoints = [10, 40, 160]",
        ),
        (
            "over = [\"base\", \"rl\", \"sft@matched\"]",
            "over = [\"base\", \"rl\", \"sft@3\"]",
            "error: study.toml: [dictionary]: field `over`: `sft` has no checkpoint at step 3; it keeps 2, 4, 8\n",
            "hint: add 3 to the variant's `checkpoints`",
        ),
        (
            "over = [\"base\", \"rl\", \"sft@matched\"]",
            "over = [\"base\", \"sft@matched\"]",
            "field `receiver`: `rl` is not spanned by the dictionary\n",
            "hint: add it to `over` in [dictionary], or use one of `base`, `sft@matched`",
        ),
        (
            "controls = 39",
            "controls = 38",
            "expected at least 39 for 2 hypotheses, found 38",
            "hint: set `controls = 39`, or declare fewer hypotheses",
        ),
        (
            "hooks = [\"blocks.1.hook_resid_post\"]",
            "hooks = [\"blocks.1.hook_resid_pst\"]",
            "error: study.toml: [capture]: ",
            "hint: ",
        ),
        (
            "name = \"micro\"",
            "name = \"a/b\"",
            "error: study.toml: field `name`: expected letters, digits",
            "hint: ",
        ),
        ("draws = 200", "alpha = 2.0", "alpha", ""),
        (
            "[capture]",
            "[capture",
            "error: study.toml: the file is not valid TOML\n",
            "hint: see https://toml.io",
        ),
    ];
    for (line, replacement, expected, hint) in cases {
        let found = complaint(line, replacement);
        assert!(found.contains(expected), "{replacement}\n  expected: {expected}\n  found: {found}");
        assert!(found.contains(hint), "{replacement}\n  expected: {hint}\n  found: {found}");
        assert!(found.starts_with("error: study.toml: "), "{found}");
    }
}

#[test]
fn overrides_find_variants_by_name_and_offer_the_nearest() {
    let folder = study_with("steps = 20", "steps = 20");
    let check = |set: &str| {
        let output = deltascope(folder.path(), &["check", "study", "study.toml", "--set", set]);
        (output.status.code(), text(&output.stderr))
    };
    assert_eq!(check("variant.sft.steps=100"), (Some(0), String::new()));
    let (code, error) = check("variant.sftt.steps=100");
    assert_eq!(code, Some(2));
    assert_eq!(
        error,
        "error: study.toml: --set variant.sftt.steps=100: unknown variant `sftt`; known are `sft`, `rl`\n\
         hint: did you mean `sft`?\n"
    );
    let (code, error) = check("variant.sft.stps=100");
    assert_eq!(code, Some(2));
    assert!(
        error.contains("variant `sft`: unknown field `stps`") && error.contains("did you mean `steps`"),
        "{error}"
    );
    assert!(check("seed").1.contains("expected KEY=VALUE, found `seed`"));
}

#[test]
fn a_missing_study_is_a_wrong_request() {
    let folder = tempfile::tempdir().unwrap();
    let output = deltascope(folder.path(), &["run", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "error: cannot read the study nowhere.toml: No such file or directory (os error 2)\nhint: check the path\n"
    );
    assert!(output.stdout.is_empty());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn answers_go_to_stdout_and_usage_errors_to_stderr() {
    let folder = study_with("steps = 20", "steps = 20");
    let plan = deltascope(folder.path(), &["plan", "study.toml"]);
    assert_eq!(plan.status.code(), Some(0), "{}", text(&plan.stderr));
    assert!(text(&plan.stdout).contains("variant sft") && plan.stderr.is_empty());
    let json = deltascope(folder.path(), &["plan", "study.toml", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["stages"][0]["name"], "base");
    assert_eq!(value["stages"][0]["cached"], false);
    assert!(!folder.path().join("runs").exists(), "a plan changes nothing");
    let usage = deltascope(folder.path(), &["plan"]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(usage.stdout.is_empty() && text(&usage.stderr).contains("Usage:"));
    let help = deltascope(folder.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("run"));
    let device = deltascope(folder.path(), &["plan", "study.toml", "--device", "gpu"]);
    assert_eq!(device.status.code(), Some(2));
    assert_eq!(
        text(&device.stderr),
        "error: unknown device `gpu`\nhint: use `cpu`, `cpu-composed` or `cuda:0`\n"
    );
}

#[test]
fn a_scan_needs_no_weights_and_settings_of_a_store_no_single_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/gpt2/config.json");
    std::fs::copy(model, folder.path().join("config.json")).unwrap();
    let scan = deltascope(folder.path(), &["capture", "--scan", "--model", "."]);
    assert_eq!(scan.status.code(), Some(0), "{}", text(&scan.stderr));
    let listed = text(&scan.stdout);
    assert!(listed.contains("hook_pos_embed") && !listed.contains("hook_rot_q"), "{listed}");
    let set =
        ["--tokens", "t.safetensors", "--hooks", "hook_embed", "--out", "o.safetensors", "--set", "zork=3"];
    let refused = deltascope(folder.path(), &[&["capture", "--model", "."][..], &set].concat());
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(said.contains("`--set zork=3`") && said.contains("--model base=."), "{said}");
}
