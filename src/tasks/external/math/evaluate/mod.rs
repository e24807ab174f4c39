//! The value of an expression at a point: exact while it is rational, else complex with 512 bits.

mod calls;
mod series;

use super::complex::Complex;
use super::expression::Expression;
use super::fixed::{Fixed, pi};
use crate::tasks::external::rational::Rational;
use num_bigint::BigInt;
use num_traits::ToPrimitive;
use std::cell::Cell;
use std::collections::BTreeMap;

/// A number, in the most exact way that it is known.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Exact(Rational),
    Near(Complex),
}

impl Value {
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (one, other) => one.complex().same(&other.complex()),
        }
    }

    pub(super) fn complex(&self) -> Complex {
        match self {
            Self::Exact(number) => Complex::real(Fixed::of(number)),
            Self::Near(number) => number.clone(),
        }
    }

    /// The value, if it is known exactly.
    fn exact(&self) -> Option<&Rational> {
        match self {
            Self::Exact(number) => Some(number),
            Self::Near(_) => None,
        }
    }

    /// The value, if it is real.
    pub(super) fn real(&self) -> Option<Fixed> {
        let Complex { real, imaginary } = self.complex();
        imaginary.same(&Fixed::zero()).then_some(real)
    }
}

/// How much may be computed for one pair of answers: some milliseconds.
#[derive(Debug)]
pub(super) struct Fuel(Cell<u64>);

impl Fuel {
    pub(super) fn new() -> Self {
        Self(Cell::new(60_000))
    }

    /// Takes some; `None` once it is used up.
    pub(super) fn take(&self, amount: u64) -> Option<()> {
        let rest = self.0.get().checked_sub(amount);
        self.0.set(rest.unwrap_or(0));
        rest.map(drop)
    }
}

/// What holds for all that is compared of one pair of answers.
#[derive(Debug)]
pub(super) struct Setting {
    /// What may still be computed.
    pub(super) fuel: Fuel,
    /// Whether `log` is the decimal logarithm.
    pub(super) decimal_logarithm: bool,
}

/// Where an expression is evaluated.
pub(super) struct Point<'a> {
    pub(super) symbols: &'a BTreeMap<&'a str, Rational>,
    pub(super) fuel: &'a Fuel,
    /// The base of `log`: 10, or else that of natural logarithms.
    pub(super) decimal_logarithm: bool,
    /// Set when a root, power or logarithm left the real numbers.
    pub(super) left_the_reals: Cell<bool>,
}

