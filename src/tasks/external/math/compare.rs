//! Whether two answers are one by mathematics.

use super::answer::{Answer, Meant};
use super::evaluate::{Setting, Value};
use super::expression::Expression;
use super::spans;
use crate::tasks::external::measures::Measure;
use std::collections::BTreeSet;

/// Longer lists are compared in their order only.
const MOST_UNORDERED: usize = 60;

/// Compares answers; what is computed for one pair is limited.
pub(super) struct Comparison(pub(super) Setting);

impl Comparison {
    pub(super) fn same(&self, right: &Answer, given: &Answer) -> bool {
        if self.0.fuel.take(1).is_none() {
            return false;
        }
        match (right, given) {
            (Answer::Choice(one, _), Answer::Choice(other, _)) => one == other,
            (Answer::Choice(letter, rest), other) | (other, Answer::Choice(letter, rest)) => {
                is_letter(other, *letter) || rest.as_ref().is_some_and(|rest| self.same(rest, other))
            }
            (Answer::Near(inner), other) | (other, Answer::Near(inner)) => self.same(inner, other),
            (Answer::Congruence(one, modulus), Answer::Congruence(other, also)) => {
                self.0.equal(modulus, also) && self.same(one, other)
            }
            (Answer::Congruence(..), _) | (_, Answer::Congruence(..)) => false,
            (Answer::Words(one), Answer::Words(other)) => one == other,
            (Answer::Value(one, meant), Answer::Value(other, also)) => {
                self.same_value((one, meant), (other, also))
            }
            (Answer::Relation(..), Answer::Relation(..)) => self.same_relation(right, given),
            (Answer::Matrix(one), Answer::Matrix(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| self.in_order(one, other))
            }
            (Answer::Matrix(rows), Answer::Row(open, items, close))
            | (Answer::Row(open, items, close), Answer::Matrix(rows)) => {
                if open != close {
                    return false;
                }
                let vector: Vec<Answer> = match rows.as_slice() {
                    [row] => row.clone(),
                    rows if rows.iter().all(|row| row.len() == 1) => rows.concat(),
                    _ => return false,
                };
                self.in_order(&vector, items)
            }
            (Answer::List(one), Answer::List(other)) => {
                self.unordered(one, other) || self.as_named_point(one, other) || self.as_spans(right, given)
            }
            (Answer::Set(one), Answer::Set(other) | Answer::List(other))
            | (Answer::List(one), Answer::Set(other)) => {
                let (one, other) = (self.distinct(one), self.distinct(other));
                self.unordered(&one, &other)
            }
            (Answer::Set(set), single) | (single, Answer::Set(set)) if is_value(single) => {
                set.len() == 1 && self.same(&set[0], single)
            }
            (Answer::List(one), Answer::Row(_, other, _)) | (Answer::Row(_, other, _), Answer::List(one)) => {
                let interval = is_interval(right) || is_interval(given);
                (!interval && self.in_order(&values_of(one), other)) || self.as_spans(right, given)
            }
            (Answer::Row(open, one, close), Answer::Row(other_open, other, other_close)) => {
                let round = |bracket: &char| matches!(bracket, '(' | '⟨');
                let alike = |a: &char, b: &char| a == b || (one.len() > 1 && round(a) && round(b));
                alike(open, other_open) && alike(close, other_close) && self.in_order(one, other)
            }
            (Answer::All(one), Answer::All(other)) if self.unordered(one, other) => true,
            (Answer::Numbers(one), Answer::Numbers(other)) if one == other => true,
            (Answer::Relation(..), other) => {
                self.value_of_relation(right, other) || self.as_spans(right, given)
            }
            (other, Answer::Relation(..)) => {
                self.value_of_relation(given, other) || self.as_spans(right, given)
            }
            (Answer::List(one), single) | (single, Answer::List(one)) => {
                // `x = 2 or x = 2.0` says one thing.
                let one = self.distinct(one);
                (one.len() == 1 && self.same(&one[0], single)) || self.as_spans(right, given)
            }
            (Answer::Union(one), Answer::Union(other)) if self.unordered(one, other) => true,
            (Answer::Words(words), other) | (other, Answer::Words(words)) => said(words, other),
            _ => self.as_spans(right, given),
        }
    }

