//! Cards, the rules that give them values, and the deals of card problems.

use super::attempts::{attempts, triples};
use super::split::held_out;
use crate::rng::Stream;

/// How three drawn things get their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// J, Q and K count 10: the rule in the training domain.
    FacesTen,
    /// J, Q and K count 11, 12 and 13, and at least one is dealt: the shifted rule.
    FacesShifted,
    /// Plain numbers 1 to 13: countdown.
    Numbers,
}

const RANKS: i64 = 13;
const FACES: i64 = 11;

impl Rule {
    /// The words that open a prompt under this rule.
    pub(super) fn opening(self) -> &'static str {
        match self {
            Self::FacesTen => "make F10",
            Self::FacesShifted => "make F13",
            Self::Numbers => "count",
        }
    }

    /// The value of a card of `rank` 1..=13.
    pub(super) fn value(self, rank: i64) -> i64 {
        match self {
            Self::FacesTen => rank.min(10),
            Self::FacesShifted | Self::Numbers => rank,
        }
    }

    /// How a card of `rank` is written.
    pub(super) fn word(self, rank: i64) -> String {
        match (self, rank) {
            (Self::Numbers, _) | (_, 2..=10) => rank.to_string(),
            (_, 1) => "A".into(),
            (_, 11) => "J".into(),
            (_, 12) => "Q".into(),
            _ => "K".into(),
        }
    }

    /// The largest value under this rule.
    pub(super) fn largest(self) -> i64 {
        self.value(RANKS)
    }

    /// Whether a hand may be dealt under this rule.
    pub(super) fn allows(self, ranks: [i64; 3]) -> bool {
        self != Self::FacesShifted || ranks.iter().any(|rank| *rank >= FACES)
    }

    /// Ranks in random order that have these `values`; among those, uniformly at random.
    pub(super) fn disguise(self, values: [i64; 3], stream: &mut Stream) -> [i64; 3] {
        let mut ranks = values.map(|value| {
            let choices: Vec<i64> = (1..=RANKS).filter(|rank| self.value(*rank) == value).collect();
            stream.choose(&choices).copied().unwrap_or(value)
        });
        stream.shuffle(&mut ranks);
        ranks
    }
}

/// A card problem as dealt: the ranks in the order shown, and the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deal {
    pub(super) rule: Rule,
    pub(super) ranks: [i64; 3],
    pub(super) target: i64,
}

impl Deal {
    /// Draws a solvable problem of the training side: three cards with replacement, then a target
    /// uniform over those that can be reached and are not held out.
    pub(super) fn draw(rule: Rule, stream: &mut Stream) -> Self {
        loop {
            let ranks = draw_ranks(rule, stream);
            let values = sorted(ranks.map(|rank| rule.value(rank)));
            let Some(found) = attempts(values) else { continue };
            if let Some(target) = stream.choose(&found.training_targets) {
                return Self { rule, ranks, target: *target };
            }
        }
    }

    /// Reads a card problem back from a prompt, by other means than it was written.
    #[cfg(test)]
    pub(super) fn read(prompt: &str) -> Option<Self> {
        let problem = prompt.strip_prefix("<bos> ")?.strip_suffix(" :")?;
        let rule = [Rule::FacesTen, Rule::FacesShifted, Rule::Numbers]
            .into_iter()
            .find(|rule| problem.starts_with(rule.opening()))?;
        let words: Vec<&str> = problem.strip_prefix(rule.opening())?.split_whitespace().collect();
        let [a, b, c, "to", target] = words[..] else { return None };
        let rank = |word: &str| match word {
            "A" => 1,
            "J" => 11,
            "Q" => 12,
            "K" => 13,
            number => number.parse().unwrap(),
        };
        Some(Self { rule, ranks: [rank(a), rank(b), rank(c)], target: target.parse().unwrap() })
    }

    /// Every held-out problem of the rule once, each with cards drawn by `stream`.
    pub(super) fn held_out(rule: Rule, stream: &mut Stream) -> Vec<Self> {
        let mut deals = Vec::new();
        for values in triples(rule.largest()) {
            let Some(found) = attempts(values).filter(|_| rule.allows(values)) else { continue };
            for target in &found.held_out_targets {
                deals.push(Self { rule, ranks: rule.disguise(values, stream), target: *target });
            }
        }
        deals
    }

