//! Expressions as trees, and how they are read from marks.

use super::super::rational::Rational;
use super::tokens::{Mark, Token};
use num_bigint::BigInt;
use num_traits::Num;

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
            Self::Sum(parts) | Self::Product(parts) | Self::Call(_, parts) => {
                parts.iter().for_each(|part| part.each(visit));
            }
            Self::Quotient(a, b) | Self::Power(a, b) | Self::Logarithm(a, b) => {
                a.each(visit);
                b.each(visit);
            }
            Self::Negative(inner) | Self::Root(inner, _) => inner.each(visit),
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
            other => format!("{other:?}"),
        }
    }
}

/// Reads a whole expression. `plus` says which sign `±` stands for.
pub(super) fn read(tokens: &[Token], plus: bool) -> Option<Expression> {
    let mut reader = Reader { tokens, place: 0, part: None, plus, bars: 0 };
    let found = reader.sum(0)?;
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
            Some(Mark::Fraction | Mark::Binomial | Mark::Root | Mark::Infinity) => true,
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
            if at(1).is_some_and(|next| next.mark == Mark::Fraction) {
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

    fn atom(&mut self, depth: usize) -> Option<Expression> {
        if depth > DEEPEST {
            return None;
        }
        if let Some(rest) = self.part.take() {
            return Rational::of_digits(&rest).map(Expression::Number);
        }
        let mark = self.mark()?.clone();
        self.place += 1;
        match mark {
            Mark::Number(digits) => Rational::of_digits(&digits).map(Expression::Number),
            Mark::Repeating(digits, repeated) => repeating(&digits, &repeated).map(Expression::Number),
            Mark::Based(digits, base) => Some(match BigInt::from_str_radix(&digits, base) {
                Ok(value) => Expression::Number(Rational::whole(value)),
                // Digits that the base does not have: a name that equals itself.
                Err(_) => Expression::Symbol(format!("{digits}_{base}")),
            }),
            Mark::Symbol(name) => self.symbol(name, depth),
            Mark::Word(word) if word == "pi" => Some(Expression::Pi),
            Mark::Word(word) if word.chars().count() == 1 => self.symbol(word, depth),
            Mark::Infinity => Some(Expression::Infinity),
            Mark::Open(bracket) => {
                let bars = std::mem::take(&mut self.bars);
                let inner = self.sum(depth + 1)?;
                self.bars = bars;
                if !self.accept(&Mark::Close(bracket)) {
                    return None;
                }
                match bracket {
                    '(' | '[' | '{' => Some(inner),
                    '⌊' => Some(Expression::Call("floor", vec![inner])),
                    '⌈' => Some(Expression::Call("ceil", vec![inner])),
                    _ => None,
                }
            }
            Mark::Sign('|') => {
                self.bars += 1;
                let inner = self.sum(depth + 1)?;
                self.bars -= 1;
                self.sign('|').then(|| Expression::Call("abs", vec![inner]))
            }
            Mark::Fraction => {
                let above = self.argument(depth + 1)?;
                let below = self.argument(depth + 1)?;
                Some(Expression::Quotient(Box::new(above), Box::new(below)))
            }
            Mark::Binomial => {
                let above = self.argument(depth + 1)?;
                let below = self.argument(depth + 1)?;
                Some(Expression::Call("binomial", vec![above, below]))
            }
            Mark::Root => {
                let degree = match self.accept(&Mark::Open('[')) {
                    true => {
                        let degree = small(&self.sum(depth + 1)?)?;
                        if !self.accept(&Mark::Close('[')) {
                            return None;
                        }
                        u32::try_from(degree).ok()?
                    }
                    false => 2,
                };
                let inner = self.atom(depth + 1)?;
                Some(Expression::Root(Box::new(inner), degree))
            }
            Mark::Function(name) => self.function(name, depth + 1),
            _ => None,
        }
    }

    /// The argument of a TeX command: in braces, or a single digit or sign.
    fn argument(&mut self, depth: usize) -> Option<Expression> {
        if self.part.is_none() {
            if let Some(Mark::Number(digits)) = self.mark().cloned()
                && digits.len() > 1
                && !digits.contains('.')
            {
                self.place += 1;
                let (first, rest) = digits.split_at_checked(1)?;
                self.part = Some(rest.to_owned());
                return Rational::of_digits(first).map(Expression::Number);
            }
        } else if let Some(rest) = self.part.take() {
            let (first, rest) = rest.split_at_checked(1)?;
            self.part = (!rest.is_empty()).then(|| rest.to_owned());
            return Rational::of_digits(first).map(Expression::Number);
        }
        self.atom(depth)
    }

    fn symbol(&mut self, name: String, depth: usize) -> Option<Expression> {
        let mut name = match name.as_str() {
            "π" => return Some(Expression::Pi),
            _ => name,
        };
        if self.sign('_') {
            let start = self.place;
            self.atom(depth + 1)?;
            let below = self.tokens.get(start..self.place)?;
            let below: String = below.iter().map(|token| shown(&token.mark)).collect();
            name = format!("{name}_{below}");
        }
        while self.sign('\'') {
            name.push('\'');
        }
        Some(match name.as_str() {
            "e" => Expression::Euler,
            "i" => Expression::Imaginary,
            _ => Expression::Symbol(name),
        })
    }

    /// A function with its power, its base and its argument.
    fn function(&mut self, name: &'static str, depth: usize) -> Option<Expression> {
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

/// `0.1` with `6` repeated for ever.
fn repeating(digits: &str, repeated: &str) -> Option<Rational> {
    let start = Rational::of_digits(digits)?;
    let places = digits.split_once('.').map_or(0, |(_, part)| part.len());
    if places + repeated.len() > 1_000 {
        return None;
    }
    let nines = BigInt::from(10).pow(repeated.len() as u32) - 1;
    let below = nines * BigInt::from(10).pow(places as u32);
    start.add(&Rational::new(repeated.parse::<BigInt>().ok()?, below)?)
}

/// A mark as a part of a name.
fn shown(mark: &Mark) -> String {
    match mark {
        Mark::Number(text) | Mark::Symbol(text) | Mark::Word(text) => text.clone(),
        Mark::Sign(sign) => sign.to_string(),
        _ => String::new(),
    }
}
