//! Arithmetic worked from left to right: `chain 2 * 4 + 12 + 7 : 2 * 4 = 8 + 12 = 20 + 7 = 27`, and single
//! facts, `calc 5 * 12 : 60`.

use super::attempts::Operator;
use super::split::held_out;
use super::vocabulary::LARGEST;
use crate::rng::Stream;

const LARGEST_OPERAND: i64 = 13;
const LENGTHS: [usize; 4] = [2, 2, 3, 4];

/// A chain of two to four operations.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) start: i64,
    pub(super) steps: Vec<(Operator, i64)>,
}

impl Chain {
    /// Draws one from the held-out or the training side.
    pub(super) fn draw(from_held_out: bool, stream: &mut Stream) -> Self {
        loop {
            let chain = Self::any(stream);
            if held_out(&chain.problem()) == from_held_out {
                return chain;
            }
        }
    }

    fn any(stream: &mut Stream) -> Self {
        let length = LENGTHS[stream.below(LENGTHS.len())];
        let start = operand(stream);
        let (mut value, mut steps) = (start, Vec::with_capacity(length));
        while steps.len() < length {
            let step = (operator(stream), operand(stream));
            if let Some(result) = step.0.apply(value, step.1) {
                value = result;
                steps.push(step);
            }
        }
        Self { start, steps }
    }

    pub(super) fn problem(&self) -> String {
        let steps: Vec<String> = self
            .steps
            .iter()
            .map(|(operator, operand)| format!(" {} {operand}", operator.symbol()))
            .collect();
        format!("chain {}{}", self.start, steps.concat())
    }

    pub(super) fn answer(&self) -> String {
        let (mut value, mut text) = (self.start, self.start.to_string());
        for (operator, operand) in &self.steps {
            value = operator.apply(value, *operand).unwrap_or(value);
            text.push_str(&format!(" {} {operand} = {value}", operator.symbol()));
        }
        text
    }
}

/// A single fact as (problem, answer): any first operand whose result has a word.
pub(super) fn fact(stream: &mut Stream) -> (String, String) {
    loop {
        let (operator, left, right) =
            (operator(stream), stream.below(LARGEST as usize + 1) as i64, operand(stream));
        if let Some(result) = operator.apply(left, right) {
            return (format!("calc {left} {} {right}", operator.symbol()), result.to_string());
        }
    }
}

fn operator(stream: &mut Stream) -> Operator {
    Operator::ALL[stream.below(Operator::ALL.len())]
}

fn operand(stream: &mut Stream) -> i64 {
    1 + stream.below(LARGEST_OPERAND as usize) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_worked_from_left_to_right() {
        let chain =
            Chain { start: 2, steps: vec![(Operator::Multiply, 4), (Operator::Add, 12), (Operator::Add, 7)] };
        assert_eq!(chain.problem(), "chain 2 * 4 + 12 + 7");
        assert_eq!(chain.answer(), "2 * 4 = 8 + 12 = 20 + 7 = 27");
    }
}