impl Point<'_> {
    /// The value; `None` where there is none, or it is too large, or takes too long.
    pub(super) fn value(&self, expression: &Expression) -> Option<Value> {
        self.fuel.take(1)?;
        match expression {
            Expression::Number(number) => Some(Value::Exact(number.clone())),
            Expression::Determinant(cells) => self.determinant(cells),
            Expression::Series { product, name, from, to, each } => {
                self.series(*product, name, (from, to), each)
            }
            Expression::Symbol(name) | Expression::Bound(name) => {
                self.symbols.get(name.as_str()).cloned().map(Value::Exact)
            }
            Expression::Pi => Some(Value::Near(Complex::real(pi().clone()))),
            Expression::Euler => Some(Value::Near(Complex::real(Fixed::whole(1).exponential()?))),
            Expression::Imaginary => {
                Some(Value::Near(Complex { real: Fixed::zero(), imaginary: Fixed::whole(1) }))
            }
            Expression::Infinity => None,
            Expression::Sum(parts) => {
                let mut sum = Value::Exact(Rational::whole(0));
                for part in parts {
                    sum = self.add(&sum, &self.value(part)?)?;
                }
                Some(sum)
            }
            Expression::Product(parts) => {
                let mut product = Value::Exact(Rational::whole(1));
                for part in parts {
                    product = self.multiply(&product, &self.value(part)?)?;
                }
                Some(product)
            }
            Expression::Quotient(above, below) => self.divide(&self.value(above)?, &self.value(below)?),
            Expression::Negative(inner) => Some(match self.value(inner)? {
                Value::Exact(number) => Value::Exact(number.negate()),
                Value::Near(number) => Value::Near(number.negate()),
            }),
            Expression::Root(inner, degree) => self.root(&self.value(inner)?, *degree),
            Expression::Power(base, exponent) => self.power(&self.value(base)?, &self.value(exponent)?),
            Expression::Logarithm(base, inner) => {
                let (base, inner) =
                    (self.logarithm(&self.value(base)?)?, self.logarithm(&self.value(inner)?)?);
                inner.divide(&base).map(Value::Near)
            }
            Expression::Call(name, arguments) => self.call(name, arguments),
        }
    }

    fn add(&self, one: &Value, other: &Value) -> Option<Value> {
        if let (Value::Exact(one), Value::Exact(other)) = (one, other) {
            return one.add(other).map(Value::Exact);
        }
        one.complex().add(&other.complex()).sound().map(Value::Near)
    }

    fn multiply(&self, one: &Value, other: &Value) -> Option<Value> {
        if let (Value::Exact(one), Value::Exact(other)) = (one, other) {
            return one.multiply(other).map(Value::Exact);
        }
        self.fuel.take(2)?;
        one.complex().multiply(&other.complex()).sound().map(Value::Near)
    }

    fn divide(&self, above: &Value, below: &Value) -> Option<Value> {
        if let (Value::Exact(above), Value::Exact(below)) = (above, below) {
            return above.divide(below).map(Value::Exact);
        }
        self.fuel.take(5)?;
        above.complex().divide(&below.complex())?.sound().map(Value::Near)
    }

    fn root(&self, value: &Value, degree: u32) -> Option<Value> {
        if degree == 0 || degree > 1_000 {
            return None;
        }
        if let Value::Exact(number) = value {
            self.fuel.take(20)?;
            if let Some(root) = number.root(degree) {
                return Some(Value::Exact(root));
            }
        }
        let number = value.complex();
        if degree == 2 {
            self.leaves_the_reals(&number, true);
            self.fuel.take(20)?;
            return number.root().map(Value::Near);
        }
        let below = Rational::new(1, degree)?;
        self.power(&Value::Near(number), &Value::Exact(below))
    }

    /// Notes that the logarithm or the root of a negative number was taken.
    fn leaves_the_reals(&self, number: &Complex, zero_too: bool) {
        let negative = number.real.is_negative() && (zero_too || !number.real.is_zero());
        if number.is_real() && negative {
            self.left_the_reals.set(true);
        }
    }

    fn logarithm(&self, value: &Value) -> Option<Complex> {
        self.fuel.take(100)?;
        let number = value.complex();
        self.leaves_the_reals(&number, false);
        number.logarithm()
    }

    fn power(&self, base: &Value, exponent: &Value) -> Option<Value> {
        if let Value::Exact(exponent) = exponent {
            if let Some(whole) = exponent.as_small() {
                return self.whole_power(base, whole);
            }
            if exponent.as_whole().is_some() {
                return None;
            }
            if let Some(value) = self.rational_power(base, exponent) {
                return Some(value);
            }
        }
        let base = base.complex();
        let exponent = exponent.complex();
        if base.is_zero() {
            let positive = exponent.is_real() && !exponent.real.is_negative() && !exponent.real.is_zero();
            return positive.then(|| Value::Exact(Rational::whole(0)));
        }
        self.fuel.take(200)?;
        self.leaves_the_reals(&base, false);
        base.logarithm()?.multiply(&exponent).sound()?.exponential()?.sound().map(Value::Near)
    }

    /// Roots of exact numbers, and odd roots of negative ones, which are real.
    fn rational_power(&self, base: &Value, exponent: &Rational) -> Option<Value> {
        let (above, below) = exponent.parts();
        let degree = below.to_u32()?;
        if let Value::Exact(base) = base {
            self.fuel.take(20)?;
            if let Some(root) = base.root(degree) {
                return self.whole_power(&Value::Exact(root), above.to_i64()?);
            }
        }
        let number = base.complex();
        let negative = number.is_real() && number.real.is_negative();
        if !negative || degree % 2 == 0 {
            return None;
        }
        let positive = Value::Near(number.negate());
        let root = self.power(&positive, &Value::Exact(exponent.clone()))?;
        let odd = above % 2_u32 != BigInt::from(0);
        Some(if odd { Value::Near(root.complex().negate()) } else { root })
    }

    fn whole_power(&self, base: &Value, exponent: i64) -> Option<Value> {
        match base {
            Value::Exact(number) => {
                if number.is_zero() && exponent <= 0 {
                    return None;
                }
                self.fuel.take(5)?;
                number.power(exponent).map(Value::Exact)
            }
            Value::Near(number) => {
                let mut times = exponent.unsigned_abs();
                if times > 100_000 {
                    return None;
                }
                let (mut result, mut square) = (Complex::real(Fixed::whole(1)), number.clone());
                while times > 0 {
                    self.fuel.take(4)?;
                    if times % 2 == 1 {
                        result = result.multiply(&square).sound()?;
                    }
                    times /= 2;
                    if times > 0 {
                        square = square.multiply(&square).sound()?;
                    }
                }
                if exponent < 0 {
                    result = Complex::real(Fixed::whole(1)).divide(&result)?;
                }
                Some(Value::Near(result))
            }
        }
    }
}
