//! Whether two answers are the same.

use super::answer::{Answer, Sign};
use super::approximate::{Complex, Machine};
use super::exact;
use super::tree::Tree;
use num_bigint::BigInt;
use num_rational::BigRational;

/// Random points that are tried, and at how many both sides must have a value.
const POINTS: u64 = 12;
const NEEDED: usize = 4;

/// Whether `found` is the answer `right`.
pub(super) fn same(found: &Answer, right: &Answer) -> bool {
    use Answer::{Based, Group, Matrix, Percent, Relation, Set, Union, Value, Without, Words};
    match (found, right) {
        (Words(one), Words(two)) => one == two,
        (Value(one), Value(two)) => same_value(one, two),
        (Percent(one), Percent(two)) => same_value(one, two),
        (Percent(one), Value(two)) | (Value(one), Percent(two)) => {
            // A percent sign is written or left out, or the share is written as one.
            let (percent, value) = if matches!(found, Percent(_)) { (one, two) } else { (two, one) };
            same_value(percent, value) || same_value(&percent.clone().over(Tree::whole(100)), value)
        }
        (Based { digits, base }, Based { digits: others, base: other }) => {
            let (one, two) = (in_base(digits, *base), in_base(others, *other));
            (digits == others && base == other) || (one.is_some() && one == two)
        }
        (Based { digits, base }, Value(value)) | (Value(value), Based { digits, base }) => {
            in_base(digits, *base).is_some_and(|based| same_value(&Tree::Number(based), value))
        }
        (Set(one), Set(two)) => same_set(one, two),
        (Union(one), Union(two)) => same_set(one, two),
        (Without(one), Without(two)) => same_set(one, two),
        (Without(points), Union(parts)) | (Union(parts), Without(points)) => match points.as_slice() {
            [point] => same_set(&beside(point), parts),
            _ => false,
        },
        // `x < 1 or x > 2` for the union of two intervals.
        (Set(one), Union(two)) | (Union(two), Set(one)) => {
            let parts: Option<Vec<Answer>> = one.iter().map(unwrapped).collect();
            parts.is_some_and(|parts| same_set(&parts, two))
        }
        (Group { open, close, items }, Group { open: other_open, close: other_close, items: others }) => {
            // The ends of an interval; three numbers and more are a point, in whatever brackets.
            let ends = items.len() != 2 || (open, close) == (other_open, other_close);
            ends && same_row(items, others)
        }
        (Group { items, .. }, Set(others)) | (Set(others), Group { items, .. }) if items.len() > 1 => {
            // `2, 4` for the point (2, 4), and the reverse: in its order.
            matches!((found, right), (Group { open: '(', .. }, _) | (_, Group { open: '(', .. }))
                && same_row(items, others)
        }
        (Matrix(one), Matrix(two)) => {
            one.len() == two.len()
                && one.iter().zip(two).all(|(one, two)| {
                    one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same_value(one, two))
                })
        }
        (Matrix(rows), Group { items, .. }) | (Group { items, .. }, Matrix(rows)) => {
            let flat: Vec<&Tree> = rows.iter().flatten().collect();
            (rows.len() == 1 || rows.iter().all(|row| row.len() == 1))
                && flat.len() == items.len()
                && flat.iter().zip(items).all(|(value, item)| same(&Value((*value).clone()), item))
        }
        (Relation { .. }, Relation { .. }) => same_relation(found, right),
        (Relation { .. }, other) => unwrapped(found).is_some_and(|value| same(&value, other)),
        (other, Relation { .. }) => unwrapped(right).is_some_and(|value| same(other, &value)),
        // `\{5\}` for 5.
        (Set(one), other) | (other, Set(one)) => {
            matches!(one.as_slice(), [only] if same(only, other))
        }
        _ => false,
    }
}

fn same_row(one: &[Answer], two: &[Answer]) -> bool {
    one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
}

/// Every element of each is in the other.
fn same_set(one: &[Answer], two: &[Answer]) -> bool {
    let within = |one: &[Answer], two: &[Answer]| {
        one.iter().all(|wanted| two.iter().any(|candidate| same(candidate, wanted)))
    };
    within(one, two) && within(two, one)
}

