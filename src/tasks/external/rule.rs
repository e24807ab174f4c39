//! How answers to problems from files are judged.

use super::command::Checker;
use super::expression::evaluates_to;
use super::extract::final_answer;
use super::judge::{Item, Judge, Verdict};
use super::labels;
use super::math;
use super::rational::Rational;
use super::refusal::{self, Label};
use super::wrapping;
use crate::error::{Error, Result, nearest};
use crate::store::Content;
use crate::tables::long_numbers;
use crate::tasks::built_in::EXACT;
use crate::tasks::problem::Endpoint;
use fancy_regex::Regex;
use serde_json::Value;
use std::time::Duration;

/// What makes a response right.
#[derive(Debug)]
pub(super) enum Rule {
    /// The response is the answer, up to space at its ends.
    Exact,
    /// The last marked answer of the response ([`super::extract`]) is the answer's number, or failing numbers its text.
    Number,
    /// The last marked answer of the response is the answer by the mathematics ([`super::math`]).
    Math,
    /// The answer is a regular expression that is found in the response.
    Regex,
    /// The last `\boxed{}`, `####` or `<answer>` holds an expression of `+ - * /` and parentheses that uses
    /// each of the row's `nums` once and equals its `target`, in rational arithmetic.
    Expression,
    /// A program says.
    Command(Checker),
    /// The words of the response say whether it refuses, complies or evades; the label is the right one.
    Words(Label),
    /// A model says.
    Judge(Box<Judge>),
}

/// What one row's responses are held against.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tasks) enum Truth {
    /// Texts, numbers as text, or patterns, of which any is right.
    Texts(Vec<String>),
    /// Numbers to use and the value to reach.
    Target { numbers: Vec<i64>, target: i64 },
    /// The answer as it stands in the row, or null, and the whole row: a program knows what they mean.
    Row { answer: Value, row: Value },
}

const NAMES: [&str; 9] =
    ["exact", "number", "math", "regex", "expression", "refusal", "compliance", "command", "judge"];

impl Rule {
    pub(super) fn parse(name: &str) -> Result<Self> {
        match name {
            "exact" => Ok(Self::Exact),
            "number" => Ok(Self::Number),
            "math" => Ok(Self::Math),
            "regex" => Ok(Self::Regex),
            "expression" => Ok(Self::Expression),
            "refusal" => Ok(Self::Words(Label::Refuse)),
            "compliance" => Ok(Self::Words(Label::Comply)),
            _ => {
                let hint = match nearest(name, NAMES) {
                    Some("command") => {
                        "write `reward=command:PROGRAM ARGUMENTS` as the last option".to_owned()
                    }
                    Some("judge") => "write `reward=judge:FILE.toml` as the last option".to_owned(),
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the rewards are {}", NAMES.join(", ")),
                };
                Err(Error::request(format!("unknown reward `{name}`")).hint(hint))
            }
        }
    }

    pub(super) fn command(command: &str, limit: Duration, files: &[&str]) -> Result<Self> {
        Checker::new(command, limit, files).map(Self::Command)
    }

    pub(super) fn judge_of(file: &str) -> Result<Self> {
        Judge::load(file).map(|judge| Self::Judge(Box::new(judge)))
    }

    /// What decides rewards beside the problems: the files of the program that judges, or the file of the model.
    pub(super) fn files(&self) -> &[(String, Content)] {
        match self {
            Self::Command(checker) => checker.files(),
            Self::Judge(judge) => judge.files(),
            _ => &[],
        }
    }

    /// What the row says is right.
    pub(super) fn truth(&self, row: &Value) -> Result<Truth> {
        if matches!(self, Self::Expression) {
            let numbers = row.get("nums").and_then(Value::as_array);
            let numbers: Option<Vec<i64>> =
                numbers.and_then(|numbers| numbers.iter().map(Value::as_i64).collect());
            let target = row.get("target").and_then(Value::as_i64);
            return match (numbers, target) {
                (Some(numbers), Some(target)) => Ok(Truth::Target { numbers, target }),
                _ => Err(Error::request("expected integers in the fields `nums` (a list) and `target`")),
            };
        }
        let fields = ["answer", "ground_truth", "solution", "completion"];
        let found = fields
            .iter()
            .filter_map(|name| row.get(*name))
            .chain(row.get("reward_model").and_then(|reward| reward.get("ground_truth")))
            .find(|value| !value.is_null());
        if matches!(self, Self::Command(_) | Self::Words(_) | Self::Judge(_)) {
            return Ok(Truth::Row { answer: found.cloned().unwrap_or_default(), row: row.clone() });
        }
        let texts: Option<Vec<String>> = match found {
            Some(Value::Array(all)) if !all.is_empty() => all.iter().map(text).collect(),
            Some(value) => text(value).map(|text| vec![text]),
            None => None,
        };
        let texts = texts.ok_or_else(|| {
            Error::request(
                "expected an answer (a text, a number, or a list of these of which any is right) in `answer`, `ground_truth`, `solution`, `completion` or `reward_model.ground_truth`",
            )
        })?;
        if matches!(self, Self::Regex) {
            texts.iter().try_for_each(|text| pattern(text).map(drop))?;
        }
        Ok(Truth::Texts(texts))
    }

