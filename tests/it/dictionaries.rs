//! `fit` from the outside: killed and resumed, on stores that are larger than its memory.

use crate::cli::{command, deltascope, text};
use deltascope::activations::{
    ActivationStore, ElementType, ExampleMeta, Header, Part, StoreWriter, TokenMeta,
};
use deltascope::dictionaries::{DictionaryRow, NoteRow};
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

/// A store of two variants, as `capture` would write it.
fn store(folder: &Path, name: &str, tokens: usize) -> ActivationStore {
    let header = Header {
        variants: vec!["base".into(), "rl".into()],
        hook: name.to_owned(),
        d_model: 4,
        element: ElementType::F32,
        provenance: Vec::new(),
    };
    let mut stream = Stream::new(2, "test.store", &[]);
    let values: Vec<f32> = (0..tokens * 8).map(|_| stream.normal()).collect();
    let meta = |position: usize| TokenMeta {
        token: 0,
        position: position as u32,
        example: 0,
        part: if position == 0 { Part::First } else { Part::Response },
    };
    let meta: Vec<TokenMeta> = (0..tokens).map(meta).collect();
    let mut writer = StoreWriter::create(&folder.join(name), header).unwrap();
    writer.push(&values, &meta, &[ExampleMeta { tokens, ..ExampleMeta::default() }]).unwrap();
    writer.finish().unwrap()
}

const SMALL: [&str; 8] = ["--features", "8", "--k", "2", "--steps", "3", "--batch", "32"];

#[test]
fn each_layer_has_a_folder_with_what_made_its_dictionaries_and_damage_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["blocks.0.hook_resid_post", "blocks.0.hook_mlp_out"];
    for name in names {
        store(folder.path(), name, 400);
    }
    let several =
        ["fit", "--activations", names[0], "--activations", names[1], "--seed", "1,2", "--out", "out"];
    let output = deltascope(folder.path(), &[&several[..], &SMALL, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answers: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 4);
    assert!(answers[0]["rows"][0]["stability"].as_f64().unwrap() > 0.0);
    for (name, seed) in names.iter().flat_map(|name| [(name, 1), (name, 2)]) {
        let path = folder.path().join(format!("out/{name}/features_8-seed_{seed}/fit.json"));
        let made: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!((&made["seed"], &made["settings"]["k"]), (&seed.into(), &2.into()));
        assert_eq!(made["activations"]["hook"], **name);
    }
    let shard = folder.path().join(names[0]).join("shard_00000.safetensors");
    let mut bytes = std::fs::read(&shard).unwrap();
    let end = bytes.len();
    bytes[end - 6000..end - 5600].fill(0x7e);
    std::fs::write(&shard, bytes).unwrap();
    for verb in ["fit", "diff"] {
        let dictionary = format!("out/{}/features_8-seed_1", names[0]);
        let more: &[&str] = if verb == "fit" { &SMALL } else { &["--dictionary", &dictionary] };
        let asked = [&[verb, "--activations", names[0], "--out", "again"], more].concat();
        let output = deltascope(folder.path(), &asked);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("checksum"), "{verb}: {said}");
        assert!(said.contains("shard_00000"), "{verb}: {said}");
    }
}