    /// The sorted values under the problem's own rule.
    pub(super) fn values(&self) -> [i64; 3] {
        sorted(self.ranks.map(|rank| self.rule.value(rank)))
    }

    /// The values that the cards would have in the training domain, if those are others.
    pub(super) fn old_values(&self) -> Option<[i64; 3]> {
        (self.rule == Rule::FacesShifted).then(|| sorted(self.ranks.map(|rank| Rule::FacesTen.value(rank))))
    }

    pub(super) fn problem(&self) -> String {
        let [a, b, c] = self.ranks.map(|rank| self.rule.word(rank));
        format!("{} {a} {b} {c} to {}", self.rule.opening(), self.target)
    }

    /// The unit of analysis: values and target under the rule, whatever the cards shown.
    pub(super) fn id(&self) -> String {
        let [a, b, c] = self.values();
        format!("{} {a} {b} {c} to {}", self.rule.opening(), self.target)
    }
}

/// A reading problem, `vals F13 K K J`: the cards and the rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) rule: Rule,
    pub(super) ranks: [i64; 3],
}

impl Reading {
    /// Draws one from the training side.
    pub(super) fn draw(rule: Rule, stream: &mut Stream) -> Self {
        loop {
            let reading = Self { rule, ranks: draw_ranks(rule, stream) };
            if !reading.is_held_out() {
                return reading;
            }
        }
    }

    /// Every held-out hand of the rule in every order, in a fixed order.
    pub(super) fn held_out(rule: Rule) -> Vec<Self> {
        let ranks = || 1..=RANKS;
        let hands = ranks().flat_map(|a| ranks().flat_map(move |b| ranks().map(move |c| [a, b, c])));
        hands
            .filter(|ranks| rule.allows(*ranks))
            .map(|ranks| Self { rule, ranks })
            .filter(Self::is_held_out)
            .collect()
    }

    fn is_held_out(&self) -> bool {
        held_out(&format!("vals {:?}", sorted(self.ranks)))
    }

    pub(super) fn problem(&self) -> String {
        let [a, b, c] = self.ranks.map(|rank| self.rule.word(rank));
        let rule = if self.rule == Rule::FacesTen { "F10" } else { "F13" };
        format!("vals {rule} {a} {b} {c}")
    }

    pub(super) fn answer(&self) -> String {
        let [a, b, c] = self.ranks.map(|rank| self.rule.value(rank));
        format!("{a} {b} {c}")
    }
}

fn draw_ranks(rule: Rule, stream: &mut Stream) -> [i64; 3] {
    loop {
        let ranks = [(); 3].map(|()| 1 + stream.below(RANKS as usize) as i64);
        if rule.allows(ranks) {
            return ranks;
        }
    }
}

pub(super) fn sorted(mut values: [i64; 3]) -> [i64; 3] {
    values.sort_unstable();
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disguise_keeps_the_values_and_shows_every_face() {
        let stream = &mut Stream::new(0, "test", &[]);
        let mut shown = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let ranks = Rule::FacesTen.disguise([1, 4, 10], stream);
            assert_eq!(sorted(ranks.map(|rank| Rule::FacesTen.value(rank))), [1, 4, 10]);
            shown.extend(ranks);
        }
        assert_eq!(shown.into_iter().collect::<Vec<_>>(), [1, 4, 10, 11, 12, 13]);
    }

    #[test]
    fn prompts_and_ids_are_those_of_the_recipe() {
        let deal = Deal { rule: Rule::FacesShifted, ranks: [4, 9, 11], target: 16 };
        assert_eq!(deal.problem(), "make F13 4 9 J to 16");
        assert_eq!((deal.id().as_str(), deal.old_values()), ("make F13 4 9 11 to 16", Some([4, 9, 10])));
        assert_eq!(Deal::read("<bos> make F13 4 9 J to 16 :").unwrap().ranks, deal.ranks);
    }
}