    fn in_order(&self, one: &[Answer], other: &[Answer]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| self.same_part(one, other))
    }

    /// A set is no value where it is a part of something.
    fn same_part(&self, one: &Answer, other: &Answer) -> bool {
        let is_set = |answer: &Answer| matches!(answer, Answer::Set(_));
        let single =
            |answer: &Answer| is_value(answer) || matches!(answer, Answer::List(_) | Answer::Matrix(_));
        let apart = (is_set(one) && single(other)) || (is_set(other) && single(one));
        !apart && self.same(one, other)
    }

    fn unordered(&self, one: &[Answer], other: &[Answer]) -> bool {
        if one.len() != other.len() {
            return false;
        }
        if one.len() > MOST_UNORDERED {
            return self.in_order(one, other);
        }
        let mut left: Vec<&Answer> = other.iter().collect();
        one.iter().all(|item| match left.iter().position(|other| self.same_part(item, other)) {
            Some(place) => {
                left.swap_remove(place);
                true
            }
            None => false,
        })
    }

    fn distinct(&self, items: &[Answer]) -> Vec<Answer> {
        let mut kept: Vec<Answer> = Vec::new();
        for item in items.iter().take(MOST_UNORDERED) {
            if !kept.iter().any(|kept| self.same_part(kept, item)) {
                kept.push(item.clone());
            }
        }
        kept.extend(items.iter().skip(MOST_UNORDERED).cloned());
        kept
    }

    /// `x = 1, y = 2` against `y = 2, x = 1` is a list; this one is `1, 2` against `x = 1, x = 2`.
    fn as_named_point(&self, one: &[Answer], other: &[Answer]) -> bool {
        let (plain, others) = (values_of(one), values_of(other));
        let names = |items: &[Answer]| items.iter().filter_map(name_of).collect::<BTreeSet<_>>();
        let (names_of_one, names_of_other) = (names(one), names(other));
        let changed = plain != one || others != other;
        changed && names_of_one.len().max(names_of_other.len()) <= 1 && self.unordered(&plain, &others)
    }

    fn as_spans(&self, one: &Answer, other: &Answer) -> bool {
        match (spans::of(&self.0, one), spans::of(&self.0, other)) {
            (Some(one), Some(other)) => spans::same(&one, &other),
            _ => false,
        }
    }

    fn same_value(&self, (one, meant): (&Expression, &Meant), (other, also): (&Expression, &Meant)) -> bool {
        let over = |value: &Expression, by: i64| {
            Expression::Quotient(Box::new(value.clone()), Box::new(Expression::whole(by)))
        };
        let radians = |value: &Expression| Expression::Product(vec![over(value, 180), Expression::Pi]);
        if let (Meant::In(one_unit), Meant::In(other_unit)) = (meant, also) {
            return self.in_units((one, one_unit), (other, other_unit));
        }
        if self.0.equal(one, other) {
            return *meant == *also || *meant == Meant::Plainly || *also == Meant::Plainly;
        }
        match (meant, also) {
            (Meant::Percent, Meant::Plainly) => self.0.equal(&over(one, 100), other),
            (Meant::Plainly, Meant::Percent) => self.0.equal(one, &over(other, 100)),
            (Meant::Degrees, Meant::Plainly) => self.0.equal(&radians(one), other),
            (Meant::Plainly, Meant::Degrees) => self.0.equal(one, &radians(other)),
            (Meant::Plainly, Meant::Plainly) => same_letter(one, other),
            _ => false,
        }
    }

    fn in_units(&self, (one, unit): (&Expression, &Measure), (other, also): (&Expression, &Measure)) -> bool {
        let Some(times) = unit.in_terms_of(also) else { return false };
        self.0.equal(&Expression::Product(vec![one.clone(), Expression::Number(times)]), other)
    }

    /// `x = 5` as 5; a chain of equal constants as any of them.
    fn value_of_relation(&self, relation: &Answer, other: &Answer) -> bool {
        value_of(relation).is_some_and(|value| {
            let all_equal = match relation {
                Answer::Relation(first, others) => {
                    let sides = std::iter::once(first).chain(others.iter().map(|(_, side)| side));
                    let sides: Vec<&Answer> =
                        sides.map(|side| &**side).filter(|side| name(side).is_none()).collect();
                    let exact = !others.iter().any(|(sign, _)| *sign == '≈');
                    !exact || sides.windows(2).all(|pair| self.same(pair[0], pair[1]))
                }
                _ => true,
            };
            all_equal && self.same(value, other)
        })
    }

    fn same_relation(&self, one: &Answer, other: &Answer) -> bool {
        let (Answer::Relation(a, others), Answer::Relation(b, more)) = (one, other) else { return false };
        // Side by side, or from the other end.
        let forward = self.same(a, b)
            && others.len() == more.len()
            && others
                .iter()
                .zip(more)
                .all(|((sign, side), (also, other))| sign == also && self.same(side, other));
        if forward {
            return true;
        }
        if let ([(sign, right)], [(also, beside)]) = (others.as_slice(), more.as_slice()) {
            if *sign == *also && *sign == '∈' {
                return self.same(a, b) && self.same(right, beside);
            }
            if let Some(found) = self.same_single((a, *sign, right), (b, *also, beside))
                && found
            {
                return true;
            }
        }
        if let (Some(one), Some(other)) = (value_of(one), value_of(other))
            && name(a) == name(b)
            && self.same(one, other)
        {
            return true;
        }
        spans::variable(one) == spans::variable(other) && self.as_spans(one, other)
    }

    /// `l - r` of both are proportional, with the sign that the relations allow.
    fn same_single(
        &self,
        (a, sign, b): (&Answer, char, &Answer),
        (c, also, d): (&Answer, char, &Answer),
    ) -> Option<bool> {
        let (Answer::Value(a, _), Answer::Value(b, _)) = (a, b) else { return None };
        let (Answer::Value(c, _), Answer::Value(d, _)) = (c, d) else { return None };
        let less = |left: &Expression, right: &Expression| {
            Expression::Sum(vec![left.clone(), Expression::Negative(Box::new(right.clone()))])
        };
        let (one, other) = (less(a, b), less(c, d));
        let flipped = |sign: char| match sign {
            '<' => '>',
            '>' => '<',
            '≤' => '≥',
            '≥' => '≤',
            other => other,
        };
        let ratio = std::cell::RefCell::new(None::<Value>);
        let proportional = self.0.agree(&[&one, &other], |values| {
            let (one, other) = (values[0].complex(), values[1].complex());
            let zero = super::complex::Complex::real(super::fixed::Fixed::zero());
            if one.same(&zero) || other.same(&zero) {
                return one.same(&zero) && other.same(&zero);
            }
            let Some(found) = one.divide(&other) else { return false };
            let found = Value::Near(found);
            let mut ratio = ratio.borrow_mut();
            match ratio.as_ref() {
                Some(ratio) => ratio.same(&found),
                None => {
                    *ratio = Some(found);
                    true
                }
            }
        })?;
        if !proportional || one.is_constant() || other.is_constant() {
            return Some(false);
        }
        let negative = ratio.borrow().as_ref().and_then(Value::real).is_some_and(|ratio| ratio.is_negative());
        Some(if matches!(sign, '=' | '≠' | '≈') || !negative {
            sign == also
        } else {
            sign == flipped(also)
        })
    }
}

