//! How answers to problems from files are judged.

use super::command::Checker;
use super::expression::evaluates_to;
use super::extract::{Reading, last_answer};
use super::judge::{Item, Judge, Verdict};
use super::labels;
use super::math;
use super::rational::Rational;
use super::refusal::{self, Label};
use crate::error::{Error, Result, nearest};
use crate::store::Content;
use crate::tasks::built_in::EXACT;
use crate::tasks::problem::Endpoint;
use serde_json::Value;
use std::time::Duration;
use tokenizers::utils::SysRegex;

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
        // The least that is made of one of them.
        let read = |answers: &[String], reading: fn(&str) -> Reading| {
            let one = |answer: &String| match last_answer(answer, reading) {
                Some(found) => reading(&found),
                None => reading(answer),
            };
            answers.iter().map(one).min().unwrap_or(Reading::Nothing)
        };
        match (self, truth) {
            (Self::Number, Truth::Texts(answers)) => match read(answers, reads_number) {
                Reading::Answer => "a number",
                _ => "no number: compared as text",
            },
            (Self::Math, Truth::Texts(answers)) => match read(answers, math::reading) {
                Reading::Answer => "mathematics",
                Reading::Words => "words",
                Reading::Nothing => "nothing that can be read: no response is right",
            },
            (Self::Regex, _) => "a pattern",
            (_, Truth::Target { .. }) => "numbers and a target",
            (Self::Words(_), _) => "nothing: the words of the response are judged",
            (_, Truth::Row { .. }) => "whatever who judges makes of the row",
            (_, Truth::Texts(_)) => "text",
        }
    }

    /// 1 if the response is right, 0 if not; a program may say anything between. NaN if the program failed.
    pub(super) fn judge(&self, prompt: &str, truth: &Truth, response: &str) -> f64 {
        let right = match (self, truth) {
            (Self::Command(checker), Truth::Row { answer, row }) => {
                return checker.ask(prompt, response, answer, row);
            }
            (Self::Exact, Truth::Texts(answers)) => {
                answers.iter().any(|answer| response.trim() == answer.trim())
            }
            (Self::Number, Truth::Texts(answers)) => last_answer(response, reads_number)
                .is_some_and(|found| answers.iter().any(|answer| same_number(&found, answer))),
            (Self::Math, Truth::Texts(answers)) => {
                last_answer(response, math::reading).is_some_and(|found| {
                    answers.iter().any(|answer| {
                        let right = last_answer(answer, math::reading);
                        math::same(&found, right.as_deref().unwrap_or(answer))
                    })
                })
            }
            (Self::Regex, Truth::Texts(answers)) => answers.iter().any(|answer| {
                pattern(answer).is_ok_and(|pattern| pattern.find_iter(response).next().is_some())
            }),
            (Self::Expression, Truth::Target { numbers, target }) => last_answer(response, reads_expression)
                .is_some_and(|found| evaluates_to(&found, numbers, *target)),
            _ => false,
        };
        f64::from(u8::from(right))
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
        _ => None,
    }
}

fn pattern(text: &str) -> Result<SysRegex> {
    SysRegex::new(text)
        .map_err(|error| Error::request(format!("`{text}` is not a regular expression: {error}")))
}

/// A number is an answer; anything else is words.
fn reads_number(text: &str) -> Reading {
    if Rational::read(text).is_some() { Reading::Answer } else { Reading::Words }
}

/// Whatever holds a digit may be an expression.
fn reads_expression(text: &str) -> Reading {
    if text.contains(|letter: char| letter.is_ascii_digit()) { Reading::Answer } else { Reading::Words }
}

/// Equal as rational numbers or, where either is none, as texts without spaces.
fn same_number(found: &str, answer: &str) -> bool {
    let expected = last_answer(answer, reads_number).unwrap_or_else(|| answer.to_owned());
    match (Rational::read(found), Rational::read(&expected)) {
        (Some(found), Some(expected)) => found == expected,
        _ => found.split_whitespace().eq(expected.split_whitespace()),
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
    }
}
