//! Real numbers with 512 bits behind the point, and the functions that answers are written with.
//!
//! A decimal that was rounded differs from what it stands for far above this precision, and two ways of computing one
//! number far below it. So equality can be told apart from nearness, which is what a verifier is for.

use super::super::rational::Rational;
use num_bigint::BigInt;
use num_bigint::Sign;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::sync::OnceLock;

/// Bits behind the point.
const BITS: u64 = 512;
/// Values of more bits before the point are not computed with.
const LARGEST: u64 = 20_000;
/// Results below `2^-SMALLEST` have too few digits left to be told apart.
const SMALLEST: i64 = 300;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fixed(BigInt);

impl Fixed {
    pub(super) fn zero() -> Self {
        Self(BigInt::zero())
    }

    pub(super) fn whole(number: i64) -> Self {
        Self(BigInt::from(number) << BITS)
    }

    pub(super) fn of(number: &Rational) -> Self {
        let (numerator, denominator) = number.parts();
        Self((numerator << BITS) / denominator)
    }

    pub(super) fn is_negative(&self) -> bool {
        self.0.sign() == Sign::Minus
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// The value, if it is not too large to go on with.
    pub(super) fn sound(self) -> Option<Self> {
        (self.0.bits() <= BITS + LARGEST).then_some(self)
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        Self(&self.0 + &other.0)
    }

    pub(super) fn subtract(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    pub(super) fn negate(&self) -> Self {
        Self(-&self.0)
    }

    pub(super) fn absolute(&self) -> Self {
        Self(self.0.abs())
    }

    pub(super) fn multiply(&self, other: &Self) -> Self {
        Self((&self.0 * &other.0) >> BITS)
    }

    pub(super) fn divide(&self, other: &Self) -> Option<Self> {
        (!other.is_zero()).then(|| Self((&self.0 << BITS) / &other.0))
    }

    fn over(&self, divisor: i64) -> Self {
        Self(&self.0 / divisor)
    }

    pub(super) fn half(&self) -> Self {
        Self(&self.0 >> 1)
    }

    /// The square root of what is not negative.
    pub(super) fn root(&self) -> Self {
        if self.is_negative() { Self::zero() } else { Self((&self.0 << BITS).sqrt()) }
    }

    pub(super) fn floor(&self) -> BigInt {
        &self.0 >> BITS
    }

    /// The nearest whole number.
    fn round(&self) -> BigInt {
        (&self.0 + (BigInt::one() << (BITS - 1))) >> BITS
    }

    /// Whether both are one number, computed in two ways: the same in 160 bits, or apart by less than what rounding
    /// leaves of zero.
    pub(super) fn same(&self, other: &Self) -> bool {
        let larger = self.0.abs().max(other.0.abs());
        (&self.0 - &other.0).abs() <= (larger >> 160) + (BigInt::one() << (BITS - 384))
    }

    pub(super) fn exponential(&self) -> Option<Self> {
        let halvings = self.divide(ln_two())?.round().to_i64()?;
        if halvings > LARGEST as i64 || halvings < -SMALLEST {
            return None;
        }
        let rest = self.subtract(&Self(&ln_two().0 * halvings));
        let small = Self(&rest.0 >> 12);
        let (mut sum, mut term) = (Self::whole(1), Self::whole(1));
        for number in 1..80 {
            term = term.multiply(&small).over(number);
            if term.is_zero() {
                break;
            }
            sum = sum.add(&term);
        }
        for _ in 0..12 {
            sum = sum.multiply(&sum);
        }
        Some(if halvings < 0 { Self(sum.0 >> halvings.unsigned_abs()) } else { Self(sum.0 << halvings) })
    }

    /// The natural logarithm of what is above zero.
    pub(super) fn logarithm(&self) -> Option<Self> {
        if !self.0.is_positive() {
            return None;
        }
        let shift = self.0.bits() as i64 - BITS as i64;
        let scaled = if shift > 0 { &self.0 >> shift } else { &self.0 << -shift };
        // Between 1/2 and 1.
        let scaled = Self(scaled);
        let ratio = scaled.subtract(&Self::whole(1)).divide(&scaled.add(&Self::whole(1)))?;
        let series = inverse_tangent_series(&ratio, false);
        Some(Self(series.0 * 2 + &ln_two().0 * shift))
    }

    /// Sine and cosine.
    pub(super) fn sine_and_cosine(&self) -> Option<(Self, Self)> {
        if self.0.bits() > BITS + 64 {
            return None;
        }
        let quarter = pi().half();
        let turns = self.divide(&quarter)?.round();
        let rest = self.subtract(&Self(&quarter.0 * &turns));
        let square = rest.multiply(&rest).negate();
        let series = |first: Self, start: i64| {
            let (mut sum, mut term, mut number) = (first.clone(), first, start);
            while !term.is_zero() && number < 200 {
                term = term.multiply(&square).over(number * (number + 1));
                sum = sum.add(&term);
                number += 2;
            }
            sum
        };
        let (sine, cosine) = (series(rest.clone(), 2), series(Self::whole(1), 1));
        let quadrant: i64 = ((turns % 4_i64) + 4_i64).to_i64()? % 4;
        Some(match quadrant {
            0 => (sine, cosine),
            1 => (cosine, sine.negate()),
            2 => (sine.negate(), cosine.negate()),
            _ => (cosine.negate(), sine),
        })
    }

    pub(super) fn inverse_tangent(&self) -> Option<Self> {
        let one = Self::whole(1);
        if self.absolute() > one {
            let quarter = if self.is_negative() { pi().half().negate() } else { pi().half() };
            return Some(quarter.subtract(&one.divide(self)?.inverse_tangent()?));
        }
        let mut small = self.clone();
        for _ in 0..3 {
            let below = one.add(&one.add(&small.multiply(&small)).root());
            small = small.divide(&below)?;
        }
        Some(Self(inverse_tangent_series(&small, true).0 << 3))
    }
}

/// `x - x^3/3 + x^5/5 - …`, or with every sign plus.
fn inverse_tangent_series(x: &Fixed, alternating: bool) -> Fixed {
    let square = x.multiply(x);
    let square = if alternating { square.negate() } else { square };
    let (mut sum, mut power, mut number) = (x.clone(), x.clone(), 3);
    while !power.is_zero() && power.0 != BigInt::from(-1) && number < 2_000 {
        power = power.multiply(&square);
        sum = sum.add(&power.over(number));
        number += 2;
    }
    sum
}

fn ln_two() -> &'static Fixed {
    static ONCE: OnceLock<Fixed> = OnceLock::new();
    ONCE.get_or_init(|| {
        let third = Fixed::whole(1).over(3);
        Fixed(inverse_tangent_series(&third, false).0 * 2)
    })
}

pub(super) fn pi() -> &'static Fixed {
    static ONCE: OnceLock<Fixed> = OnceLock::new();
    ONCE.get_or_init(|| {
        // Machin's formula.
        let part = |below: i64| inverse_tangent_series(&Fixed::whole(1).over(below), true);
        Fixed(part(5).0 * 16 - part(239).0 * 4)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &Fixed, expected: f64) -> bool {
        let scaled: BigInt = &found.0 >> (BITS - 60);
        (scaled.to_f64().unwrap() / (60.0_f64).exp2() - expected).abs() < 1e-12 * expected.abs().max(1.0)
    }

    #[test]
    fn functions_agree_with_those_of_the_machine() {
        for x in [-31, -8, -3, -1, 1, 2, 5, 17, 40] {
            let value = Fixed::whole(x).over(4);
            let x = x as f64 / 4.0;
            let (sine, cosine) = value.sine_and_cosine().unwrap();
            assert!(near(&sine, x.sin()) && near(&cosine, x.cos()), "{x}");
            assert!(near(&value.inverse_tangent().unwrap(), x.atan()), "{x}");
            assert!(near(&value.exponential().unwrap(), x.exp()), "{x}");
            if x > 0.0 {
                assert!(near(&value.logarithm().unwrap(), x.ln()) && near(&value.root(), x.sqrt()), "{x}");
            }
        }
        assert!(near(pi(), std::f64::consts::PI));
    }

    #[test]
    fn what_is_equal_by_mathematics_is_the_same_and_what_is_near_is_not() {
        let two = Fixed::whole(2);
        assert!(two.root().multiply(&two.root()).same(&two));
        assert!(two.logarithm().unwrap().exponential().unwrap().same(&two));
        let (sine, cosine) = Fixed::whole(7).sine_and_cosine().unwrap();
        assert!(sine.multiply(&sine).add(&cosine.multiply(&cosine)).same(&Fixed::whole(1)));
        let rounded = Rational::read("3.14159265358979323846264338327950288").unwrap();
        assert!(!Fixed::of(&rounded).same(pi()));
    }
}
