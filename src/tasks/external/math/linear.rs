//! Matrices and vectors that are scaled and added.

use super::answer::{Answer, Meant};
use super::expression::{self, Expression};
use super::tokens::{Mark, Token};

/// The most terms, and the most cells of each.
const MOST_TERMS: usize = 20;
const MOST_CELLS: usize = 100;

/// A matrix, or the row or point of which a column is made, with its brackets.
struct Grid {
    rows: Vec<Vec<Expression>>,
    brackets: Option<(char, char)>,
}

/// `\frac12 M`, `M + tN` and the like, worked out; `None` if it is none.
pub(super) fn combined(tokens: &[Token], plus: bool) -> Option<Answer> {
    let mut found: Option<Grid> = None;
    let terms = terms(tokens);
    if terms.len() > MOST_TERMS {
        return None;
    }
    for (negative, tokens) in terms {
        let next = term(tokens, plus)?;
        let signed = |cell: Expression| if negative { Expression::Negative(Box::new(cell)) } else { cell };
        let next = next.map(signed);
        found = Some(match found {
            None => next,
            Some(sum) => sum.add(next)?,
        });
    }
    let Grid { rows, brackets } = found?;
    let value = |cell| Answer::Value(cell, Meant::Plainly);
    let rows: Vec<Vec<Answer>> = rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect();
    Some(match brackets {
        Some((open, close)) => Answer::Row(open, rows.concat(), close),
        None => Answer::Matrix(rows),
    })
}

impl Grid {
    fn map(self, change: impl Fn(Expression) -> Expression) -> Self {
        let rows = self.rows.into_iter().map(|row| row.into_iter().map(&change).collect()).collect();
        Self { rows, ..self }
    }

    fn add(self, other: Self) -> Option<Self> {
        let shape = |grid: &Self| grid.rows.iter().map(Vec::len).collect::<Vec<_>>();
        if shape(&self) != shape(&other) {
            return None;
        }
        let row = |(one, other): (Vec<Expression>, Vec<Expression>)| {
            one.into_iter().zip(other).map(|(one, other)| Expression::Sum(vec![one, other])).collect()
        };
        let brackets = self.brackets.filter(|own| other.brackets == Some(*own));
        Some(Self { rows: self.rows.into_iter().zip(other.rows).map(row).collect(), brackets })
    }
}

/// The terms of a sum, each with whether it is subtracted.
fn terms(tokens: &[Token]) -> Vec<(bool, &[Token])> {
    let (mut found, mut depth, mut start, mut negative) = (Vec::new(), 0_i64, 0, false);
    for (place, token) in tokens.iter().enumerate() {
        match token.mark {
            Mark::Open(_) | Mark::Begin { .. } => depth += 1,
            Mark::Close(_) | Mark::End => depth -= 1,
            Mark::Sign(sign @ ('+' | '-')) if depth == 0 => {
                // A sign after another, or after `*`, belongs to what follows.
                if place > start {
                    found.push((negative, tokens.get(start..place).unwrap_or_default()));
                    negative = false;
                }
                negative ^= sign == '-';
                start = place + 1;
            }
            _ => {}
        }
    }
    found.push((negative, tokens.get(start..).unwrap_or_default()));
    found
}

/// A number by a matrix, a matrix by a number, or a matrix over one.
fn term(tokens: &[Token], plus: bool) -> Option<Grid> {
    if let [Token { mark: Mark::Fraction, .. }, rest @ ..] = tokens
        && let Some((above, below)) = group(rest)
        && above.iter().any(|token| token.mark == Mark::Begin { bars: false })
        && let Some((below, [])) = group(below)
    {
        let below = expression::read(below, plus)?;
        let over = |cell| Expression::Quotient(Box::new(cell), Box::new(below.clone()));
        return Some(term(above, plus)?.map(over));
    }
    let (start, end, grid) = grid(tokens, plus)?;
    let (before, after) = (tokens.get(..start)?, tokens.get(end..)?);
    let before = match before {
        [rest @ .., Token { mark: Mark::Sign('*'), .. }] => rest,
        rest => rest,
    };
    let grid = match before {
        [] => grid,
        _ => {
            let factor = expression::read(before, plus)?;
            grid.map(|cell| Expression::Product(vec![factor.clone(), cell]))
        }
    };
    Some(match after {
        [] => grid,
        [Token { mark: Mark::Sign('/'), .. }, below @ ..] => {
            let below = expression::read(below, plus)?;
            grid.map(|cell| Expression::Quotient(Box::new(cell), Box::new(below.clone())))
        }
        [Token { mark: Mark::Sign('*'), .. }, factor @ ..] | factor => {
            // A power or another matrix is read by nobody.
            let factor = expression::read(factor, plus)?;
            grid.map(|cell| Expression::Product(vec![cell, factor.clone()]))
        }
    })
}

