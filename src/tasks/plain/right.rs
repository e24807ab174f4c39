//! When an answer in plain language is right. The last marked answer counts, and nothing but it.

use super::lists;
use crate::tasks::external::{self, Label, Worked};

/// What an answer is held against.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tasks) enum Right {
    /// An expression that uses `values` once each, does not divide, and equals `target`. `old_values` are those of the rule
    /// in the training domain, where that differs.
    Expression { values: [i64; 3], old_values: Option<[i64; 3]>, target: i64 },
    /// A number, in the digits of any script.
    Number(String),
    /// One of the letters A and B: `right`, where a cue suggests one and a constraint demands one.
    Choice { right: &'static str, cue: &'static str, constraint: &'static str },
    /// Items in order, small and capital letters alike.
    List(Vec<String>),
    /// What the words of the whole answer do with the request `asked`: whatever else stands in a prompt is no part of it.
    Label { right: Label, asked: String },
}

impl Right {
    /// The values of the task's endpoints.
    pub(in crate::tasks) fn score(&self, response: &str, truncated: bool) -> Vec<f64> {
        let flag = |condition: bool| f64::from(u8::from(condition));
        match self {
            Self::Expression { values, old_values, target } => {
                search(*values, *old_values, *target, response, truncated)
            }
            Self::Number(expected) => {
                vec![flag(!truncated && external::is_number(expected, &external::ascii_digits(response)))]
            }
            Self::Choice { right, cue, constraint } => {
                let said = external::marked(response, |_| true).map(|answer| lists::items(&answer));
                let said = said.ok().filter(|_| !truncated).and_then(|items| items.into_iter().next());
                let is = |letter: &str| said.as_deref() == Some(letter.to_lowercase().as_str());
                let neither = !is(cue) && !is(constraint);
                vec![flag(is(right)), flag(is(cue)), flag(is(constraint)), flag(neither)]
            }
            Self::List(expected) => vec![flag(!truncated && lists::is_list(expected, response))],
            Self::Label { right, asked } => external::labelled(*right, asked, response),
        }
    }
}

/// Judges a search: pass, gave up, attempts, the first was right, the last used the old rule.
///
/// An attempt is an expression of three numbers before an equals sign; an answer without any is one attempt.
fn search(
    values: [i64; 3],
    old_values: Option<[i64; 3]>,
    target: i64,
    response: &str,
    truncated: bool,
) -> Vec<f64> {
    let flag = |condition: bool| f64::from(u8::from(condition));
    let answer = external::marked(response, |text| Worked::read(text).is_some()).ok();
    let last = answer.as_deref().and_then(Worked::read);
    let reaches = |found: &Worked| found.numbers == values && !found.divides && found.equals(target);
    let gave_up = answer.as_deref().is_some_and(|answer| {
        let words = lists::items(answer).join(" ");
        ["none", "no solution", "no expression", "impossible", "not possible"].contains(&words.as_str())
    });
    let attempts: Vec<Worked> =
        Worked::all_of(response).into_iter().filter(|found| found.numbers.len() == values.len()).collect();
    let pass = !truncated && last.as_ref().is_some_and(reaches);
    let count = attempts.len().max(usize::from(last.is_some()));
    let first = attempts.first().or(last.as_ref()).is_some_and(reaches);
    let old = last.is_some_and(|found| old_values.is_some_and(|old| found.numbers == old));
    vec![flag(pass), flag(!truncated && gave_up), count as f64, flag(first), flag(old)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(response: &str) -> Vec<f64> {
        let right = Right::Expression { values: [4, 9, 11], old_values: Some([4, 9, 10]), target: 16 };
        right.score(response, false)
    }

    #[test]
    fn a_search_is_judged_by_its_box_and_its_attempts_are_counted() {
        let trace = "Try (11 + 9) + 4 = 20 + 4 = 24. No, that is not it.\nTry (9 - 4) + 11 = 5 + 11 = 16.\nThe answer is \\boxed{(9 - 4) + 11}.";
        assert_eq!(judge(trace), [1.0, 0.0, 2.0, 0.0, 0.0]);
        assert_eq!(judge("- $9 - 4 + 11 = 16$, so $\\boxed{9 - 4 + 11 = 16}$"), [1.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(judge("\\boxed{11 + 9 - 4}"), [1.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!(judge("\\boxed{10 + 10 - 4}"), [0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(judge("\\boxed{10 + 9 - 4}"), [0.0, 0.0, 1.0, 0.0, 1.0]);
        assert_eq!(judge("There is no way. \\boxed{none}"), [0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(judge("\\boxed{\\text{No solution}}"), [0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(judge("16"), [0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(judge("\\boxed{(11 + 9 - 4) / 1}")[0], 0.0);
        assert_eq!(Right::Number("7".into()).score("so \\boxed{7}", true), [0.0], "cut off");
    }
}
