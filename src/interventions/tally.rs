//! What an edit really did: how often it acted, and how much it wrote.

use serde::{Deserialize, Serialize};

/// The two parts of a text that are matched and reported apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextPart {
    /// Tokens that were given.
    Prompt,
    /// Tokens that the receiver produced.
    Response,
}

/// Counts over positions where an edit was allowed to act.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Positions where the edit was allowed to act.
    pub positions: u64,
    /// Positions where it wrote something other than zero.
    pub acted: u64,
    /// Sum over positions of the squared norm of what was written.
    pub delta_squared: f64,
    /// Sum over positions of the squared norm of the receiver's activation.
    pub hidden_squared: f64,
}

impl Tally {
    /// Share of positions where the edit acted; zero when there were none.
    pub fn rate(&self) -> f64 {
        if self.positions == 0 { 0.0 } else { self.acted as f64 / self.positions as f64 }
    }

    /// Mean squared norm of the delta, over all allowed positions.
    pub fn energy(&self) -> f64 {
        if self.positions == 0 { 0.0 } else { self.delta_squared / self.positions as f64 }
    }

    /// Root mean square of the delta relative to that of the activation.
    pub fn relative_norm(&self) -> f64 {
        if self.hidden_squared > 0.0 { (self.delta_squared / self.hidden_squared).sqrt() } else { 0.0 }
    }

    /// Adds another tally's counts.
    pub fn add(&mut self, other: &Self) {
        self.positions += other.positions;
        self.acted += other.acted;
        self.delta_squared += other.delta_squared;
        self.hidden_squared += other.hidden_squared;
    }
}

/// A tally for the prompt and one for the response.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tallies {
    /// Positions of the prompt.
    pub prompt: Tally,
    /// Positions of the response.
    pub response: Tally,
}

/// Below this ratio of delta to activation (root mean squares) nothing was tested.
const NEGLIGIBLE: f64 = 1e-5;

impl Tallies {
    /// The tally of one part.
    pub fn part(&self, part: TextPart) -> &Tally {
        match part {
            TextPart::Prompt => &self.prompt,
            TextPart::Response => &self.response,
        }
    }

    /// The tally of one part, to add to.
    pub fn part_mut(&mut self, part: TextPart) -> &mut Tally {
        match part {
            TextPart::Prompt => &mut self.prompt,
            TextPart::Response => &mut self.response,
        }
    }

    /// Both parts together.
    pub fn total(&self) -> Tally {
        let mut total = self.prompt;
        total.add(&self.response);
        total
    }

    /// Adds other counts to both parts.
    pub fn add(&mut self, other: &Self) {
        self.prompt.add(&other.prompt);
        self.response.add(&other.response);
    }

    /// Why the edit could not have had an effect, if it could not (PROTOCOL 3).
    pub fn untestable(&self) -> Option<&'static str> {
        let total = self.total();
        if total.positions == 0 {
            Some("there was no position to act on")
        } else if total.acted == 0 {
            Some("no feature of the set fires in the receiver")
        } else if total.relative_norm() < NEGLIGIBLE {
            Some("the delta is near zero in the receiver")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_that_never_acts_is_untestable_and_not_without_effect() {
        let mut tallies = Tallies::default();
        assert!(tallies.untestable().is_some());
        tallies.part_mut(TextPart::Response).add(&Tally {
            positions: 10,
            acted: 0,
            delta_squared: 0.0,
            hidden_squared: 10.0,
        });
        assert_eq!(tallies.untestable(), Some("no feature of the set fires in the receiver"));
        tallies.prompt = Tally { positions: 10, acted: 5, delta_squared: 10.0, hidden_squared: 10.0 };
        assert_eq!(tallies.untestable(), None);
        assert_eq!((tallies.total().rate(), tallies.prompt.energy()), (0.25, 1.0));
    }
}
