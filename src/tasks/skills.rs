//! Unrelated skills on short strings of letters, there to notice collateral damage.

use super::split::held_out;
use super::vocabulary::LETTERS;
use crate::rng::Stream;

/// What is done with the letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skill {
    Copy,
    Reverse,
    Sort,
    Largest,
}

impl Skill {
    pub(super) const ALL: [Self; 4] = [Self::Copy, Self::Reverse, Self::Sort, Self::Largest];

    /// The skill that problem `number` is about: each in turn.
    pub(super) fn numbered(number: u64) -> Self {
        Self::ALL[(number % Self::ALL.len() as u64) as usize]
    }

    fn word(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Reverse => "rev",
            Self::Sort => "sort",
            Self::Largest => "max",
        }
    }

    /// Draws a problem from the held-out or the training side, as (problem, answer).
    pub(super) fn draw(self, from_held_out: bool, stream: &mut Stream) -> (String, String) {
        loop {
            let mut letters: Vec<&str> =
                (0..3 + stream.below(3)).map(|_| LETTERS[stream.below(LETTERS.len())]).collect();
            let shown = letters.join(" ");
            if held_out(&format!("letters {shown}")) != from_held_out {
                continue;
            }
            match self {
                Self::Copy => {}
                Self::Reverse => letters.reverse(),
                Self::Sort => letters.sort_unstable(),
                Self::Largest => letters = letters.into_iter().max().into_iter().collect(),
            }
            return (format!("{} {shown}", self.word()), letters.join(" "));
        }
    }
}
