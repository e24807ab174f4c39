//! Training never sees what evaluation asks.

use deltascope::tasks::{Mixture, Suite, curriculum, tokenizer, training_problems};
use std::collections::BTreeSet;

/// Sorted values and target of a card prompt, whatever the rule, order and faces shown; other prompts
/// as they are. Requests and skills are reduced to what is held out: the object, the letters.
fn held_out_key(prompt: &str) -> Option<String> {
    let words: Vec<&str> = prompt.split_whitespace().collect();
    let cards = |words: &[&str], face: fn(i64) -> i64| {
        let mut values: Vec<i64> = words
            .iter()
            .map(|word| match *word {
                "A" => 1,
                "J" => face(11),
                "Q" => face(12),
                "K" => face(13),
                number => number.parse().unwrap(),
            })
            .collect();
        values.sort_unstable();
        values
    };
    match words.as_slice() {
        ["<bos>", "make", "F10", hand @ .., "to", target, ":"] => {
            Some(format!("{:?} to {target}", cards(hand, |_| 10)))
        }
        ["<bos>", "make", "F13", hand @ .., "to", target, ":"]
        | ["<bos>", "count", hand @ .., "to", target, ":"] => {
            Some(format!("{:?} to {target}", cards(hand, |rank| rank)))
        }
        ["<bos>", "ask", _, object @ .., _, ":"] => Some(format!("object {object:?}")),
        ["<bos>", "copy" | "rev" | "sort" | "max", letters @ .., ":"] => Some(format!("letters {letters:?}")),
        ["<bos>", "vals", _, hand @ .., ":"] => Some(format!("vals {:?}", cards(hand, |rank| rank))),
        ["<bos>", "chain", ..] => Some(prompt.to_owned()),
        ["<bos>", "calc", ..] => None,
        ["<bos>", ..] => panic!("unknown prompt {prompt}"),
        // In plain language the words are the problem.
        _ => Some(prompt.to_owned()),
    }
}

#[test]
fn no_held_out_problem_is_in_any_training_stage() {
    let suites: Vec<Suite> = Suite::names().map(|name| Suite::parse(name).unwrap()).collect();
    let held_out: BTreeSet<String> = (0..5)
        .flat_map(|seed| suites.iter().flat_map(move |suite| suite.problems(seed)))
        .filter_map(|problem| held_out_key(&problem.prompt))
        .collect();
    assert!(held_out.len() > 3000, "{}", held_out.len());
    let mut prompts: Vec<String> =
        curriculum(7, 0, 60_000).into_iter().map(|document| document.prompt).collect();
    for arm in ["verified_cot", "other_domain", "noisy:steps=0.5", "allowed_requests", "refusals"] {
        let documents =
            Mixture::only(arm).unwrap().open(&tokenizer().unwrap()).unwrap().documents(7, 0, 20_000).unwrap();
        prompts.extend(documents.into_iter().map(|document| document.prompt));
    }
    for suite in &suites {
        let problems = training_problems(suite, 7, 0, 2000);
        prompts.extend(problems.into_iter().map(|problem| problem.prompt));
    }
    let leaked: Vec<&String> = prompts
        .iter()
        .filter(|prompt| held_out_key(prompt).is_some_and(|key| held_out.contains(&key)))
        .take(5)
        .collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    assert!(prompts.len() > 130_000);
}
