//! Arithmetic in stories, each told in seven ways and in four languages.
//!
//! Source: generated here, after GSM8K (arXiv 2110.14168) and MGSM-Pro (2601.21225). A [`Plan`] is a number and one to five steps
//! (get, give away, times, share out); the solver carries them out. Each plan is told as it was drawn (`canonical`) and
//! changed along one axis: other `names`, other `digits` (numbers), `both`, another `context`, the question first (`order`), and
//! with a sentence that does not matter (`irrelevant`). Languages: English, German, Hindi (Devanagari digits) and Swahili
//! (low-resource); the same plans in all. What is measured: the answer's mean over the ways, the worst way, all ways right, and
//! the drop from the canonical one. What is not measured: stories beyond one quantity, units, geometry, fractions, or how natural
//! a language sounds to those who speak it: nobody but the author has read the texts. A plan is held out with all of its
//! ways, and other numbers are drawn from its own side: training and test share no instantiation.

mod languages;

use super::{Item, Right};
use crate::rng::Stream;
use crate::tasks::problem::Half;
use crate::tasks::split::held_out;
pub(in crate::tasks) use languages::Language;
use languages::Story;

/// The ways in which a plan is told; the first is the one that others are compared with.
pub(in crate::tasks) const WAYS: [&str; 7] =
    ["canonical", "names", "digits", "both", "context", "order", "irrelevant"];

/// What happens to the quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Get(i64),
    Give(i64),
    Times(i64),
    Share(i64),
}

impl Step {
    fn apply(self, value: i64) -> Option<i64> {
        let next = match self {
            Self::Get(n) => value + n,
            Self::Give(n) => value - n,
            Self::Times(n) => value * n,
            Self::Share(n) if value % n == 0 => value / n,
            Self::Share(_) => return None,
        };
        (2..=600).contains(&next).then_some(next)
    }

    fn kind(self) -> u8 {
        match self {
            Self::Get(_) => 0,
            Self::Give(_) => 1,
            Self::Times(_) => 2,
            Self::Share(_) => 3,
        }
    }

    fn number(self) -> i64 {
        match self {
            Self::Get(n) | Self::Give(n) | Self::Times(n) | Self::Share(n) => n,
        }
    }

    /// A step of this kind with numbers drawn by `stream`.
    fn drawn(kind: u8, stream: &mut Stream) -> Self {
        let mut number = |least: usize, count: usize| (least + stream.below(count)) as i64;
        match kind {
            0 => Self::Get(number(2, 38)),
            1 => Self::Give(number(2, 28)),
            2 => Self::Times(number(2, 4)),
            _ => Self::Share(number(2, 5)),
        }
    }
}

/// Draws of numbers before other steps are drawn.
const TRIES: usize = 400;

/// A start and what happens then.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    start: i64,
    steps: Vec<Step>,
}

impl Plan {
    /// One of the held-out or the training side with steps of these kinds; `None` if there is hardly any, as of five that
    /// share out.
    fn drawn(kinds: &[u8], from_held_out: bool, stream: &mut Stream) -> Option<Self> {
        for _ in 0..TRIES {
            let start = 4 + stream.below(57) as i64;
            let steps = kinds.iter().map(|kind| Step::drawn(*kind, stream)).collect();
            let plan = Self { start, steps };
            if plan.answer().is_some() && held_out(&plan.id()) == from_held_out {
                return Some(plan);
            }
        }
        None
    }

    fn answer(&self) -> Option<i64> {
        self.steps.iter().try_fold(self.start, |value, step| step.apply(value))
    }

    fn id(&self) -> String {
        let sign = |step: &Step| format!(" {}{}", ['+', '-', '*', '/'][step.kind() as usize], step.number());
        format!("story {}{}", self.start, self.steps.iter().map(sign).collect::<String>())
    }
}

/// Plan `number` in all of its ways, of the held-out or the training side. One to five steps in turn.
pub(in crate::tasks) fn ways(
    language: Language,
    number: u64,
    from_held_out: bool,
    stream: &mut Stream,
) -> Vec<Item> {
    let (plan, other) = loop {
        let kinds: Vec<u8> = (0..=number % 5).map(|_| stream.below(4) as u8).collect();
        let mut drawn = || Plan::drawn(&kinds, from_held_out, stream);
        if let (Some(plan), Some(other)) = (drawn(), drawn())
            && plan != other
        {
            break (plan, other);
        }
    };
    let (names, context) = (stream.below(3), stream.below(2));
    let extra = 2 + stream.below(30) as i64;
    let canonical = Story { names, context, question_first: false, irrelevant: None };
    let renamed = Story { names: names + 3, ..canonical };
    let told = [
        (&plan, canonical),
        (&plan, renamed),
        (&other, canonical),
        (&other, renamed),
        (&plan, Story { context: context + 2, ..canonical }),
        (&plan, Story { question_first: true, ..canonical }),
        (&plan, Story { irrelevant: Some(extra), ..canonical }),
    ];
    let id = format!("{} {}", plan.id(), language.code());
    let item = |(way, (plan, story)): (usize, (&Plan, Story))| Item {
        instantiation: Some(WAYS[way]),
        half: Half::of(&plan_half(&id)),
        id: id.clone(),
        question: languages::told(language, plan, story),
        response: worked(language, plan),
        right: Right::Number(plan.answer().unwrap_or_default().to_string()),
    };
    told.into_iter().enumerate().map(item).collect()
}

