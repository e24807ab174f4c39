//! Pairs of answers that are the same, and pairs that are not.

use super::super::rule::{Rule, Truth};
use super::same;
use serde_json::Value;
use std::time::Instant;

#[test]
fn at_least_99_of_100_labelled_pairs_are_judged_rightly() {
    for name in ["math.jsonl", "generated.jsonl"] {
        at_least_99_of_100(name);
    }
}

fn at_least_99_of_100(name: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/answers").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let rule = Rule::parse("math").unwrap();
    let mut wrong = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        let row: Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| row[name].as_str().unwrap().to_owned();
        let judged = rule.judge("", &Truth::Texts(vec![field("gold")]), &field("response")) == 1.0;
        if Some(judged) != row["equal"].as_bool() {
            wrong.push(line.to_string());
        }
    }
    assert!(wrong.len() * 100 <= lines.len(), "{} of {}: {}", wrong.len(), lines.len(), wrong.join("\n"));
}

#[test]
fn dress_makes_no_difference() {
    for (found, right) in [
        ("\\dfrac{1}{2}", "0.5"),
        ("1/2", "\\frac12"),
        ("\\frac{1}2", "1/2"),
        ("1{,}234", "1,234"),
        ("1\\,234\\,567", "1234567"),
        ("1 234", "1234"),
        ("1,\\!234", "1234"),
        ("$12.50", "12.5"),
        ("\\$12.50", "\\frac{25}{2}"),
        ("12.5\\%", "12.5"),
        ("0.125", "12.5\\%"),
        ("90^\\circ", "90"),
        ("90°", "90^{\\circ}"),
        ("\\sqrt{12}", "2\\sqrt3"),
        ("2√3", "\\sqrt{12}"),
        ("\\frac{1}{\\sqrt2}", "\\frac{\\sqrt{2}}{2}"),
        ("\\sqrt[3]{-8}", "-2"),
        ("2^{10}", "1024"),
        ("2**10", "1024"),
        ("8^{1/3}", "2"),
        ("\\pi/2", "\\frac{\\pi}{2}"),
        ("0.5π", "\\frac{\\pi}{2}"),
        ("1.5e3", "1500"),
        ("1.5 \\times 10^{-3}", "0.0015"),
        ("1.5·10^3", "1500"),
        ("101_2", "5"),
        ("1A_{16}", "26"),
        ("12_3", "5_{10}"),
        ("2\\frac{1}{2}", "5/2"),
        ("2 1/2", "2.5"),
        ("2½", "2.5"),
        ("-2\\frac12", "-2.5"),
        ("5 \\text{ cm}^2", "5"),
        ("5 km/h", "5"),
        ("12 square inches", "12"),
        ("\\text{(B)}", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("\\textbf{B}", "B"),
        ("\\left( 1, \\frac{1}{2} \\right)", "(1, 0.5)"),
        ("\\langle 1, 2, 3 \\rangle", "(1,2,3)"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "(1, 2)"),
        ("\\{1, 2, 3\\}", "3, 2, 1"),
        ("2 or 4", "\\{2, 4\\}"),
        ("x = 2 \\text{ or } x = 4", "2, 4"),
        ("1 \\pm \\sqrt{2}", "1-\\sqrt2, 1+\\sqrt2"),
        ("x > 3", "(3, \\infty)"),
        ("0 \\le x < 1", "[0, 1)"),
        ("1 > x \\ge 0", "[0,1)"),
        ("x \\in [0, 1)", "[0,1)"),
        ("(-\\infty, 1) \\cup (2, \\infty)", "(2,\\infty)\\cup(-\\infty,1)"),
        ("y = 2x + 1", "2x+1"),
        ("f(x) = x^2", "x^2"),
        ("2x + 4y = 6", "x + 2y = 3"),
        ("(x+1)^2", "x^2+2x+1"),
        ("\\frac{x^2-1}{x-1}", "x+1"),
        ("\\sin^2 x + \\cos^2 x", "1"),
        ("\\log_2 8", "3"),
        ("2\\ln 3", "\\ln 9"),
        ("e^{2x}", "(e^x)^2"),
        ("5!", "120"),
        ("\\binom{5}{2}", "10"),
        ("|-3|", "3"),
        ("0.\\overline{3}", "\\frac13"),
        ("3:4", "\\frac{3}{4}"),
        ("\\text{Tuesday}", "tuesday"),
        ("the empty set", "The empty set."),
        ("(2 + 3i)(2 - 3i)", "13"),
        ("A = \\{1, 2\\}", "\\{2, 1\\}"),
        ("\\sqrt{x^2+2x+1}", "\\sqrt{(x+1)^2}"),
        ("10^{10^{10}}", "10^{10^{10}}"),
        ("\\sqrt11", "\\sqrt{11}"),
        ("\\sin 30^\\circ", "\\frac12"),
        ("-x < -3", "x > 3"),
        ("2x \\le 22", "(-\\infty, 11]"),
        ("x \\ne 2", "\\mathbb{R} \\setminus \\{2\\}"),
        ("(-\\infty, 2) \\cup (2, \\infty)", "\\mathbb{R} \\setminus \\{2\\}"),
        ("8 + 1 = 9", "9"),
        ("20 percent", "20\\%"),
        ("5 \\text{ m^2}", "5"),
        ("(x, y) = (1, 2)", "(1, 2)"),
        ("x < 1 \\text{ or } x > 2", "(-\\infty, 1) \\cup (2, \\infty)"),
        (
            "\\left(\\begin{array}{cc}1&2\\\\3&4\\end{array}\\right)",
            "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
        ),
    ] {
        assert!(
            same(found, right),
            "{found} is {right}: {:?} {:?}",
            super::parse::read(found),
            super::parse::read(right)
        );
        assert!(same(right, found), "{right} is {found}");
    }
}

#[test]
fn what_differs_is_told_apart() {
    for (found, right) in [
        ("3 \\text{ or } 5", "3"),
        ("3, 5", "3"),
        ("3 or 5", "5"),
        ("2\\text{x}+3", "2"),
        ("2\\mathrm{e}", "2"),
        ("3\\mathrm{A}_{16}", "3"),
        ("3 \\text{ to } 5", "3"),
        ("3.14159", "\\pi"),
        ("3.14159265358979323846", "\\pi"),
        ("1.7320508075688772", "\\sqrt3"),
        ("0.333", "\\frac13"),
        ("0.3333333333333333", "\\frac13"),
        ("(1, 2)", "[1, 2]"),
        ("(1, 2)", "(2, 1)"),
        ("(1, 2]", "(1, 2)"),
        ("x > 3", "[3, \\infty)"),
        ("x < 3", "(3, \\infty)"),
        ("x^2 + 1", "x^2 - 1"),
        ("x", "|x|"),
        ("-x < -3", "x < 3"),
        ("(A) 12", "B"),
        ("x + y", "x - y"),
        ("2x", "2y"),
        ("x = 2", "3"),
        ("2x + 4y = 6", "x + 2y = 4"),
        ("\\begin{pmatrix} 1 & 2 \\end{pmatrix}", "\\begin{pmatrix} 2 & 1 \\end{pmatrix}"),
        ("101_2", "101_3"),
        ("A", "B"),
        ("yes", "no"),
        ("12345678901234567890123456789012345678901", "12345678901234567890123456789012345678902"),
        ("1,2", "12"),
        ("-5", "5"),
        ("\\frac{1}{0}", "0"),
        ("\\{1, 2\\}", "\\{1, 2, 3\\}"),
        ("1, 1, 2, 3", "1, 2"),
        ("5 million", "5"),
        ("10^{10^{10}}", "10^{10^{11}}"),
        ("\\sqrt{2}", "1.4142135623730951"),
        ("", "0"),
    ] {
        assert!(
            !same(found, right),
            "{found} is not {right}: {:?} {:?}",
            super::parse::read(found),
            super::parse::read(right)
        );
        assert!(!same(right, found), "{right} is not {found}");
    }
}

#[test]
fn no_input_is_slow_or_deep() {
    let started = Instant::now();
    let long: Vec<String> = vec![
        "(".repeat(1900),
        "-".repeat(1900),
        "\\sqrt".repeat(300),
        "\\frac".repeat(300),
        "2^".repeat(900) + "2",
        "9^9^9^9^9".into(),
        "\\sin(10^{10^{10}})".into(),
        "e^{e^{e^{e^{e^{e}}}}}".into(),
        "100000!".into(),
        "2000!!!".into(),
        "\\binom{2000}{1000}^{1000}".into(),
        "9".repeat(1999),
        format!("{}/{}", "9".repeat(990), "7".repeat(990)),
        "x^{1000000000}".into(),
        "(x+1)^{999}".into(),
        "1,".repeat(900) + "1",
        "{".repeat(500) + &"}".repeat(500),
        "\\text{".repeat(200) + &"}".repeat(200),
        "x".repeat(1_000_000),
        "|".repeat(1000),
        "0.\\overline{".to_owned() + &"3".repeat(1500) + "}",
        "1e4000".into(),
        "\\arcsin 5".into(),
        "0^{0}".into(),
        "0^{-1}".into(),
    ];
    for text in &long {
        for right in ["1", "x+1", "\\sqrt{2}x"] {
            same(text, right);
        }
        same(text, &text.replace('1', "2"));
    }
    let seconds = started.elapsed().as_secs_f64();
    assert!(seconds < 20.0, "{seconds:.1} s for {} texts", long.len());
}