/// The two open rays beside a point.
fn beside(point: &Answer) -> [Answer; 2] {
    let ray = |low: Answer, high: Answer| Answer::Group { open: '(', close: ')', items: vec![low, high] };
    [
        ray(Answer::Value(Tree::Infinity.negated()), point.clone()),
        ray(point.clone(), Answer::Value(Tree::Infinity)),
    ]
}

/// What a relation says of its variable: the value of `x = 2`, the interval of `x > 3` and `0 < x \le 3`.
fn unwrapped(relation: &Answer) -> Option<Answer> {
    let Answer::Relation { sides, signs } = relation else { return None };
    // `8 + 1 = 9` is 9.
    if signs.iter().all(|sign| *sign == Sign::Equal) && !sides.iter().any(Tree::varies) {
        let last = sides.last()?;
        return sides.iter().all(|side| same_value(side, last)).then(|| Answer::Value(last.clone()));
    }
    let solved = match (sides.as_slice(), signs.as_slice()) {
        ([left, right], [sign]) => solved(left, right, *sign),
        _ => None,
    };
    let (sides, signs) = match &solved {
        Some((sides, sign)) => (sides.as_slice(), std::slice::from_ref(sign)),
        None => (sides.as_slice(), signs.as_slice()),
    };
    let alone = |tree: &Tree| matches!(tree, Tree::Variable(_));
    let group = |open, low: Tree, high: Tree, close| {
        Some(Answer::Group { open, close, items: vec![Answer::Value(low), Answer::Value(high)] })
    };
    match (sides, signs) {
        ([left, right], [Sign::Equal]) if alone(left) => Some(Answer::Value(right.clone())),
        ([left, right], [Sign::Equal]) if alone(right) => Some(Answer::Value(left.clone())),
        ([left, middle, right], [Sign::Equal, Sign::Equal]) if alone(left) => {
            same_value(middle, right).then(|| Answer::Value(right.clone()))
        }
        ([left, right], [sign]) => {
            let (sign, bound) = match (alone(left), alone(right)) {
                (true, _) => (*sign, right.clone()),
                (false, true) => (sign.turned(), left.clone()),
                (false, false) => return None,
            };
            match sign {
                Sign::Less => group('(', Tree::Infinity.negated(), bound, ')'),
                Sign::AtMost => group('(', Tree::Infinity.negated(), bound, ']'),
                Sign::Greater => group('(', bound, Tree::Infinity, ')'),
                Sign::AtLeast => group('[', bound, Tree::Infinity, ')'),
                Sign::Unequal => Some(Answer::Without(vec![Answer::Value(bound)])),
                Sign::Equal => None,
            }
        }
        ([low, middle, high], [first, second]) if alone(middle) => match (first, second) {
            (Sign::Less | Sign::AtMost, Sign::Less | Sign::AtMost) => {
                let open = if *first == Sign::Less { '(' } else { '[' };
                let close = if *second == Sign::Less { ')' } else { ']' };
                group(open, low.clone(), high.clone(), close)
            }
            (Sign::Greater | Sign::AtLeast, Sign::Greater | Sign::AtLeast) => {
                let open = if *second == Sign::Greater { '(' } else { '[' };
                let close = if *first == Sign::Greater { ')' } else { ']' };
                group(open, high.clone(), low.clone(), close)
            }
            _ => None,
        },
        _ => None,
    }
}

/// An inequality of one variable and of the first degree, solved: `-x < -3` is `x > 3`.
fn solved(left: &Tree, right: &Tree, sign: Sign) -> Option<([Tree; 2], Sign)> {
    let names =
        left.variables().into_iter().chain(right.variables()).collect::<std::collections::BTreeSet<_>>();
    let name = names.first().filter(|_| names.len() == 1 && sign != Sign::Equal)?;
    let difference = left.clone().minus(right.clone());
    let at = |value: i64| exact::value(&difference.with(name, &Tree::whole(value)));
    let (zero, one, two) = (at(0)?, at(1)?, at(2)?);
    let slope = &one - &zero;
    let straight = &two - &one == slope && slope != &zero - &zero;
    let turned = if slope < &zero - &zero { sign.turned() } else { sign };
    let sides = || [Tree::Variable((*name).to_owned()), Tree::Number(-zero.clone() / slope.clone())];
    straight.then(|| (sides(), turned))
}

