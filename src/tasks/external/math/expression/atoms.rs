//! The parts of expressions that are none of several: numbers, names, and whatever stands in brackets.

use super::{DEEPEST, Expression, Reader, small};
use crate::tasks::external::math::tokens::{Accent, Mark};
use crate::tasks::external::rational::Rational;
use num_bigint::BigInt;
use num_traits::Num;

impl Reader<'_> {
    pub(super) fn atom(&mut self, depth: usize) -> Option<Expression> {
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
            // Digits that the base does not have: a name that equals itself.
            Mark::Based(digits, base) => Some(match based(&digits, base) {
                Some(value) => Expression::Number(value),
                None => Expression::Symbol(format!("{digits}_{base}")),
            }),
            Mark::Symbol(name) => self.symbol(name, depth),
            Mark::Word(word) if word == "pi" => Some(Expression::Pi),
            Mark::Word(word) if word.chars().count() == 1 => self.symbol(word, depth),
            Mark::Infinity => Some(Expression::Infinity),
            Mark::Open(bracket) => {
                let bars = std::mem::take(&mut self.bars);
                let inner = self.over(depth + 1)?;
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
            Mark::Begin { bars: true } => self.determinant(depth + 1),
            Mark::Accent(accent) => self.accented(accent, depth + 1),
            Mark::Series('∫') => self.integral(depth + 1),
            Mark::Series(sign) => self.series(sign == '∏', depth + 1),
            Mark::Sign('|') if self.accept(&Mark::Begin { bars: false }) => {
                let value = self.determinant(depth + 1)?;
                self.sign('|').then_some(value)
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
    pub(super) fn argument(&mut self, depth: usize) -> Option<Expression> {
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
        if name == "π" {
            return Some(Expression::Pi);
        }
        self.named(name, depth)
    }

    /// A name with what is set below it, and its dashes.
    fn named(&mut self, mut name: String, depth: usize) -> Option<Expression> {
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

    /// The rows of a matrix of which the beginning was taken, as a determinant.
    pub(super) fn determinant(&mut self, depth: usize) -> Option<Expression> {
        let bars = std::mem::take(&mut self.bars);
        let mut rows: Vec<Vec<Expression>> = vec![Vec::new()];
        while !self.accept(&Mark::End) {
            let cell = self.sum(depth)?;
            rows.last_mut()?.push(cell);
            if self.sign('\n') {
                rows.push(Vec::new());
            } else if !self.sign('&') && self.mark() != Some(&Mark::End) {
                return None;
            }
        }
        self.bars = bars;
        rows.retain(|row| !row.is_empty());
        let size = rows.len();
        let square = (1..=LARGEST_DETERMINANT).contains(&size) && rows.iter().all(|row| row.len() == size);
        square.then(|| Expression::Determinant(rows.concat()))
    }

    /// What a sign stands over: the conjugate of a complex number, or else another name.
    fn accented(&mut self, accent: Accent, depth: usize) -> Option<Expression> {
        let start = self.place;
        let inner = self.argument(depth)?;
        if self.part.is_some() {
            return None;
        }
        let mut imaginary = false;
        inner.each(&mut |part| imaginary |= *part == Expression::Imaginary);
        if accent == Accent::Bar && imaginary && inner.is_constant() {
            return Some(Expression::Call("conjugate", vec![inner]));
        }
        let marks = self.tokens.get(start..self.place)?.iter().map(|token| &token.mark);
        let marks = marks.filter(|mark| !matches!(mark, Mark::Open('{') | Mark::Close('{')));
        let mut parts: Vec<String> = marks.map(|mark| format!("{mark:?}")).collect();
        // The segment from A to B is that from B to A.
        if accent == Accent::Bar && parts.len() == 2 {
            parts.sort();
        }
        self.named(format!("{accent:?}({})", parts.join(" ")), depth)
    }
}

/// The largest determinant that is computed.
const LARGEST_DETERMINANT: usize = 12;

/// Digits with a point or none in a base; `None` if the base does not have them.
fn based(digits: &str, base: u32) -> Option<Rational> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if part.len() > 1_000 {
        return None;
    }
    let above = BigInt::from_str_radix(&format!("{whole}{part}"), base).ok()?;
    Rational::new(above, BigInt::from(base).pow(part.len() as u32))
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