#[test]
fn a_fit_that_cannot_be_finished_is_refused_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    plant(&folder.path().join("acts.safetensors"), 200, 4);
    let model = format!("base={}", crate::goldens::folder("llama").display());
    store(folder.path(), "a", 200);
    std::fs::create_dir(folder.path().join("b")).unwrap();
    store(&folder.path().join("b"), "a", 200);
    plant(&folder.path().join("few.safetensors"), 15, 4);
    let cases: [(&[&str], &str); 16] = [
        (&["--targets", "acts.safetensors", "--kind", "topk"], "`--targets`"),
        (&["--kind", "skip_transcoder"], "`--targets`"),
        (&["--seed", "1,2,1"], "`--seed`: 1 is listed twice"),
        (&["--features", "8,9,8"], "`--features`: 8 is listed twice"),
        (&["--batch", "1000000000000"], "field `batch`"),
        (&["--features", "1000000000000"], "field `features`"),
        (&["--set", "weights=[0,0,0]"], "field `weights`"),
        (&["--set", "variants=[\"rl\"]", "--kind", "crosscoder"], "at least 2"),
        (&["--model", &model], "token ids"),
        (&["--kind", "topk", "--set", "penalty=5"], "field `penalty`"),
        (&["--kind", "standard", "--set", "merges=9"], "field `merges`"),
        (&["--set", "sparsity=tanh"], "field `sparsity`"),
        (&["--set", "widths=[8,2048]"], "field `widths`"),
        (&["--kind", "gated", "--set", "auxiliary=1"], "field `auxiliary`"),
        (&["--variants", "base,../sft,rl"], "`../sft`"),
        (&["--kind", "batch_topk"], "--over"),
    ];
    for (flags, expected) in cases {
        let named = flags.contains(&"--variants");
        let variants: &[&str] = if named { &[] } else { &["--variants", "base,sft,rl"] };
        let asked = [&["fit", "--activations", "acts.safetensors", "--out", "out"], variants, flags].concat();
        let output = deltascope(folder.path(), &asked);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(expected), "{flags:?}: {said}");
    }
    let few = ["fit", "--activations", "few.safetensors", "--variants", "base,sft,rl", "--out", "out"];
    let said = text(&deltascope(folder.path(), &few).stderr);
    assert!(said.contains("at least 2 tokens to judge"), "{said}");
    let twice = ["fit", "--activations", "a", "--activations", "b/a", "--out", "out"];
    assert!(text(&deltascope(folder.path(), &twice).stderr).contains("two of them"));
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_transcoder_is_judged_by_what_it_writes_and_names_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["read", "written"] {
        store(folder.path(), name, 400);
    }
    let run = |arguments: &[&str]| {
        let output = deltascope(folder.path(), arguments);
        (output.status.code(), text(&output.stderr))
    };
    let pair = ["--activations", "read", "--targets", "written"];
    let fit =
        [&["fit", "--kind", "transcoder", "--set", "variants=[\"rl\"]", "--out", "old"], &pair[..], &SMALL];
    let (code, said) = run(&fit.concat());
    assert_eq!(code, Some(0), "{said}");
    let renamed = ["convert", "old", "--to", "deltascope", "--rename", "rl=gpt2", "--out", "named"];
    let (code, said) = run(&renamed);
    assert_eq!(code, Some(0), "{said}");
    let diff = ["diff", "--dictionary", "named", "--rename", "gpt2=rl", "--out", "diff"];
    let (code, said) = run(&[&diff[..], &pair].concat());
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&[&diff[..], &pair[..2]].concat());
    assert!(code == Some(2) && said.contains("--targets"), "{said}");
    let (code, said) = run(&[&diff[..3], &pair, &["--out", "diff"]].concat());
    assert!(code == Some(2) && said.contains("`gpt2`"), "{said}");
}

#[test]
fn some_variants_of_a_plain_file_are_read_and_any_dictionary_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    plant(&folder.path().join("acts.safetensors"), 600, 4);
    let answer = |arguments: &[&str]| -> serde_json::Value {
        let output = deltascope(folder.path(), &[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let file = ["--activations", "acts.safetensors", "--variants", "base,sft,rl"];
    let fit = [&["fit", "--kind", "batch_topk", "--over", "rl", "--out", "sae"], &file[..], &SMALL].concat();
    let fitted = answer(&fit);
    assert_eq!(fitted[0]["rows"][0]["target"], "rl");
    let share = fitted[0]["rows"][0]["dead"].as_f64().unwrap() / 8.0;
    assert_eq!(fitted[0]["rows"][0]["dead_share"], share);
    answer(&["convert", "sae", "--to", "saelens", "--out", "elsewhere"]);
    let check = ["check", "dictionary", "elsewhere", "--table", "metrics.parquet", "--against", "sae"];
    let judged = answer(&[&check[..], &file].concat());
    let [ours, theirs] = [&fitted[0]["rows"][0], &judged["metrics"][0]];
    for column in ["fve", "l0", "mse"] {
        let gap = ours[column].as_f64().unwrap() - theirs[column].as_f64().unwrap();
        assert!(gap.abs() < 1e-5, "{column}: {ours} {theirs}");
    }
    assert!(folder.path().join("metrics.parquet").is_file());
    // Only what fires is compared with the other fit.
    let live = 8 - ours["dead"].as_u64().unwrap();
    assert_eq!(judged["against"][0]["features"], live);
    let difference = ["fit", "--kind", "difference", "--over", "base,rl", "--out", "difference"];
    assert_eq!(answer(&[&difference[..], &file, &SMALL].concat())[0]["rows"][0]["target"], "rl-base");
}

#[test]
fn planted_worlds_are_tried_with_the_k_and_the_kinds_that_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let check = ["check", "planted", "--seeds", "1", "--fits", "1", "--easy-only"];
    for setting in ["k=8", "features=64"] {
        let output = deltascope(folder.path(), &[&check[..], &["--set", setting]].concat());
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("--k 2,4,8"), "{setting}: {said}");
    }
    let few = ["--set", "steps=20", "--set", "batch=256", "--out", "out"];
    let asked = [&check[..], &["--k", "2,8", "--kinds", "topk,gated", "--json"], &few].concat();
    let output = deltascope(folder.path(), &asked);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    let tried: Vec<(&str, Option<u64>)> =
        rows.iter().map(|row| (row["kind"].as_str().unwrap(), row["k"].as_u64())).collect();
    assert_eq!(tried, [("topk", Some(2)), ("gated", None), ("topk", Some(8))]);
    let page = std::fs::read_to_string(folder.path().join("out/README.md")).unwrap();
    assert!(page.contains("--k 2,8 --kinds topk,gated --set steps=20"), "{page}");
    assert!(folder.path().join("out/planted_kinds.parquet").is_file());
}

