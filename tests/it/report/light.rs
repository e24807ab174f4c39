//! A page is read, and so it is light, however many features the dictionary has.

use super::{fabricated, input, page};
use deltascope::report::{self, Report};

#[test]
fn a_page_of_65536_features_stays_below_five_megabytes() {
    let (tables, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let input = input(tables.path());
    fabricated::write(tables.path(), "features", &fabricated::features(65_536));
    report::build(&input, out.path()).unwrap();
    let html = page(out.path());
    assert!(html.contains("65\u{202f}536"), "the page says how many there are");
    assert!(html.len() < 5_000_000, "{} bytes", html.len());
    let figure = Report::open(out.path()).unwrap().figure("decoder-shares").unwrap().html().unwrap();
    assert!(figure.matches("<circle").count() < 300, "a point is no element");
}

#[test]
fn edited_completions_stand_side_by_side() {
    let (tables, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    report::build(&input(tables.path()), out.path()).unwrap();
    let html = page(out.path());
    for words in [
        "Of 4 completions, 2 moved as the effect does, 0 moved against it, and 1 are the same to the letter.",
        "10 - 4 = 6 <mark>+</mark> 8 = 14 x",
        "10 - 4 = 6 <mark>*</mark> 4 = 24",
        "\u{2717} wrong",
        "A matched control",
        "id=\"edited-1-1\" href=\"#edited-1-1\"",
    ] {
        assert!(html.contains(words), "the page lacks `{words}`");
    }
}

#[test]
fn numbers_of_the_method_lead_to_their_rules_and_no_backtick_is_left() {
    let (tables, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    report::build(&input(tables.path()), out.path()).unwrap();
    let html = page(out.path());
    for number in 1..=6 {
        assert!(html.contains(&format!("href=\"#rule-{number}\"")), "nothing leads to rule {number}");
        assert!(html.contains(&format!("<div id=\"rule-{number}\">")), "rule {number} is not there");
    }
    assert!(html.contains("<dd>Controls</dd>"));
    let (before_script, _) = html.split_once("<script").unwrap();
    assert!(!before_script.contains('`'), "a raw backtick");
    let answers = html.find("<figure id=\"answers\"").unwrap();
    let plane = html.find("<figure id=\"effect-planes\"").unwrap();
    assert!(
        answers < plane && plane < html.find("<figure id=\"claims\"").unwrap(),
        "the answer first, then the plane"
    );
}
