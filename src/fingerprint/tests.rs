use super::tokens::compiled;
use super::tree::Tree;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A copy of what the fingerprint is made of.
fn copy() -> tempfile::TempDir {
    fn all(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                all(&path, &target);
            } else {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    for name in ["src", "templates"] {
        all(&root.join(name), &folder.path().join(name));
    }
    fs::copy(root.join("PROTOCOL.md"), folder.path().join("PROTOCOL.md")).unwrap();
    folder
}

/// The hashes of the stages, by name.
fn stages(root: &Path) -> BTreeMap<String, String> {
    let hashes = Tree::read(root).unwrap().hashes();
    let is_stage = |name: &String| {
        let file = root.join(format!("src/{}.rs", name.replace("::", "/")));
        name.starts_with("study::stages::")
            && fs::read_to_string(file).is_ok_and(|text| text.contains("module_path!()"))
    };
    hashes.into_iter().filter(|(name, _)| is_stage(name)).collect()
}

/// Which stages get another key by a change of `file`.
fn moved(file: &str, change: impl Fn(&str) -> String) -> Vec<String> {
    let folder = copy();
    let before = stages(folder.path());
    assert_eq!(before.len(), 14, "{before:?}");
    let path = folder.path().join(file);
    let old = fs::read_to_string(&path).unwrap();
    let new = change(&old);
    assert!(new != old, "{file} was not changed");
    fs::write(&path, new).unwrap();
    let after = stages(folder.path());
    let moved = before.iter().filter(|(name, hash)| after[*name] != **hash);
    moved.map(|(name, _)| name.trim_start_matches("study::stages::").to_owned()).collect()
}

fn replaced(old: &str, new: &str) -> impl Fn(&str) -> String {
    move |text: &str| text.replacen(old, new, 1)
}

#[test]
fn a_changed_kernel_changes_the_key_of_every_stage_that_computes_with_it() {
    let moved = moved("src/ops/norm.rs", |text| text.replacen("fn ", "fn other() {}\nfn ", 1));
    assert!(
        ["base", "variant", "evaluation", "capture", "dictionary", "experiments"]
            .iter()
            .all(|stage| moved.contains(&(*stage).to_owned())),
        "{moved:?}"
    );
}

#[test]
fn a_changed_kernel_in_the_device_s_own_language_counts() {
    let moved = moved("src/dictionaries/fit/on_device/kernels.cu", |text| text.to_owned() + "\n// other\n");
    assert!(moved.contains(&"dictionary".to_owned()) && !moved.contains(&"base".to_owned()), "{moved:?}");
}

#[test]
fn a_change_above_leaves_what_is_below() {
    let report = moved("src/report/numbers.rs", |text| text.to_owned() + "\npub(super) fn other() {}\n");
    assert_eq!(report, ["report"]);
    let page = moved("templates/report.html", |text| text.to_owned() + "<p>");
    assert_eq!(page, ["report"]);
    let claims = moved("src/claims/mod.rs", |text| text.to_owned() + "\nfn other() {}\n");
    assert!(claims.contains(&"claims".to_owned()) && claims.contains(&"report".to_owned()), "{claims:?}");
    for below in ["base", "variant", "evaluation", "capture", "dictionary", "diff"] {
        assert!(!claims.contains(&below.to_owned()), "{claims:?}");
    }
    let dictionaries = moved("src/dictionaries/mod.rs", |text| text.to_owned() + "\nfn other() {}\n");
    assert!(dictionaries.contains(&"dictionary".to_owned()), "{dictionaries:?}");
    assert!(!dictionaries.contains(&"base".to_owned()), "{dictionaries:?}");
}

#[test]
fn how_controls_are_drawn_is_in_the_key_of_the_experiments() {
    // Written by hand, a revision was once forgotten here.
    let moved = moved("src/experiments/mod.rs", |text| text.to_owned() + "\nconst OTHER: usize = 16;\n");
    assert!(moved.contains(&"experiments".to_owned()) && !moved.contains(&"capture".to_owned()), "{moved:?}");
}

#[test]
fn settings_count_by_their_text_and_not_by_what_they_use() {
    let all = moved("src/study/config/base.rs", replaced("(128, 4", "(129, 4"));
    assert_eq!(all.len(), 14, "{all:?}");
}

#[test]
fn comments_layout_and_tests_change_no_key() {
    let nothing: Vec<String> = Vec::new();
    assert_eq!(
        moved("src/ops/simd.rs", |text| format!("// A comment.\n{text}\n/* And /* another */ one. */\n")),
        nothing
    );
    assert_eq!(moved("src/ops/simd.rs", |text| text.replace("\n", "\n\n")), nothing);
    assert_eq!(
        moved("src/ops/simd.rs", |text| text.to_owned() + "\n#[cfg(test)]\nmod more { fn a() {} }\n"),
        nothing
    );
    assert_eq!(moved("src/ops/matmul/tests.rs", |text| text.to_owned() + "\nfn other() {}\n"), nothing);
    assert_eq!(moved("src/cli/run.rs", |text| text.to_owned() + "\nfn other() {}\n"), nothing);
}

#[test]
fn this_program_is_the_one_in_this_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (stage, hash) in stages(root) {
        assert_eq!(super::source(&format!("deltascope::{stage}")), Some(hash.as_str()), "{stage}");
    }
    assert_eq!(super::source("deltascope::study::stages::nothing"), None);
}

