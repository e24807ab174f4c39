//! The exact value of an expression, where it is a rational number of a sensible size.

use super::tree::{Function, Tree};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

/// Bits of a numerator or denominator at most.
const WIDEST: u64 = 100_000;
/// The largest number of which a factorial is taken.
const LARGEST_FACTORIAL: u32 = 2000;

/// The value, or nothing where it is no rational number, not known to be one, or too large.
pub(super) fn value(tree: &Tree) -> Option<BigRational> {
    let found = match tree {
        Tree::Number(number) => number.clone(),
        Tree::Sum(all) => {
            let mut sum = BigRational::zero();
            for part in all {
                sum = bounded(sum + value(part)?)?;
            }
            sum
        }
        Tree::Product(all) => {
            let mut product = BigRational::one();
            for part in all {
                product = bounded(product * value(part)?)?;
            }
            product
        }
        Tree::Negative(one) => -value(one)?,
        Tree::Absolute(one) => value(one)?.abs(),
        Tree::Quotient(above, below) => {
            let below = value(below)?;
            if below.is_zero() {
                return None;
            }
            value(above)? / below
        }
        Tree::Power(base, exponent) => power(&value(base)?, &value(exponent)?)?,
        Tree::Root(index, inner) => root(&value(inner)?, small(&value(index)?)?)?,
        Tree::Factorial(one) => {
            let last = small(&value(one)?).filter(|last| *last <= LARGEST_FACTORIAL)?;
            BigRational::from_integer((1..=last).fold(BigInt::one(), |product, factor| product * factor))
        }
        Tree::Choose(of, chosen) => {
            let (of, chosen) = (small(&value(of)?)?, small(&value(chosen)?)?);
            if of > LARGEST_FACTORIAL || chosen > of {
                return None;
            }
            let ways = (0..chosen).fold(BigInt::one(), |ways, done| ways * (of - done) / (done + 1));
            BigRational::from_integer(ways)
        }
        Tree::Function(Function::Floor, one) => value(one)?.floor(),
        Tree::Function(Function::Ceiling, one) => value(one)?.ceil(),
        _ => return None,
    };
    bounded(found)
}

fn bounded(value: BigRational) -> Option<BigRational> {
    (value.numer().bits() <= WIDEST && value.denom().bits() <= WIDEST).then_some(value)
}

/// A whole number from 0.
fn small(value: &BigRational) -> Option<u32> {
    value.is_integer().then(|| value.to_integer().to_u32()).flatten()
}

fn power(base: &BigRational, exponent: &BigRational) -> Option<BigRational> {
    let times = exponent.numer().to_i32()?;
    let taken = match small(&BigRational::from_integer(exponent.denom().clone()))? {
        1 => base.clone(),
        index => root(base, index)?,
    };
    let bits = taken.numer().bits().max(taken.denom().bits());
    if bits.saturating_mul(u64::from(times.unsigned_abs())) > WIDEST || (taken.is_zero() && times <= 0) {
        return None;
    }
    Some(taken.pow(times))
}

/// The root where it is rational.
fn root(value: &BigRational, index: u32) -> Option<BigRational> {
    if index == 0 || index > 64 || (value.is_negative() && index.is_multiple_of(2)) {
        return None;
    }
    let of = |whole: &BigInt| {
        let root = whole.nth_root(index);
        (root.pow(index) == *whole).then_some(root)
    };
    Some(BigRational::new(of(value.numer())?, of(value.denom())?))
}
