//! Finished studies beside a study's claims.

use super::{fabricated, input, page};
use deltascope::report::{self, Beside, Report, ReportInput, StageFact, StudyFacts};
use serde_json::json;
use std::path::Path;

/// Facts of a study whose base and experiments are these artifacts.
fn facts(name: &str, [base, experiments]: [&str; 2]) -> StudyFacts {
    let stage = |(name, id): (&str, &str)| StageFact { name: name.into(), id: id.into(), inputs: Vec::new() };
    let stages = [("base", base), ("experiments", experiments)].map(stage).to_vec();
    StudyFacts { name: name.into(), stages, ..StudyFacts::default() }
}

/// A folder in which a finished null and a finished repetition lie.
fn finished(stages: [&str; 2]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tables = |name: &str| {
        let tables = folder.path().join(name).join("report/tables");
        std::fs::create_dir_all(&tables).unwrap();
        let same_change = vec!["continued@20 is matched by its activations".into()];
        StudyFacts { same_change, ..facts(name, stages) }.save(&tables).unwrap();
        tables
    };
    fabricated::write(&tables("nothing_new"), "claims", &fabricated::claims());
    fabricated::write(&tables("again"), "repetitions", &fabricated::asked_again("dictionary seed 8"));
    folder
}

fn built(from: &Path, null: &str) -> String {
    let (tables, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let study = input(tables.path());
    let stages = facts("", ["b1", "e1"]).stages;
    let beside = Beside {
        null: Some(null.into()),
        repeated: Some("again".into()),
        from: from.to_path_buf(),
        ..Beside::default()
    };
    let facts = StudyFacts { stages, ..study.facts.clone() };
    report::build(&ReportInput { facts, beside, ..study }, out.path()).unwrap();
    page(out.path())
}

#[test]
fn nulls_and_repetitions_of_the_same_artifacts_stand_on_the_page() {
    let folder = finished(["b1", "e1"]);
    let html = built(folder.path(), "nothing_new");
    for words in [
        "the study nothing_new, on this study\u{2019}s own base. Of its 3 hypotheses 2 are found to carry anything",
        "2 of 3 hypotheses came out as carrying something",
        "came out for transfer_in_rl in 1 of 2, safety_in_benign in 1 of 2, transfer_in_base in 2 of 2",
        "There, continued@20 is matched by its activations.",
        "dictionary seed 8",
    ] {
        assert!(html.contains(words), "the page lacks `{words}`");
    }
}

#[test]
fn what_stands_on_other_artifacts_or_is_not_there_is_said_to() {
    let folder = finished(["b2", "e2"]);
    let html = built(folder.path(), "nothing_new");
    for words in [
        "on another base than this study\u{2019}s",
        "The study again repeats other experiments than these",
        "one training seed: nothing was repeated",
    ] {
        assert!(html.contains(words), "the page lacks `{words}`");
    }
    let html = built(folder.path(), "nowhere");
    assert!(html.contains("No null study is shown: of nowhere that was asked for, nothing is there."));
    let tables = folder.path().join("nothing_new/report/tables");
    fabricated::write(&tables, "claims", &[json!({ "verdict": 3 })]);
    let html = built(folder.path(), "nothing_new");
    assert!(html.contains("No null study is shown: of nothing_new"), "a table of another version");
    std::fs::write(tables.join("study.json"), "{\"newer\": 1}").unwrap();
    let html = built(folder.path(), "nothing_new");
    assert!(html.contains("not the facts of a study"), "facts of another version");
}

#[test]
fn what_is_found_beside_a_study_decides_its_artifact() {
    let folder = finished(["b1", "e1"]);
    let contents = |null: &str| {
        let beside = Beside { null: Some(null.into()), from: folder.path().into(), ..Beside::default() };
        beside.contents().unwrap()
    };
    let before = contents("nothing_new");
    assert_ne!(before, contents("nowhere"));
    let tables = folder.path().join("nothing_new/report/tables");
    facts("nothing_new", ["b2", "e2"]).save(&tables).unwrap();
    let on_another_base = contents("nothing_new");
    assert_ne!(before, on_another_base);
    fabricated::write(&tables, "claims", &fabricated::claims()[..2]);
    assert_ne!(on_another_base, contents("nothing_new"));
}

#[test]
fn studies_of_other_bases_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("small/tables");
    std::fs::create_dir_all(&place).unwrap();
    StudyFacts { base: "preset mini, 900 steps".into(), ..facts("small", ["b2", "e2"]) }
        .save(&place)
        .unwrap();
    let row = |statistic: &str, value: f64| {
        json!({
            "variant": "sft", "suite": "countdown", "endpoint": "pass", "statistic": statistic, "runs": 3, "seeds": 3,
            "value": value, "ci_low": value - 0.01, "ci_high": value + 0.01, "lowest": value, "highest": value,
        })
    };
    fabricated::write(&place, "seed_trajectories", &[row("dip", -0.032), row("gain", 0.034)]);
    let (tables, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let others = vec!["small".into(), "smaller".into()];
    let beside = Beside { others, from: folder.path().into(), ..Beside::default() };
    report::build(&ReportInput { beside, ..input(tables.path()) }, out.path()).unwrap();
    let sheet = Report::open(out.path()).unwrap().sheet("elsewhere").unwrap().plain();
    let mut lines = sheet.lines();
    assert!(lines.next().unwrap().contains("preset mini: gain\tpreset mini: lowest"), "{sheet}");
    let row = lines.find(|line| line.starts_with("sft\tcountdown")).unwrap();
    assert!(row.contains("+3.4 [+2.4 to +4.4]") && row.contains("+3.2 [+2.2 to +4.2]"), "{row}");
    assert!(page(out.path()).contains("Not run yet, and not compared with: smaller."));
}
