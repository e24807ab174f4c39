//! What an answer is: a value, a list, a set, an interval, a matrix, a relation, a choice, or words.

use super::super::measures::Measure;
use super::expression::Expression;

/// How a value is meant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meant {
    Plainly,
    Percent,
    Degrees,
    /// In a unit.
    In(Measure),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Value(Expression, Meant),
    /// Things of which each is part of the answer, in no order: `1, 2`, `1 or 2`, `±1`.
    List(Vec<Answer>),
    /// Inequalities that hold at once.
    All(Vec<Answer>),
    /// In braces.
    Set(Vec<Answer>),
    /// In brackets, with the bracket that opens and the one that closes: a point or an interval.
    Row(char, Vec<Answer>, char),
    /// Pieces that are joined: intervals and sets.
    Union(Vec<Answer>),
    /// A set of numbers without some.
    Without(Box<Answer>, Box<Answer>),
    /// All real numbers, all integers and so on, by their letter.
    Numbers(char),
    Matrix(Vec<Vec<Answer>>),
    /// `a < b ≤ c`: the first side, and relations with further sides.
    Relation(Side, Vec<(char, Side)>),
    /// What is only near the answer: after `≈`, or digits that go on.
    Near(Box<Answer>),
    /// What holds up to multiples of a number.
    Congruence(Box<Answer>, Expression),
    /// A labelled choice, with what stands after the label.
    Choice(char, Option<Box<Answer>>),
    Words(String),
}

impl Answer {
    /// Calls `change` on all values in this.
    pub(super) fn each_value(&mut self, change: &mut dyn FnMut(&mut Expression, &mut Meant)) {
        match self {
            Self::Value(value, meant) => change(value, meant),
            Self::List(parts)
            | Self::All(parts)
            | Self::Set(parts)
            | Self::Row(_, parts, _)
            | Self::Union(parts) => parts.iter_mut().for_each(|part| part.each_value(change)),
            Self::Matrix(rows) => rows.iter_mut().flatten().for_each(|part| part.each_value(change)),
            Self::Without(one, other) => {
                one.each_value(change);
                other.each_value(change);
            }
            Self::Relation(first, others) => {
                first.each_value(change);
                others.iter_mut().for_each(|(_, side)| side.each_value(change));
            }
            Self::Choice(_, Some(rest)) => rest.each_value(change),
            Self::Near(inner) | Self::Congruence(inner, _) => inner.each_value(change),
            Self::Numbers(_) | Self::Choice(_, None) | Self::Words(_) => {}
        }
    }
}

/// A side of a relation.
pub(super) type Side = Box<Answer>;
