//! Whether two answers are one by mathematics.

use super::super::rational::Rational;
use super::super::units;
use super::answer::{Answer, Meant};
use super::evaluate::{Fuel, Point, Value};
use super::expression::Expression;
use super::spans;
use crate::rng::Stream;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// How many points must agree, and how many are tried for them.
const AGREEING: usize = 4;
const TRIED: usize = 24;
/// Longer lists are compared in their order only.
const MOST_UNORDERED: usize = 60;

/// Compares answers; what is computed for one pair is limited.
pub(super) struct Comparison {
    pub(super) fuel: Fuel,
    /// Whether `log` is the decimal logarithm.
    pub(super) decimal_logarithm: bool,
}

impl Comparison {
    pub(super) fn same(&self, right: &Answer, given: &Answer) -> bool {
        if self.fuel.take(1).is_none() {
            return false;
        }
        match (right, given) {
            (Answer::Choice(one, _), Answer::Choice(other, _)) => one == other,
            (Answer::Choice(letter, rest), other) | (other, Answer::Choice(letter, rest)) => {
                is_letter(other, *letter) || rest.as_ref().is_some_and(|rest| self.same(rest, other))
            }
            (Answer::Words(one), Answer::Words(other)) => one == other,
            (Answer::Value(one, meant), Answer::Value(other, also)) => {
                self.same_value((one, meant), (other, also))
            }
            (Answer::Relation(..), Answer::Relation(..)) => self.same_relation(right, given),
            (Answer::Matrix(one), Answer::Matrix(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| self.in_order(one, other))
            }
            (Answer::Matrix(rows), Answer::Row(_, items, _))
            | (Answer::Row(_, items, _), Answer::Matrix(rows)) => {
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
                self.in_order(&values_of(one), other) || self.as_spans(right, given)
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
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| self.same(one, other))
    }

    fn unordered(&self, one: &[Answer], other: &[Answer]) -> bool {
        if one.len() != other.len() {
            return false;
        }
        if one.len() > MOST_UNORDERED {
            return self.in_order(one, other);
        }
        let mut left: Vec<&Answer> = other.iter().collect();
        one.iter().all(|item| match left.iter().position(|other| self.same(item, other)) {
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
            if !kept.iter().any(|kept| self.same(kept, item)) {
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
        match (spans::of(self, one), spans::of(self, other)) {
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
        if self.equal(one, other) {
            return !matches!(
                (meant, also),
                (Meant::Percent, Meant::Degrees) | (Meant::Degrees, Meant::Percent)
            );
        }
        match (meant, also) {
            (Meant::Percent, Meant::Plainly) => self.equal(&over(one, 100), other),
            (Meant::Plainly, Meant::Percent) => self.equal(one, &over(other, 100)),
            (Meant::Degrees, Meant::Plainly) => self.equal(&radians(one), other),
            (Meant::Plainly, Meant::Degrees) => self.equal(one, &radians(other)),
            (Meant::Plainly, Meant::Plainly) => same_letter(one, other),
            _ => false,
        }
    }

    fn in_units(
        &self,
        (one, one_unit): (&Expression, &str),
        (other, other_unit): (&Expression, &str),
    ) -> bool {
        match (units::measure(one_unit), units::measure(other_unit)) {
            (Some((dimension, of_one)), Some((also, of_other))) => {
                let scaled = |value: &Expression, (above, below): (i64, i64)| {
                    let times = vec![value.clone(), Expression::whole(above)];
                    let product = Box::new(Expression::Product(times));
                    Expression::Quotient(product, Box::new(Expression::whole(below)))
                };
                dimension == also && self.equal(&scaled(one, of_one), &scaled(other, of_other))
            }
            _ => self.equal(one, other),
        }
    }

    /// Whether two expressions are equal: as constants, or at every one of several points.
    pub(super) fn equal(&self, one: &Expression, other: &Expression) -> bool {
        if let (Some(one), Some(other)) = (one.infinite(), other.infinite()) {
            return one == other;
        }
        let ordered = one.ordered() == other.ordered();
        if ordered {
            return true;
        }
        self.agree(&[one, other], |values| values[0].same(&values[1])).unwrap_or(false)
    }

    /// Whether the values of expressions agree at points where all are real or, where there are none, at the others;
    /// `None` if there are too few points at which all have a value.
    fn agree(&self, expressions: &[&Expression], right: impl Fn(&[Value]) -> bool) -> Option<bool> {
        let mut names = BTreeSet::new();
        for expression in expressions {
            expression.each(&mut |part| {
                if let Expression::Symbol(name) = part {
                    names.insert(name.as_str());
                }
            });
        }
        let (mut agreeing, mut elsewhere, mut apart) = (0, 0, false);
        for number in 0..TRIED {
            let symbols = point(&names, number as u64);
            let mut left = false;
            let values: Option<Vec<Value>> = expressions
                .iter()
                .map(|expression| {
                    let point = Point {
                        symbols: &symbols,
                        fuel: &self.fuel,
                        decimal_logarithm: self.decimal_logarithm,
                        left_the_reals: Cell::new(false),
                    };
                    let value = point.value(expression);
                    left |= point.left_the_reals.get();
                    value
                })
                .collect();
            if names.is_empty() {
                return Some(right(&values?));
            }
            let Some(values) = values else { continue };
            let agrees = right(&values);
            if !left {
                if !agrees {
                    return Some(false);
                }
                agreeing += 1;
                if agreeing == AGREEING {
                    return Some(true);
                }
            } else if agrees {
                elsewhere += 1;
            } else {
                apart = true;
            }
        }
        match agreeing {
            0 => (elsewhere > 0 || apart).then_some(elsewhere >= AGREEING && !apart),
            _ => Some(true),
        }
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
        let proportional = self.agree(&[&one, &other], |values| {
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
        let constant = |expression: &Expression| {
            let mut names = 0;
            expression.each(&mut |part| names += usize::from(matches!(part, Expression::Symbol(_))));
            names == 0
        };
        if !proportional || constant(&one) != constant(&other) || constant(&one) {
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

/// A point with a rational number for every name, the same in every run. The first have positive ones, then come any,
/// then whole ones.
fn point<'a>(names: &BTreeSet<&'a str>, number: u64) -> BTreeMap<&'a str, Rational> {
    const BELOW: [i64; 6] = [7, 11, 13, 17, 19, 23];
    let mut stream = Stream::new(0, "tasks/math", &[number]);
    let mut whole = |most: usize| stream.below(most) as i64;
    let mut value = || {
        let (above, below, sign) = (1 + whole(60), whole(BELOW.len()), whole(2));
        let below = BELOW.get(below as usize).copied().unwrap_or(29);
        let above = if above % below == 0 { above + 1 } else { above };
        match number {
            0..=1 => Rational::new(above, below),
            16.. => Some(Rational::whole(2 + above % 9)),
            _ => Rational::new(if sign == 0 { above } else { -above }, below),
        }
    };
    names.iter().filter_map(|name| Some((*name, value()?))).collect()
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
    let Answer::Value(expression, _) = answer else { return false };
    let mut names = 0;
    expression.each(&mut |part| names += usize::from(matches!(part, Expression::Symbol(_))));
    names == 0
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
