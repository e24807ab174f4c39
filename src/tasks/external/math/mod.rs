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
        (Some(answer::Answer::Percent(_)), Some(_)) if states_degrees(right) => false,
        (Some(read), Some(right)) => compare::same(&read, &right) || is_choice(found, &right),
        _ => false,
    }
}

/// Whether a text begins with the letter in brackets that is right, and names no other: `(B) 12`.
fn is_choice(found: &str, right: &answer::Answer) -> bool {
    let answer::Answer::Value(tree::Tree::Variable(letter)) = right else { return false };
    let plain: String =
        found.replace("\\text", "").chars().filter(|letter| !"{}$ *\\".contains(*letter)).collect();
    letter.len() == 1 && plain.starts_with(&format!("({letter})")) && plain.matches('(').count() == 1
}

/// Whether a text states degrees, which no percentage is.
fn states_degrees(text: &str) -> bool {
    ["^\\circ", "^{\\circ}", "°", "\\degree"].iter().any(|mark| text.contains(mark))
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
