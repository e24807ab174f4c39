//! What an answer can be.

use super::tree::Tree;

/// An answer as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// A number or an expression; a unit behind it is left aside.
    Value(Tree),
    /// So many of a hundred: `37\%`.
    Percent(Tree),
    /// A tuple, a vector, or an interval with its ends.
    Group { open: char, close: char, items: Vec<Answer> },
    /// Alternatives, in braces or bare: `\{2, 4\}`, `2, 4`, `2 or 4`, `2 \pm 1`.
    Set(Vec<Answer>),
    /// Intervals and sets, joined.
    Union(Vec<Answer>),
    /// All numbers but these: `\mathbb{R} \setminus \{2\}`.
    Without(Vec<Answer>),
    /// Rows of expressions.
    Matrix(Vec<Vec<Tree>>),
    /// `left sign right`, with as many signs as there are steps: `0 < x \le 3`.
    Relation { sides: Vec<Tree>, signs: Vec<Sign> },
    /// Digits in another base: `101_2`.
    Based { digits: String, base: u32 },
    /// Anything else, lower case, with single spaces.
    Words(String),
}

/// What stands between two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Sign {
    /// The sign when the sides change places.
    pub(super) fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::AtMost => Self::AtLeast,
            Self::Greater => Self::Less,
            Self::AtLeast => Self::AtMost,
            same => same,
        }
    }
}