/// The value that a relation gives a name or a chain of constants.
pub(super) fn value_of(answer: &Answer) -> Option<&Answer> {
    let Answer::Relation(first, others) = answer else { return None };
    if !others.iter().all(|(sign, _)| matches!(sign, '=' | '≈' | '∈')) {
        return None;
    }
    // What stands before `≈` is exact.
    let exact = others.iter().position(|(sign, _)| *sign == '≈');
    let sides: Vec<&Answer> =
        std::iter::once(&**first).chain(others.iter().map(|(_, side)| &**side)).collect();
    let named = name(first).is_some();
    match exact {
        Some(place) if !(named && place == 0) => sides.get(place).copied(),
        _ if named || is_constant(first) => sides.last().copied(),
        _ => None,
    }
}

/// The name that stands by itself on one side: `x`, `f(x)`.
fn name(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Value(Expression::Symbol(name), _) => Some(name.clone()),
        Answer::Value(Expression::Product(parts), _) => match parts.as_slice() {
            // `f(x)` is read as a product.
            [Expression::Symbol(name), Expression::Symbol(_)] if name.len() == 1 => Some(name.clone()),
            // `f^{-1}(x)`.
            [Expression::Power(base, _), Expression::Symbol(_)] => match &**base {
                Expression::Symbol(name) if matches!(name.as_str(), "f" | "g" | "h") => {
                    Some(format!("{name}^-1"))
                }
                _ => None,
            },
            _ => None,
        },
        Answer::Row(_, items, _) if items.len() > 1 => {
            let names = items.iter().map(name).collect::<Option<Vec<_>>>()?;
            Some(names.join(","))
        }
        Answer::Words(words) => Some(words.clone()),
        _ => None,
    }
}

