//! `reward=math`: whether two answers are the same by the mathematics, however they are dressed.
//!
//! 1. `tokens` takes the dress off (dollars, `\left`, bold, `\text` around a unit, thousands marks) and cuts what is left
//!    into tokens, of plain notation and of LaTeX.
//! 2. `parse` reads an [`Answer`](answer::Answer): a value, a tuple or an interval, a set, a list of alternatives, a matrix, a
//!    relation, a number in another base, or words.
//! 3. `compare` holds two answers against each other: sets in any order, tuples in theirs, `x = 2` as `2`, `x > 3` as
//!    `(3, \infty)`. Alternatives (`3 or 5`) are only right where the answer is that set.
//! 4. Two values are the same if their expressions are (`tree`), if exact rational arithmetic says so (`exact`), or if
//!    they agree at random points, keyed by the names of their variables, in complex arithmetic of 77 digits
//!    (`approximate`): never by text alone. An expression that is no number at too many points is equal to none but
//!    itself.
//!
//! Nothing is slow: longer texts than [`LONGEST`], deeper nesting than [`DEEPEST`] and numbers of too many digits
//! are no answer.

mod answer;
mod approximate;
mod compare;
mod exact;
mod letters;
mod parse;
mod tokens;
mod tree;

pub(super) use letters::is_unit;

use super::extract::Reading;

/// Bytes of an answer at most: the longest of public sets have a few hundred.
const LONGEST: usize = 2000;
/// Brackets within brackets, roots within roots.
const DEEPEST: usize = 40;

/// Whether the answer that was found is the right one.
pub(super) fn same(found: &str, right: &str) -> bool {
    match (parse::read(found), parse::read(right)) {
        (Some(found), Some(right)) => compare::same(&found, &right),
        _ => false,
    }
}

/// Whether a text reads as mathematics, or as words at most.
pub(super) fn reading(text: &str) -> Reading {
    match parse::read(text) {
        None => Reading::Nothing,
        Some(answer::Answer::Words(_)) => Reading::Words,
        Some(_) => Reading::Answer,
    }
}

#[cfg(test)]
mod tests;
