//! Sets of real numbers as intervals, from whatever they are written as: brackets, unions, inequalities.

use super::answer::{Answer, Meant};
use super::evaluate::{Point, Setting, Value};
use super::expression::Expression;
use super::fixed::Fixed;
use crate::tasks::external::rational::Rational;
use std::cell::Cell;
use std::collections::BTreeMap;

/// An end: none where it is infinite, else the value and whether it belongs to the interval.
type End = Option<(Fixed, bool)>;

#[derive(Clone, Debug)]
pub(super) struct Span {
    low: End,
    high: End,
}

const EVERYTHING: Span = Span { low: None, high: None };

/// The pieces, in order and joined where they meet; `None` if it is no set of real numbers.
pub(super) fn of(setting: &Setting, answer: &Answer) -> Option<Vec<Span>> {
    let found = match answer {
        Answer::Numbers('ℝ') => vec![EVERYTHING],
        Answer::Words(words) if matches!(words.as_str(), "all real numbers" | "all reals" | "all real") => {
            vec![EVERYTHING]
        }
        Answer::Row(open, items, close) => match items.as_slice() {
            [low, high] if matches!(open, '(' | '[') && matches!(close, '(' | '[') => {
                let low = end(setting, low, -1, *open == '[')?;
                let high = end(setting, high, 1, *close == '[')?;
                vec![Span { low, high }]
            }
            _ => return None,
        },
        Answer::Set(items) => {
            let points = items.iter().map(|item| {
                let at = end(setting, item, 0, true)?;
                Some(Span { low: at.clone(), high: at })
            });
            points.collect::<Option<Vec<_>>>()?
        }
        Answer::Union(parts) => gather(setting, parts)?,
        Answer::List(parts)
            if parts
                .iter()
                .all(|part| matches!(part, Answer::Relation(..) | Answer::Row(..) | Answer::Union(_))) =>
        {
            let one = variable(parts.first()?);
            if parts.iter().any(|part| variable(part) != one) {
                return None;
            }
            gather(setting, parts)?
        }
        Answer::All(parts) => {
            let one = variable(parts.first()?);
            if parts.iter().any(|part| variable(part) != one) {
                return None;
            }
            let parts = parts.iter().take(100).map(|part| of(setting, part)).collect::<Option<Vec<_>>>()?;
            parts.iter().fold(vec![EVERYTHING], |all, part| intersect(&all, part))
        }
        Answer::Relation(first, others) => relation(setting, first, others)?,
        Answer::Without(from, without) => {
            let (from, without) = (of(setting, from)?, of(setting, without)?);
            subtract(from, &without)
        }
        _ => return None,
    };
    Some(joined(found))
}

fn gather(setting: &Setting, parts: &[Answer]) -> Option<Vec<Span>> {
    let parts = parts.iter().take(100).map(|part| of(setting, part)).collect::<Option<Vec<_>>>()?;
    Some(parts.concat())
}

/// The name that a relation is about.
pub(super) fn variable(answer: &Answer) -> Option<String> {
    let Answer::Relation(first, others) = answer else { return None };
    let mut names = std::collections::BTreeSet::new();
    for side in std::iter::once(first).chain(others.iter().map(|(_, side)| side)) {
        if let Answer::Value(expression, _) = &**side {
            expression.each(&mut |part| {
                if let Expression::Symbol(name) = part {
                    names.insert(name.clone());
                }
            });
        }
    }
    Some(names.into_iter().collect::<Vec<_>>().join(","))
}

fn end(setting: &Setting, answer: &Answer, side: i8, closed: bool) -> Option<End> {
    let Answer::Value(expression, _) = answer else { return None };
    if let Some(sign) = expression.infinite() {
        return (sign == side).then_some(None);
    }
    constant(setting, expression, &BTreeMap::new()).map(|value| Some((value, closed)))
}