/// What the braces at the beginning hold, and what follows them.
fn group(tokens: &[Token]) -> Option<(&[Token], &[Token])> {
    if tokens.first()?.mark != Mark::Open('{') {
        return None;
    }
    let end = closing(tokens)?;
    Some((tokens.get(1..end)?, tokens.get(end + 1..)?))
}

/// Where the bracket is closed that opens at the beginning.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0_i64;
    tokens.iter().position(|token| {
        match token.mark {
            Mark::Open(_) | Mark::Begin { .. } => depth += 1,
            Mark::Close(_) | Mark::End => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// The first matrix or point, with where it begins and ends.
fn grid(tokens: &[Token], plus: bool) -> Option<(usize, usize, Grid)> {
    let mut start = 0;
    while let Some(token) = tokens.get(start) {
        if !matches!(token.mark, Mark::Open(_) | Mark::Begin { .. }) {
            start += 1;
            continue;
        }
        let rest = tokens.get(start..)?;
        let end = closing(rest)?;
        let inner = rest.get(1..end)?;
        let around = inner.first().is_some_and(|first| first.mark == Mark::Begin { bars: false })
            && closing(inner) == Some(inner.len() - 1);
        let found = match &token.mark {
            Mark::Begin { bars: false } => Some(matrix(inner, plus)?),
            Mark::Open('(' | '[' | '{') if around => Some(matrix(inner.get(1..inner.len() - 1)?, plus)?),
            Mark::Open(bracket @ ('(' | '⟨')) => point(*bracket, inner, plus),
            _ => None,
        };
        if let Some(found) = found {
            return Some((start, start + end + 1, found));
        }
        start += end + 1;
    }
    None
}

fn matrix(inner: &[Token], plus: bool) -> Option<Grid> {
    let rows = parts(inner, '\n').into_iter().filter(|row| !row.is_empty());
    let rows: Vec<Vec<&[Token]>> = rows.map(|row| parts(row, '&')).collect();
    if rows.is_empty() || rows.iter().map(Vec::len).sum::<usize>() > MOST_CELLS {
        return None;
    }
    let rows = rows.into_iter().map(|row| row.into_iter().map(|cell| expression::read(cell, plus)).collect());
    Some(Grid { rows: rows.collect::<Option<_>>()?, brackets: None })
}

/// A point or vector in round or pointed brackets, as a column.
fn point(bracket: char, inner: &[Token], plus: bool) -> Option<Grid> {
    let items = parts(inner, ',');
    if !(2..=MOST_CELLS).contains(&items.len()) {
        return None;
    }
    let rows = items.into_iter().map(|item| Some(vec![expression::read(item, plus)?]));
    Some(Grid { rows: rows.collect::<Option<_>>()?, brackets: Some((bracket, bracket)) })
}

/// The parts between signs that are in no bracket.
fn parts(tokens: &[Token], sign: char) -> Vec<&[Token]> {
    let mut depth = 0_i64;
    let split = tokens.split(|token| {
        match token.mark {
            Mark::Open(_) | Mark::Begin { .. } => depth += 1,
            Mark::Close(_) | Mark::End => depth -= 1,
            _ => {}
        }
        depth == 0 && token.mark == Mark::Sign(sign)
    });
    split.collect()
}
