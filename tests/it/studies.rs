//! The shipped studies against each other: what is said to be the same is the same, and a null finds
//! nothing.

use super::cli::{MICRO, deltascope, text};
use deltascope::report::StudyFacts;
use deltascope::tables::read_frame;
use toml::{Table, Value};

const QUICKSTART: &str = include_str!("../../probes/quickstart.toml");
const REPEATED: &str = include_str!("../../probes/quickstart_repeated.toml");
const NULL: &str = include_str!("../../probes/null.toml");

fn table(text: &str) -> Table {
    text.parse().unwrap()
}

#[test]
fn the_repeated_quickstart_differs_by_its_name_and_seeds_alone() {
    let (mut quickstart, mut repeated) = (table(QUICKSTART), table(REPEATED));
    quickstart.remove("beside").expect("what was repeated stands beside it");
    let claims = repeated["claims"].as_table_mut().unwrap();
    for seeds in ["dictionary_seeds", "training_seeds"] {
        let seeds = claims.remove(seeds).unwrap();
        assert!(
            seeds.as_array().unwrap().iter().all(|seed| *seed != quickstart["seed"]),
            "{seeds} has its own"
        );
    }
    repeated.insert("name".to_owned(), quickstart["name"].clone());
    assert_eq!(repeated, quickstart);
}

#[test]
fn the_null_shares_the_base_the_tasks_and_the_real_variant_of_the_quickstart() {
    let (quickstart, null) = (table(QUICKSTART), table(NULL));
    for section in ["seed", "base", "gate", "suites", "evaluation", "capture", "interventions", "claims"] {
        assert_eq!(null[section], quickstart[section], "[{section}]");
    }
    let variant = |study: &Table, name: &str| -> Option<Value> {
        let variants = study["variant"].as_array()?;
        variants.iter().find(|variant| variant["name"].as_str() == Some(name)).cloned()
    };
    assert!(variant(&null, "rl").is_some());
    assert_eq!(variant(&null, "rl"), variant(&quickstart, "rl"));
    let edits = |study: &Table| -> Vec<(Value, Value, Value)> {
        let hypotheses = study["hypothesis"].as_array().unwrap().iter();
        hypotheses.map(|one| (one["set"].clone(), one["edit"].clone(), one["suite"].clone())).collect()
    };
    assert_eq!(edits(&null), edits(&quickstart), "the same is asked");
}

/// The micro study as a null: its fine-tuned variant goes on with the base's curriculum, and is stopped where its
/// activations have moved as far as those of the reinforced one.
#[test]
fn a_null_is_stopped_where_it_moved_as_far_as_the_real_variant_and_claims_nothing() {
    let null = [
        ("name = \"micro\"", "name = \"null\""),
        ("data = \"verified_cot\"", "data = \"curriculum\""),
        ("[\"base\", \"rl\", \"sft@matched\"]", "[\"base\", \"sft@same_change\"]"),
        ("receiver = \"sft@matched\"", "receiver = \"sft@same_change\""),
        ("receiver = \"rl\"", "receiver = \"sft@same_change\""),
        ("models = true", "models = false"),
    ];
    let study = null.iter().fold(MICRO.to_owned(), |study, (old, new)| {
        assert!(study.contains(old), "the micro study has no `{old}`");
        study.replace(old, new)
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("study.toml"), study).unwrap();
    let output = deltascope(folder.path(), &["run", "study.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let tables = folder.path().join("runs/null/report/tables");
    let facts = StudyFacts::load(&tables).unwrap();
    assert!(["sft@2", "sft@4", "sft@8"].contains(&facts.dictionary_variants[1].as_str()), "{facts:?}");
    assert!(facts.same_change[0].starts_with("sft@") && facts.same_change[0].contains(" rl@2 "), "{facts:?}");
    let claims = read_frame(&tables.join("claims.parquet")).unwrap();
    let verdicts = claims.column("verdict").unwrap().str().unwrap();
    let carried = verdicts.iter().flatten().filter(|one| one.starts_with("carries") || *one == "both");
    assert_eq!(carried.count(), 0, "{claims:?}");
}