#[test]
fn every_part_uses_only_what_is_below_it() {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let below = |part: &str| tree.below(part).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert!(below("study::stages::base").contains(&"ops".to_owned()));
    for (part, above) in [
        ("ops", "model"),
        ("model", "tasks"),
        ("training", "activations"),
        ("stats", "tables"),
        ("claims", "report"),
        ("tables", "store"),
    ] {
        assert!(!below(part).contains(&above.to_owned()), "{part} uses {above}: {:?}", below(part));
    }
}

#[test]
fn sources_are_read_as_the_compiler_reads_them() {
    let same = |one: &str, two: &str| compiled(one) == compiled(two);
    for (one, two) in [
        ("fn f() { 1 }", "fn f()\n{\n    // one\n    1\n}"),
        ("f(a, b)", "f(\n    a,\n    b,\n)"),
        ("f(a)", "f(\n    a,\n)"),
        ("[1, 2]", "[\n 1,\n 2,\n]"),
        ("S { a: 1 }", "S {\n a: 1,\n}"),
        ("a /* x /* y */ z */ b", "a b"),
        ("\"one two\"", "\"one \\\n     two\""),
        ("fn a() {}", "fn a() {} #[cfg(test)] mod tests { fn b() { \"}\" } }"),
        ("fn a() {}", "#[cfg(test)] use x::{a, b};fn a() {}"),
        ("fn a() {}", "#[cfg(test)] #[derive(Debug)] fn b<A, B>(a: A, b: B) -> u8 { 1 } fn a() {}"),
        ("struct A { a: u8 }", "struct A { a: u8, #[cfg(test)] b: u8 }"),
    ] {
        let trimmed: Vec<String> = compiled(two).into_iter().collect();
        assert!(
            same(one, two) || trimmed.iter().filter(|token| *token != ";").eq(compiled(one).iter()),
            "{one} | {two}: {trimmed:?}"
        );
    }
    for (one, two) in [
        ("(a,)", "(a)"),
        ("1.0", "1.5"),
        ("\"// a\"", "\"// b\""),
        ("r#\"a \" b\"#", "r#\"a \" c\"#"),
        ("'a'", "'b'"),
        ("f::<'a>()", "f::<'b>()"),
        ("a && b", "a & &b"),
        ("1e-3", "1e-4"),
        ("'\"' + 1 /* \" */", "'\"' + 2 /* \" */"),
        ("b'\\'' 1", "b'\\'' 2"),
        ("a..b", "a..=b"),
        ("#[cfg(unix)] fn a() { 1 }", "#[cfg(unix)] fn a() { 2 }"),
    ] {
        assert!(!same(one, two), "{one} | {two}");
    }
}
