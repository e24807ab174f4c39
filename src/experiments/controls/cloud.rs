//! The clouds from which controls are drawn.

use super::balance::Balance;
use crate::stats::Likeness;
use serde::{Deserialize, Serialize};

/// A kind of control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Any live feature that was not selected.
    Any,
    /// Features of the same classes as the set's, not selected.
    SameClass,
    /// Shared features whose activation shifted as much on the suite.
    SharedShift,
    /// A random direction with the set's own gate and norm at every token.
    RandomDirection,
    /// The direction in which as many other features write, with the set's own gate and norm at every token.
    BorrowedSet,
    /// As many other attention heads, for a set of heads.
    AnyHead,
}

impl Cloud {
    /// The clouds of sets of features, in the order in which draws are dealt.
    pub const OF_FEATURES: [Self; 3] = [Self::Any, Self::SameClass, Self::SharedShift];

    /// The name in the table `controls`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::SameClass => "same_class",
            Self::SharedShift => "shared_shift",
            Self::RandomDirection => "random_direction",
            Self::BorrowedSet => "borrowed_set",
            Self::AnyHead => "any_head",
        }
    }
}

/// One control: what is edited in the place of the tested set.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlSet {
    /// Where it was drawn from.
    pub cloud: Cloud,
    /// Which draw of that cloud.
    pub draw: u64,
    /// The features; for a random direction, those of the tested set, whose gate and norm it borrows.
    pub features: Vec<u32>,
    /// The unit direction, for [`Cloud::RandomDirection`] and [`Cloud::BorrowedSet`].
    pub direction: Option<Vec<f32>>,
    /// How well it matches.
    pub balance: Balance,
    /// Whether every gap is within the tolerance.
    pub matched: bool,
    /// How much it writes what others write, where it counts.
    pub likeness: Option<Likeness>,
}
