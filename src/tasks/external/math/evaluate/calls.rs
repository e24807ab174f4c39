//! The values of functions.

use super::{Point, Value};
use crate::tasks::external::math::complex::Complex;
use crate::tasks::external::math::expression::Expression;
use crate::tasks::external::math::fixed::Fixed;
use crate::tasks::external::rational::Rational;
use num_bigint::BigInt;

impl Point<'_> {
    pub(super) fn call(&self, name: &str, arguments: &[Expression]) -> Option<Value> {
        let values = arguments.iter().map(|argument| self.value(argument)).collect::<Option<Vec<Value>>>()?;
        self.fuel.take(5)?;
        match (name, values.as_slice()) {
            ("factorial", [value]) => {
                let number = value.exact()?.as_small().filter(|number| (0..=2_000).contains(number))?;
                self.fuel.take(number as u64 / 2)?;
                let product = (1..=number).fold(BigInt::from(1), |product, next| product * next);
                Some(Value::Exact(Rational::whole(product)))
            }
            ("binomial", [above, below]) => {
                let (above, below) = (above.exact()?.as_small()?, below.exact()?.as_small()?);
                if !(0..=2_000).contains(&above) || !(0..=above).contains(&below) {
                    return None;
                }
                self.fuel.take(above as u64)?;
                let steps = below.min(above - below);
                let value =
                    (0..steps).fold(BigInt::from(1), |value, step| value * (above - step) / (step + 1));
                Some(Value::Exact(Rational::whole(value)))
            }
            ("conjugate", [Value::Exact(number)]) => Some(Value::Exact(number.clone())),
            ("conjugate", [Value::Near(number)]) => {
                Some(Value::Near(Complex { real: number.real.clone(), imaginary: number.imaginary.negate() }))
            }
            ("abs", [Value::Exact(number)]) => {
                Some(Value::Exact(if number.is_negative() { number.negate() } else { number.clone() }))
            }
            ("abs", [Value::Near(number)]) => Some(Value::Near(Complex::real(number.size()))),
            ("floor", [value]) => Some(Value::Exact(Rational::whole(floor(value)?))),
            ("ceil", [value]) => {
                let negative = match value {
                    Value::Exact(number) => Value::Exact(number.negate()),
                    Value::Near(number) => Value::Near(number.negate()),
                };
                Some(Value::Exact(Rational::whole(-floor(&negative)?)))
            }
            ("max" | "min", [first, rest @ ..]) => {
                let mut best = first;
                for next in rest {
                    let larger = next.real()? > best.real()?;
                    if larger == (name == "max") {
                        best = next;
                    }
                }
                Some(best.clone())
            }
            ("gcd" | "lcm", [one, other]) => {
                use num_integer::Integer;
                let (one, other) = (one.exact()?.as_whole()?, other.exact()?.as_whole()?);
                if one.bits() + other.bits() > 4_096 {
                    return None;
                }
                let value = if name == "gcd" { one.gcd(&other) } else { one.lcm(&other) };
                Some(Value::Exact(Rational::whole(value)))
            }
            ("ln", [value]) => self.logarithm(value).map(Value::Near),
            ("log", [value]) => {
                let natural = self.logarithm(value)?;
                if !self.decimal_logarithm {
                    return Some(Value::Near(natural));
                }
                let ten = Complex::real(Fixed::whole(10).logarithm()?);
                natural.divide(&ten).map(Value::Near)
            }
            (_, [value]) => {
                self.fuel.take(100)?;
                value.complex().function(name)?.sound().map(Value::Near)
            }
            _ => None,
        }
    }
}

fn floor(value: &Value) -> Option<BigInt> {
    use num_integer::Integer;
    match value {
        Value::Exact(number) => {
            let (above, below) = number.parts();
            Some(above.div_floor(below))
        }
        Value::Near(_) => Some(value.real()?.floor()),
    }
}