fn name_of(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Relation(first, _) => name(first),
        _ => None,
    }
}

fn is_constant(answer: &Answer) -> bool {
    matches!(answer, Answer::Value(expression, _) if expression.is_constant())
}

/// Whether an answer says that it is only near.
pub(super) fn is_near(answer: &Answer) -> bool {
    match answer {
        Answer::Near(_) => true,
        Answer::List(parts)
        | Answer::All(parts)
        | Answer::Set(parts)
        | Answer::Row(_, parts, _)
        | Answer::Union(parts) => parts.iter().any(is_near),
        Answer::Matrix(rows) => rows.iter().flatten().any(is_near),
        Answer::Choice(_, Some(rest)) => is_near(rest),
        Answer::Congruence(inner, _) => is_near(inner),
        // What stands before `≈` is exact, unless it is but a name.
        Answer::Relation(first, others) => {
            let named = name(first).is_some();
            others.iter().position(|(sign, _)| *sign == '≈').is_some_and(|place| place == 0 && named)
                || others.iter().any(|(_, side)| is_near(side))
        }
        _ => false,
    }
}

/// Two ends of which one belongs to what lies between: no point, and no list.
fn is_interval(answer: &Answer) -> bool {
    let round = |bracket: &char| matches!(bracket, '(' | '⟨');
    matches!(answer, Answer::Row(open, items, close) if items.len() == 2 && !(round(open) && round(close)))
}

fn is_value(answer: &Answer) -> bool {
    matches!(answer, Answer::Value(..) | Answer::Row(..))
}

/// Items without the names that they are given.
fn values_of(items: &[Answer]) -> Vec<Answer> {
    items.iter().map(|item| value_of(item).unwrap_or(item).clone()).collect()
}

/// A single letter, whichever its case: choices are written in both.
fn is_letter(answer: &Answer, letter: char) -> bool {
    let is = |text: &str| text.chars().count() == 1 && text.to_uppercase() == letter.to_string();
    match answer {
        Answer::Value(Expression::Symbol(name), _) => is(name),
        Answer::Value(Expression::Euler, _) => letter == 'E',
        Answer::Words(words) => is(words),
        _ => false,
    }
}

fn same_letter(one: &Expression, other: &Expression) -> bool {
    let letter = |expression: &Expression| match expression {
        Expression::Symbol(name) if name.len() == 1 => name.chars().next(),
        Expression::Euler => Some('e'),
        _ => None,
    };
    match (letter(one), letter(other)) {
        (Some(one), Some(other)) => {
            one.eq_ignore_ascii_case(&other) && ('a'..='e').contains(&one.to_ascii_lowercase())
        }
        _ => false,
    }
}

/// Words for what is otherwise written with signs.
fn said(words: &str, other: &Answer) -> bool {
    match words {
        "all real numbers" | "all reals" | "real numbers" | "all real" => {
            matches!(other, Answer::Numbers('ℝ'))
        }
        "no solution" | "no solutions" | "none" | "empty set" | "no real solution" | "no real solutions" => {
            matches!(other, Answer::Set(items) if items.is_empty())
        }
        _ => false,
    }
}
