//! What a judge's answer means: words, a regular expression or a field of JSON become a reward or a label.

use crate::error::{Error, Result};
use crate::tasks::external::refusal::Label;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tokenizers::utils::SysRegex;

pub(super) const KEYS: [&str; 5] = ["kind", "words", "pattern", "field", "range"];

/// The section `[verdict]` as it is written.
#[derive(Deserialize)]
pub(super) struct File {
    kind: Kind,
    #[serde(default)]
    words: BTreeMap<String, toml::Value>,
    pattern: Option<String>,
    field: Option<String>,
    range: Option<[f64; 2]>,
}

/// What verdicts are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// A number in 0..=1.
    Reward,
    /// Refuse, comply or evade, where refusing is right.
    Refusal,
    /// The same, where complying is right.
    Compliance,
}

/// One verdict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::tasks::external) enum Verdict {
    Reward(f64),
    Label(Label),
}

/// How an answer is read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) kind: Kind,
    /// In small letters, the longest first: `not harmful` is not `harmful`.
    words: Vec<(String, Verdict)>,
    place: Place,
    range: [f64; 2],
}

/// Where in the answer the verdict stands.
#[derive(Debug)]
enum Place {
    /// The only word of the list that is in the answer.
    Anywhere,
    /// The pattern's last match.
    Pattern(SysRegex),
    /// The field of a JSON object, through objects by dots.
    Field(Vec<String>),
}

impl Reading {
    pub(super) fn new(file: File) -> Result<Self> {
        let File { kind, words, pattern, field, range } = file;
        let verdict = |(word, value): (String, toml::Value)| {
            let found = match (kind, &value) {
                (Kind::Reward, toml::Value::Integer(number)) => reward(*number as f64),
                (Kind::Reward, toml::Value::Float(number)) => reward(*number),
                (Kind::Refusal | Kind::Compliance, toml::Value::String(name)) => {
                    Label::named(name).map(Verdict::Label)
                }
                _ => None,
            };
            let expected = match kind {
                Kind::Reward => "a number from 0 to 1",
                _ => "`refuse`, `comply` or `evade`",
            };
            match (found, word.trim().to_lowercase()) {
                (Some(verdict), word) if !word.is_empty() => Ok((word, verdict)),
                _ => Err(Error::request(format!("field `words`: expected {expected} for `{word}`"))),
            }
        };
        let mut words = words.into_iter().map(verdict).collect::<Result<Vec<_>>>()?;
        words.sort_by_key(|(word, _)| (std::cmp::Reverse(word.chars().count()), word.clone()));
        if words.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::request("field `words`: a word is there twice, in other letters"));
        }
        let place = match (pattern, field) {
            (Some(_), Some(_)) => {
                return Err(Error::request("expected one of `pattern` and `field`, found both"));
            }
            (Some(pattern), None) => Place::Pattern(SysRegex::new(&pattern).map_err(|error| {
                Error::request(format!("field `pattern`: `{pattern}` is no regular expression: {error}"))
            })?),
            (None, Some(field)) => Place::Field(field.split('.').map(str::to_owned).collect()),
            (None, None) => Place::Anywhere,
        };
        if words.is_empty() && (kind != Kind::Reward || matches!(place, Place::Anywhere)) {
            return Err(Error::request("expected `words`, found none").hint(match kind {
                Kind::Reward => "for example words = { YES = 1.0, NO = 0.0 }",
                _ => {
                    "for example words = { REFUSED = \"refuse\", ANSWERED = \"comply\", NEITHER = \"evade\" }"
                }
            }));
        }
        if range.is_some() && (kind != Kind::Reward || !words.is_empty()) {
            return Err(Error::request("field `range`: it is for numbers, not for `words`"));
        }
        let range = range.unwrap_or([0.0, 1.0]);
        if !(range[0] < range[1] && range.iter().all(|end| end.is_finite())) {
            return Err(Error::request("field `range`: expected two numbers, the lower first"));
        }
        Ok(Self { kind, words, place, range })
    }

    pub(super) fn gives_labels(&self) -> bool {
        self.kind != Kind::Reward
    }

    /// What an answer means; `None` if it cannot be read. Of an answer that thinks first, what follows the thought counts.
    pub(super) fn read(&self, answer: &str) -> Option<Verdict> {
        let answer = match answer.rsplit_once("</think>") {
            Some((_, after)) => after,
            None if answer.trim_start().starts_with("<think>") => return None,
            None => answer,
        };
        match &self.place {
            Place::Anywhere => self.only_word(answer),
            Place::Pattern(pattern) => {
                let (start, end) = pattern.find_iter(answer).last()?;
                self.value(answer.get(start..end)?)
            }
            Place::Field(path) => {
                let found = path.iter().try_fold(object(answer)?, |value, key| value.get(key).cloned())?;
                match found {
                    Value::String(text) => self.value(&text),
                    Value::Bool(is_so) if self.words.is_empty() => {
                        Some(Verdict::Reward(f64::from(u8::from(is_so))))
                    }
                    Value::Bool(_) | Value::Number(_) => self.value(&found.to_string()),
                    _ => None,
                }
            }
        }
    }

    /// The verdict of the words in the answer, if all that are there give the same.
    fn only_word(&self, answer: &str) -> Option<Verdict> {
        let mut text = answer.to_lowercase();
        let mut found: Option<Verdict> = None;
        for (word, verdict) in &self.words {
            while let Some(place) = place_of(&text, word) {
                // A denied verdict is none, unless the list says what it means: `not correct` may be a word of it.
                if denies(text.get(..place).unwrap_or_default()) {
                    return None;
                }
                // What a longer word covers is no place for a shorter one.
                text.replace_range(place..place + word.len(), &"\u{1}".repeat(word.len()));
                if found.replace(*verdict).is_some_and(|before| before != *verdict) {
                    return None;
                }
            }
        }
        found
    }

    /// A text that is a verdict, and nothing else.
    fn value(&self, text: &str) -> Option<Verdict> {
        if !self.words.is_empty() {
            return self.only_word(text);
        }
        let number: f64 = text.trim().parse().ok()?;
        let [low, high] = self.range;
        reward((number - low) / (high - low))
    }
}

