//! Sums and products over whole numbers, and integrals of polynomials.

use super::{Expression, Reader, polynomial};
use crate::tasks::external::math::tokens::{Mark, Token};

impl Reader<'_> {
    /// `_{k=1}^{n}` and what follows, after the sign of a sum or a product.
    pub(super) fn series(&mut self, product: bool, depth: usize) -> Option<Expression> {
        if !(self.sign('_') && self.accept(&Mark::Open('{'))) {
            return None;
        }
        let Mark::Symbol(name) = self.mark()?.clone() else { return None };
        self.place += 1;
        if !self.accept(&Mark::Relation('=')) {
            return None;
        }
        let from = self.sum(depth)?;
        if !(self.accept(&Mark::Close('{')) && self.sign('^')) {
            return None;
        }
        let to = self.argument(depth)?;
        if from.infinite().is_some() || to.infinite().is_some() || self.part.is_some() {
            return None;
        }
        let each = self.product(depth + 1)?.bind(&name);
        Some(Expression::Series {
            product,
            name,
            from: Box::new(from),
            to: Box::new(to),
            each: Box::new(each),
        })
    }

    /// `_a^b f(x) dx`, after the sign, where `f` is a polynomial.
    pub(super) fn integral(&mut self, depth: usize) -> Option<Expression> {
        if !self.sign('_') {
            return None;
        }
        let from = self.argument(depth)?;
        if self.part.is_some() || !self.sign('^') {
            return None;
        }
        let to = match self.plus_or_minus() {
            Some(minus) => {
                let value = self.argument(depth)?;
                if minus { Expression::Negative(Box::new(value)) } else { value }
            }
            None => self.argument(depth)?,
        };
        // `\int_0^1 2x` has its bound's digits and those of what follows apart; `\int_0^12x` has not.
        if self.part.is_some() {
            return None;
        }
        let rest = self.tokens.get(self.place..)?;
        let (length, name) = differential(rest)?;
        let inner = rest.get(..length)?;
        let inner = if inner.is_empty() { Expression::whole(1) } else { self.inner(inner, depth)? };
        self.place += length + 2;
        polynomial::integral(&inner, name, &from, &to)
    }

    /// Some of the marks, read as a whole expression.
    fn inner(&self, tokens: &[Token], depth: usize) -> Option<Expression> {
        let mut reader = Reader { tokens, place: 0, part: None, plus: self.plus, bars: 0 };
        let found = reader.sum(depth + 1)?;
        (reader.place == tokens.len() && reader.part.is_none()).then_some(found)
    }
}

/// Where the first `d` before a name stands that is in no bracket, and that name.
fn differential(tokens: &[Token]) -> Option<(usize, &str)> {
    let mut depth = 0_usize;
    for (place, pair) in tokens.windows(2).enumerate() {
        match (&pair[0].mark, &pair[1].mark) {
            (Mark::Open(_), _) => depth += 1,
            (Mark::Close(_), _) => depth = depth.checked_sub(1)?,
            (Mark::Series(_), _) => return None,
            (Mark::Symbol(d) | Mark::Word(d), Mark::Symbol(name)) if d == "d" && depth == 0 => {
                return Some((place, name));
            }
            _ => {}
        }
    }
    None
}
