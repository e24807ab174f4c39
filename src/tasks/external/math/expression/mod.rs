//! Expressions as trees, and how they are read from marks.

mod atoms;
mod functions;
mod polynomial;
mod series;

use super::tokens::{Mark, Token};
use crate::tasks::external::rational::Rational;

/// The deepest nesting that is read: nothing that a person would write.
const DEEPEST: usize = 60;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Number(Rational),
    Symbol(String),
    Pi,
    Euler,
    Imaginary,
    Infinity,
    Sum(Vec<Expression>),
    Product(Vec<Expression>),
    Quotient(Box<Expression>, Box<Expression>),
    Power(Box<Expression>, Box<Expression>),
    Negative(Box<Expression>),
    /// The root of a degree.
    Root(Box<Expression>, u32),
    Call(&'static str, Vec<Expression>),
    /// The determinant of a square matrix, by rows.
    Determinant(Vec<Expression>),
    /// A sum, or else a product, of what follows, for every whole number from one to another that the name can be.
    Series {
        product: bool,
        name: String,
        from: Box<Expression>,
        to: Box<Expression>,
        each: Box<Expression>,
    },
    /// The name of a series within it.
    Bound(String),
    /// A logarithm to a base.
    Logarithm(Box<Expression>, Box<Expression>),
}

impl Expression {
    pub(super) fn whole(number: i64) -> Self {
        Self::Number(Rational::whole(number))
    }

    /// Calls `visit` on this and all that it is made of.
    pub(super) fn each<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::Sum(parts) | Self::Product(parts) | Self::Call(_, parts) | Self::Determinant(parts) => {
                parts.iter().for_each(|part| part.each(visit));
            }
            Self::Quotient(a, b) | Self::Power(a, b) | Self::Logarithm(a, b) => {
                a.each(visit);
                b.each(visit);
            }
            Self::Negative(inner) | Self::Root(inner, _) => inner.each(visit),
            Self::Series { from, to, each, .. } => {
                from.each(visit);
                to.each(visit);
                each.each(visit);
            }
            _ => {}
        }
    }

    /// -1 or 1 for infinity with its sign.
    pub(super) fn infinite(&self) -> Option<i8> {
        match self {
            Self::Infinity => Some(1),
            Self::Negative(inner) => inner.infinite().map(|sign| -sign),
            _ => None,
        }
    }

    /// The same with the parts of sums and products in one order.
    pub(super) fn ordered(&self) -> String {
        let sorted = |name: &str, parts: &[Self]| {
            let mut parts: Vec<String> = parts.iter().map(Self::ordered).collect();
            parts.sort();
            format!("{name}({})", parts.join(","))
        };
        match self {
            Self::Sum(parts) => sorted("+", parts),
            Self::Product(parts) => sorted("*", parts),
            Self::Quotient(a, b) => format!("/({},{})", a.ordered(), b.ordered()),
            Self::Power(a, b) => format!("^({},{})", a.ordered(), b.ordered()),
            Self::Logarithm(a, b) => format!("log({},{})", a.ordered(), b.ordered()),
            Self::Negative(inner) => format!("-({})", inner.ordered()),
            Self::Root(inner, degree) => format!("root{degree}({})", inner.ordered()),
            Self::Call(name, parts) => {
                format!("{name}({})", parts.iter().map(Self::ordered).collect::<Vec<_>>().join(","))
            }
            Self::Determinant(cells) => {
                format!("det({})", cells.iter().map(Self::ordered).collect::<Vec<_>>().join(","))
            }
            Self::Series { product, name, from, to, each } => {
                format!("series{product}({name:?},{},{},{})", from.ordered(), to.ordered(), each.ordered())
            }
            other => format!("{other:?}"),
        }
    }

    /// Whether it has no name in it.
    pub(super) fn is_constant(&self) -> bool {
        let mut names = 0;
        self.each(&mut |part| names += usize::from(matches!(part, Self::Symbol(_))));
        names == 0
    }
}

/// Reads a whole expression. `plus` says which sign `±` stands for.
pub(super) fn read(tokens: &[Token], plus: bool) -> Option<Expression> {
    let mut reader = Reader { tokens, place: 0, part: None, plus, bars: 0 };
    let found = reader.over(0)?;
    (reader.place == tokens.len() && reader.part.is_none()).then_some(found)
}

struct Reader<'a> {
    tokens: &'a [Token],
    place: usize,
    /// What is left of a number of which `\frac` took the first digit.
    part: Option<String>,
    plus: bool,
    /// How many `|` are open.
    bars: usize,
}