fn constant(setting: &Setting, expression: &Expression, symbols: &BTreeMap<&str, Rational>) -> Option<Fixed> {
    let point = Point {
        symbols,
        fuel: &setting.fuel,
        decimal_logarithm: setting.decimal_logarithm,
        left_the_reals: Cell::new(false),
    };
    point.value(expression).as_ref().and_then(Value::real)
}

/// The numbers of which all relations of a chain hold.
fn relation(setting: &Setting, first: &Answer, others: &[(char, Box<Answer>)]) -> Option<Vec<Span>> {
    if let (Answer::Value(Expression::Symbol(_), _), [('∈', set)]) = (first, others) {
        return of(setting, set);
    }
    let mut all = vec![EVERYTHING];
    let mut left = first;
    for (sign, right) in others.iter().take(4) {
        let found = linear(setting, left, *sign, right)?;
        all = intersect(&all, &found);
        left = right;
    }
    Some(all)
}

/// The numbers of which one linear relation in one name holds.
fn linear(setting: &Setting, left: &Answer, sign: char, right: &Answer) -> Option<Vec<Span>> {
    let (Answer::Value(left, _), Answer::Value(right, _)) = (left, right) else { return None };
    if let Expression::Call("abs", inner) = left {
        return distance(setting, inner.first()?, sign, right);
    }
    // `-∞ < x` and `x < ∞` say nothing; the other way round nothing is such a number.
    let upwards = matches!(sign, '<' | '≤');
    match (left.infinite(), right.infinite()) {
        (None, None) => {}
        (Some(end), None) => return Some(if (end < 0) == upwards { vec![EVERYTHING] } else { Vec::new() }),
        (None, Some(end)) => return Some(if (end > 0) == upwards { vec![EVERYTHING] } else { Vec::new() }),
        _ => return None,
    }
    let difference = Expression::Sum(vec![left.clone(), Expression::Negative(Box::new(right.clone()))]);
    let mut names = std::collections::BTreeSet::new();
    difference.each(&mut |part| {
        if let Expression::Symbol(name) = part {
            names.insert(name.as_str());
        }
    });
    let name = match names.into_iter().collect::<Vec<_>>().as_slice() {
        [name] => *name,
        _ => return None,
    };
    let at = |number: i64| {
        let symbols = BTreeMap::from([(name, Rational::whole(number))]);
        constant(setting, &difference, &symbols)
    };
    let (zero, one, two, far) = (at(0)?, at(1)?, at(2)?, at(-7)?);
    let slope = one.subtract(&zero);
    let straight =
        two.subtract(&one).same(&slope) && zero.subtract(&far).same(&slope.multiply(&Fixed::whole(7)));
    if !straight || slope.same(&Fixed::zero()) {
        return None;
    }
    let root = zero.negate().divide(&slope)?;
    let sign = match (sign, slope.is_negative()) {
        ('<', true) => '>',
        ('>', true) => '<',
        ('≤', true) => '≥',
        ('≥', true) => '≤',
        (sign, _) => sign,
    };
    let below = |closed| Span { low: None, high: Some((root.clone(), closed)) };
    let above = |closed| Span { low: Some((root.clone(), closed)), high: None };
    Some(match sign {
        '<' => vec![below(false)],
        '≤' => vec![below(true)],
        '>' => vec![above(false)],
        '≥' => vec![above(true)],
        '≠' => vec![below(false), above(false)],
        '=' => vec![Span { low: Some((root.clone(), true)), high: Some((root.clone(), true)) }],
        _ => return None,
    })
}

/// The numbers of which `|inner| < bound` or another such relation holds.
fn distance(setting: &Setting, inner: &Expression, sign: char, bound: &Expression) -> Option<Vec<Span>> {
    if constant(setting, bound, &BTreeMap::new())?.is_negative() {
        return None;
    }
    let value = |expression: Expression| Answer::Value(expression, Meant::Plainly);
    let (inner, up) = (value(inner.clone()), value(bound.clone()));
    let down = value(Expression::Negative(Box::new(bound.clone())));
    let flipped = match sign {
        '<' => '>',
        '≤' => '≥',
        '>' => '<',
        '≥' => '≤',
        _ => return None,
    };
    let (above, below) = (linear(setting, &inner, sign, &up)?, linear(setting, &inner, flipped, &down)?);
    Some(if matches!(sign, '<' | '≤') { intersect(&above, &below) } else { [above, below].concat() })
}

