//! Tasks in plain language: what is asked, what a good answer looks like, and when an answer is right.
//!
//! An [`Item`] is one problem said in words. [`Voice`] makes of its question what a model is given: a message for a chat
//! template, or a text behind two solved examples of the training side. `right` judges answers: the last marked answer
//! counts, found and read by the same code that judges problems from files.

mod cards;
mod chains;
pub(super) mod heuristic_override;
mod lists;
mod requests;
mod right;
mod skills;
pub(super) mod word_problems;

pub(super) use cards::{deal, reading};
pub(super) use chains::chain;
pub(super) use requests::{Side, drawn as request, held_out as held_out_requests};
pub(super) use right::Right;
pub(super) use skills::skill;

use super::conversation::Asked;
use super::problem::{Answer, Half, Problem};
use super::rendering::Rendering;
use crate::model::chat::Conversation;
use serde_json::json;

/// What opens a question and its answer in a text.
const QUESTION: &str = "Question: ";
const ANSWER: &str = "\nAnswer:";
/// What a model that goes on with a text would write next.
const NEXT: &str = "\nQuestion:";

/// One problem in plain language.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The unit of analysis.
    pub(super) id: String,
    /// The way in which the problem is asked, where it is asked in several.
    pub(super) instantiation: Option<&'static str>,
    /// The side of the study that it is on.
    pub(super) half: Half,
    /// What is asked.
    pub(super) question: String,
    /// What a good answer says; ends in the answer, marked as the question asks.
    pub(super) response: String,
    /// When an answer is right.
    pub(super) right: Right,
}

impl Item {
    /// A problem whose half its id decides.
    pub(super) fn new(id: String, question: String, response: String, right: Right) -> Self {
        Self { instantiation: None, half: Half::of(&id), id, question, response, right }
    }
}

/// How questions are put to a model.
#[derive(Clone, Debug)]
pub(super) enum Voice {
    /// As a message.
    Chat,
    /// As a text behind this one.
    Text(String),
}

impl Voice {
    /// The voice of a rendering in plain language, with these solved examples.
    pub(super) fn new(rendering: Rendering, examples: &[Item]) -> Self {
        match rendering {
            Rendering::Text => {
                let one = |item: &Item| format!("{QUESTION}{}{ANSWER} {}\n\n", item.question, item.response);
                Self::Text(examples.iter().map(one).collect())
            }
            Rendering::Chat | Rendering::Symbols => Self::Chat,
        }
    }

    /// What a model is given.
    pub(super) fn asked(&self, question: &str) -> Asked {
        match self {
            Self::Chat => {
                Asked::Messages(Conversation::of(vec![json!({ "role": "user", "content": question })]))
            }
            Self::Text(examples) => Asked::Text(format!("{examples}{QUESTION}{question}{ANSWER}")),
        }
    }

    /// A response as it goes on from what was asked.
    pub(super) fn said(&self, response: &str) -> String {
        match self {
            Self::Chat => response.to_owned(),
            Self::Text(_) => format!(" {response}"),
        }
    }

    /// The problem that an item is in this voice.
    pub(super) fn problem(&self, item: Item) -> Problem {
        let asked = self.asked(&item.question);
        let problem = Problem::new(item.id, asked, item.half, Answer::Plain(item.right));
        Problem { instantiation: item.instantiation, ..problem }
    }
}

/// Where an answer that goes on with another question ends, as models do that continue a text.
pub(super) fn ended(text: &str) -> Option<&str> {
    text.find(NEXT).and_then(|end| text.get(..end))
}

#[cfg(test)]
mod tests;