impl Reader<'_> {
    fn mark(&self) -> Option<&Mark> {
        self.tokens.get(self.place).map(|token| &token.mark)
    }

    fn accept(&mut self, mark: &Mark) -> bool {
        let found = self.part.is_none() && self.mark() == Some(mark);
        self.place += usize::from(found);
        found
    }

    fn sign(&mut self, sign: char) -> bool {
        self.accept(&Mark::Sign(sign))
    }

    /// `+`, `-` or what `±` stands for: whether it is a minus.
    fn plus_or_minus(&mut self) -> Option<bool> {
        for (sign, minus) in [('+', false), ('-', true), ('±', !self.plus), ('∓', self.plus)] {
            if self.sign(sign) {
                return Some(minus);
            }
        }
        None
    }

    /// `a`, `a \over b` or `a \choose b`, as all that is in a pair of braces.
    fn over(&mut self, depth: usize) -> Option<Expression> {
        let above = self.sum(depth)?;
        if self.accept(&Mark::Over) {
            let below = self.sum(depth)?;
            return Some(Expression::Quotient(Box::new(above), Box::new(below)));
        }
        if self.accept(&Mark::Choose) {
            let below = self.sum(depth)?;
            return Some(Expression::Call("binomial", vec![above, below]));
        }
        Some(above)
    }

    fn sum(&mut self, depth: usize) -> Option<Expression> {
        if depth > DEEPEST {
            return None;
        }
        let signed = |minus: bool, value: Expression| match minus {
            true => Expression::Negative(Box::new(value)),
            false => value,
        };
        let mut minus = false;
        let mut signs = 0;
        while let Some(next) = self.plus_or_minus() {
            minus ^= next;
            signs += 1;
            if signs > 4 {
                return None;
            }
        }
        let first = self.product(depth + 1)?;
        let mut parts = vec![signed(minus, first)];
        while let Some(mut minus) = self.plus_or_minus() {
            if let Some(again) = self.plus_or_minus() {
                minus ^= again;
            }
            let next = self.product(depth + 1)?;
            parts.push(signed(minus, next));
        }
        Some(if parts.len() == 1 { parts.pop()? } else { Expression::Sum(parts) })
    }

    fn product(&mut self, depth: usize) -> Option<Expression> {
        let mut value = self.mixed(depth)?;
        loop {
            if self.sign('*') {
                let next = self.factor(depth)?;
                value = times(value, next);
            } else if self.sign('/') || self.sign(':') {
                let next = self.factor(depth)?;
                value = Expression::Quotient(Box::new(value), Box::new(next));
            } else if self.begins_factor() {
                // Two numbers side by side are no product.
                let number = self.part.is_none()
                    && matches!(self.mark(), Some(Mark::Number(_) | Mark::Repeating(..) | Mark::Based(..)));
                if number && self.after_number() {
                    return None;
                }
                let next = self.power(depth)?;
                value = times(value, next);
            } else {
                return Some(value);
            }
        }
    }

    fn after_number(&self) -> bool {
        let before = self.place.checked_sub(1).and_then(|place| self.tokens.get(place));
        before.is_some_and(|token| {
            matches!(token.mark, Mark::Number(_) | Mark::Repeating(..) | Mark::Based(..))
        })
    }

    fn begins_factor(&self) -> bool {
        match self.mark() {
            _ if self.part.is_some() => true,
            Some(Mark::Open(_)) => true,
            Some(Mark::Sign('|')) => self.bars == 0,
            Some(
                Mark::Number(_) | Mark::Repeating(..) | Mark::Based(..) | Mark::Symbol(_) | Mark::Function(_),
            ) => true,
            Some(
                Mark::Fraction
                | Mark::Binomial
                | Mark::Root
                | Mark::Infinity
                | Mark::Accent(_)
                | Mark::Begin { .. }
                | Mark::Series(_),
            ) => true,
            Some(Mark::Word(word)) => word.chars().count() == 1 || word == "pi",
            _ => false,
        }
    }

    /// A factor with its own sign.
    fn factor(&mut self, depth: usize) -> Option<Expression> {
        match self.plus_or_minus() {
            Some(true) => self.power(depth + 1).map(|value| Expression::Negative(Box::new(value))),
            _ => self.power(depth + 1),
        }
    }

    /// A whole number with a proper fraction after it, or whatever begins a product.
    fn mixed(&mut self, depth: usize) -> Option<Expression> {
        let at = |ahead: usize| self.tokens.get(self.place + ahead);
        let digits = |ahead: usize| match &at(ahead)?.mark {
            Mark::Number(digits) if !digits.contains('.') => digits.parse::<u64>().ok(),
            _ => None,
        };
        if self.part.is_none()
            && let Some(whole) = digits(0)
        {
            let slashed = at(1).is_some_and(|next| next.space)
                && at(2).is_some_and(|next| next.mark == Mark::Sign('/'))
                && !at(4).is_some_and(|next| matches!(next.mark, Mark::Sign('/' | '^' | '!')));
            if let (true, Some(above), Some(below)) = (slashed, digits(1), digits(3))
                && above < below
            {
                self.place += 4;
                return mixed_number(whole, above, below);
            }
            let is = |ahead: usize, mark: &Mark| at(ahead).is_some_and(|token| token.mark == *mark);
            let over = is(1, &Mark::Open('{')) && is(3, &Mark::Over) && is(5, &Mark::Close('{'));
            if over
                && let (Some(above), Some(below)) = (digits(2), digits(4))
                && above < below
            {
                self.place += 6;
                return mixed_number(whole, above, below);
            }
            if is(1, &Mark::Fraction) {
                let start = self.place;
                self.place += 1;
                let fraction = self.power(depth)?;
                if let Expression::Quotient(above, below) = &fraction
                    && let (Some(above), Some(below)) = (small(above), small(below))
                    && above < below
                {
                    return mixed_number(whole, above, below);
                }
                self.place = start;
                self.part = None;
            }
        }
        self.power(depth)
    }

    fn power(&mut self, depth: usize) -> Option<Expression> {
        if depth > DEEPEST {
            return None;
        }
        let mut value = self.atom(depth + 1)?;
        loop {
            if self.sign('!') {
                value = Expression::Call("factorial", vec![value]);
            } else if self.degree() {
                let part = Expression::Quotient(Box::new(Expression::Pi), Box::new(Expression::whole(180)));
                value = times(value, part);
            } else if self.sign('%') {
                value = Expression::Quotient(Box::new(value), Box::new(Expression::whole(100)));
            } else if self.sign('^') {
                let exponent = self.exponent(depth + 1)?;
                value = Expression::Power(Box::new(value), Box::new(exponent));
            } else {
                return Some(value);
            }
        }
    }

    /// `^\circ`, `^{\circ}` or `°`.
    fn degree(&mut self) -> bool {
        let marks: [&[Mark]; 3] = [
            &[Mark::Sign('°')],
            &[Mark::Sign('^'), Mark::Sign('°')],
            &[Mark::Sign('^'), Mark::Open('{'), Mark::Sign('°'), Mark::Close('{')],
        ];
        let here = |marks: &[Mark]| {
            marks.iter().enumerate().all(|(ahead, mark)| {
                self.tokens.get(self.place + ahead).is_some_and(|token| token.mark == *mark)
            })
        };
        let found = marks.into_iter().find(|marks| here(marks)).map(<[Mark]>::len);
        self.place += found.unwrap_or(0);
        found.is_some()
    }

    fn exponent(&mut self, depth: usize) -> Option<Expression> {
        match self.plus_or_minus() {
            Some(true) => self.exponent(depth + 1).map(|value| Expression::Negative(Box::new(value))),
            // Powers of powers are taken from the right.
            _ if depth > DEEPEST => None,
            _ => {
                let value = self.atom(depth + 1)?;
                if self.mark() == Some(&Mark::Sign('^')) && !self.is_degree() && self.sign('^') {
                    let next = self.exponent(depth + 1)?;
                    return Some(Expression::Power(Box::new(value), Box::new(next)));
                }
                Some(value)
            }
        }
    }

    fn is_degree(&self) -> bool {
        let at = |ahead: usize| self.tokens.get(self.place + ahead).map(|token| &token.mark);
        at(1) == Some(&Mark::Sign('°')) || at(2) == Some(&Mark::Sign('°'))
    }
}

fn times(left: Expression, right: Expression) -> Expression {
    match left {
        Expression::Product(mut parts) => {
            parts.push(right);
            Expression::Product(parts)
        }
        left => Expression::Product(vec![left, right]),
    }
}

fn small(value: &Expression) -> Option<u64> {
    match value {
        Expression::Number(number) => number.as_small().and_then(|number| u64::try_from(number).ok()),
        _ => None,
    }
}

fn mixed_number(whole: u64, above: u64, below: u64) -> Option<Expression> {
    Rational::whole(whole).add(&Rational::new(above, below)?).map(Expression::Number)
}