    /// The numbers that a response gets; the first is primary.
    pub(super) fn endpoints(&self) -> &'static [Endpoint] {
        match self.right_label() {
            Some(right) => labels::endpoints(right),
            None => &EXACT,
        }
    }

    /// The label that responses should have, where they are labelled.
    pub(super) fn right_label(&self) -> Option<Label> {
        match self {
            Self::Words(right) => Some(*right),
            Self::Judge(judge) => judge.right_label(),
            _ => None,
        }
    }

    /// The values of the endpoints: no numbers where nobody could say. What was cut off is not right; what it says up to
    /// there has a label.
    pub(super) fn score(&self, prompt: &str, truth: &Truth, response: &str, truncated: bool) -> Vec<f64> {
        match (self, self.right_label()) {
            (Self::Words(_), Some(right)) => labels::values(right, Some(refusal::label(prompt, response))),
            (Self::Judge(judge), right) if right.is_some() || !truncated => {
                let verdict = truth.item(prompt, response).and_then(|item| judge.verdict(item));
                match (right, verdict) {
                    (Some(right), Some(Verdict::Label(label))) => labels::values(right, Some(label)),
                    (Some(right), _) => labels::values(right, None),
                    (None, Some(Verdict::Reward(reward))) => vec![reward],
                    (None, _) => vec![f64::NAN],
                }
            }
            _ if truncated => vec![0.0],
            _ => vec![self.judge(prompt, truth, response)],
        }
    }

    /// The columns that [`Rule::truth`] takes from a row.
    pub(super) fn columns<'a>(&self, row: &'a Value) -> Vec<&'a str> {
        let all = row.as_object().into_iter().flat_map(|row| row.keys().map(String::as_str));
        let fields = ["answer", "ground_truth", "solution", "completion", "reward_model"];
        match self {
            Self::Command(_) | Self::Judge(_) => all.collect(),
            Self::Words(_) => Vec::new(),
            Self::Expression => all.filter(|name| ["nums", "target"].contains(name)).collect(),
            _ => {
                let first = fields.iter().find(|name| row.get(**name).is_some_and(|value| !value.is_null()));
                all.filter(|name| Some(name) == first).collect()
            }
        }
    }

    /// As what an answer was read: the word stands in what a user is shown before a long run.
    pub(super) fn read_as(&self, truth: &Truth) -> &'static str {
        match (self, truth) {
            (Self::Number, _) if self.unread(truth).is_some() => "no number: compared as text",
            (Self::Number, _) => "a number",
            (Self::Math, _) if self.unread(truth).is_some() => "words: compared as text",
            (Self::Math, _) => "mathematics",
            (Self::Regex, _) => "a pattern",
            (_, Truth::Target { .. }) => "numbers and a target",
            (Self::Words(_), _) => "nothing: the words of the response are judged",
            (_, Truth::Row { .. }) => "whatever who judges makes of the row",
            (_, Truth::Texts(_)) => "text",
        }
    }

    /// 1 if the response is right, 0 if not; a program may say anything between. NaN, and a line in the log, where there is
    /// no telling: the program failed, or a search met its limit. What has no reward is left out, and is not wrong.
    pub(super) fn judge(&self, prompt: &str, truth: &Truth, response: &str) -> f64 {
        let right = match (self, truth) {
            (Self::Command(checker), Truth::Row { answer, row }) => {
                return checker.ask(prompt, response, answer, row);
            }
            (Self::Regex, Truth::Texts(answers)) => match found_any(answers, response) {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!("no reward for a response to `{prompt}`: {error}");
                    return f64::NAN;
                }
            },
            (Self::Exact, Truth::Texts(answers)) => {
                answers.iter().any(|answer| response.trim() == answer.trim())
            }
            (Self::Number | Self::Math, Truth::Texts(answers)) => self.answer(response).is_ok_and(|found| {
                answers.iter().any(|answer| match self {
                    Self::Math => math::same(&self.stated(answer), &found),
                    _ => same_number(&self.stated(answer), &found),
                })
            }),
            (Self::Expression, Truth::Target { numbers, target }) => {
                self.answer(response).is_ok_and(|found| evaluates_to(&found, numbers, *target))
            }
            _ => false,
        };
        f64::from(u8::from(right))
    }

    /// The final answer of a response, or why there is none.
    fn answer(&self, response: &str) -> Result<String, String> {
        let found = final_answer(response, |text| match self {
            Self::Math => math::reads(text),
            Self::Number => Rational::read(text).is_some(),
            _ => text.bytes().any(|byte| byte.is_ascii_digit()),
        });
        found.map_err(|missing| missing.why())
    }

    /// The answer in what a row states, which may be a whole solution.
    fn stated(&self, answer: &str) -> String {
        self.answer(answer).unwrap_or_else(|_| answer.to_owned())
    }

    /// Why this rule finds no answer in a response; `None` if it finds one, or judges the whole response.
    pub(super) fn no_answer(&self, response: &str) -> Option<String> {
        match self {
            Self::Number | Self::Math | Self::Expression => self.answer(response).err(),
            _ => None,
        }
    }

    /// What of a row's truth this rule cannot read as it means to, and so compares as text; `None` if it reads it all.
    pub(super) fn unread(&self, truth: &Truth) -> Option<String> {
        let Truth::Texts(answers) = truth else { return None };
        let (reads, name): (fn(&str) -> bool, _) = match self {
            Self::Number => (|text| Rational::read(text).is_some(), "number"),
            Self::Math => (math::reads, "math"),
            _ => return None,
        };
        let unread = answers.iter().map(|answer| self.stated(answer)).find(|answer| !reads(answer))?;
        let shown: String = unread.chars().take(80).collect();
        Some(format!("no answer that `{name}` reads: `{shown}`; it is compared as text"))
    }
}

