//! Both renderings ask the same problems, hold out the same, and judge what they call right.

use super::*;
use crate::model::Tokenizer;
use crate::tasks::{DataArm, Rendering, Stated, Suite, training_problems};
use std::collections::BTreeSet;

/// A tokenizer with a chat template and no words of the microcosm.
fn tokenizer() -> Tokenizer {
    Tokenizer::word_level(&["<s>", "</s>", "<p>", "hello"], "<s>", "</s>", "<p>").unwrap()
}

fn suite(name: &str) -> Suite {
    Suite::parse(&format!("{name}:as=text")).unwrap()
}

#[test]
fn every_held_out_problem_is_there_in_both_renderings_and_its_own_response_is_right() {
    for name in Suite::names() {
        let plain = suite(name);
        let problems = plain.problems(3);
        let prompts: BTreeSet<&str> = problems.iter().map(|problem| problem.prompt.as_str()).collect();
        assert_eq!(prompts.len(), problems.len(), "{name}");
        let voice = plain.said_to(&tokenizer(), Stated::Nothing).unwrap();
        assert_eq!((voice.name(), voice.rendering()), (plain.name(), Some(Rendering::Text)));
        let training: BTreeSet<String> =
            training_problems(&plain, 5, 0, 1500).into_iter().map(|problem| problem.prompt).collect();
        assert!(problems.iter().all(|problem| !training.contains(&problem.prompt)), "{name}");
    }
    for name in
        ["general_points", "general_points:faces=11-13", "countdown", "card_values", "arithmetic_chain"]
    {
        let ids = |suite: Suite| -> Vec<String> {
            suite.problems(3).into_iter().map(|problem| problem.id).collect()
        };
        assert_eq!(ids(suite(name)), ids(Suite::parse(name).unwrap()), "{name}");
    }
}

/// What an arm says in words is judged as what it says in symbols.
#[test]
fn arms_in_words_ask_and_answer_as_in_symbols() {
    for (arm, of) in [
        ("verified_cot", "general_points"),
        ("no_cot", "general_points"),
        ("short", "general_points"),
        ("noisy:answers=0.5", "general_points"),
        ("shuffled", "general_points"),
        ("other_domain", "countdown"),
        ("skills", "skills"),
        ("refusals", "refusal"),
        ("allowed_requests", "allowed_requests"),
    ] {
        let (plain, symbols) = (suite(of), Suite::parse(of).unwrap());
        let arm = DataArm::parse(arm).unwrap();
        let asked = training_problems(&plain, 5, 90, 200);
        let words = training_problems(&symbols, 5, 90, 200);
        for ((index, problem), same) in (90..).zip(&asked).zip(&words) {
            let item = arm.item(5, index).unwrap();
            assert!(
                problem.prompt.ends_with(&format!("{QUESTION}{}{ANSWER}", item.question)),
                "{}",
                problem.prompt
            );
            let found = plain.score(problem, &item.response, false);
            if plain.endpoints().len() < 4 {
                assert_eq!(found.primary(), 1.0, "{} | {}", problem.prompt, item.response);
                continue;
            }
            let symbols = symbols.score(same, &arm.document(5, index).response, false);
            let values =
                |score: &crate::tasks::Score| score.iter().map(|(_, value)| value).collect::<Vec<_>>();
            assert_eq!(values(&found), values(&symbols), "{}", item.response);
        }
    }
}

#[test]
fn a_text_shows_solved_examples_and_ends_where_the_answer_begins() {
    let item = |n: i64| {
        Item::new(n.to_string(), format!("{n}?"), format!("\\boxed{{{n}}}"), Right::Number(n.to_string()))
    };
    let voice = Voice::new(Rendering::Text, &[item(1), item(2)]);
    let Asked::Text(text) = voice.asked("3?") else { panic!() };
    assert_eq!(
        text,
        "Question: 1?\nAnswer: \\boxed{1}\n\nQuestion: 2?\nAnswer: \\boxed{2}\n\nQuestion: 3?\nAnswer:"
    );
    assert_eq!(ended(" 4\n\nQuestion: 5"), Some(" 4\n"));
    assert_eq!(ended(" 4"), None);
}
