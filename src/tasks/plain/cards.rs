//! Card problems, countdown and card readings in words.

use super::{Item, Right};
use crate::tasks::attempts::Attempt;
use crate::tasks::cards::{Deal, Reading, Rule};

/// A card problem; its response holds these attempts, of which the last is the answer.
pub(in crate::tasks) fn deal(deal: &Deal, attempts: &[Attempt]) -> Item {
    let (right, id) = (
        Right::Expression { values: deal.values(), old_values: deal.old_values(), target: deal.target },
        deal.id(),
    );
    Item::new(id, question(deal), searched(attempts), right)
}

fn question(deal: &Deal) -> String {
    let target = deal.target;
    let shown = listed(deal.ranks.map(|rank| name(deal.rule, rank)));
    let given = match faces(deal.rule) {
        None => format!(
            "You are given the numbers {shown}. Write an expression that uses each of the three numbers exactly once"
        ),
        Some(faces) => format!(
            "In this card game an ace counts 1, cards from 2 to 10 count their number, and {faces}. You hold three cards: {shown}. Write an expression that uses the value of each of the three cards exactly once"
        ),
    };
    format!(
        "{given}, with +, - and * and parentheses where needed, and equals {target}. Write values as numbers. End with the expression in a box, as in \\boxed{{(2 + 3) * 4}}. If you find none, end with \\boxed{{none}}."
    )
}

/// What the face cards count.
fn faces(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::FacesTen => Some("jack, queen and king count 10 each"),
        Rule::FacesShifted => Some("the jack counts 11, the queen 12 and the king 13"),
        Rule::Numbers => None,
    }
}

fn name(rule: Rule, rank: i64) -> String {
    match (rule, rank) {
        (Rule::Numbers, _) | (_, 2..=10) => rank.to_string(),
        (_, 1) => "ace".into(),
        (_, 11) => "jack".into(),
        (_, 12) => "queen".into(),
        _ => "king".into(),
    }
}

fn listed([a, b, c]: [String; 3]) -> String {
    format!("{a}, {b} and {c}")
}

/// A search in words: every attempt a line, those before the last declared to have failed. As many steps, backtracks and
/// attempts as the symbols have are counted in it.
fn searched(attempts: &[Attempt]) -> String {
    let lines = attempts.iter().map(|attempt| {
        let ([_, _, c], [_, second]) =
            (attempt.operands, attempt.operators.map(|operator| operator.symbol()));
        let (whole, middle, result) = (expression(attempt), attempt.middle, attempt.result);
        format!("Try {whole} = {middle} {second} {c} = {result}.")
    });
    let text = lines.collect::<Vec<_>>().join(" No, that is not it.\n");
    let answer = attempts.last().map_or_else(|| "none".to_owned(), expression);
    format!("{text}\nThe answer is \\boxed{{{answer}}}.")
}

fn expression(attempt: &Attempt) -> String {
    let ([a, b, c], [first, second]) =
        (attempt.operands, attempt.operators.map(|operator| operator.symbol()));
    format!("({a} {first} {b}) {second} {c}")
}

/// A card reading.
pub(in crate::tasks) fn reading(reading: &Reading) -> Item {
    let shown = listed(reading.ranks.map(|rank| name(reading.rule, rank)));
    let question = format!(
        "In this card game an ace counts 1, cards from 2 to 10 count their number, and {}. How much do these cards count, each in the order shown: {shown}? End with the three numbers in a box, as in \\boxed{{3, 4, 5}}.",
        faces(reading.rule).unwrap_or("every card counts its number"),
    );
    let values = reading.ranks.map(|rank| reading.rule.value(rank).to_string());
    let response = format!("\\boxed{{{}}}", values.join(", "));
    Item::new(reading.problem(), question, response, Right::List(values.to_vec()))
}
