//! The world's suites: as many problems on each half, as rows of a file that is never written.

use super::super::setting::{Method, Planting, Suite};
use super::closed_form::ClosedForm;
use super::world::{Problem, World};
use crate::error::Result;
use crate::tasks;
use serde_json::{Value, json};

/// Problems in each half of each suite.
pub(super) const PROBLEMS: usize = 40;

/// A suite's name.
pub(super) fn name(suite: Suite) -> &'static str {
    match suite {
        Suite::Transfer => "planted.jsonl:rows=all:reward=exact",
        Suite::Safety => "other.jsonl:rows=all:reward=exact",
    }
}

/// A suite of the world. With the halves made one, the problems that select are asked again, under other names,
/// by the half that measures.
///
/// # Errors
/// If a row is not one of a suite.
pub(super) fn suite(
    world: &World,
    suite: Suite,
    method: Method,
    tuned: &ClosedForm<'_>,
) -> Result<tasks::Suite> {
    let words = World::words();
    let planting = world.planting();
    let of = |source: Suite, first: usize| -> Vec<Problem> {
        let asked = first..first + PROBLEMS;
        asked.map(|index| world.problem("problem of a model", source, index, tuned)).collect()
    };
    let measuring = match (method, planting) {
        (Method::HalvesMadeOne, _) => of(suite, 0),
        (_, Planting::PermutedPairs) => world.paired_anew(of(suite, PROBLEMS)),
        _ => of(planting.measures(suite), PROBLEMS),
    };
    let mut rows = Vec::with_capacity(2 * PROBLEMS);
    for (half, first, problems) in
        [(tasks::Half::Select, 0, of(suite, 0)), (tasks::Half::Measure, PROBLEMS, measuring)]
    {
        let asked = (first..).zip(&problems);
        rows.extend(asked.map(|(index, problem)| row(&words, problem, named(name(suite), half, index))));
    }
    tasks::Suite::of_rows(name(suite), &rows)
}

fn row(words: &[String], problem: &Problem, id: String) -> Value {
    let prompt: Vec<&str> = problem.words.iter().map(|word| words[*word].as_str()).collect();
    json!({ "problem_id": id, "prompt": prompt.join(" "), "answer": words[problem.answer(problem.right)] })
}

/// A name that puts the `index`-th problem of a suite on a half.
fn named(suite: &str, half: tasks::Half, index: usize) -> String {
    let mut name = format!("{suite} {} {index}", half.name());
    while tasks::Half::of(&name) != half {
        name.push('\'');
    }
    name
}