impl Truth {
    /// A response as a judge sees it.
    pub(super) fn item<'a>(&'a self, prompt: &'a str, response: &'a str) -> Option<Item<'a>> {
        let Self::Row { answer, row } = self else { return None };
        Some(Item { prompt, response, answer, row })
    }
}

/// An answer as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        other => long_numbers::digits(other).map(str::to_owned),
    }
}

fn pattern(text: &str) -> Result<Regex> {
    Regex::new(text).map_err(|error| Error::request(format!("`{text}` is not a regular expression: {error}")))
}

/// Whether any of the patterns is found.
///
/// # Errors
/// If none is, and a search was given up.
fn found_any(patterns: &[String], response: &str) -> Result<bool> {
    let mut given_up = None;
    for text in patterns {
        match pattern(text)?.is_match(response) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => {
                given_up = Some(Error::work(format!("the search for `{text}` was given up: {error}")));
            }
        }
    }
    given_up.map_or(Ok(false), Err)
}

/// Equal as rational numbers or, where neither is one, as texts without spaces and emphasis.
fn same_number(expected: &str, found: &str) -> bool {
    match (Rational::read(found), Rational::read(expected)) {
        (Some(found), Some(expected)) => found == expected,
        (None, None) => {
            let (found, expected) = (wrapping::plain(found), wrapping::plain(expected));
            found.split_whitespace().eq(expected.split_whitespace())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(rule: &str, answer: &str, response: &str) -> bool {
        Rule::parse(rule).unwrap().judge("", &Truth::Texts(vec![answer.into()]), response) == 1.0
    }

    #[test]
    fn numbers_are_compared_as_numbers_wherever_they_are_written() {
        for (answer, response) in [
            ("1/2", "thus \\boxed{0.5}"),
            ("#### 1,234", "#### 1234"),
            ("72", "first \\boxed{3}, no: \\boxed{72.0}."),
            ("-0.75", "\\boxed{-\\frac{3}{4}}"),
            ("12", "\\boxed{\\$12}"),
            ("x + 1", "\\boxed{x  + 1}"),
        ] {
            assert!(judge("number", answer, response), "{answer} {response}");
        }
        for (answer, response) in [("1/2", "0.5"), ("72", "\\boxed{72} or \\boxed{3}"), ("1", "\\boxed{")] {
            assert!(!judge("number", answer, response), "{answer} {response}");
        }
    }

    #[test]
    fn markers_emphasis_and_units_are_no_part_of_a_number() {
        for response in [
            "\\boxed{72}\n\n#### Check\nfine",
            "\\boxed{72}\n#### Verification:\nok",
            "#### 72 dollars",
            "#### **72**",
            "\\boxed{72} hence <answer> done",
            "\\boxed 72",
            "\\fbox{72}",
            "#### $72",
            "#### 72.",
            "<answer>\\boxed{72}</answer>",
            "\\boxed{\\textbf{72}}",
            "**#### 72 clips**",
            "\\boxed{72\\ \\text{square units}}",
        ] {
            assert!(judge("number", "72", response), "{response}");
        }
        for response in [
            "\\boxed{72 \\text{ or } 75}",
            "\\boxed{72} or \\boxed{75}",
            "\\boxed{72\\text{x}+3}",
            "\\boxed{72\\mathrm{e}}",
            "#### 72 or so",
            "#### 72 to 80",
            "\\boxed{72\\text{ million}}",
        ] {
            assert!(!judge("number", "72", response), "{response}");
        }
    }

    #[test]
    fn a_search_that_is_given_up_gives_no_reward() {
        let truth = |pattern: &str| Truth::Texts(vec![pattern.to_owned()]);
        let response = format!("{}b 42", "a".repeat(26));
        for pattern in ["^(?:(?:a+)+(?!x)c|a*b 42)$", "(?:(a|aa)+)\\1?(?!b)$"] {
            let reward = Rule::Regex.judge("q", &truth(pattern), &response);
            assert!(reward.is_nan(), "{pattern}: {reward}");
        }
        let either = Truth::Texts(vec!["^(?:(?:a+)+(?!x)c|a*b 42)$".into(), "42$".into()]);
        assert_eq!(Rule::Regex.judge("q", &either, &response), 1.0, "another pattern is found");
    }

    #[test]
    fn what_is_not_read_is_said() {
        let texts = |text: &str| Truth::Texts(vec![text.into()]);
        assert_eq!(Rule::Number.unread(&texts("so it is\n#### 1,234")), None);
        let said = Rule::Number.unread(&texts("x + 1")).unwrap();
        assert!(said.contains("no answer that `number` reads: `x + 1`"), "{said}");
        assert_eq!(Rule::Math.unread(&texts("x + 1")), None);
        assert!(Rule::Math.unread(&texts("\\int x dx")).is_some());
        assert!(Rule::Math.no_answer("five").unwrap().contains("no answer is marked"));
        assert_eq!(Rule::Math.no_answer("\\boxed{5}"), None);
        assert_eq!(Rule::Exact.no_answer("five"), None);
    }

    #[test]
    fn texts_and_patterns() {
        assert!(judge("exact", "yes", " yes\n") && !judge("exact", "yes", "yes!"));
        assert!(judge("regex", "^[Yy]es\\b", "Yes, it is") && !judge("regex", "^[Yy]es\\b", "Oh yes"));
        let truth = |row: Value| Rule::Number.truth(&row);
        let fallback = json!({ "answer": null, "ground_truth": ["1/2", 3] });
        assert_eq!(truth(fallback).unwrap(), Truth::Texts(vec!["1/2".into(), "3".into()]));
        for wrong in [json!({ "answer": [] }), json!({ "answer": null }), json!({ "answer": [[1]] })] {
            assert!(truth(wrong.clone()).is_err(), "{wrong}");
        }
        let any = Truth::Texts(vec!["1/2".into(), "3".into()]);
        assert_eq!(Rule::Number.judge("", &any, "\\boxed{3.0}"), 1.0);
        assert_eq!(Rule::Number.judge("", &any, "\\boxed{1, 2}"), 0.0);
        assert!(Rule::Regex.truth(&serde_json::json!({ "answer": "(" })).is_err());
        let error = Rule::parse("numbr").unwrap_err().to_string();
        assert!(error.contains("did you mean `number`?"), "{error}");
        let error = Rule::parse("zzz").unwrap_err().to_string();
        assert!(error.contains("math"), "{error}");
    }
}
