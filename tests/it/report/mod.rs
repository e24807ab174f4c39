//! The page, from tables that are made up. It stays in `target/tmp/report/index.html` to be looked at.

mod beside;
mod fabricated;
mod light;
mod models;

use deltascope::report::{self, Report, ReportInput, StudyFacts};
use std::fs;
use std::path::{Path, PathBuf};

fn input(folder: &Path) -> ReportInput {
    fabricated::tables(folder);
    models::tables(folder);
    ReportInput { tables: vec![folder.to_path_buf()], facts: fabricated::facts(), ..ReportInput::default() }
}

fn page(out: &Path) -> String {
    fs::read_to_string(out.join("index.html")).unwrap()
}

#[test]
fn a_full_study_gives_one_page_that_needs_nothing_else() {
    let tables = tempfile::tempdir().unwrap();
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    report::build(&input(tables.path()), &out).unwrap();
    let html = page(&out);
    for word in
        ["carries transfer", "not repeated", "sft_benign@640", "effect-planes", "made-up", "197 problems"]
    {
        assert!(html.contains(word), "the page lacks `{word}`");
    }
    assert!(!html.contains("Not part of this study"));
    for outside in [" src=\"", "href=\"http", "@import", "url(", "fetch("] {
        assert!(!html.contains(outside), "the page reaches outside: {outside}");
    }
    assert!(out.join("tables/effects.parquet").exists() && out.join("tables/study.json").exists());
}