/// -1, 0 or 1 as one value is less than, the same as or more than another.
fn order(one: &Fixed, other: &Fixed) -> i8 {
    if one.same(other) {
        0
    } else if one < other {
        -1
    } else {
        1
    }
}

fn is_empty(span: &Span) -> bool {
    match (&span.low, &span.high) {
        (Some((low, in_low)), Some((high, in_high))) => match order(low, high) {
            -1 => false,
            0 => !(*in_low && *in_high),
            _ => true,
        },
        _ => false,
    }
}

fn later_low(one: &End, other: &End) -> End {
    match (one, other) {
        (None, end) | (end, None) => end.clone(),
        (Some((a, in_a)), Some((b, in_b))) => match order(a, b) {
            0 => Some((a.clone(), *in_a && *in_b)),
            -1 => other.clone(),
            _ => one.clone(),
        },
    }
}

fn earlier_high(one: &End, other: &End) -> End {
    match (one, other) {
        (None, end) | (end, None) => end.clone(),
        (Some((a, in_a)), Some((b, in_b))) => match order(a, b) {
            0 => Some((a.clone(), *in_a && *in_b)),
            -1 => one.clone(),
            _ => other.clone(),
        },
    }
}

fn intersect(one: &[Span], other: &[Span]) -> Vec<Span> {
    let mut found = Vec::new();
    for a in one {
        for b in other {
            let both = Span { low: later_low(&a.low, &b.low), high: earlier_high(&a.high, &b.high) };
            if !is_empty(&both) {
                found.push(both);
            }
        }
    }
    found
}

fn subtract(from: Vec<Span>, without: &[Span]) -> Vec<Span> {
    let mut left = from;
    for hole in without {
        let open = |end: &End| end.as_ref().map(|(value, closed)| (value.clone(), !closed));
        let mut outside = Vec::new();
        if hole.low.is_some() {
            outside.push(Span { low: None, high: open(&hole.low) });
        }
        if hole.high.is_some() {
            outside.push(Span { low: open(&hole.high), high: None });
        }
        left = intersect(&left, &outside);
    }
    left
}

fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| !is_empty(span));
    spans.sort_by(|one, other| match (&one.low, &other.low) {
        (None, None) => std::cmp::Ordering::Equal,
        (None, _) => std::cmp::Ordering::Less,
        (_, None) => std::cmp::Ordering::Greater,
        (Some((a, in_a)), Some((b, in_b))) => order(a, b).cmp(&0).then(in_b.cmp(in_a)),
    });
    let mut found: Vec<Span> = Vec::new();
    for span in spans {
        let meets = found.last().is_some_and(|last| match (&last.high, &span.low) {
            (None, _) | (_, None) => true,
            (Some((high, in_high)), Some((low, in_low))) => match order(low, high) {
                -1 => true,
                0 => *in_high || *in_low,
                _ => false,
            },
        });
        match found.last_mut() {
            Some(last) if meets => {
                last.high = match (&last.high, &span.high) {
                    (None, _) | (_, None) => None,
                    (Some((a, in_a)), Some((b, in_b))) => match order(a, b) {
                        0 => Some((a.clone(), *in_a || *in_b)),
                        -1 => span.high.clone(),
                        _ => last.high.clone(),
                    },
                };
            }
            _ => found.push(span),
        }
    }
    found
}

/// Whether two lists of joined pieces are one set.
pub(super) fn same(one: &[Span], other: &[Span]) -> bool {
    let alike = |one: &End, other: &End| match (one, other) {
        (None, None) => true,
        (Some((a, in_a)), Some((b, in_b))) => in_a == in_b && a.same(b),
        _ => false,
    };
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| alike(&one.low, &other.low) && alike(&one.high, &other.high))
}
