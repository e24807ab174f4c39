//! Procedure patterns: what a response does, counted per 1,000 response tokens.
//!
//! | pattern | counted |
//! |---|---|
//! | `backtrack` | in the built-in suites in symbols the word `x` (exact), else "no, that", "that's wrong", "go back", "start over" |
//! | `verify` | "check", "verify", "confirm" and what begins so |
//! | `branch` | "alternatively", "wait", "perhaps", "another approach", "let me try", "what if" |
//! | `step` | equations (`=`), or else lines |
//!
//! A phrase counts where it stands as words: "await" is no "wait", and "paycheck" holds no "check".
//!
//! `propose_propose` is a share, not a rate: of all attempts (pieces of the response that hold a step,
//! divided at backtracks and branches), how many are followed by another attempt. It is the rule-based
//! stand-in for the annotated propose-to-propose transition rate of arXiv 2604.01702.

use super::rows::OutcomeRow;
use crate::stats::Bootstrap;
use crate::tasks::Suite;
use crate::tasks::vocabulary::FAILED;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const BACKTRACK: [&str; 4] = ["no, that", "that's wrong", "go back", "start over"];
const VERIFY: [&str; 3] = ["check", "verif", "confirm"];
const BRANCH: [&str; 6] = ["alternatively", "wait", "perhaps", "another approach", "let me try", "what if"];
const NAMES: [&str; 5] = ["backtrack", "verify", "branch", "step", "propose_propose"];

/// One row of `patterns`: one pattern in the responses of one model to one suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatternRow {
    /// The variant.
    pub variant: String,
    /// The step of its checkpoint.
    pub checkpoint: u64,
    /// The suite.
    pub suite: String,
    /// The pattern.
    pub pattern: String,
    /// Occurrences per 1,000 response tokens; for `propose_propose` a share of attempts.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval, a bootstrap over problems.
    pub ci_low: Option<f64>,
    /// Upper end of the 95 % interval.
    pub ci_high: Option<f64>,
    /// How often it occurred.
    pub count: u64,
    /// Response tokens; for `propose_propose` attempts.
    pub among: u64,
}

/// The patterns in `outcomes`, by variant, checkpoint and suite.
pub fn patterns(outcomes: &[OutcomeRow], seed: u64) -> Vec<PatternRow> {
    let mut groups: BTreeMap<(&str, u64, &str), BTreeMap<&str, [Ratio; 5]>> = BTreeMap::new();
    for row in outcomes.iter().filter(|row| row.condition == super::PLAIN) {
        let group = groups.entry((&row.variant, row.checkpoint, &row.suite)).or_default();
        let ratios = group.entry(&row.problem).or_default();
        let written = if Suite::is_in_symbols(&row.suite) { Written::Words } else { Written::Prose };
        for (ratio, found) in ratios.iter_mut().zip(count(&row.completion, row.tokens, written)) {
            ratio.count += found.count;
            ratio.among += found.among;
        }
    }
    let mut rows = Vec::new();
    for ((variant, checkpoint, suite), problems) in groups {
        for (place, pattern) in NAMES.into_iter().enumerate() {
            let units: Vec<Ratio> = problems.values().map(|ratios| ratios[place]).collect();
            let scale = if pattern == "propose_propose" { 1.0 } else { 1000.0 };
            let all: Vec<usize> = (0..units.len()).collect();
            let total = pooled(&units, &all);
            let interval =
                Bootstrap { resamples: 500, ..Bootstrap::new(seed) }.interval(units.len(), |drawn| {
                    let Ratio { count, among } = pooled(&units, drawn);
                    (among > 0).then(|| scale * count as f64 / among as f64)
                });
            let finite = |value: f64| value.is_finite().then_some(value);
            rows.push(PatternRow {
                variant: variant.into(),
                checkpoint,
                suite: suite.into(),
                pattern: pattern.into(),
                value: finite(interval.mean),
                ci_low: finite(interval.low),
                ci_high: finite(interval.high),
                count: total.count,
                among: total.among,
            });
        }
    }
    rows
}

/// How responses are written: in prose an `x` is a letter like any other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Written {
    Words,
    Prose,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ratio {
    count: u64,
    among: u64,
}

fn pooled(units: &[Ratio], drawn: &[usize]) -> Ratio {
    let chosen = drawn.iter().filter_map(|unit| units.get(*unit));
    chosen.fold(Ratio::default(), |sum, unit| Ratio {
        count: sum.count + unit.count,
        among: sum.among + unit.among,
    })
}