/// What decides the half: the plan without the language, so that a plan is on one side in all of them.
fn plan_half(id: &str) -> String {
    id.rsplit_once(' ').map_or(id, |(plan, _)| plan).to_owned()
}

/// The solution, a line a step, in the language's own digits.
fn worked(language: Language, plan: &Plan) -> String {
    let mut value = plan.start;
    let mut lines = String::new();
    for step in &plan.steps {
        let next = step.apply(value).unwrap_or(value);
        let sign = ["+", "-", "*", "/"][step.kind() as usize];
        let [a, b, c] = [value, step.number(), next].map(|number| language.digits(number));
        lines.push_str(&format!("{a} {sign} {b} = {c}\n"));
        value = next;
    }
    format!("{lines}\\boxed{{{}}}", language.digits(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::external;
    use std::collections::BTreeSet;

    /// Reads a story back by its numbers and the words that its language uses for each step, by other means than it was told.
    fn read_back(language: Language, question: &str, extra: bool) -> i64 {
        let marks: [&[&str]; 4] = match language {
            Language::English => [&["more"], &["gives"], &["times"], &["shares"]],
            Language::German => [&["bekommt"], &["gibt"], &["-mal"], &["teilt"]],
            Language::Hindi => [&["और मिले"], &["दिए"], &["गुना"], &["ढेरियों"]],
            Language::Swahili => [&["mengine"], &["anampa"], &["mara"], &["mafungu"]],
        };
        let sentences = question.split(['.', '।', '?']);
        let mut value = None;
        for sentence in sentences.filter(|sentence| !sentence.contains("boxed")) {
            let digits = external::ascii_digits(sentence);
            let numbers: Vec<i64> = digits
                .split(|letter: char| !letter.is_ascii_digit())
                .filter_map(|number| number.parse().ok())
                .collect();
            let Some(number) = numbers.first().copied() else { continue };
            let kind = marks.iter().position(|words| words.iter().any(|word| sentence.contains(word)));
            value = match (value, kind) {
                (None, _) => Some(number),
                (Some(value), Some(0)) => Some(value + number),
                (Some(value), Some(1)) => Some(value - number),
                (Some(value), Some(2)) => Some(value * number),
                (Some(value), Some(3)) => Some(value / number),
                (value, _) if extra => value,
                _ => panic!("{sentence}"),
            };
        }
        value.unwrap()
    }

    #[test]
    fn every_story_has_exactly_the_stated_answer_in_every_language() {
        for language in Language::ALL {
            for number in 0..200 {
                let stream = &mut Stream::new(1, "test", &[number]);
                let items = ways(language, number, number % 2 == 0, stream);
                let questions: BTreeSet<&str> = items.iter().map(|item| item.question.as_str()).collect();
                assert_eq!(questions.len(), WAYS.len(), "{}", items[0].question);
                for item in &items {
                    let Right::Number(answer) = &item.right else { panic!() };
                    let extra = item.instantiation == Some("irrelevant");
                    let found = read_back(language, &item.question, extra).to_string();
                    assert_eq!(&found, answer, "{}", item.question);
                    assert_eq!(item.right.score(&item.response, false), [1.0], "{}", item.response);
                    let off = format!("\\boxed{{{}}}", answer.parse::<i64>().unwrap() + 1);
                    assert_eq!(item.right.score(&off, false), [0.0]);
                }
            }
        }
    }

    #[test]
    fn the_numbers_of_every_language_read_back() {
        for language in Language::ALL {
            for number in 0..1000 {
                let written = language.digits(number);
                assert_eq!(external::ascii_digits(&written), number.to_string(), "{written}");
            }
        }
        assert_eq!(Language::Hindi.digits(507), "५०७");
    }

    #[test]
    fn training_and_test_share_no_instantiation() {
        let asked = |held_out| -> BTreeSet<String> {
            (0..400)
                .flat_map(|number| {
                    ways(Language::English, number, held_out, &mut Stream::new(1, "test", &[number]))
                })
                .map(|item| item.question.rsplit_once(" Work").unwrap().0.to_owned())
                .collect()
        };
        assert!(asked(true).is_disjoint(&asked(false)));
    }
}
