//! What tasks hand to other floors: documents, problems with their halves, endpoints and scores.

use super::conversation::Asked;
use super::external::Truth;
use super::lesson::Lesson;
use super::plain::Right;
use crate::error::{Error, Result};
use crate::model::Tokenizer;
use crate::rng::stable_hash;
use serde::{Deserialize, Serialize};

/// One training example: for people its prompt and response as texts, for a trainer its tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What the model is given; in the microcosm from `<bos>` to the closing `:`.
    pub prompt: String,
    /// What it is to say, without the end token.
    pub response: String,
    /// The tokens of a row of a file, or of what a model said: they are never made of the texts. The words of the
    /// microcosm need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lesson: Option<Lesson>,
}

impl Document {
    /// A prompt and a response of the microcosm: lists of words.
    pub fn of_words(prompt: impl Into<String>, response: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), response: response.into(), lesson: None }
    }

    /// Tokens, of which some are learned.
    pub(crate) fn of_lesson(lesson: Lesson, tokenizer: &Tokenizer) -> Self {
        let (prompt, response) = lesson.tokens().split_at(lesson.begins());
        let (prompt, response) = (tokenizer.decode(prompt), tokenizer.decode_response(response));
        Self { prompt, response, lesson: Some(lesson) }
    }

    /// The tokens, and which are learned: of words the response and the end token.
    ///
    /// # Errors
    /// If there is no end token, or a word is unknown.
    pub(crate) fn lesson(&self, tokenizer: &Tokenizer) -> Result<Lesson> {
        if let Some(lesson) = &self.lesson {
            return Ok(lesson.clone());
        }
        let end = tokenizer.eos().ok_or_else(|| {
            Error::request("the tokenizer has no end token, so a response cannot be closed")
                .hint("set `eos_token` in tokenizer_config.json")
        })?;
        let prompt = tokenizer.encode(&self.prompt)?;
        let response = tokenizer.encode(&self.response)?;
        let begins = prompt.len();
        Lesson::after(begins, prompt.into_iter().chain(response).chain([end]).collect())
    }
}

/// Two responses to one prompt, one of which is preferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The preferred one.
    pub chosen: Document,
    /// The other.
    pub rejected: Document,
}

/// Which side of the study a problem is on (PROTOCOL 1): everything that is chosen is chosen on
/// `Select`, everything that is claimed is measured on `Measure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Half {
    /// Checkpoints, features, doses and thresholds are chosen here.
    Select,
    /// Effects and claims are measured here.
    Measure,
}

impl Half {
    /// The half of a problem, by a hash of its id alone.
    pub fn of(id: &str) -> Self {
        if half_hash(id).is_multiple_of(2) { Self::Select } else { Self::Measure }
    }

    /// `select` or `measure`, as in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Measure => "measure",
        }
    }

    /// Halves for a suite of few problems: ranked by hash, every other one. So neither half is left
    /// with too few units for a sign flip.
    pub(super) fn balanced(ids: &[String]) -> Vec<Self> {
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|index| half_hash(&ids[*index]));
        let mut halves = vec![Self::Select; ids.len()];
        for index in order.into_iter().skip(1).step_by(2) {
            halves[index] = Self::Measure;
        }
        halves
    }
}

fn half_hash(id: &str) -> u64 {
    stable_hash(&format!("half: {id}"))
}

/// One prompt with what it takes to judge a response.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The unit of analysis (PROTOCOL 1): halves, clusters and sign flips are by this. Several prompts may
    /// share it, as all requests with one verb and mark do.
    pub id: String,
    /// Names the prompt's random stream; goes into the sampler's prompt.
    pub key: u64,
    /// What is asked, for people; [`Problem::tokens`] is what a model is given.
    pub prompt: String,
    /// The way in which the problem is asked, where it is asked in several, as with other names or other numbers.
    pub instantiation: Option<&'static str>,
    /// The side of the study that the problem is on.
    pub half: Half,
    pub(super) asked: Asked,
    pub(super) answer: Answer,
}

impl Problem {
    pub(super) fn new(id: String, asked: Asked, half: Half, answer: Answer) -> Self {
        let prompt = asked.shown();
        Self { key: stable_hash(&prompt), id, prompt, instantiation: None, half, asked, answer }
    }

    /// The tokens to continue: the prompt as it stands, or, where it is messages, by the chat template. A last message by
    /// the assistant is gone on with.
    ///
    /// # Errors
    /// If the prompt cannot be encoded, or it is messages and the model has no chat template.
    pub fn tokens(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        self.asked.tokens(tokenizer)
    }
}

/// What a response is held against.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// A search must end in an attempt that uses `values` once each and reaches `target`. `old_values` are
    /// what the cards count under the rule of the training domain, where that differs.
    Search { values: [i64; 3], old_values: Option<[i64; 3]>, target: i64 },
    /// The response must be this text.
    Exactly(String),
    /// An answer in plain language.
    Plain(Right),
    /// A row of a file; its suite knows how it is judged.
    External(Truth),
    /// A request: what complying looks like, and what refusing does. Whether it is refused is known by the first word;
    /// whether the whole answer is a refusal, by the rest.
    Request { compliance: String, refusal: String },
}

/// One number that a suite gives every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name in the tables.
    pub name: &'static str,
    /// What it counts.
    pub about: &'static str,
    /// Whether more of it is better; `None` where it only describes.
    pub higher_is_better: Option<bool>,
}

/// The endpoints of one response, in the order of the suite's [`Endpoint`]s; the first is primary.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    endpoints: &'static [Endpoint],
    values: Vec<f64>,
}

impl Score {
    pub(super) fn new(endpoints: &'static [Endpoint], values: Vec<f64>) -> Self {
        debug_assert_eq!(endpoints.len(), values.len());
        Self { endpoints, values }
    }

    /// The value of the endpoint called `name`, if the suite has it.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.iter().find(|(endpoint, _)| endpoint.name == name).map(|(_, value)| value)
    }

    /// The suite's primary endpoint.
    pub fn primary(&self) -> f64 {
        self.values.first().copied().unwrap_or(0.0)
    }

    /// Every endpoint with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Endpoint, f64)> {
        self.endpoints.iter().zip(self.values.iter().copied())
    }
}
