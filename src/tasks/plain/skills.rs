//! Unrelated skills in words, there to notice collateral damage: facts, copying, sorting, numbers in words, reading code.
//!
//! The four letter skills are those of the symbols, problem by problem held out alike. The others exist in words only.
//! Every answer is exact. What is not measured: knowledge beyond a few tables, writing, conversation.

mod facts;
mod numbers;

pub(super) use numbers::in_words;

use super::{Item, Right};
use crate::rng::Stream;
use crate::tasks::skills::Skill;
use crate::tasks::split::held_out;

/// What is asked.
#[derive(Clone, Copy)]
enum Kind {
    Letters(Skill),
    Fact,
    ReadNumber,
    WriteNumber,
    Code,
}

const KINDS: [Kind; 8] = [
    Kind::Letters(Skill::Copy),
    Kind::Fact,
    Kind::Letters(Skill::Reverse),
    Kind::ReadNumber,
    Kind::Letters(Skill::Sort),
    Kind::Code,
    Kind::Letters(Skill::Largest),
    Kind::WriteNumber,
];

/// Problem `number` of the held-out or the training side: each kind in turn.
pub(in crate::tasks) fn skill(number: u64, from_held_out: bool, stream: &mut Stream) -> Item {
    let kind = KINDS[(number % KINDS.len() as u64) as usize];
    loop {
        let item = match kind {
            Kind::Letters(skill) => return letters(skill, from_held_out, stream),
            Kind::Fact => facts::fact(stream),
            Kind::ReadNumber => {
                let number = 21 + stream.below(979) as i64;
                item(
                    &format!("Write this number in digits: {}.", in_words(number)),
                    &[number.to_string()],
                    "42",
                )
            }
            Kind::WriteNumber => {
                let number = 21 + stream.below(979) as i64;
                let words: Vec<String> = in_words(number).split(' ').map(str::to_owned).collect();
                item(
                    &format!("Write the number {number} in English words, in small letters."),
                    &words,
                    "forty-two",
                )
            }
            Kind::Code => code(stream),
        };
        if held_out(&item.id) == from_held_out {
            return item;
        }
    }
}

fn item(question: &str, answer: &[String], example: &str) -> Item {
    let shown = answer.join(" ");
    let space = if question.ends_with('\n') { "" } else { " " };
    let asked = format!("{question}{space}End with the answer in a box, as in \\boxed{{{example}}}.");
    Item::new(question.to_owned(), asked, format!("\\boxed{{{shown}}}"), Right::List(answer.to_vec()))
}

fn letters(skill: Skill, from_held_out: bool, stream: &mut Stream) -> Item {
    let (problem, answer) = skill.draw(from_held_out, stream);
    let shown = problem.split_once(' ').map_or("", |(_, letters)| letters).replace(' ', ", ");
    let answer: Vec<String> = answer.split(' ').map(str::to_owned).collect();
    let question = match skill {
        Skill::Copy => format!("Repeat these letters in the same order: {shown}."),
        Skill::Reverse => format!("Write these letters in reverse order: {shown}."),
        Skill::Sort => format!("Sort these letters by the alphabet, and keep repeated ones: {shown}."),
        Skill::Largest => format!("Which of these letters comes last in the alphabet: {shown}?"),
    };
    let example = if skill == Skill::Largest { "m" } else { "m, n, o" };
    let asked = format!("{question} End with the answer in a box, as in \\boxed{{{example}}}.");
    Item::new(problem, asked, format!("\\boxed{{{}}}", answer.join(", ")), Right::List(answer))
}

/// A few lines of Python whose output is a number.
fn code(stream: &mut Stream) -> Item {
    let mut digit = |least: usize, most: usize| (least + stream.below(most - least + 1)) as i64;
    let (a, b, c, shape) = (digit(2, 9), digit(2, 9), digit(2, 6), digit(0, 3));
    let (code, value) = match shape {
        0 => (format!("x = {a}\nfor i in range({c}):\n    x = x + {b}\nprint(x)"), a + b * c),
        1 => (format!("x = {a}\ny = {b}\nx, y = y, x + y\nprint(x * {c} + y)"), b * c + a + b),
        2 => (
            format!("x = {a}\nif x > {b}:\n    x = x - {b}\nelse:\n    x = x * {c}\nprint(x)"),
            if a > b { a - b } else { a * c },
        ),
        _ => (
            format!("items = [{a}, {b}, {c}]\nitems.append({a})\nprint(len(items) + max(items))"),
            4 + a.max(b).max(c),
        ),
    };
    item(&format!("What does this Python program print?\n\n{code}\n\n"), &[value.to_string()], "42")
}
