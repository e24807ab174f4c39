//! Values of expressions to 77 digits, at given points, in complex arithmetic.

use super::tree::{Function, Tree};
use crate::rng::{Stream, stable_hash};
use astro_float::{BigFloat, Consts, Radix, RoundingMode};
use num_rational::BigRational;

/// Bits of a number.
const PRECISION: usize = 256;
/// Two values are one if they differ by less than 2 to minus this of the larger: 48 digits.
const AGREEING_BITS: i32 = 160;
/// Exponents of two beyond which angles are not reduced and nothing is exponentiated.
const LARGEST_ANGLE: i32 = 40;
const ROUND: RoundingMode = RoundingMode::ToEven;

/// Computes with the constants that it has worked out so far.
pub(super) struct Machine {
    constants: Consts,
    /// Whether variables are negative at every other point.
    pub(super) signed: bool,
}

/// A complex number.
#[derive(Clone, Debug)]
pub(super) struct Complex {
    real: BigFloat,
    imaginary: BigFloat,
}

impl Complex {
    fn of(real: BigFloat) -> Self {
        Self { real, imaginary: number(0) }
    }

    /// Finite, or nothing.
    fn sound(self) -> Option<Self> {
        let finite = |part: &BigFloat| !part.is_nan() && !part.is_inf();
        (finite(&self.real) && finite(&self.imaginary)).then_some(self)
    }

    fn is_real(&self) -> bool {
        self.imaginary.is_zero()
    }

    fn is_zero(&self) -> bool {
        self.real.is_zero() && self.imaginary.is_zero()
    }

    fn plus(&self, other: &Self) -> Self {
        Self { real: add(&self.real, &other.real), imaginary: add(&self.imaginary, &other.imaginary) }
    }

    fn negative(&self) -> Self {
        Self { real: self.real.neg(), imaginary: self.imaginary.neg() }
    }

    fn times(&self, other: &Self) -> Self {
        if self.is_real() && other.is_real() {
            return Self::of(multiply(&self.real, &other.real));
        }
        Self {
            real: subtract(&multiply(&self.real, &other.real), &multiply(&self.imaginary, &other.imaginary)),
            imaginary: add(&multiply(&self.real, &other.imaginary), &multiply(&self.imaginary, &other.real)),
        }
    }

    fn over(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        if self.is_real() && other.is_real() {
            return Self::of(divide(&self.real, &other.real)).sound();
        }
        let size = other.squared_size();
        let conjugate = Self { real: other.real.clone(), imaginary: other.imaginary.neg() };
        let above = self.times(&conjugate);
        Self { real: divide(&above.real, &size), imaginary: divide(&above.imaginary, &size) }.sound()
    }

    fn squared_size(&self) -> BigFloat {
        add(&multiply(&self.real, &self.real), &multiply(&self.imaginary, &self.imaginary))
    }

    /// Whether two values are one, as far as the digits go.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        let gap = self.plus(&other.negative()).squared_size();
        let (one, two) = (self.squared_size(), other.squared_size());
        let larger = if one.cmp(&two).is_some_and(|order| order > 0) { one } else { two };
        let (Some(gap_exponent), Some(size_exponent)) = (gap.exponent(), larger.exponent()) else {
            return gap.is_zero();
        };
        gap.is_zero() || gap_exponent <= size_exponent - 2 * AGREEING_BITS
    }
}

fn number(value: i32) -> BigFloat {
    BigFloat::from_i32(value, PRECISION)
}

fn add(one: &BigFloat, two: &BigFloat) -> BigFloat {
    one.add(two, PRECISION, ROUND)
}

fn subtract(one: &BigFloat, two: &BigFloat) -> BigFloat {
    one.sub(two, PRECISION, ROUND)
}

fn multiply(one: &BigFloat, two: &BigFloat) -> BigFloat {
    one.mul(two, PRECISION, ROUND)
}

fn divide(one: &BigFloat, two: &BigFloat) -> BigFloat {
    one.div(two, PRECISION, ROUND)
}