fn same_relation(one: &Answer, two: &Answer) -> bool {
    let (Answer::Relation { sides, signs }, Answer::Relation { sides: others, signs: other_signs }) =
        (one, two)
    else {
        return false;
    };
    let each = |one: &[Tree], two: &[Tree]| {
        one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same_value(one, two))
    };
    if signs == other_signs && each(sides, others) {
        return true;
    }
    if let ([.., sign], (Some(one @ (Answer::Group { .. } | Answer::Without(_))), Some(two))) =
        (signs.as_slice(), (unwrapped(one), unwrapped(two)))
        && *sign != Sign::Equal
    {
        return same(&one, &two);
    }
    let turned: Vec<Tree> = others.iter().rev().cloned().collect();
    let turned_signs: Vec<Sign> = other_signs.iter().rev().map(|sign| sign.turned()).collect();
    if *signs == turned_signs && each(sides, &turned) {
        return true;
    }
    match (sides.as_slice(), signs.as_slice(), others.as_slice(), other_signs.as_slice()) {
        // Both say the same if one is a multiple of the other.
        ([left, right], [Sign::Equal], [other_left, other_right], [Sign::Equal]) => {
            let (one, two) =
                (left.clone().minus(right.clone()), other_left.clone().minus(other_right.clone()));
            proportional(&one, &two)
        }
        _ => false,
    }
}

/// Whether two expressions have one value.
pub(super) fn same_value(one: &Tree, two: &Tree) -> bool {
    if one == two {
        return true;
    }
    if let (Some(one), Some(two)) = (exact::value(one), exact::value(two)) {
        return one == two;
    }
    agree(one, two, |one, two| one.agrees_with(two))
}

/// Whether one expression is the other times a number other than 0.
fn proportional(one: &Tree, two: &Tree) -> bool {
    let (ratio, other) = (one.clone().over(two.clone()), two.clone().over(one.clone()));
    let mut first: Option<Complex> = None;
    let constant = agree(&ratio, &ratio, |value, _| {
        let first = first.get_or_insert_with(|| value.clone());
        first.agrees_with(value)
    });
    constant && agree(&other, &other, |_, _| true)
}

/// Whether two expressions agree wherever both have a value, and have one often enough.
fn agree(one: &Tree, two: &Tree, mut alike: impl FnMut(&Complex, &Complex) -> bool) -> bool {
    let Some(mut machine) = Machine::new() else { return false };
    // Roots and logarithms are meant where they are real; other expressions hold below zero, too.
    machine.signed = [one, two].iter().any(|tree| tree.holds(&|part| matches!(part, Tree::Absolute(_))))
        || ![one, two].iter().any(|tree| tree.holds(&Tree::is_real_above_zero_only));
    let (points, needed) = match one.varies() || two.varies() {
        true => (POINTS, NEEDED),
        false => (1, 1),
    };
    let mut seen = 0;
    for point in 0..points {
        match (machine.value(one, point), machine.value(two, point)) {
            (Some(one), Some(two)) => {
                if !alike(&one, &two) {
                    return false;
                }
                seen += 1;
                if seen == needed {
                    return true;
                }
            }
            (None, None) => {}
            _ => return false,
        }
    }
    false
}

/// The value of digits in a base, if they are digits of it.
fn in_base(digits: &str, base: u32) -> Option<BigRational> {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    if !(2..=36).contains(&base) || digits.is_empty() {
        return None;
    }
    let value = BigInt::parse_bytes(digits.as_bytes(), base)?;
    Some(BigRational::from_integer(if negative { -value } else { value }))
}
