//! What prose says of the committed quickstart is what its own tables say.

use deltascope::tables;
use deltascope::training::TimingRow;
use std::path::Path;

fn prose(path: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `4422816` as `4,422,816`.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|part| str::from_utf8(part).unwrap()).collect();
    parts.join(",")
}

#[test]
fn times_in_prose_are_those_of_the_committed_run() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/quickstart/tables/timings.parquet");
    let timings: Vec<TimingRow> = tables::read(&path).unwrap();
    let declared = timings.iter().find(|row| row.stage == "experiments: declared").unwrap();
    // Of a stage as a whole: not of one step of it, nor of a part.
    let stages = timings.iter().filter(|row| row.step == 0 && !row.stage.contains(':'));
    let whole = stages.map(|row| row.seconds).sum::<f64>().round() as u64;
    let (seconds, tokens) = (declared.seconds, declared.tokens as f64);

    let readme = prose("README.md");
    for said in [
        format!("its stages took {} min {} s", whole / 60, whole % 60),
        format!("its declared hypotheses with all their controls {seconds:.0} s of that"),
    ] {
        assert!(readme.contains(&said), "README.md does not say `{said}`");
    }
    let said = format!(
        "{} conditioned tokens in {seconds:.1} s, {} a second",
        grouped(tokens),
        grouped((tokens / seconds / 100.0).round() * 100.0)
    );
    assert!(prose("benches/README.md").contains(&said), "benches/README.md does not say `{said}`");
}