/// The value of a variable at a point: a keyed number between .3 and 2.3.
fn drawn(name: &str, point: u64) -> BigFloat {
    let bits = Stream::new(stable_hash(name), "answers/points", &[point]).bits() >> 20;
    let share = BigFloat::from_f64(bits as f64 / (1u64 << 44) as f64, PRECISION);
    add(&BigFloat::from_f64(0.3, PRECISION), &multiply(&share, &number(2)))
}

impl Machine {
    /// Nothing only if memory is short.
    pub(super) fn new() -> Option<Self> {
        Consts::new().ok().map(|constants| Self { constants, signed: false })
    }

    /// The value at a point, or nothing where there is none.
    pub(super) fn value(&mut self, tree: &Tree, point: u64) -> Option<Complex> {
        let found = match tree {
            Tree::Number(value) => Complex::of(self.rational(value)),
            Tree::Variable(name) => {
                let value = drawn(name, point);
                Complex::of(if self.signed && point % 2 == 1 { value.neg() } else { value })
            }
            Tree::Pi => Complex::of(self.constants.pi(PRECISION, ROUND)),
            Tree::Euler => Complex::of(self.constants.e(PRECISION, ROUND)),
            Tree::Imaginary => Complex { real: number(0), imaginary: number(1) },
            Tree::Infinity => return None,
            Tree::Sum(all) => {
                let mut sum = Complex::of(number(0));
                for part in all {
                    sum = sum.plus(&self.value(part, point)?);
                }
                sum
            }
            Tree::Product(all) => {
                let mut product = Complex::of(number(1));
                for part in all {
                    product = product.times(&self.value(part, point)?);
                }
                product
            }
            Tree::Negative(one) => self.value(one, point)?.negative(),
            Tree::Quotient(above, below) => self.value(above, point)?.over(&self.value(below, point)?)?,
            Tree::Power(base, exponent) => {
                let (base, exponent) = (self.value(base, point)?, self.value(exponent, point)?);
                self.power(&base, &exponent)?
            }
            Tree::Root(index, inner) => {
                let (index, inner) = (self.value(index, point)?, self.value(inner, point)?);
                self.root(&index, &inner)?
            }
            Tree::Logarithm(base, of) => {
                let (base, of) = (self.value(base, point)?, self.value(of, point)?);
                let base = self.logarithm(&base)?;
                self.logarithm(&of)?.over(&base)?
            }
            Tree::Absolute(one) => Complex::of(self.value(one, point)?.squared_size().sqrt(PRECISION, ROUND)),
            Tree::Factorial(_) | Tree::Choose(..) => {
                let exact = super::exact::value(tree)?;
                Complex::of(self.rational(&exact))
            }
            Tree::Function(function, one) => {
                let argument = self.value(one, point)?;
                self.apply(*function, &argument)?
            }
        };
        found.sound()
    }

    fn rational(&mut self, value: &BigRational) -> BigFloat {
        let mut whole =
            |digits: String| BigFloat::parse(&digits, Radix::Dec, PRECISION, ROUND, &mut self.constants);
        let (above, below) = (whole(value.numer().to_string()), whole(value.denom().to_string()));
        divide(&above, &below)
    }

    fn logarithm(&mut self, value: &Complex) -> Option<Complex> {
        if value.is_zero() {
            return None;
        }
        let real = value.squared_size().sqrt(PRECISION, ROUND).ln(PRECISION, ROUND, &mut self.constants);
        let imaginary = self.angle(value);
        Complex { real, imaginary }.sound()
    }

    /// The angle of a number other than 0, above minus pi and up to pi.
    fn angle(&mut self, value: &Complex) -> BigFloat {
        if value.is_real() {
            return if value.real.is_negative() { self.constants.pi(PRECISION, ROUND) } else { number(0) };
        }
        let half = divide(&self.constants.pi(PRECISION, ROUND), &number(2));
        if value.real.is_zero() {
            return if value.imaginary.is_negative() { half.neg() } else { half };
        }
        let slope = divide(&value.imaginary, &value.real);
        let angle = slope.atan(PRECISION, ROUND, &mut self.constants);
        match (value.real.is_negative(), value.imaginary.is_negative()) {
            (false, _) => angle,
            (true, false) => add(&angle, &multiply(&half, &number(2))),
            (true, true) => subtract(&angle, &multiply(&half, &number(2))),
        }
    }

