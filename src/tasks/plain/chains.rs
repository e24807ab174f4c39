//! Arithmetic chains in words.

use super::{Item, Right};
use crate::tasks::attempts::Operator;
use crate::tasks::chains::Chain;

/// A chain that is worked from left to right, one sentence a step.
pub(in crate::tasks) fn chain(chain: &Chain) -> Item {
    let steps: Vec<String> =
        chain.steps.iter().map(|(operator, operand)| said(*operator, *operand)).collect();
    let question = format!(
        "Start with {}, then {}. What number do you have at the end? Work step by step, and end with the number in a box, as in \\boxed{{7}}.",
        chain.start,
        steps.join(", then ")
    );
    let mut value = chain.start;
    let mut lines = String::new();
    for (operator, operand) in &chain.steps {
        let next = operator.apply(value, *operand).unwrap_or(value);
        lines.push_str(&format!("{value} {} {operand} = {next}\n", operator.symbol()));
        value = next;
    }
    let answer = value.to_string();
    Item::new(
        chain.problem(),
        question,
        format!("{lines}The answer is \\boxed{{{answer}}}."),
        Right::Number(answer),
    )
}

fn said(operator: Operator, operand: i64) -> String {
    match operator {
        Operator::Add => format!("add {operand}"),
        Operator::Subtract => format!("subtract {operand}"),
        Operator::Multiply => format!("multiply by {operand}"),
    }
}