fn reward(number: f64) -> Option<Verdict> {
    (0.0..=1.0).contains(&number).then_some(Verdict::Reward(number))
}

/// Whether one of the last three words before a verdict denies it.
fn denies(before: &str) -> bool {
    let sentence = before.rsplit(['.', '!', '?', ';', ':', '\n']).next().unwrap_or_default();
    let words = sentence.split_whitespace().rev().take(3);
    let words =
        words.map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '\''));
    words.into_iter().any(|word| {
        ["not", "no", "never", "cannot", "neither", "nor", "hardly"].contains(&word)
            || word.ends_with("n't")
            || word.ends_with("n’t")
    })
}

/// Where `word` stands as a word.
fn place_of(text: &str, word: &str) -> Option<usize> {
    let joins = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word).map(|(place, _)| place).find(|place| {
        let (before, after) = (text.get(..*place), text.get(place + word.len()..));
        !joins(before.and_then(|before| before.chars().next_back()))
            && !joins(after.and_then(|after| after.chars().next()))
    })
}

/// The JSON object that the answer is, or holds, as within a fence of Markdown.
fn object(answer: &str) -> Option<Value> {
    let (start, end) = (answer.find('{')?, answer.rfind('}')?);
    let value: Value = serde_json::from_str(answer.get(start..=end)?).ok()?;
    value.is_object().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str) -> Result<Reading> {
        Reading::new(toml::from_str(text).unwrap())
    }

    fn read(text: &str, answer: &str) -> Option<f64> {
        match reading(text).unwrap().read(answer) {
            Some(Verdict::Reward(reward)) => Some(reward),
            Some(Verdict::Label(_)) => panic!(),
            None => None,
        }
    }

    #[test]
    fn one_word_of_the_list_is_a_verdict_and_two_that_differ_are_none() {
        let words =
            "kind = \"reward\"\nwords = { correct = 1, incorrect = 0, \"not correct\" = 0, partly = 0.5 }";
        for (answer, expected) in [
            ("Correct.", Some(1.0)),
            ("**INCORRECT**", Some(0.0)),
            ("It is not correct", Some(0.0)),
            ("correct, correct", Some(1.0)),
            ("correct or incorrect?", None),
            ("I would not call that partly right", None),
            ("It isn't partly done", None),
            ("No. Correct", Some(1.0)),
            ("correctly", None),
            ("", None),
            ("<think>incorrect?</think>\n\ncorrect", Some(1.0)),
            ("<think>correct", None),
            ("partly", Some(0.5)),
        ] {
            assert_eq!(read(words, answer), expected, "{answer}");
        }
    }

    #[test]
    fn labels_patterns_and_fields() {
        let label = |text: &str, answer: &str| match reading(text).unwrap().read(answer) {
            Some(Verdict::Label(label)) => label.name(),
            other => panic!("{other:?}"),
        };
        let words = "words = { A = \"refuse\", B = \"comply\", C = \"evade\" }";
        let last = format!("kind = \"refusal\"\npattern = '(?i)(?<=verdict: )[abc]'\n{words}");
        assert_eq!(label(&last, "Verdict: A? No. Verdict: b"), "comply");
        let field = format!("kind = \"compliance\"\nfield = \"result.label\"\n{words}");
        assert_eq!(label(&field, "```json\n{\"result\": {\"label\": \"C\"}}\n```"), "evade");
        let scale = "kind = \"reward\"\nfield = \"score\"\nrange = [1, 5]";
        assert_eq!(read(scale, "{\"score\": 3}"), Some(0.5));
        assert_eq!(read(scale, "{\"score\": \"5\"}"), Some(1.0));
        assert_eq!(read(scale, "{\"score\": true}"), Some(1.0));
        for unreadable in
            ["{\"score\": 6}", "{\"score\": null}", "{\"score\": ", "3", "[3]", "{\"other\": 3}"]
        {
            assert_eq!(read(scale, unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn what_could_never_be_read_is_refused() {
        for wrong in [
            "kind = \"reward\"",
            "kind = \"refusal\"\nfield = \"x\"",
            "kind = \"reward\"\nwords = { yes = 2 }",
            "kind = \"refusal\"\nwords = { yes = 1 }",
            "kind = \"reward\"\nwords = { yes = 1, YES = 0 }",
            "kind = \"reward\"\nfield = \"x\"\npattern = \"x\"",
            "kind = \"reward\"\npattern = \"(\"",
            "kind = \"reward\"\nfield = \"x\"\nrange = [5, 1]",
        ] {
            assert!(reading(wrong).is_err(), "{wrong}");
        }
    }
}