    fn exponential(&mut self, value: &Complex) -> Option<Complex> {
        reduced(&value.real)?;
        reduced(&value.imaginary)?;
        let size = value.real.exp(PRECISION, ROUND, &mut self.constants);
        if value.is_real() {
            return Complex::of(size).sound();
        }
        let real = multiply(&size, &value.imaginary.cos(PRECISION, ROUND, &mut self.constants));
        let imaginary = multiply(&size, &value.imaginary.sin(PRECISION, ROUND, &mut self.constants));
        Complex { real, imaginary }.sound()
    }

    fn power(&mut self, base: &Complex, exponent: &Complex) -> Option<Complex> {
        if exponent.is_real()
            && exponent.real.is_int()
            && exponent.real.exponent().is_none_or(|bits| bits <= 12)
        {
            return whole_power(base, &exponent.real);
        }
        if base.is_zero() {
            return (exponent.is_real() && exponent.real.is_positive()).then(|| base.clone());
        }
        let logarithm = self.logarithm(base)?;
        self.exponential(&logarithm.times(exponent))
    }

    /// The principal root; of a negative number an odd root is the negative one, as it is written in school.
    fn root(&mut self, index: &Complex, inner: &Complex) -> Option<Complex> {
        let two = index.is_real() && subtract(&index.real, &number(2)).is_zero();
        if two && inner.is_real() && !inner.real.is_negative() {
            return Complex::of(inner.real.sqrt(PRECISION, ROUND)).sound();
        }
        let one = Complex::of(number(1));
        let odd = index.is_real() && index.real.is_int() && !divide(&index.real, &number(2)).is_int();
        if odd && inner.is_real() && inner.real.is_negative() {
            return Some(self.power(&inner.negative(), &one.over(index)?)?.negative());
        }
        self.power(inner, &one.over(index)?)
    }

    fn apply(&mut self, function: Function, argument: &Complex) -> Option<Complex> {
        match function {
            Function::Exp => return self.exponential(argument),
            Function::Ln => return self.logarithm(argument),
            _ => {}
        }
        if !argument.is_real() {
            return None;
        }
        reduced(&argument.real)?;
        let (x, constants) = (&argument.real, &mut self.constants);
        let one = number(1);
        let value = match function {
            Function::Exp | Function::Ln => return None,
            Function::Sin => x.sin(PRECISION, ROUND, constants),
            Function::Cos => x.cos(PRECISION, ROUND, constants),
            Function::Tan => x.tan(PRECISION, ROUND, constants),
            Function::Cot => divide(&one, &x.tan(PRECISION, ROUND, constants)),
            Function::Sec => divide(&one, &x.cos(PRECISION, ROUND, constants)),
            Function::Csc => divide(&one, &x.sin(PRECISION, ROUND, constants)),
            Function::Arcsin => x.asin(PRECISION, ROUND, constants),
            Function::Arccos => x.acos(PRECISION, ROUND, constants),
            Function::Arctan => x.atan(PRECISION, ROUND, constants),
            Function::Sinh => x.sinh(PRECISION, ROUND, constants),
            Function::Cosh => x.cosh(PRECISION, ROUND, constants),
            Function::Tanh => x.tanh(PRECISION, ROUND, constants),
            Function::Floor => x.floor(),
            Function::Ceiling => x.ceil(),
        };
        Complex::of(value).sound()
    }
}

/// Nothing where a number is so large that its angle or its exponential would take long.
fn reduced(value: &BigFloat) -> Option<()> {
    value.exponent().is_none_or(|bits| bits <= LARGEST_ANGLE).then_some(())
}

/// By squaring: exact where a logarithm is not.
fn whole_power(base: &Complex, exponent: &BigFloat) -> Option<Complex> {
    let mut left: u32 = exponent.abs().to_string().parse::<f64>().ok().map(|times| times.round() as u32)?;
    let (mut square, mut product) = (base.clone(), Complex::of(number(1)));
    while left > 0 {
        if left & 1 == 1 {
            product = product.times(&square);
        }
        square = square.times(&square.clone());
        left >>= 1;
    }
    if exponent.is_negative() { Complex::of(number(1)).over(&product) } else { product.sound() }
}
