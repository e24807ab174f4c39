//! Complex numbers, and the functions whose principal values answers mean.

use super::fixed::{Fixed, pi};

#[derive(Clone, Debug)]
pub(super) struct Complex {
    pub(super) real: Fixed,
    pub(super) imaginary: Fixed,
}

impl Complex {
    pub(super) fn real(real: Fixed) -> Self {
        Self { real, imaginary: Fixed::zero() }
    }

    pub(super) fn is_real(&self) -> bool {
        self.imaginary.is_zero()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.real.is_zero() && self.imaginary.is_zero()
    }

    pub(super) fn sound(self) -> Option<Self> {
        Some(Self { real: self.real.sound()?, imaginary: self.imaginary.sound()? })
    }

    pub(super) fn add(&self, other: &Self) -> Self {
        Self { real: self.real.add(&other.real), imaginary: self.imaginary.add(&other.imaginary) }
    }

    pub(super) fn negate(&self) -> Self {
        Self { real: self.real.negate(), imaginary: self.imaginary.negate() }
    }

    pub(super) fn multiply(&self, other: &Self) -> Self {
        if self.is_real() && other.is_real() {
            return Self::real(self.real.multiply(&other.real));
        }
        let cross = self.real.multiply(&other.imaginary).add(&self.imaginary.multiply(&other.real));
        let real = self.real.multiply(&other.real).subtract(&self.imaginary.multiply(&other.imaginary));
        Self { real, imaginary: cross }
    }

    pub(super) fn divide(&self, other: &Self) -> Option<Self> {
        if other.is_real() {
            let part = |part: &Fixed| part.divide(&other.real);
            // What is nothing but the rounding of zero divides nothing.
            if other.real.same(&Fixed::zero()) {
                return None;
            }
            return Some(Self { real: part(&self.real)?, imaginary: part(&self.imaginary)? });
        }
        let conjugate = Self { real: other.real.clone(), imaginary: other.imaginary.negate() };
        let square = other.multiply(&conjugate).real;
        self.multiply(&conjugate).divide(&Self::real(square))
    }

    pub(super) fn size(&self) -> Fixed {
        if self.is_real() {
            return self.real.absolute();
        }
        self.real.multiply(&self.real).add(&self.imaginary.multiply(&self.imaginary)).root()
    }

    /// Equal in both parts; a part may be nothing but the rounding of the other.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.real.same(&other.real) && self.imaginary.same(&other.imaginary)
    }

    /// The principal square root.
    pub(super) fn root(&self) -> Option<Self> {
        if self.is_real() {
            let root = self.real.absolute().root();
            return Some(match self.real.is_negative() {
                true => Self { real: Fixed::zero(), imaginary: root },
                false => Self::real(root),
            });
        }
        let size = self.size();
        let real = size.add(&self.real).half().root();
        let imaginary = size.subtract(&self.real).half().root();
        let imaginary = if self.imaginary.is_negative() { imaginary.negate() } else { imaginary };
        Some(Self { real, imaginary })
    }

    pub(super) fn exponential(&self) -> Option<Self> {
        let size = self.real.exponential()?;
        if self.is_real() {
            return Some(Self::real(size));
        }
        let (sine, cosine) = self.imaginary.sine_and_cosine()?;
        Some(Self { real: size.multiply(&cosine), imaginary: size.multiply(&sine) })
    }

    /// The principal logarithm.
    pub(super) fn logarithm(&self) -> Option<Self> {
        if self.is_real() && !self.real.is_negative() {
            return self.real.logarithm().map(Self::real);
        }
        Some(Self { real: self.size().logarithm()?, imaginary: self.angle()? })
    }

    fn angle(&self) -> Option<Fixed> {
        if self.is_real() {
            return Some(if self.real.is_negative() { pi().clone() } else { Fixed::zero() });
        }
        if self.real.is_zero() {
            let quarter = pi().half();
            return Some(if self.imaginary.is_negative() { quarter.negate() } else { quarter });
        }
        let base = self.imaginary.divide(&self.real)?.inverse_tangent()?;
        Some(match (self.real.is_negative(), self.imaginary.is_negative()) {
            (false, _) => base,
            (true, false) => base.add(pi()),
            (true, true) => base.subtract(pi()),
        })
    }

    /// A function of one number by its name.
    pub(super) fn function(&self, name: &str) -> Option<Self> {
        let one = Self::real(Fixed::whole(1));
        let half = |value: Self| Self { real: value.real.half(), imaginary: value.imaginary.half() };
        match name {
            "sin" | "cos" | "tan" | "cot" | "sec" | "csc" => {
                let (sine, cosine) = self.sine_and_cosine()?;
                match name {
                    "sin" => Some(sine),
                    "cos" => Some(cosine),
                    "tan" => sine.divide(&cosine),
                    "cot" => cosine.divide(&sine),
                    "sec" => one.divide(&cosine),
                    _ => one.divide(&sine),
                }
            }
            "sinh" | "cosh" | "tanh" => {
                let (up, down) = (self.exponential()?, self.negate().exponential()?);
                match name {
                    "sinh" => Some(half(up.add(&down.negate()))),
                    "cosh" => Some(half(up.add(&down))),
                    _ => up.add(&down.negate()).divide(&up.add(&down)),
                }
            }
            "arctan" if self.is_real() => self.real.inverse_tangent().map(Self::real),
            "arccot" if self.is_real() => {
                Some(Self::real(pi().half().subtract(&self.real.inverse_tangent()?)))
            }
            "arcsin" | "arccos" if self.is_real() => {
                let one = Fixed::whole(1);
                let rest = one.subtract(&self.real.multiply(&self.real));
                if rest.is_negative() && !rest.same(&Fixed::zero()) {
                    return None;
                }
                let beside = Self { real: rest.root(), imaginary: self.real.clone() };
                let angle = beside.angle()?;
                Some(Self::real(if name == "arcsin" { angle } else { pi().half().subtract(&angle) }))
            }
            "sgn" if self.is_real() => Some(Self::real(Fixed::whole(match self.real.is_zero() {
                true => 0,
                false if self.real.is_negative() => -1,
                false => 1,
            }))),
            _ => None,
        }
    }

    fn sine_and_cosine(&self) -> Option<(Self, Self)> {
        let (sine, cosine) = self.real.sine_and_cosine()?;
        if self.is_real() {
            return Some((Self::real(sine), Self::real(cosine)));
        }
        let (up, down) = (self.imaginary.exponential()?, self.imaginary.negate().exponential()?);
        let (even, odd) = (up.add(&down).half(), up.subtract(&down).half());
        Some((
            Self { real: sine.multiply(&even), imaginary: cosine.multiply(&odd) },
            Self { real: cosine.multiply(&even), imaginary: sine.multiply(&odd).negate() },
        ))
    }
}