#[test]
fn the_page_says_what_a_claim_rests_on() {
    let (tables, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let input = input(tables.path());
    let mut claims = fabricated::claims();
    claims[1]["verdict"] = "no more than in base".into();
    for (key, value) in [
        ("whole_answer", 0.006),
        ("whole_answer_low", -0.004),
        ("whole_answer_high", 0.016),
        ("damage", 2.25),
        ("as_patched", 0.07),
    ] {
        claims.iter_mut().for_each(|claim| claim[key] = serde_json::Value::Null);
        claims[1][key] = value.into();
    }
    fabricated::write(tables.path(), "claims", &claims);
    report::build(&input, out.path()).unwrap();
    let html = page(out.path());
    assert_eq!(html.matches("class=\"finding shown\"").count(), 1, "no more than in base is not shown");
    for words in [
        "one is shown; one is not shown to come from post-training; one is undecided",
        "50 are specific (absent in base, so training added them)",
        "changed refusal log odds by +0.02 nats (\u{2212}0.11 to +0.15; margin \u{b1}0.5",
        "smallest that 59 controls and 3 hypotheses can give",
        "distances from their mean were multiplied by 1.3",
        "Its features: 12 specific.",
        "For comparison: without an edit rl@120 is +21.0 points from base, and exchanging the whole activation",
        "Refusals whose whole answer is one changed by +0.6 points (\u{2212}0.4 to +1.6",
        "A token of an edited answer is 2.25 nats less likely than without the edit",
        "7\u{a0}% of the edited answers are, token by token, those of the whole exchange",
        "<b>Limits.</b> The verdicts are those of one dictionary seed and one training seed",
    ] {
        assert!(html.contains(words), "the page lacks `{words}`");
    }
    for (verdict, words) in [
        ("moves the refusal token", "one is shown to move the first word of refusals, and not the answers"),
        ("breaks the text", "one is shown to break the text"),
    ] {
        claims[1]["verdict"] = verdict.into();
        fabricated::write(tables.path(), "claims", &claims);
        report::build(&input, out.path()).unwrap();
        let html = page(out.path());
        assert!(html.contains(words) && html.contains("one is shown; one"), "{verdict} is not counted");
        assert_eq!(html.matches("class=\"finding shown\"").count(), 1, "{verdict} is no claim");
    }
}

#[test]
fn every_table_of_a_study_stands_on_the_page() {
    let (tables, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    report::build(&input(tables.path()), out.path()).unwrap();
    let report = Report::open(out.path()).unwrap();
    let sheet = |name: &str| report.sheet(name).unwrap().plain();
    assert_eq!(sheet("head-table").lines().count(), 1 + 3 * 3, "three heads of each of three variants");
    assert!(sheet("head-table").lines().nth(1).unwrap().contains("\t1.3\t"), "most lost first");
    assert_eq!(sheet("direction-table").matches("selected").count(), 1);
    assert_eq!(sheet("direction-table").lines().count(), 4, "the selected hook in every variant");
    assert!(sheet("readout-table").contains("own\t0.90\t0.90\t50\u{a0}%\t40"), "{}", sheet("readout-table"));
    assert!(
        sheet("published-table")
            .contains("14 of 100\t\u{2212}50.0\t\u{2212}36.0\t\u{2212}40.0\t\u{2212}2.0 (p")
    );
    for name in [
        "divergence-table",
        "divergent-table",
        "weight-table",
        "probe-table",
        "difference-table",
        "shift-table",
    ] {
        assert!(sheet(name).lines().count() > 1, "{name}");
    }
    for name in ["dynamics", "dose-series"] {
        assert!(report.figure(name).unwrap().html().unwrap().contains("<svg"), "{name}");
    }
    assert!(sheet("feature-table").contains("rate rl@120"));
}

#[test]
fn what_a_model_wrote_stays_text() {
    let (tables, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut input = input(tables.path());
    input.facts.name = fabricated::HOSTILE.into();
    input.facts.study_file = fabricated::HOSTILE.into();
    input.facts.dictionary_variants = vec![fabricated::HOSTILE.into()];
    report::build(&input, out.path()).unwrap();
    let html = page(out.path());
    assert_eq!(html.matches("<script").count(), 1, "one script, ours");
    assert!(!html.contains("<img"));
    assert!(html.contains("script-src 'nonce-"));
}

#[test]
fn tables_that_are_missing_leave_words_not_a_panic() {
    let all = tempfile::tempdir().unwrap();
    fabricated::tables(all.path());
    models::tables(all.path());
    let names: Vec<PathBuf> = fs::read_dir(all.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    for kept in &names {
        let (tables, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::copy(kept, tables.path().join(kept.file_name().unwrap())).unwrap();
        let input = ReportInput { tables: vec![tables.path().to_path_buf()], ..ReportInput::default() };
        report::build(&input, out.path()).unwrap();
        assert!(page(out.path()).contains("Not part of this study"), "{}", kept.display());
    }
}

#[test]
fn the_page_is_the_same_when_drawn_again_from_its_own_tables() {
    let (tables, one, two) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    report::build(&input(tables.path()), one.path()).unwrap();
    let inner = one.path().join("tables");
    let facts = StudyFacts::load(&inner).unwrap();
    let again = ReportInput { tables: vec![inner], facts, ..ReportInput::default() };
    report::build(&again, two.path()).unwrap();
    assert_eq!(page(one.path()), page(two.path()));
    let opened = Report::open(one.path()).unwrap();
    assert!(opened.figure("effect-planes").unwrap().html().unwrap().contains("<svg"));
    assert!(opened.figure("effect-plans").unwrap_err().to_string().contains("did you mean `effect-planes`?"));
    assert!(opened.sheet("claims").unwrap().plain().contains("carries transfer"));
    assert!(opened.frame("features").unwrap().height() == 2048);
}

#[test]
fn a_table_in_several_folders_is_their_rows_one_after_the_other() {
    let (one, two, out) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let row = |stage: &str| serde_json::json!({ "stage": stage, "variant": "", "step": 0, "seconds": 1.5, "tokens": 0 });
    fabricated::write(one.path(), "timings", &[row("base")]);
    fabricated::write(two.path(), "timings", &[row("rl"), row("sft")]);
    let tables = vec![one.path().to_path_buf(), two.path().to_path_buf()];
    report::build(&ReportInput { tables, ..ReportInput::default() }, out.path()).unwrap();
    assert_eq!(Report::open(out.path()).unwrap().frame("timings").unwrap().height(), 3);
}

#[test]
fn a_table_of_another_shape_is_an_error_that_names_the_file() {
    let (tables, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fabricated::write(tables.path(), "claims", &[serde_json::json!({ "verdict": 3 })]);
    let input = ReportInput { tables: vec![tables.path().to_path_buf()], ..ReportInput::default() };
    let error = report::build(&input, out.path()).unwrap_err();
    assert!(error.to_string().contains("claims.parquet"), "{error}");
}
