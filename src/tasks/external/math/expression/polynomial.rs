//! Polynomials in one name: their coefficients, and their integrals.

use super::Expression;
use crate::tasks::external::rational::Rational;

/// The largest degree.
const LARGEST: usize = 20;

impl Expression {
    /// The same with a name bound by a series.
    pub(super) fn bind(self, name: &str) -> Self {
        let all = |parts: Vec<Self>| parts.into_iter().map(|part| part.bind(name)).collect();
        let one = |part: Box<Self>| Box::new(part.bind(name));
        match self {
            Self::Symbol(symbol) if symbol == name => Self::Bound(symbol),
            // `\sum_{i=1}^n i` is no sum of imaginary numbers.
            Self::Imaginary if name == "i" => Self::Bound(name.to_owned()),
            Self::Sum(parts) => Self::Sum(all(parts)),
            Self::Product(parts) => Self::Product(all(parts)),
            Self::Call(function, parts) => Self::Call(function, all(parts)),
            Self::Determinant(parts) => Self::Determinant(all(parts)),
            Self::Quotient(a, b) => Self::Quotient(one(a), one(b)),
            Self::Power(a, b) => Self::Power(one(a), one(b)),
            Self::Logarithm(a, b) => Self::Logarithm(one(a), one(b)),
            Self::Negative(inner) => Self::Negative(one(inner)),
            Self::Root(inner, degree) => Self::Root(one(inner), degree),
            Self::Series { product, name: own, from, to, each } => {
                Self::Series { product, name: own, from: one(from), to: one(to), each: one(each) }
            }
            other => other,
        }
    }
}

/// The integral of a polynomial with rational coefficients between two bounds; `None` if it is none.
pub(super) fn integral(
    of: &Expression,
    name: &str,
    from: &Expression,
    to: &Expression,
) -> Option<Expression> {
    let mut parts = Vec::new();
    for (power, factor) in (1_i64..).zip(coefficients(of, name)?) {
        let at = |bound: &Expression| {
            Expression::Power(Box::new(bound.clone()), Box::new(Expression::whole(power)))
        };
        let between = Expression::Sum(vec![at(to), Expression::Negative(Box::new(at(from)))]);
        let factor = Expression::Number(factor.divide(&Rational::whole(power))?);
        parts.push(Expression::Product(vec![factor, between]));
    }
    Some(Expression::Sum(parts))
}

/// What the powers of a name are multiplied by, from the lowest.
fn coefficients(of: &Expression, name: &str) -> Option<Vec<Rational>> {
    let one = || vec![Rational::whole(1)];
    match of {
        Expression::Number(number) => Some(vec![number.clone()]),
        Expression::Symbol(symbol) if symbol == name => Some(vec![Rational::whole(0), Rational::whole(1)]),
        Expression::Negative(inner) => {
            Some(coefficients(inner, name)?.iter().map(Rational::negate).collect())
        }
        Expression::Sum(parts) => {
            let mut sums: Vec<Rational> = Vec::new();
            for part in parts {
                for (power, factor) in coefficients(part, name)?.into_iter().enumerate() {
                    match sums.get_mut(power) {
                        Some(sum) => *sum = sum.add(&factor)?,
                        None => sums.push(factor),
                    }
                }
            }
            Some(sums)
        }
        Expression::Product(parts) => {
            parts.iter().try_fold(one(), |all, part| product(&all, &coefficients(part, name)?))
        }
        Expression::Quotient(above, below) => {
            let [below] = coefficients(below, name)?.try_into().ok()?;
            coefficients(above, name)?.iter().map(|factor| factor.divide(&below)).collect()
        }
        Expression::Power(base, exponent) => {
            let Expression::Number(exponent) = &**exponent else { return None };
            let times = usize::try_from(exponent.as_small()?).ok().filter(|times| *times <= LARGEST)?;
            let base = coefficients(base, name)?;
            (0..times).try_fold(one(), |all, _| product(&all, &base))
        }
        _ => None,
    }
}

fn product(one: &[Rational], other: &[Rational]) -> Option<Vec<Rational>> {
    let length = one.len() + other.len() - 1;
    if length > LARGEST + 1 {
        return None;
    }
    let mut sums = vec![Rational::whole(0); length];
    for (at, a) in one.iter().enumerate() {
        for (beside, b) in other.iter().enumerate() {
            let sum = sums.get_mut(at + beside)?;
            *sum = sum.add(&a.multiply(b)?)?;
        }
    }
    Some(sums)
}