/// The five ratios of one response, in the order of [`NAMES`].
fn count(response: &str, tokens: u64, written: Written) -> [Ratio; 5] {
    let text = response.to_lowercase();
    let mut cuts: Vec<usize> = Vec::new();
    let mut occurrences = |words: &[&str]| {
        let found = words.iter().flat_map(|word| places(&text, word, Ends::AsWord));
        let before = cuts.len();
        cuts.extend(found);
        (cuts.len() - before) as u64
    };
    let failed = match written {
        Written::Words => text.split_whitespace().filter(|word| *word == FAILED).count() as u64,
        Written::Prose => 0,
    };
    let (backtracks, branches) = (occurrences(&BACKTRACK) + failed, occurrences(&BRANCH));
    let verify = VERIFY.iter().map(|word| places(&text, word, Ends::Anyhow).count() as u64).sum();
    let steps = |piece: &str| match piece.matches('=').count() {
        0 if !response.contains('=') => piece.lines().filter(|line| !line.trim().is_empty()).count(),
        equations => equations,
    };
    cuts.sort_unstable();
    let attempts = pieces(&text, &cuts, written).into_iter().filter(|piece| steps(piece) > 0).count() as u64;
    [
        Ratio { count: backtracks, among: tokens },
        Ratio { count: verify, among: tokens },
        Ratio { count: branches, among: tokens },
        Ratio { count: steps(&text) as u64, among: tokens },
        Ratio { count: attempts.saturating_sub(1), among: attempts },
    ]
}

/// How a phrase may end.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    /// Where its last word does.
    AsWord,
    /// Within a longer word that begins so, as "checking" does.
    Anyhow,
}

/// Where `phrase` stands in `text`, beginning at the beginning of a word.
fn places<'a>(text: &'a str, phrase: &'a str, ends: Ends) -> impl Iterator<Item = usize> + 'a {
    let joins = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    text.match_indices(phrase).map(|(place, _)| place).filter(move |place| {
        let (before, after) = (&text[..*place], &text[place + phrase.len()..]);
        let ends_well = ends == Ends::Anyhow || !joins(after.chars().next());
        ends_well && !joins(before.chars().next_back())
    })
}

/// The text cut at these byte offsets and, in the built-in suites, at every word `x`.
fn pieces<'a>(text: &'a str, cuts: &[usize], written: Written) -> Vec<&'a str> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for cut in cuts.iter().copied().chain([text.len()]) {
        if let Some(piece) = text.get(start..cut) {
            match written {
                Written::Words => pieces.extend(piece.split(" x ")),
                Written::Prose => pieces.push(piece),
            }
        }
        start = cut;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(response: &str, written: Written) -> [u64; 5] {
        count(response, 100, written).map(|ratio| ratio.count)
    }

    #[test]
    fn searches_of_the_microcosm_are_counted_exactly() {
        let found =
            count("8 - 4 = 4 + 3 = 7 x 8 * 3 = 24 - 4 = 20 x 8 + 4 = 12 * 3 = 36", 31, Written::Words);
        assert_eq!(found.map(|ratio| ratio.count), [2, 0, 0, 6, 2]);
        assert_eq!(found[4].among, 3);
        assert_eq!(counts("8 - 4 = 4 + 3 = 7 x", Written::Words), [1, 0, 0, 2, 0]);
    }

    /// The solver's traces say the same in both renderings, so the same is counted in them.
    #[test]
    fn a_search_in_plain_language_has_the_counts_of_its_symbols() {
        let words = counts("8 - 4 = 4 + 3 = 7 x 8 * 3 = 24 - 4 = 20 x 8 + 4 = 12 * 3 = 36", Written::Words);
        let prose = "Try (8 - 4) + 3 = 4 + 3 = 7. No, that is not it.\nTry (8 * 3) - 4 = 24 - 4 = 20. No, that is not it.\n\
                     Try (8 + 4) * 3 = 12 * 3 = 36.\nThe answer is \\boxed{(8 + 4) * 3}.";
        assert_eq!(counts(prose, Written::Prose), words);
    }

    #[test]
    fn words_of_reasoning_are_counted_in_prose() {
        let text = "We get 3 + 4 = 7. Wait, let me check: 3 + 4 = 7.\nAlternatively, 5 + 2 = 7. What if not?";
        assert_eq!(counts(text, Written::Prose), [0, 1, 3, 3, 2]);
        assert_eq!(counts("first line\n\nsecond line", Written::Prose), [0, 0, 0, 2, 0]);
        assert_eq!(counts("3 x 4", Written::Prose), [0, 0, 0, 1, 0]);
        let within = "I await my paycheck; the waiter is checking, then verifies";
        assert_eq!(counts(within, Written::Prose), [0, 2, 0, 1, 0]);
    }
}