/// Activations `[tokens, width]` of one variant.
fn plain(path: &Path, tokens: usize, width: usize, seed: u64) {
    let mut stream = Stream::new(seed, "test.plain", &[]);
    let bytes: Vec<u8> = (0..tokens * width).flat_map(|_| stream.normal().to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![tokens, width], &bytes).unwrap();
    safetensors::serialize_to_file([("activations", view)], None, path).unwrap();
}

#[test]
fn what_a_dictionary_was_made_for_reaches_answers_and_tables() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dictionaries").join(name);
        path.to_str().unwrap().to_owned()
    };
    plain(&folder.path().join("acts.safetensors"), 200, 8, 1);
    plain(&folder.path().join("written.safetensors"), 200, 8, 2);
    let run = |arguments: &[&str]| {
        let output = deltascope(folder.path(), arguments);
        (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
    };
    let on_activations = |arguments: &[&str]| {
        let acts: &[&str] = &["--activations", "acts.safetensors", "--all-tokens"];
        run(&[arguments, acts].concat())
    };
    // A model that was loaded with processed weights: the answer says so, and the table, too.
    let processed = fixture("saelens-topk-rescaled");
    let (code, said) =
        on_activations(&["check", "dictionary", &processed, "--variants", "tiny", "--table", "t.parquet"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("note: ") && said.contains("center_writing_weights"), "{said}");
    let rows: Vec<DictionaryRow> = deltascope::tables::read(&folder.path().join("t.parquet")).unwrap();
    assert!(rows[0].notes["notes"].contains("center_writing_weights"));
    let (code, said) =
        on_activations(&["diff", "--dictionary", &processed, "--variants", "tiny", "--out", "d"]);
    assert!(code == Some(0) && said.contains("center_writing_weights"), "{said}");
    let rows: Vec<NoteRow> = deltascope::tables::read(&folder.path().join("d/notes.parquet")).unwrap();
    assert!(rows[0].note.contains("center_writing_weights"));
    // Signs: refused where activations are strengths, and split for it.
    let signed = fixture("sparsify-signed");
    let (code, said) =
        on_activations(&["diff", "--dictionary", &signed, "--variants", "model", "--out", "s"]);
    assert!(code == Some(2) && said.contains("--split-signs"), "{said}");
    let (code, said) = run(&["convert", &signed, "--to", "deltascope", "--split-signs", "--out", "split"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) =
        on_activations(&["diff", "--dictionary", "split", "--variants", "model", "--out", "s"]);
    assert!(code == Some(0) && said.contains("negative side"), "{said}");
    // A transcoder is one where it is declared.
    let scope = fixture("gemma_scope-transcoder");
    let judged: &[&str] =
        &["check", "dictionary", &scope, "--variants", "gemma", "--targets", "written.safetensors"];
    let (code, said) = on_activations(judged);
    assert!(code == Some(2) && said.contains("--transcoder"), "{said}");
    let (code, said) = on_activations(&[judged, &["--transcoder"]].concat());
    assert!(code == Some(0) && said.contains("transcoder: 24 features") && said.contains("FVE"), "{said}");
}
