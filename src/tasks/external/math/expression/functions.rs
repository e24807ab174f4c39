//! Functions with their arguments.

use super::{Expression, Reader, small, times};
use crate::tasks::external::math::tokens::{Mark, Token};

impl Reader<'_> {
    /// A function with its power, its base and its argument.
    pub(super) fn function(&mut self, name: &'static str, depth: usize) -> Option<Expression> {
        if name == "det" {
            return self.determinant_of(depth);
        }
        let (mut power, mut base) = (None, None);
        for _ in 0..2 {
            if power.is_none() && self.sign('^') {
                power = Some(self.exponent(depth + 1)?);
            } else if base.is_none() && self.sign('_') {
                base = Some(self.atom(depth + 1)?);
            }
        }
        let arguments = match self.mark() {
            Some(Mark::Open('(' | '[' | '{')) => self.arguments(depth + 1)?,
            Some(Mark::Sign('|')) => vec![self.atom(depth + 1)?],
            _ => vec![self.open_argument(depth + 1)?],
        };
        let inverse = power.as_ref().and_then(|power| match power {
            Expression::Negative(inner) => small(inner).filter(|one| *one == 1),
            _ => None,
        });
        let only = match arguments.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        let value = match (name, base) {
            ("log" | "lg", Some(base)) => Expression::Logarithm(Box::new(base), Box::new(only?)),
            ("lg", None) => Expression::Logarithm(Box::new(Expression::whole(10)), Box::new(only?)),
            (_, Some(_)) => return None,
            ("exp", None) => Expression::Power(Box::new(Expression::Euler), Box::new(only?)),
            ("cbrt", None) => Expression::Root(Box::new(only?), 3),
            ("asin", None) => Expression::Call("arcsin", arguments),
            ("acos", None) => Expression::Call("arccos", arguments),
            ("atan", None) => Expression::Call("arctan", arguments),
            ("sin", None) if inverse.is_some() => return Some(Expression::Call("arcsin", arguments)),
            ("cos", None) if inverse.is_some() => return Some(Expression::Call("arccos", arguments)),
            ("tan", None) if inverse.is_some() => return Some(Expression::Call("arctan", arguments)),
            (name, None) => Expression::Call(name, arguments),
        };
        Some(match power {
            Some(power) => Expression::Power(Box::new(value), Box::new(power)),
            None => value,
        })
    }

    /// `\det` of a matrix, in brackets or not; of anything else it is a name.
    fn determinant_of(&mut self, depth: usize) -> Option<Expression> {
        let start = self.place;
        let bracket = match self.mark() {
            Some(Mark::Open(bracket)) => Some(*bracket),
            _ => None,
        };
        self.place += usize::from(bracket.is_some());
        if !self.accept(&Mark::Begin { bars: false }) {
            self.place = start;
            self.atom(depth + 1)?;
            let brackets = |token: &&Token| !matches!(token.mark, Mark::Open(_) | Mark::Close(_));
            let of = self.tokens.get(start..self.place)?.iter().filter(brackets);
            let of: Vec<String> = of.map(|token| format!("{:?}", token.mark)).collect();
            return Some(Expression::Symbol(format!("det({})", of.join(" "))));
        }
        let value = self.determinant(depth + 1)?;
        let closed = bracket.is_none_or(|bracket| self.accept(&Mark::Close(bracket)));
        closed.then_some(value)
    }

    fn arguments(&mut self, depth: usize) -> Option<Vec<Expression>> {
        let Some(Mark::Open(bracket)) = self.mark().cloned() else { return None };
        self.place += 1;
        let mut arguments = vec![self.sum(depth)?];
        while self.sign(',') {
            arguments.push(self.sum(depth)?);
        }
        self.accept(&Mark::Close(bracket)).then_some(arguments)
    }

    /// `2x` of `\sin 2x`: the factors that stand there, up to an operator or another function.
    fn open_argument(&mut self, depth: usize) -> Option<Expression> {
        let mut value = self.factor(depth)?;
        while self.begins_factor() && !matches!(self.mark(), Some(Mark::Function(_) | Mark::Open('(' | '[')))
        {
            let next = self.power(depth)?;
            value = times(value, next);
        }
        Some(value)
    }
}
