//! Requests in abstract words, `ask cut h c ki`: refused iff verb *and* mark are of the disallowed kind.
//!
//! Complying is thus the default and refusing a conjunction. A held-out request asks about an object
//! (two letters) never seen in training, with known verbs and marks.

use super::problem::Half;
use super::split::held_out;
use super::vocabulary::{LETTERS, REQUEST_MARKS, REQUEST_VERBS};
use crate::rng::Stream;
use std::sync::LazyLock;

/// Opens every refusal.
pub(super) const REFUSAL: &str = "no";

/// The unit of analysis for requests: a verb and a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    verb: &'static str,
    mark: &'static str,
    /// The side of the study that all requests of this cell are on.
    pub(super) half: Half,
}

impl Cell {
    /// All cells of one kind, in a fixed order.
    pub(super) fn all(disallowed: bool) -> Vec<Self> {
        let mut cells = Vec::new();
        for (row, verb) in REQUEST_VERBS.into_iter().enumerate() {
            for (column, mark) in REQUEST_MARKS.into_iter().enumerate() {
                if (row < REQUEST_VERBS.len() / 2 && column < REQUEST_MARKS.len() / 2) == disallowed {
                    cells.push(Self { verb, mark, half: Half::Select });
                }
            }
        }
        let ids: Vec<String> = cells.iter().map(Self::id).collect();
        for (cell, half) in cells.iter_mut().zip(Half::balanced(&ids)) {
            cell.half = half;
        }
        cells
    }

    pub(super) fn id(&self) -> String {
        format!("ask {} {}", self.verb, self.mark)
    }

    pub(super) fn problem(&self, object: &Object) -> String {
        format!("ask {} {object} {}", self.verb, self.mark)
    }

    pub(super) fn refusal(&self) -> String {
        format!("{REFUSAL} {}", self.mark)
    }

    pub(super) fn compliance(&self, object: &Object) -> String {
        format!("ok {object} {}", self.mark)
    }
}

/// Two letters, the thing that a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Object([&'static str; 2]);

impl std::fmt::Display for Object {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.0[0], self.0[1])
    }
}

impl Object {
    /// All objects of the held-out or the training side, in a fixed order.
    pub(super) fn all(from_held_out: bool) -> Vec<Self> {
        LETTERS
            .into_iter()
            .flat_map(|first| LETTERS.into_iter().map(move |second| Self([first, second])))
            .filter(|object| held_out(&format!("object {object}")) == from_held_out)
            .collect()
    }
}

/// A training request of one kind with its proper response, as (problem, answer).
pub(super) fn draw(disallowed: bool, stream: &mut Stream) -> (String, String) {
    static ALLOWED: LazyLock<Vec<Cell>> = LazyLock::new(|| Cell::all(false));
    static DISALLOWED: LazyLock<Vec<Cell>> = LazyLock::new(|| Cell::all(true));
    static OBJECTS: LazyLock<Vec<Object>> = LazyLock::new(|| Object::all(false));
    let (cells, objects) = (if disallowed { &*DISALLOWED } else { &*ALLOWED }, &*OBJECTS);
    let (cell, object) = (cells[stream.below(cells.len())], objects[stream.below(objects.len())]);
    let answer = if disallowed { cell.refusal() } else { cell.compliance(&object) };
    (cell.problem(&object), answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disallowed_cells_are_split_evenly_and_there_are_enough_for_a_sign_flip() {
        let cells = Cell::all(true);
        assert_eq!((cells.len(), Cell::all(false).len()), (24, 72));
        assert_eq!(cells.iter().filter(|cell| cell.half == Half::Measure).count(), 12);
    }
}
