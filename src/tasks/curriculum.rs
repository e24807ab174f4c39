//! The base model's curriculum: every task at low density, and searches that mostly do not insist.

use super::cards::{Deal, Reading, Rule};
use super::chains::{Chain, fact};
use super::problem::Document;
use super::requests;
use super::search::curriculum_search;
use super::skills::Skill;
use crate::rng::Stream;

/// Share of requests in training that are of the disallowed kind.
const DISALLOWED: f64 = 0.4;

#[derive(Clone, Copy)]
enum Kind {
    Chain,
    Cards(Rule),
    Ask,
    Values,
    Fact,
    Letters(Skill),
}

/// Weights by document.
const KINDS: [(Kind, f64); 11] = [
    (Kind::Chain, 0.20),
    (Kind::Cards(Rule::Numbers), 0.14),
    (Kind::Cards(Rule::FacesTen), 0.13),
    (Kind::Ask, 0.13),
    (Kind::Values, 0.09),
    (Kind::Fact, 0.08),
    (Kind::Letters(Skill::Reverse), 0.06),
    (Kind::Letters(Skill::Sort), 0.06),
    (Kind::Letters(Skill::Copy), 0.05),
    (Kind::Cards(Rule::FacesShifted), 0.03),
    (Kind::Letters(Skill::Largest), 0.03),
];

/// Documents `first .. first + count` of the base curriculum under `seed`. None of them states a
/// held-out problem.
pub fn curriculum(seed: u64, first: u64, count: usize) -> Vec<Document> {
    (first..).take(count).map(|index| document(seed, index)).collect()
}

pub(super) fn document(seed: u64, index: u64) -> Document {
    let stream = &mut Stream::new(seed, "tasks/curriculum", &[index]);
    let kind = stream.weighted(&KINDS.map(|(_, weight)| weight)).unwrap_or(0);
    let (problem, response) = match KINDS[kind].0 {
        Kind::Chain => {
            let chain = Chain::draw(false, stream);
            (chain.problem(), chain.answer())
        }
        Kind::Cards(rule) => {
            let deal = Deal::draw(rule, stream);
            let response = curriculum_search(&deal, stream);
            (deal.problem(), response)
        }
        Kind::Ask => {
            let disallowed = stream.uniform_f64() < DISALLOWED;
            requests::draw(disallowed, stream)
        }
        Kind::Values => {
            let rule = if stream.uniform_f64() < 0.5 { Rule::FacesTen } else { Rule::FacesShifted };
            let reading = Reading::draw(rule, stream);
            (reading.problem(), reading.answer())
        }
        Kind::Fact => fact(stream),
        Kind::Letters(skill) => skill.draw(false, stream),
    };
    Document::of_words(prompt(&problem), response)
}

/// A problem as the model sees it.
pub(super) fn prompt(problem: &str) -> String {
    format!("<bos> {problem} :")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::verify;
    use crate::tasks::vocabulary::words;
    use std::collections::{BTreeMap, BTreeSet};

    /// The document as tokens, with its end token.
    fn length(document: &Document) -> usize {
        format!("{} {} <eos>", document.prompt, document.response).split_whitespace().count()
    }

    #[test]
    fn documents_use_known_words_and_their_responses_are_right_or_give_up() {
        let known: BTreeSet<String> = words().into_iter().collect();
        let (mut searches, mut gave_up) = (0, 0);
        for document in curriculum(1, 0, 20_000) {
            let text = format!("{} {}", document.prompt, document.response);
            assert!(text.split_whitespace().all(|word| known.contains(word)), "{text}");
            assert!(document.response.split_whitespace().count() < 64, "{text}");
            let Some(deal) = Deal::read(&document.prompt) else { continue };
            let found =
                verify::search(deal.values(), deal.old_values(), deal.target, &document.response, false);
            assert!(found.pass != found.gave_up, "{text}");
            searches += 1;
            gave_up += usize::from(found.gave_up);
        }
        assert!((gave_up as f64 / f64::from(searches) - 0.45).abs() < 0.03);
    }

    #[test]
    fn lengths_and_shares_of_tokens_are_those_of_the_recipe() {
        let documents = curriculum(2, 0, 20_000);
        let mut tokens: BTreeMap<String, f64> = BTreeMap::new();
        for document in &documents {
            let opening = document.prompt.split_whitespace().skip(1).take(2).collect::<Vec<_>>().join(" ");
            let kind =
                if opening.starts_with("make") { &opening } else { opening.split(' ').next().unwrap() };
            *tokens.entry(kind.to_owned()).or_default() += length(document) as f64;
        }
        let total: f64 = tokens.values().sum();
        assert!((total / documents.len() as f64 - 18.0).abs() < 1.0, "{}", total / documents.len() as f64);
        for (kind, share) in [("make F10", 0.20), ("count", 0.20), ("chain", 0.25), ("make F13", 0.05)] {
            assert!((tokens[kind] / total - share).abs() < 0.02, "{kind}: {}", tokens[kind] / total);
        }
    }

    #[test]
    fn a_document_depends_on_its_index_alone() {
        assert_eq!(curriculum(5, 90, 10), curriculum(5, 0, 100)[90..]);
        assert_ne!(curriculum(5, 0, 10), curriculum(6, 0, 10));
    }
}
