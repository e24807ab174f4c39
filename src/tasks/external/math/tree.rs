//! Expressions.

use num_rational::BigRational;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    Number(BigRational),
    /// A variable, with its subscript.
    Variable(String),
    Pi,
    Euler,
    Imaginary,
    Infinity,
    Sum(Vec<Tree>),
    Product(Vec<Tree>),
    Negative(Box<Tree>),
    Quotient(Box<Tree>, Box<Tree>),
    Power(Box<Tree>, Box<Tree>),
    /// The index and what is under the root.
    Root(Box<Tree>, Box<Tree>),
    Function(Function, Box<Tree>),
    /// The base, and of what.
    Logarithm(Box<Tree>, Box<Tree>),
    Absolute(Box<Tree>),
    Factorial(Box<Tree>),
    Choose(Box<Tree>, Box<Tree>),
}

/// A function of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Exp,
    Ln,
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    Floor,
    Ceiling,
}

impl Function {
    /// The function of a name, without a backslash.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "exp" => Self::Exp,
            "ln" => Self::Ln,
            "sin" => Self::Sin,
            "cos" => Self::Cos,
            "tan" => Self::Tan,
            "cot" => Self::Cot,
            "sec" => Self::Sec,
            "csc" => Self::Csc,
            "arcsin" | "asin" => Self::Arcsin,
            "arccos" | "acos" => Self::Arccos,
            "arctan" | "atan" => Self::Arctan,
            "sinh" => Self::Sinh,
            "cosh" => Self::Cosh,
            "tanh" => Self::Tanh,
            _ => return None,
        })
    }
}

impl Tree {
    pub(super) fn whole(number: i64) -> Self {
        Self::Number(BigRational::from_integer(number.into()))
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Number(number) => Self::Number(-number),
            Self::Negative(inner) => *inner,
            other => Self::Negative(Box::new(other)),
        }
    }

    pub(super) fn over(self, below: Self) -> Self {
        Self::Quotient(Box::new(self), Box::new(below))
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self::Sum(vec![self, other.negated()])
    }

    /// The parts of which it is made.
    pub(super) fn parts(&self) -> Vec<&Tree> {
        match self {
            Self::Sum(all) | Self::Product(all) => all.iter().collect(),
            Self::Negative(one) | Self::Function(_, one) | Self::Absolute(one) | Self::Factorial(one) => {
                vec![one]
            }
            Self::Quotient(one, two)
            | Self::Power(one, two)
            | Self::Root(one, two)
            | Self::Logarithm(one, two)
            | Self::Choose(one, two) => vec![one, two],
            _ => Vec::new(),
        }
    }

    /// Whether any part of it is such.
    pub(super) fn holds(&self, such: &impl Fn(&Tree) -> bool) -> bool {
        such(self) || self.parts().into_iter().any(|part| part.holds(such))
    }

    /// Whether it may be a real number only where its variables are positive.
    pub(super) fn is_real_above_zero_only(&self) -> bool {
        match self {
            Self::Root(..) | Self::Logarithm(..) | Self::Function(Function::Ln, _) => true,
            Self::Power(base, exponent) => {
                base.varies() && !matches!(&**exponent, Self::Number(number) if number.is_integer())
            }
            _ => false,
        }
    }

    /// The names of its variables.
    pub(super) fn variables(&self) -> Vec<&str> {
        match self {
            Self::Variable(name) => vec![name],
            _ => self.parts().into_iter().flat_map(Self::variables).collect(),
        }
    }

    /// The same with a value in the place of a variable.
    pub(super) fn with(&self, name: &str, value: &Tree) -> Self {
        let one = |part: &Tree| Box::new(part.with(name, value));
        let all = |parts: &[Tree]| parts.iter().map(|part| part.with(name, value)).collect();
        match self {
            Self::Variable(own) if own == name => value.clone(),
            Self::Sum(parts) => Self::Sum(all(parts)),
            Self::Product(parts) => Self::Product(all(parts)),
            Self::Negative(part) => Self::Negative(one(part)),
            Self::Quotient(above, below) => Self::Quotient(one(above), one(below)),
            Self::Power(base, exponent) => Self::Power(one(base), one(exponent)),
            Self::Absolute(part) => Self::Absolute(one(part)),
            other => other.clone(),
        }
    }

    /// Whether it holds a variable.
    pub(super) fn varies(&self) -> bool {
        matches!(self, Self::Variable(_)) || self.parts().into_iter().any(Self::varies)
    }
}
