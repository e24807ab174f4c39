//! Attempts: left-to-right chains `a o b = x p c = y` that use each of three values once.
//!
//! Operators are `+ - *`, every number lies in 0..=63, and the written form is canonical: under a
//! commutative first operator the larger operand stands first. A triple has about 15 distinct attempts.

use super::split::pair_held_out;
use super::vocabulary::LARGEST;
use crate::rng::Stream;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// The targets that card problems ask for.
pub(super) const TARGETS: RangeInclusive<i64> = 5..=40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
}

impl Operator {
    pub(super) const ALL: [Self; 3] = [Self::Add, Self::Subtract, Self::Multiply];

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.symbol() == word)
    }

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
        }
    }

    /// The result, if the microcosm has a word for it.
    pub(super) fn apply(self, left: i64, right: i64) -> Option<i64> {
        let result = match self {
            Self::Add => left.checked_add(right),
            Self::Subtract => left.checked_sub(right),
            Self::Multiply => left.checked_mul(right),
        };
        result.filter(|result| (0..=LARGEST).contains(result))
    }

    fn commutes(self) -> bool {
        self != Self::Subtract
    }
}

/// One chain over three values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attempt {
    pub(super) operands: [i64; 3],
    pub(super) operators: [Operator; 2],
    pub(super) middle: i64,
    pub(super) result: i64,
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([a, b, c], [first, second]) = (self.operands, self.operators.map(Operator::symbol));
        write!(formatter, "{a} {first} {b} = {} {second} {c} = {}", self.middle, self.result)
    }
}

impl Attempt {
    /// Makes the intermediate result wrong and leaves the rest as it is: a wrong step on the way to the
    /// same answer.
    pub(super) fn spoil(&mut self, stream: &mut Stream) {
        let wrong = (self.middle + 1 + stream.below(LARGEST as usize) as i64) % (LARGEST + 1);
        self.middle = wrong;
    }
}

/// All attempts of a triple, and the targets that they reach.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) all: Vec<Attempt>,
    /// The solvable targets in [`TARGETS`] that training may ask for, ascending.
    pub(super) training_targets: Vec<i64>,
    /// Those that are held out, ascending.
    pub(super) held_out_targets: Vec<i64>,
}

/// The attempts of three sorted values in 1..=13. `None` for other values.
pub(super) fn attempts(values: [i64; 3]) -> Option<&'static Attempts> {
    static TABLE: LazyLock<BTreeMap<[i64; 3], Attempts>> =
        LazyLock::new(|| triples(13).map(|values| (values, enumerate(values))).collect());
    TABLE.get(&values)
}

/// Every sorted triple of values in 1..=`largest`.
pub(super) fn triples(largest: i64) -> impl Iterator<Item = [i64; 3]> {
    (1..=largest).flat_map(move |a| (a..=largest).flat_map(move |b| (b..=largest).map(move |c| [a, b, c])))
}

fn enumerate([u, v, w]: [i64; 3]) -> Attempts {
    let orders = [[u, v, w], [u, w, v], [v, u, w], [v, w, u], [w, u, v], [w, v, u]];
    let mut all = Vec::new();
    for operands @ [a, b, c] in orders {
        for first in Operator::ALL.into_iter().filter(|operator| a >= b || !operator.commutes()) {
            let Some(middle) = first.apply(a, b) else { continue };
            for second in Operator::ALL {
                let Some(result) = second.apply(middle, c) else { continue };
                all.push(Attempt { operands, operators: [first, second], middle, result });
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    let mut targets: Vec<i64> =
        all.iter().map(|attempt| attempt.result).filter(|result| TARGETS.contains(result)).collect();
    targets.sort_unstable();
    targets.dedup();
    let (held_out_targets, training_targets) =
        targets.into_iter().partition(|target| pair_held_out([u, v, w], *target));
    Attempts { all, training_targets, held_out_targets }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts of the prototype that the recipe was measured with.
    #[test]
    fn the_solvable_pairs_are_those_of_the_recipe() {
        let targets = |found: &Attempts| found.training_targets.len() + found.held_out_targets.len();
        let pairs = |keep: fn(&[i64; 3]) -> bool| -> usize {
            triples(13).filter(keep).filter_map(attempts).map(targets).sum()
        };
        assert_eq!(pairs(|values| values[2] <= 10), 1559);
        assert_eq!(pairs(|values| values[2] > 10), 1341);
        let all: usize = triples(13).filter_map(attempts).map(|found| found.all.len()).sum();
        assert_eq!(all, 6928);
    }

    #[test]
    fn an_attempt_is_written_left_to_right_with_the_larger_operand_first() {
        let found = attempts([3, 4, 8]).unwrap();
        let written: Vec<String> = found.all.iter().map(Attempt::to_string).collect();
        assert!(written.contains(&"8 - 4 = 4 * 3 = 12".to_owned()), "{written:?}");
        assert!(!written.iter().any(|attempt| attempt.starts_with("4 + 8")), "{written:?}");
    }
}
